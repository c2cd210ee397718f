/* role - how a process of ours begins that needs nothing but its channel: resolver, proxy. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct role_start {
    const char *name; /* as ps shows it; at most 15 bytes */
    bool change_user; /* root: become uid and gid */
    uid_t uid;
    gid_t gid;
};

/*
 * In the forked child, for ever: the user, no capability and none to be had, nothing open but fd
 * and stderr (0 and 1 are /dev/null), a session of its own; what a terminal or a service manager
 * sends to all is ignored. NULL, or the step that failed, with errno: the process has to end.
 */
const char *role_become(const struct role_start *s, int fd);
