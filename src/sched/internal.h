/* internal - the scheduler's state, shared by the files that move it on. Private to sched/. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sched/sched.h"
#include "sched/waiters.h"

enum run_step {
    STEP_CLAIMED, /* in this turn; launched after its commit */
    STEP_RUNNING,
    STEP_ENDED,    /* the worker said how; not yet committed */
    STEP_RELEASED, /* handed back; not yet committed */
    STEP_WAITING,  /* handed back until retry_at_us; not yet committed */
    STEP_LOST,     /* its worker is; not yet committed */
};

struct run {
    struct task task;
    struct job job; /* as claimed; freed once launched */
    enum run_step step;
    struct outcome end;            /* strings owned, STEP_ENDED */
    int64_t retry_at_us;           /* also until when it waits, STEP_WAITING */
    bool applied;                  /* the end is in the current transaction */
    bool fenced;                   /* ... but its task is somebody else's, or gone */
    enum job_state now;            /* of the task, by that end */
    int64_t claimed_ms, cancel_ms; /* cancel_ms: when it was asked for; 0: it was not */
    int64_t beat_ms;               /* when the lease was renewed, or in the lane: heard of */
    bool away;                     /* in the lane */
    bool adopted;                  /* STEP_CLAIMED: there is nothing to launch */
    uint32_t at;                   /* in `runs` */
    struct key_use *use;           /* its key's */
    struct run *next;              /* of those with the same hash */
};

/* Runs of a key: as long as there are any. */
struct key_use {
    char *key; /* owned */
    uint32_t n;
    struct key_use *next;
};

/* A planned job that came to its end in this turn. */
struct settled {
    struct id job;
    enum job_state state;
    enum job_reason reason;
};

enum { RUN_HASH = 1024 };

struct sched {
    struct loop *loop;
    struct store *store;
    struct sched_config config;
    char *worker; /* owned, config points to them */
    char *blob_dir;
    struct worker_link link;
    const struct sched_lane *lane; /* NULL: none */
    /* In no order, but those first of which a turn has something to do: `n_live`, the last one of
     * these is the newest. Behind them are runs elsewhere of which nothing is to be done here. */
    struct run **runs;
    uint32_t n, size, n_away, n_live;
    struct run *by_token[RUN_HASH];
    struct key_use *keys;  /* they are few */
    struct lease *cancels; /* to be sent after the commit */
    uint32_t n_cancels, size_cancels;
    struct waiters waiters;
    struct timer tick;
    struct timer due;
    struct strvec blocked;       /* keys that may run no more now */
    int64_t wake_after;          /* while waking */
    struct planner_link planner; /* without functions: none */
    struct id *shown;            /* jobs whose progress is to be brought up to date */
    uint32_t n_shown, size_shown;
    struct timer show;
    bool ticked, draining, paused, waking, woke;
    bool merging;            /* results may be left to merge, or jobs to settle */
    struct settled *settled; /* in this transaction */
    uint32_t n_settled, size_settled;
    struct sched_stats stats;
};

/* ---- run.c ---- */
/* Owned by the scheduler from then on; task is set. */
void sched_run_add(struct sched *s, struct run *r);
struct lease sched_run_lease(const struct run *r);
struct run *sched_run_find(struct sched *s, const struct lease *l);
void sched_run_drop(struct sched *s, struct run *r);
/* Its step changes. */
void sched_run_step(struct sched *s, struct run *r, enum run_step step);
/* The turn is over for it. */
void sched_run_rest(struct sched *s, struct run *r);
void outcome_copy(struct outcome *to, const struct outcome *from);
/* Of a copy: what the run found is gone. */
void outcome_rows_lost(struct outcome *o);
bool sched_run_planned(const struct run *r);
/* Of a run elsewhere whose end was undone: the transport reads the report again, from its hosts
 * on. */
void sched_run_unend(struct run *r);

/* ---- lane.c ---- */
void lane_fill(struct sched *s);  /* claims what it has room for */
void lane_sweep(struct sched *s); /* what nothing was heard of is lost */
/* Was it running in the lane? Without one, in that of an earlier start: then there is a lane from
 * now on, in which nothing goes on and everything is lost in time. */
bool lane_has(struct sched *s, const struct task *t);
/* A task that was running in it when the server started. */
/* What is held of a job whose tasks are elsewhere: enough to judge and to log. */
int lane_job(struct sched *s, const struct id *job, struct job *out, struct err *e);
int lane_recover(struct sched *s, const struct task *t, struct err *e);

/* ---- sched.c, for lane.c ---- */
/* *claimed is false if there is nothing. queues NULL: of all. */
void sched_claim_one(struct sched *s, const char *worker, const struct strvec *queues, bool away,
                     bool *claimed);

/* ---- key_limit.c: how much a key may run ---- */
void key_limit_start(struct sched *s); /* finds the keys that are full */
void key_limit_after_claim(struct sched *s, const struct run *r);
void key_limit_add(struct sched *s, struct run *r);
void key_limit_drop(struct sched *s, struct run *r);

/* ---- house.c ---- */
void housekeeping(struct sched *s);
void wake_waiting(
    struct sched *s); /* tasks that wait for a window are tried again, a batch a turn */

/* ---- planned.c ---- */
void planned_ended(struct sched *s, struct run *r); /* its end was applied in this turn */
void planned_step(struct sched *s);                 /* before a commit: merges, settles */
void planned_committed(struct sched *s, bool committed);
void planned_show(struct sched *s, const struct id *job); /* progress, soon */
void planned_init(struct sched *s);
void planned_done(struct sched *s);
