/*
 * How a turn goes through here: reports that the worker made during the turn have already been
 * applied to the store. Before the commit, tasks that are due become queued, stale ones expire,
 * and free slots are filled by claims, passing over keys that have as many runs as they may; a run
 * that ends in this turn leaves its slot in it. After
 * it, the claims are launched and those who wait for a job are told. A commit that failed took all
 * of that back: the claims are forgotten, and ends of runs, which only we know, are applied again
 * in a later turn until one succeeds.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "sched/internal.h"
#include "store/blob.h"

enum { TICK_MS = 1000, RETRY_MAX_MS = 600000 };

static void on_tick(struct timer *t)
{
    struct sched *s = container_of(t, struct sched, tick);

    s->ticked = true;
    timer_arm(s->loop, t, TICK_MS);
}

static void on_due(struct timer *t)
{
    struct sched *s = container_of(t, struct sched, due);

    s->ticked = true; /* the turn does the rest */
}

int sched_new(struct loop *l, struct store *st, const struct sched_config *c,
              const struct worker_link *w, struct sched **out, struct err *e)
{
    struct sched *s = xcalloc(1, sizeof *s);

    s->loop = l;
    s->store = st;
    s->config = *c;
    s->config.worker = s->worker = xstrdup(c->worker);
    s->config.blob_dir = s->blob_dir = xstrdup(c->blob_dir);
    s->link = *w;
    s->stats.slots = c->slots;
    s->tick.fn = on_tick;
    s->due.fn = on_due;
    planned_init(s);
    s->ticked = true;
    timer_arm(l, &s->tick, TICK_MS);
    *out = s;
    return 0;
}

void sched_free(struct sched *s)
{
    if (!s) {
        return;
    }
    timer_stop(&s->tick);
    timer_stop(&s->due);
    while (s->n) {
        sched_run_drop(s, s->runs[0]);
    }
    planned_done(s);
    waiters_done(&s->waiters);
    strvec_done(&s->blocked);
    free(s->runs);
    free(s->cancels);
    free(s->worker);
    free(s->blob_dir);
    free(s);
}

/* ---- recovery ---- */

struct task_list {
    struct task *v;
    size_t n;
};

static int collect_task(void *arg, const struct task *t, struct err *e)
{
    struct task_list *list = arg;

    list->v = xrealloc(list->v, (list->n + 1) * sizeof *list->v);
    list->v[list->n++] = *t;
    return 0;
}

static int recover_one(struct sched *s, const struct task *t, struct err *e)
{
    struct lease l = {.job_id = t->job_id, .idx = t->idx, .epoch = t->epoch, .token = t->token};
    auto_free char *path = blob_path(&l);
    char id[ID_TEXT + 1];
    enum job_state now;
    int rc;

    if (lane_has(s, t)) {
        return lane_recover(s, t, e);
    }
    rc = store_task_lost(s->store, &l, t->beat, &now, e);
    if (rc != 0) {
        return rc;
    }
    if (s->blob_dir) {
        blob_remove(s->blob_dir, path);
    }
    s->stats.lost++;
    s->merging = true;
    id_text(&t->job_id, id);
    log_warn("task_lost", KV("job", id), KV("epoch", t->epoch), KV("state", job_state_name(now)));
    return 0;
}

int sched_recover(struct sched *s, struct err *e)
{
    struct task_list list = {0};
    int rc = store_task_running(s->store, collect_task, &list, e);

    for (size_t i = 0; rc == 0 && i < list.n; i++) {
        rc = recover_one(s, &list.v[i], e);
    }
    free(list.v);
    return rc == 0 && store_dirty(s->store) ? store_commit(s->store, e) : rc;
}

/* ---- before the commit ---- */

static int64_t backoff_us(const struct sched *s, int32_t failed)
{
    int64_t ms = s->config.retry_base_ms;
    uint32_t jitter;

    for (int32_t i = 0; i < failed && ms < RETRY_MAX_MS; i++) {
        ms *= 2;
    }
    ms = MIN(ms, RETRY_MAX_MS);
    random_bytes(&jitter, sizeof jitter);
    /* between half and one and a half: workers that failed together must not return together */
    return ms * 500 + (int64_t)((double)ms * 1000 * ((double)jitter / UINT32_MAX));
}

