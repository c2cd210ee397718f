/*
 * role - how a process of ours begins: nothing open that it does not need, a user and capabilities
 * of its own, and no way back. All of it is called in the forked child, by netd in its own command
 * too. NULL, or the step that failed, with errno: the process has to end.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct role_start {
    const char *name; /* as ps shows it; at most 15 bytes */
    bool change_user; /* root: become uid and gid */
    uid_t uid;
    gid_t gid;
    uint64_t caps; /* 1 << CAP_...: what it keeps of what is there */
};

/* Nothing stays open but `keep` (with stderr in it), which is sorted (negative numbers are skipped;
 * 0 and 1 are /dev/null); a session of its own; what a terminal or a service manager sends to all
 * is ignored. */
const char *role_apart(const char *name, int *keep, unsigned n);
/* For ever: the user, its capabilities and none to be had by exec; nobody may look into it. */
const char *role_drop(const struct role_start *s);
/* Both, for a role that needs nothing but its channel `fd`; its directory is "/". */
const char *role_become(const struct role_start *s, int fd);

/* For roles with several descriptors a run or connection: as many as the system lets us have. */
void role_raise_descriptors(void);

/* Keeps of the capabilities that there are those in `permitted`, and uses those in `effective`.
 * False: errno says why. */
bool role_hold(uint64_t permitted, uint64_t effective);
/* A second lock: no exec gets back what is not in `keep`. Nothing happens without CAP_SETPCAP, so
 * it comes before the change of user. */
void role_bound(uint64_t keep);
