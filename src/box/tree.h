/* tree - the processes below init: reaped, and ended for certain. Private to box/. */
#pragma once

#include <time.h>

#include "box/init.h"

struct tree {
    bool own_pids; /* a pid namespace: kill(-1) reaches all of them and nobody else */
    pid_t tool;
    bool tool_ended, empty;
    int status;              /* of the tool */
    const int64_t *until_ms; /* of struct box_spec */
    timer_t timer;           /* of until_ms: SIGALRM */
    bool late;               /* it has passed */
};

/* Before the tool is started. A step, as in box/init.h. */
const char *tree_watch_time(struct tree *t);

/* Until the tool has ended or the tree is to be killed, or its time has passed; then kills and
 * reaps what is left. */
void tree_serve(struct tree *t);