static void log_finished(const struct run *r)
{
    char id[ID_TEXT + 1];

    id_text(&r->task.job_id, id);
    if (sched_run_planned(r)) {
        log_info("task_ended", KV("job", id), KV("task", r->task.idx),
                 KV("state", job_state_name(r->now)), KV("reason", job_reason_name(r->end.reason)),
                 KV("attempt", r->task.attempts), KV("ms", boot_ms() - r->claimed_ms),
                 KV("error", r->end.error));
        return;
    }
    log_info("job_ended", KV("job", id), KV("state", job_state_name(r->now)),
             KV("reason", job_reason_name(r->end.reason)), KV("attempt", r->task.attempts),
             KV("ms", boot_ms() - r->claimed_ms), KV("error", r->end.error));
}

static enum job_state state_of(struct sched *s, const struct id *job)
{
    enum job_state state = JOB_RUNNING;
    struct job j = {0};

    job_init(&j);
    if (store_job_get(s->store, job, &j, NULL) == 0) {
        state = j.state;
    }
    job_done(&j);
    return state;
}

/* Applies what only we know of a run that is over. The store's answer is final once committed. */
static void apply_end(struct sched *s, struct run *r)
{
    struct lease l = sched_run_lease(r);
    struct err e = {0};
    int rc;

    if (r->step == STEP_RELEASED) {
        rc = store_task_release(s->store, &l, &e);
    } else if (r->step == STEP_WAITING) {
        rc = store_task_wait(s->store, &l, r->retry_at_us, &e);
    } else if (r->step == STEP_LOST) {
        rc = store_task_lost(s->store, &l, TASK_BEAT_ANY, &r->now, &e);
    } else {
        rc = store_task_finish(s->store, &l, &r->end, r->retry_at_us, &r->now, &e);
    }
    if (rc == ERR_FENCED || rc == ERR_NOT_FOUND) {
        s->stats.fenced++;
        log_warn("report_fenced", KV("error", e.msg));
        r->now = state_of(s, &r->task.job_id);
        r->fenced = true;
        r->step = r->step == STEP_LOST ? STEP_RELEASED : r->step; /* it was given away before */
    } else if (rc != 0) {
        log_error("report_failed", KV("error", e.msg));
        return;
    }
    r->applied = true;
    waiters_touch(&s->waiters, &r->task.job_id);
    if (rc == 0 && sched_run_planned(r)) {
        planned_ended(s, r);
    }
}

void sched_claim_one(struct sched *s, const char *worker, const struct strvec *queues, bool away,
                     bool *claimed)
{
    struct run *r = xcalloc(1, sizeof *r);
    struct err e = {0};
    int rc;

    *claimed = false;
    job_init(&r->job);
    rc = store_task_claim(s->store, worker, queues, &s->blocked, &r->task, &r->job, claimed, &e);
    if (rc != 0 || !*claimed) {
        if (rc != 0) {
            log_error("claim_failed", KV("error", e.msg));
        }
        *claimed = false;
        job_done(&r->job);
        free(r);
        return;
    }
    r->step = STEP_CLAIMED;
    r->away = away;
    r->claimed_ms = r->beat_ms = boot_ms();
    sched_run_add(s, r);
    key_limit_after_claim(s, r);
    waiters_touch(&s->waiters, &r->task.job_id);
}

static void renew(struct sched *s, struct run *r, int64_t now)
{
    struct lease l = sched_run_lease(r);
    bool cancel = false;

    if (now - r->beat_ms < s->config.beat_ms) {
        return;
    }
    r->beat_ms = now;
    if (store_task_renew(s->store, &l, &cancel, NULL) == ERR_FENCED || cancel) {
        s->link.cancel(s->link.arg, &l);
    }
}

static bool may_claim(const struct sched *s, uint32_t busy)
{
    return !s->paused && busy < s->config.slots && store_task_ready(s->store, s->config.queues);
}

/* An end that is in this transaction frees its slot: both are committed, or neither is. */
static void claim(struct sched *s, uint32_t busy)
{
    bool claimed = true;

    if (s->draining || !store_task_ready(s->store, NULL)) {
        return;
    }
    key_limit_start(s);
    while (claimed && may_claim(s, busy)) {
        sched_claim_one(s, s->worker, s->config.queues, false, &claimed);
        busy += claimed;
    }
    if (s->lane) {
        lane_fill(s);
    }
}

