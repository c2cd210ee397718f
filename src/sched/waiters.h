/*
 * waiters - who is to be told when a job changes: long polls and cancels that wait for the end.
 *
 * A hash from job id to waiters; touched jobs are collected during a turn and told after its
 * commit, so that nobody hears of a change that did not become durable.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "sched/sched.h"

enum { WAITER_SLOTS = 1024 };

struct waiters {
    struct job_waiter *slot[WAITER_SLOTS];
    size_t n;
    struct id *touched; /* owned */
    size_t n_touched, size_touched;
};

void waiters_add(struct waiters *ws, struct job_waiter *w);
void waiters_touch(struct waiters *ws, const struct id *job);
/* Fires what waits for the touched jobs, or forgets the touches if the turn was undone. */
void waiters_tell(struct waiters *ws, bool committed);
void waiters_done(struct waiters *ws);
