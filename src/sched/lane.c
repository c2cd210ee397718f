/* The lane: runs that workers elsewhere hold. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "sched/internal.h"

void sched_set_lane(struct sched *s, const struct sched_lane *lane)
{
    s->lane = lane;
}

void lane_fill(struct sched *s)
{
    bool claimed = true;

    while (claimed) {
        const struct strvec *open = s->lane->open(s->lane->link.arg);

        if (open->n == 0 || !store_task_ready(s->store, open)) {
            return;
        }
        sched_claim_one(s, s->lane->worker, open, true, &claimed);
        if (claimed) {
            const struct run *r = s->runs[s->n_live - 1];
            struct lease l = sched_run_lease(r);

            s->lane->claimed(s->lane->link.arg, &l, r->job.queue ? r->job.queue : "net");
        }
    }
}

void lane_sweep(struct sched *s)
{
    int64_t now = loop_now_ms(s->loop);

    for (uint32_t i = 0; i < s->n; i++) {
        struct run *r = s->runs[i];

        if (r->away && r->step == STEP_RUNNING && now - r->beat_ms >= s->lane->lease_ms) {
            struct lease l = sched_run_lease(r);

            sched_run_step(s, r, s->lane->taken(s->lane->link.arg, &l) ? STEP_LOST : STEP_RELEASED);
        }
    }
}

/* ---- what an earlier start with a transport left behind ---- */

static const struct strvec *none_open(void *arg)
{
    static const struct strvec none;

    (void)arg;
    return &none;
}

static void ignore_claim(void *arg, const struct lease *l, const char *queue)
{
    (void)arg;
    (void)l;
    (void)queue;
}

static bool surely_taken(void *arg, const struct lease *l)
{
    (void)arg;
    (void)l;
    return true;
}

static void ignore(void *arg, const struct lease *l)
{
    (void)arg;
    (void)l;
}

/* Their workers may live, and are heard of no more: they stop by themselves before this time. */
static const struct sched_lane nobody = {
    .worker = "fleet",
    .open = none_open,
    .claimed = ignore_claim,
    .taken = surely_taken,
    .over = ignore,
    .lease_ms = 80000,
    .link = {.cancel = ignore},
};

bool lane_has(struct sched *s, const struct task *t)
{
    if (!s->lane && strcmp(t->worker, nobody.worker) == 0) {
        s->lane = &nobody;
    }
    return s->lane && strcmp(t->worker, s->lane->worker) == 0;
}

int lane_job(struct sched *s, const struct id *job, struct job *out, struct err *e)
{
    struct job j = {0};
    int rc;

    job_init(&j);
    rc = store_job_get(s->store, job, &j, e);
    if (rc == 0) {
        out->key_id = take_ptr(&j.key_id);
        out->planned = j.planned;
        out->created_us = j.created_us;
        out->cancel_requested = j.cancel_requested;
    }
    job_done(&j);
    return rc;
}

int lane_recover(struct sched *s, const struct task *t, struct err *e)
{
    struct run *r = xcalloc(1, sizeof *r);
    struct lease l;
    int rc;

    job_init(&r->job);
    r->task = *t;
    r->step = STEP_RUNNING;
    r->away = true;
    r->claimed_ms = r->beat_ms = boot_ms();
    rc = lane_job(s, &t->job_id, &r->job, e);
    sched_run_add(s, r);
    l = sched_run_lease(r);
    s->lane->claimed(s->lane->link.arg, &l, NULL);
    if (r->job.cancel_requested) {
        s->lane->link.cancel(s->lane->link.arg, &l);
    }
    return rc;
}

bool sched_holds(const struct sched *s, const struct lease *l)
{
    const struct run *r = sched_run_find((struct sched *)(uintptr_t)s, l);

    return r && r->step < STEP_ENDED;
}

bool sched_heard(struct sched *s, const struct lease *l)
{
    struct run *r = sched_run_find(s, l);

    if (r) {
        r->beat_ms = loop_now_ms(s->loop);
    }
    return r != NULL;
}

void sched_lost(struct sched *s, const struct lease *l)
{
    struct run *r = sched_run_find(s, l);

    if (r && r->away && r->step == STEP_RUNNING) {
        sched_run_step(s, r, STEP_LOST);
        loop_again(s->loop);
    }
}
