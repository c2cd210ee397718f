/*
 * sched - what runs next: claims, leases, progress, retries, time limits, cancels, recovery.
 *
 * Sits between the store and something that runs tasks (struct worker_link: the local worker, later
 * a transport). It keeps no truth of its own: what must survive is in the store, what it holds in
 * memory is rebuilt at start. A worker's report is applied only under the lease it was given.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "event/loop.h"
#include "model/job.h"
#include "store/store.h"

struct sched;

struct sched_config {
    uint32_t slots;              /* SCANPOD_MAX_SCAN_WORKERS; 0: accept only */
    const struct strvec *queues; /* that the local worker serves; NULL: all. Borrowed */
    uint32_t retry_base_ms;      /* first back-off; doubles, +-50 % jitter, at most 10 min */
    uint32_t beat_ms;            /* lease renewal */
    int64_t retention_us;        /* finished jobs are kept so long; 0: for ever */
    const char *worker;          /* name in leases */
    const char *blob_dir;
    /* How many tasks of a key's jobs may run at the same time; 0: no limit. NULL: none has one. */
    uint32_t (*max_concurrent)(void *arg, const char *key_id);
    void *arg;
};

/* What the scheduler asks of whoever runs tasks. Neither blocks. */
struct worker_link {
    /* After the claim was committed. The worker reports through sched_*(). j->queue: the task's. */
    void (*run)(void *arg, const struct task *t, const struct job *j);
    void (*cancel)(void *arg, const struct lease *l);
    void *arg;
};

/*
 * A lane: the way by which a transport takes tasks to workers elsewhere. It is filled as long as it
 * has room, so that what runs next is decided here, late. Embedded by its owner.
 */
struct sched_lane {
    const char *worker; /* name in leases: "fleet" */
    /* Queues that can take one more task now; empty: none. Asked before each claim. Borrowed. */
    const struct strvec *(*open)(void *arg);
    /* A task was claimed, in this turn, or was running when the server started (queue NULL). */
    void (*claimed)(void *arg, const struct lease *l, const char *queue);
    /* Has anybody said that he has it? If not when its time is over, it was lost on the way, and no
     * worker is to blame. */
    bool (*taken)(void *arg, const struct lease *l);
    /* Nothing is held of it any more: how its run ended, was handed back or lost is committed; or
     * the claim was undone. */
    void (*over)(void *arg, const struct lease *l);
    /* A run of which nothing was heard for so long (sched_heard()) is lost: on this process's own
     * clock, counted anew after a restart. */
    uint32_t lease_ms;
    struct worker_link link; /* its arg is that of all */
};

/*
 * What planned jobs ask for; called inside a turn, before its commit, and repeated if that fails.
 * All strings handed back are valid until the next call.
 */
struct planner_link {
    /* A task has just ended for good (not: is tried again): adds those that follow. A failure is
     * logged, and told in the job's summary. */
    int (*ended)(void *arg, const struct task *t, const struct outcome *o, struct err *e);
    /* All tasks are over and merged: how the job ended, for store_job_settle(). */
    int (*settle)(void *arg, const struct id *job, struct outcome *out, struct err *e);
    /* How long tasks of the job ran so far, those at the same time counted once: what its time
     * limit is about. Waiting for a scan window or for a server that is down is none of it. */
    int64_t (*spent)(void *arg, const struct id *job);
    /* Progress of a task that runs was stored or a task ended: brings the job's own up to date, at
     * most twice a second for each job. */
    void (*progress)(void *arg, const struct id *job);
    /* The turn was undone: what is remembered of jobs may be of it. */
    void (*undone)(void *arg);
    void *arg;
};

int sched_new(struct loop *l, struct store *s, const struct sched_config *c,
              const struct worker_link *w, struct sched **out, struct err *e);
/* Before sched_recover(). Borrowed until sched_free(). */
void sched_set_lane(struct sched *s, const struct sched_lane *lane);
/* Before the first turn; without it planned jobs are not claimed. */
void sched_plan_with(struct sched *s, const struct planner_link *p);
void sched_free(struct sched *s);
/* Tasks that ran here when the last process died are lost: nothing of it lives any more (the lock
 * proves it). Those of the lane go on: they are lost if nothing is heard of them. Call before the
 * first turn; commits. */
int sched_recover(struct sched *s, struct err *e);
/* To be called by the turn, before the commit (claims, expiries) and after it (launches). What a
 * failed commit undid is tried again a second later; no end of a run is ever dropped. */
void sched_before_commit(struct sched *s);
void sched_after_commit(struct sched *s, bool committed);
/* No new claims. Runs that end from now on are handed back instead of finished, unless they
 * completed. sched_idle(): nothing runs here any more; what runs elsewhere goes on without us. */
void sched_drain(struct sched *s);
bool sched_idle(const struct sched *s);

/* The policy was changed: tasks that wait for a window are tried again, and wait anew if they must.
 */
void sched_wake(struct sched *s);
/* While paused nothing is claimed: until the runner has said what it can do. Not at the start. */
void sched_pause(struct sched *s, bool paused);

/* From the API. `now`: the state right after; running jobs end a moment later. */
int sched_cancel(struct sched *s, const struct id *job, enum job_state *now, struct err *e);

/* From the worker, under the lease. ERR_FENCED: stop that run, its task belongs to somebody else.
 */
int sched_progress(struct sched *s, const struct lease *l, const struct progress *p, struct err *e);
void sched_finish(struct sched *s, const struct lease *l, const struct outcome *o);
/* Between a commit that failed and sched_after_commit(): hosts of this run were in that turn, and
 * its end too. One that went well is then tried again; nothing is covered by it. */
void sched_rows_lost(struct sched *s, const struct lease *l);
void sched_release(struct sched *s, const struct lease *l);
/* Is this the lease of a run that has not ended? */
bool sched_holds(const struct sched *s, const struct lease *l);
/* Of a run in the lane something was heard: its time begins anew. False: no such run. */
bool sched_heard(struct sched *s, const struct lease *l);
/* Its worker is known to be dead, or gave it up: as if its time were over. */
void sched_lost(struct sched *s, const struct lease *l);
/* store_task_adopt(): the run that is there, if any, is fenced; there is one under *now instead,
 * heard of from now on. */
int sched_adopt(struct sched *s, const struct lease *old, struct lease *now, struct err *e);
/* The scan window is closed: the task was not started, and is tried again at until_us. */
void sched_wait_until(struct sched *s, const struct lease *l, int64_t until_us);

/* Called after a commit in which jobs changed state, once for each (long polls, cancel replies). */
struct job_waiter {
    struct id job;
    void (*fn)(struct job_waiter *w); /* removed before the call */
    struct job_waiter *next, **prev;
};
void sched_wait(struct sched *s, struct job_waiter *w); /* fires on the job's next change */
void sched_unwait(struct job_waiter *w);
void sched_touch(struct sched *s, const struct id *job); /* a change was made: fire after commit */

struct sched_stats {
    uint32_t slots, busy; /* of the local worker */
    uint32_t away;        /* runs in the lane */
    bool paused;
    int64_t waits; /* tasks put back because a scan window was closed */
    int64_t claims, finished[JOB_STATES][REASON_COUNT], retries, lost, fenced;
    int64_t cancel_us_total, cancel_n; /* from the request to the end, of running jobs */
    int64_t queue_us_total, queue_n, run_us_total, run_n;
};
void sched_stats(const struct sched *s, struct sched_stats *out);
