/*
 * ready - the tasks that can be claimed, in memory: so a claim searches nothing in the database,
 * and the database keeps no indexes for it.
 *
 * For each priority, key and queue a sorted list of places (job number and idx in one number, eight
 * bytes each). What a turn changed is undone with it. The store's rules tell of every task that
 * becomes queued or stops being so; the backend is read once, when the store is opened.
 *
 * Keys of the same priority take turns. Each has a time: a claim is at the least time of those that
 * have a task and may run, which is the present of that priority from then on, and sets the key's
 * time one behind it. A time before the present counts as the present: who had nothing to do, was
 * blocked, or had tasks only where nobody looked, has saved up nothing. Equal times: who waited
 * longest for a turn, then the oldest task. Times are not kept over a restart or an undone turn:
 * all start equal.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct ready;

/* Where a task waits. Strings are borrowed. */
struct ready_task {
    const char *queue; /* NULL: "net" */
    const char *key;   /* NULL: "" */
    int32_t priority;
    int64_t job_num;
    int32_t idx;
};

struct ready *ready_new(void);
void ready_free(struct ready *r); /* NULL is fine */

/* What is there from the start, in any order; then ready_loaded(). */
void ready_load(struct ready *r, const struct ready_task *t);
void ready_loaded(struct ready *r);

void ready_put(struct ready *r, const struct ready_task *t);
void ready_take(struct ready *r, const struct ready_task *t); /* it is there */
/* All tasks of a job, of the key and priority of *t, in whatever queue. */
void ready_take_job(struct ready *r, const struct ready_task *t);
void ready_commit(struct ready *r);
void ready_rollback(struct ready *r);

/* queues NULL: all. */
bool ready_any(struct ready *r, const struct strvec *queues);
/* The one whose turn it is; its strings are valid until the turn ends. */
bool ready_next(struct ready *r, const struct strvec *queues, const struct strvec *blocked,
                struct ready_task *out);
/* Its key has had its turn; before it is taken. */
void ready_charge(struct ready *r, const struct ready_task *t);

/* All of them, by key, priority, queue (in the order in which the key came by them), place. */
void ready_each(const struct ready *r, void (*fn)(void *arg, const struct ready_task *t),
                void *arg);

/* By name. oldest: number of the oldest job that has a task there; 0: none. */
typedef void (*ready_queue_fn)(void *arg, const char *name, int64_t n, int64_t oldest);
void ready_queues(struct ready *r, ready_queue_fn fn, void *arg);
