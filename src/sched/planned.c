/*
 * Planned jobs: what follows from a task's end, and the end of the job when none is left.
 *
 * What a task found is merged into the job's result in steps, one a turn, so that nobody waits for
 * a million rows. Nothing here is remembered: what a failed commit undid is found again in the
 * store.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "sched/internal.h"

enum {
    MERGE_ROWS = 2000,   /* a turn */
    SETTLE_A_TURN = 16,  /* jobs */
    SHOW_EVERY_MS = 500, /* progress of planned jobs */
};

static void show_all(struct sched *s)
{
    uint32_t n = s->n_shown;

    s->n_shown = 0;
    for (uint32_t i = 0; i < n; i++) {
        s->planner.progress(s->planner.arg, &s->shown[i]);
        waiters_touch(&s->waiters, &s->shown[i]);
    }
}

static void on_show(struct timer *t)
{
    struct sched *s = container_of(t, struct sched, show);

    if (s->planner.progress) {
        show_all(s);
    }
}

void planned_init(struct sched *s)
{
    s->show.fn = on_show;
    s->merging = true; /* what a former process left */
}

void planned_done(struct sched *s)
{
    timer_stop(&s->show);
    free(s->shown);
    free(s->settled);
}

void sched_plan_with(struct sched *s, const struct planner_link *p)
{
    s->planner = *p;
}

void planned_show(struct sched *s, const struct id *job)
{
    for (uint32_t i = 0; i < s->n_shown; i++) {
        if (id_cmp(&s->shown[i], job) == 0) {
            return;
        }
    }
    if (s->n_shown == s->size_shown) {
        s->size_shown = s->size_shown ? s->size_shown * 2 : 8;
        s->shown = xrealloc(s->shown, s->size_shown * sizeof *s->shown);
    }
    s->shown[s->n_shown++] = *job;
    if (!s->show.loop) {
        timer_arm(s->loop, &s->show, SHOW_EVERY_MS);
    }
}

void planned_ended(struct sched *s, struct run *r)
{
    struct err e = {0};

    s->merging = true;
    planned_show(s, &r->task.job_id);
    if (r->step != STEP_ENDED || !job_state_terminal(r->now) || !s->planner.ended) {
        return;
    }
    if (s->planner.ended(s->planner.arg, &r->task, &r->end, &e) != 0) {
        char id[ID_TEXT + 1];

        id_text(&r->task.job_id, id);
        log_error("plan_failed", KV("job", id), KV("task", r->task.idx), KV("error", e.msg));
    }
}

static void note_settled(struct sched *s, const struct id *job, const struct outcome *o)
{
    if (s->n_settled == s->size_settled) {
        s->size_settled = s->size_settled ? s->size_settled * 2 : 8;
        s->settled = xrealloc(s->settled, s->size_settled * sizeof *s->settled);
    }
    s->settled[s->n_settled++] =
        (struct settled){.job = *job, .state = o->state, .reason = o->reason};
    waiters_touch(&s->waiters, job);
}

/* False: there is none, or it cannot be done now. */
static bool settle_one(struct sched *s)
{
    struct outcome o = {0};
    struct err e = {0};
    struct id job;
    bool found = false;
    int rc = store_job_ripe(s->store, &job, &found, &e);

    if (rc == 0 && !found) {
        return false;
    }
    if (rc == 0) {
        rc = s->planner.settle(s->planner.arg, &job, &o, &e);
    }
    if (rc == 0) {
        rc = store_job_settle(s->store, &job, &o, &e);
    }
    if (rc != 0) {
        log_error("settle_failed", KV("error", e.msg));
        return false;
    }
    note_settled(s, &job, &o);
    return true;
}

void planned_step(struct sched *s)
{
    bool more = false;
    struct err e = {0};

    s->merging = false;
    if (!s->planner.settle) {
        return;
    }
    if (store_merge_step(s->store, MERGE_ROWS, &more, &e) != 0) {
        log_error("merge_failed", KV("error", e.msg));
        return;
    }
    for (unsigned i = 0; i < SETTLE_A_TURN && settle_one(s); i++) {
        more = more || i + 1 == SETTLE_A_TURN;
    }
    if (more) {
        s->merging = true;
        loop_again(s->loop);
    }
}

static void tell_settled(struct sched *s, const struct settled *v)
{
    char id[ID_TEXT + 1];

    id_text(&v->job, id);
    log_info("job_ended", KV("job", id), KV("state", job_state_name(v->state)),
             KV("reason", job_reason_name(v->reason)));
    s->stats.finished[v->state][v->reason]++;
}

void planned_committed(struct sched *s, bool committed)
{
    for (uint32_t i = 0; committed && i < s->n_settled; i++) {
        tell_settled(s, &s->settled[i]);
    }
    s->n_settled = 0;
    if (!committed && s->planner.undone) {
        s->planner.undone(s->planner.arg);
    }
    /* What was undone is done again; the tick of a failed commit comes a second later. */
    s->merging = s->merging || !committed;
}