void sched_before_commit(struct sched *s)
{
    int64_t now = loop_now_ms(s->loop);
    uint32_t busy = 0;

    if (s->ticked && s->lane) {
        lane_sweep(s);
    }
    for (uint32_t i = 0; i < s->n_live; i++) {
        struct run *r = s->runs[i];

        if (r->step >= STEP_ENDED && !r->applied) {
            apply_end(s, r);
        } else if (r->step == STEP_RUNNING && !r->away) {
            renew(s, r, now);
        }
        busy += !r->applied && !r->away;
    }
    if (s->waking) {
        wake_waiting(s);
    }
    if (s->merging) {
        planned_step(s);
    }
    if (s->ticked) {
        housekeeping(s);
    }
    claim(s, busy);
}

/* ---- after the commit ---- */

static void launch(struct sched *s, struct run *r)
{
    int64_t waited = wall_us() - r->job.created_us;

    r->step = STEP_RUNNING;
    s->stats.claims++;
    if (r->task.epoch == 1 && r->task.idx == 0) {
        s->stats.queue_us_total += waited;
        s->stats.queue_n++;
    }
    if (sched_run_planned(r) && s->planner.spent) {
        r->job.spent_us = s->planner.spent(s->planner.arg, &r->task.job_id);
    }
    if (r->away) {
        r->beat_ms = boot_ms();
        s->lane->link.run(s->lane->link.arg, &r->task, &r->job);
    } else {
        s->link.run(s->link.arg, &r->task, &r->job);
    }
}

static void remove_blob(const struct sched *s, const struct run *r)
{
    struct lease l = sched_run_lease(r);
    auto_free char *path = blob_path(&l);

    if (s->blob_dir) {
        blob_remove(s->blob_dir, path);
    }
}

static void settle_lost(struct sched *s, const struct run *r)
{
    char id[ID_TEXT + 1];

    id_text(&r->task.job_id, id);
    log_warn("task_lost", KV("job", id), KV("task", r->task.idx), KV("epoch", r->task.epoch),
             KV("state", job_state_name(r->now)));
    s->stats.lost++;
    s->merging = true;
    remove_blob(s, r);
}

static void settle_end(struct sched *s, struct run *r)
{
    if (r->step == STEP_ENDED) {
        bool over = job_state_terminal(r->now);

        log_finished(r);
        s->stats.finished[r->now][r->end.reason] += over && !sched_run_planned(r);
        s->stats.retries += !over;
        s->stats.run_us_total += (boot_ms() - r->claimed_ms) * 1000;
        s->stats.run_n++;
        if (r->cancel_ms) {
            s->stats.cancel_us_total += (boot_ms() - r->cancel_ms) * 1000;
            s->stats.cancel_n++;
        }
        if (!over) {
            remove_blob(s, r);
            s->ticked = true; /* finds out when the next one is due */
            loop_again(s->loop);
        }
    } else if (r->step == STEP_WAITING) {
        char id[ID_TEXT + 1];
        char until[RFC3339_LEN + 1];

        id_text(&r->task.job_id, id);
        rfc3339_us(r->retry_at_us, until);
        log_info("job_waits", KV("job", id), KV("until", until));
        s->stats.waits++;
        s->ticked = true;
        loop_again(s->loop);
    } else if (r->step == STEP_LOST) {
        settle_lost(s, r);
    }
    if (r->fenced) {
        remove_blob(s, r); /* nothing names it */
    }
    sched_run_drop(s, r);
}

static void send_cancels(struct sched *s, bool committed)
{
    struct lease *v = take_ptr(&s->cancels);
    uint32_t n = s->n_cancels;

    s->n_cancels = s->size_cancels = 0;
    for (uint32_t i = 0; committed && i < n; i++) {
        const struct run *r = sched_run_find(s, &v[i]);
        const struct worker_link *link = r && r->away ? &s->lane->link : &s->link;

        link->cancel(link->arg, &v[i]);
    }
    free(v);
}

void sched_after_commit(struct sched *s, bool committed)
{
    bool freed = false;

    if (!committed) {
        timer_arm(s->loop, &s->due, TICK_MS);
    }
    if (!committed && s->woke) {
        s->waking = true;
        s->wake_after = 0;
    }
    s->woke = false;
    for (uint32_t i = s->n_live; i-- > 0;) {
        struct run *r = s->runs[i];

        if (r->step == STEP_CLAIMED) {
            if (!committed) {
                sched_run_drop(s, r);
                continue;
            }
            if (r->adopted) {
                r->step = STEP_RUNNING;
            } else {
                launch(s, r);
            }
            sched_run_rest(s, r);
        } else if (r->applied && committed) {
            settle_end(s, r);
            freed = true;
        } else {
            r->applied = r->fenced = false;
            if (!committed && r->away) {
                sched_run_unend(r);
            }
            sched_run_rest(s, r);
        }
    }
    planned_committed(s, committed);
    send_cancels(s, committed);
    waiters_tell(&s->waiters, committed);
    if (freed && store_task_ready(s->store, NULL)) {
        loop_again(s->loop);
    }
}

