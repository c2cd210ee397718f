/* child - a forked process that is known by a watched pidfd, never by its number. */
#pragma once

#include <sys/types.h>

#include "event/loop.h"

struct child {
    struct watch watch; /* fd -1: none, or reaped */
    pid_t pid;          /* its own until it is reaped */
};

/* Like fork(): 0 in the child, 1 in the parent, -1: no process. `fn` is called when it has ended.
 */
int child_fork(struct child *c, struct loop *l, void (*fn)(struct watch *w, uint32_t events));
/* The exit status, or -1: ended by a signal. Blocks until it ended; the watch is over. */
int child_reap(struct child *c);
void child_kill(const struct child *c); /* SIGKILL; nothing if there is none */
