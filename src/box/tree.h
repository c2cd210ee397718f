/* tree - the processes below init: reaped, and ended for certain. Private to box/. */
#pragma once

#include "box/init.h"

struct tree {
    bool own_pids; /* a pid namespace: kill(-1) reaches all of them and nobody else */
    pid_t tool;
    bool tool_ended, empty;
    int status; /* of the tool */
};

/* Until the tool has ended or the tree is to be killed; then kills and reaps what is left. */
void tree_serve(struct tree *t);