/* ---- calls from the API and the worker ---- */

int sched_cancel(struct sched *s, const struct id *job, enum job_state *now, struct err *e)
{
    enum job_state state;
    int rc = store_job_cancel(s->store, job, &state, e);

    if (rc != 0) {
        return rc;
    }
    s->stats.finished[JOB_CANCELLED][REASON_CANCELLED] += state == JOB_CANCELLED;
    for (uint32_t i = 0; state == JOB_RUNNING && i < s->n; i++) {
        if (id_cmp(&s->runs[i]->task.job_id, job) != 0) {
            continue;
        }
        s->runs[i]->cancel_ms = s->runs[i]->cancel_ms ? s->runs[i]->cancel_ms : boot_ms();
        if (s->n_cancels == s->size_cancels) {
            s->size_cancels = s->size_cancels ? s->size_cancels * 2 : 8;
            s->cancels = xrealloc(s->cancels, s->size_cancels * sizeof *s->cancels);
        }
        s->cancels[s->n_cancels++] = sched_run_lease(s->runs[i]);
    }
    waiters_touch(&s->waiters, job);
    s->merging = true; /* nothing of a planned job may be left to run */
    *now = state;
    return 0;
}

int sched_progress(struct sched *s, const struct lease *l, const struct progress *p, struct err *e)
{
    int rc = store_task_progress(s->store, l, p, e);

    if (rc == 0) {
        struct run *r = sched_run_find(s, l);

        waiters_touch(&s->waiters, &l->job_id);
        if (r && sched_run_planned(r)) {
            planned_show(s, &l->job_id);
        }
    }
    return rc;
}

void sched_finish(struct sched *s, const struct lease *l, const struct outcome *o)
{
    struct run *r = sched_run_find(s, l);

    if (!r || r->step >= STEP_ENDED) {
        return;
    }
    sched_run_step(s, r, STEP_ENDED);
    outcome_copy(&r->end, o);
    r->retry_at_us = o->retryable ? wall_us() + backoff_us(s, r->task.failed) : 0;
    loop_again(s->loop);
}

void sched_rows_lost(struct sched *s, const struct lease *l)
{
    struct run *r = sched_run_find(s, l);

    if (r && r->step == STEP_ENDED) {
        outcome_rows_lost(&r->end);
        r->retry_at_us = r->end.retryable ? wall_us() + backoff_us(s, r->task.failed) : 0;
    }
}

void sched_release(struct sched *s, const struct lease *l)
{
    struct run *r = sched_run_find(s, l);

    if (r && r->step < STEP_ENDED) {
        sched_run_step(s, r, STEP_RELEASED);
        loop_again(s->loop);
    }
}

void sched_wait_until(struct sched *s, const struct lease *l, int64_t until_us)
{
    struct run *r = sched_run_find(s, l);

    if (r && r->step < STEP_ENDED) {
        sched_run_step(s, r, STEP_WAITING);
        r->retry_at_us = MAX(until_us, 1);
        loop_again(s->loop);
    }
}

void sched_wake(struct sched *s)
{
    s->waking = true;
    s->wake_after = 0;
    loop_again(s->loop);
}

void sched_pause(struct sched *s, bool paused)
{
    s->paused = paused;
    if (!paused) {
        loop_again(s->loop);
    }
}

void sched_drain(struct sched *s)
{
    s->draining = true;
}

bool sched_idle(const struct sched *s)
{
    return s->n == s->n_away;
}

void sched_wait(struct sched *s, struct job_waiter *w)
{
    waiters_add(&s->waiters, w);
}

void sched_touch(struct sched *s, const struct id *job)
{
    waiters_touch(&s->waiters, job);
}

void sched_stats(const struct sched *s, struct sched_stats *out)
{
    *out = s->stats;
    out->busy = s->n - s->n_away;
    out->away = s->n_away;
    out->paused = s->paused;
}
