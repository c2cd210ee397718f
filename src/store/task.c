/* Tasks: claims, leases, and how runs end. What is different in planned jobs is in planned.c. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/internal.h"

enum { BATCH = 1000 };

bool task_claimed(const struct task *t, const struct lease *l)
{
    return l->idx == t->idx && l->epoch == t->epoch && l->token == t->token && l->token != 0;
}

bool task_held(const struct task *t, const struct lease *l)
{
    return t->state == JOB_RUNNING && task_claimed(t, l);
}

/* Loads the job of a lease; ERR_FENCED if it is gone. */
static int load_claimed(struct store *s, const struct lease *l, struct work *w)
{
    int rc = store_whole(s);

    if (rc == 0) {
        rc = work_load_task(s, &l->job_id, 0, l->idx, w);
    }
    return rc == ERR_NOT_FOUND ? store_fenced(s) : rc;
}

/* The same, and the lease is the current one. */
static int load_held(struct store *s, const struct lease *l, struct work *w)
{
    int rc = load_claimed(s, l, w);

    if (rc == 0 && !task_held(&w->row.task, l)) {
        work_done(w);
        rc = store_fenced(s);
    }
    return rc;
}

/* ---- claims ---- */

void task_lease(struct store *s, struct task_row *r, const char *worker)
{
    struct task *t = &r->task;

    t->epoch++;
    t->token = store_token(s, &t->job_id, t->idx, t->epoch);
    t->beat = 0;
    r->reports = 0;
    memset(t->worker, 0, sizeof t->worker);
    snprintf(t->worker, sizeof t->worker, "%s", worker);
}

int task_claim(struct store *s, struct work *w, const char *worker)
{
    struct task *t = &w->row.task;
    struct job *j = &w->job;
    bool starts = j->state != JOB_RUNNING; /* else it is planned, and another task came first */

    if (starts) {
        work_move(s, w, JOB_RUNNING);
    }
    task_lease(s, &w->row, worker);
    t->attempts++;
    if (starts) {
        j->attempts = t->attempts;
    }
    if (!j->planned) {
        j->percent_x100 = -1;
        j->remaining_s = -1;
    }
    if (j->started_us == 0) {
        j->started_us = store_now(s);
    }
    if (j->planned) {
        int rc = part_start(s, w);

        if (rc != 0 || !starts) {
            return rc;
        }
    }
    return work_save(s, w, "job.state", NULL);
}

static int load_ready(struct store *s, const struct ready_task *next, struct work *w)
{
    int rc = work_load_task(s, NULL, next->job_num, next->idx, w);

    if (rc == ERR_NOT_FOUND || (rc == 0 && w->row.task.state != JOB_QUEUED)) {
        return store_fail(s, ERR_INTERNAL, "a task that can be claimed is not there");
    }
    if (rc == 0) {
        ready_charge(s->ready, next);
    }
    return rc;
}

int store_task_claim(struct store *s, const char *worker, const struct strvec *queues,
                     const struct strvec *blocked, struct task *task, struct job *job, bool *out,
                     struct err *e)
{
    struct ready_task next;
    struct work w = {0};
    int rc = store_whole(s);

    if (rc == 0 && !ready_next(s->ready, queues, blocked, &next)) {
        *out = false;
        return 0;
    }
    if (rc == 0) {
        rc = store_begin(s);
    }
    if (rc == 0) {
        rc = load_ready(s, &next, &w);
    }
    if (rc == 0) {
        rc = task_claim(s, &w, worker);
    }
    if (rc == 0) {
        text_set(&w.job.queue, next.queue);
        rc = s->ops->job_text_get(s, &w.job);
    }
    if (rc == 0 && w.job.planned) {
        rc = s->ops->part_spec(s, w.job.num, w.row.task.idx, &w.job.task_spec);
    }
    if (rc == 0) {
        *task = w.row.task;
        *job = w.job;
        *out = true;
        w.job = (struct job){0}; /* it is the caller's now */
    }
    work_done(&w);
    return store_change_end(s, rc, e);
}

bool store_task_ready(struct store *s, const struct strvec *queues)
{
    return ready_any(s->ready, queues);
}

struct depths {
    struct store *s;
    void (*fn)(void *arg, const struct queue_depth *q);
    void *arg;
};

static void tell_queue(void *arg, const char *name, int64_t n, int64_t oldest)
{
    const struct depths *d = arg;
    struct job j = {0};

    if (n > 0) { /* created_us stays 0 if it cannot be read */
        d->s->ops->job_find(d->s, NULL, oldest, &j);
    }
    d->fn(d->arg, &(struct queue_depth){name, n, j.created_us});
    job_done(&j);
}

void store_queues(struct store *s, void (*fn)(void *arg, const struct queue_depth *q), void *arg)
{
    struct depths d = {s, fn, arg};

    ready_queues(s->ready, tell_queue, &d);
}

/* ---- while it runs ---- */

int store_task_renew(struct store *s, const struct lease *l, bool *cancel, struct err *e)
{
    struct work w;
    int rc = load_held(s, l, &w);

    if (rc == 0) {
        rc = store_begin(s);
        w.row.task.beat++;
        if (rc == 0) {
            rc = s->ops->task_put(s, &w.row);
        }
        if (rc == 0 && cancel) {
            *cancel = w.job.cancel_requested;
        }
        work_done(&w);
    }
    return store_change_end(s, rc, e);
}

int store_task_progress(struct store *s, const struct lease *l, const struct progress *p,
                        struct err *e)
{
    struct work w;
    int rc = load_held(s, l, &w);

    if (rc == 0) {
        rc = store_begin(s);
        w.row.task.beat++;
        if (rc == 0 && w.job.planned) {
            w.part.percent_x100 = p->percent_x100;
            rc = part_save(s, &w);
        } else if (rc == 0) {
            w.job.percent_x100 = p->percent_x100;
            w.job.remaining_s = p->remaining_s;
            rc = work_save(s, &w, "job.progress", p->task);
        }
        work_done(&w);
    }
    return store_change_end(s, rc, e);
}

int store_task_running(struct store *s, task_fn fn, void *arg, struct err *e)
{
    return store_read_end(s, s->ops->task_running(s, fn, arg), e);
}

/* ---- how a run ends ---- */

static int retry(struct store *s, struct work *w, const struct outcome *o, int64_t retry_at_us)
{
    int rc = result_discard(s, w, o->raw_path);

    if (rc != 0) {
        return rc;
    }
    retry_at_us = retry_at_us > 0 ? retry_at_us : store_now(s);
    if (w->job.planned) {
        return part_retry(s, w, o, retry_at_us);
    }
    work_move(s, w, JOB_SCHEDULED);
    w->job.run_at_us = w->row.task.run_at_us = retry_at_us;
    w->job.percent_x100 = -1;
    w->job.remaining_s = -1;
    return work_save(s, w, "job.state", NULL);
}

static int end_with(struct store *s, struct work *w, const struct outcome *o)
{
    struct job *j = &w->job;
    int rc = intake_end(s, w);

    if (rc == 0 && o->raw_path) {
        rc = s->ops->blob_put(s, &w->row.task, o);
    }
    if (rc == 0) {
        rc = cells_add(s, w, o);
    }
    if (rc != 0) {
        return rc;
    }
    if (j->planned) {
        return part_finish(s, w, o);
    }
    j->exit_status = o->exit_status;
    j->exit_signal = o->exit_signal;
    j->partial = o->partial;
    j->raw_size = o->raw_size;
    text_set(&j->stderr_tail, o->stderr_tail);
    text_set(&j->command_line, o->command_line);
    text_set(&j->tool_version, o->tool_version);
    text_set(&j->confinement, o->confinement);
    text_set(&j->sandbox_json, o->sandbox_json);
    text_set(&j->run_json, o->run_json);
    text_set(&j->raw_sha256, o->raw_sha256);
    if (o->state == JOB_COMPLETED) {
        j->percent_x100 = 10000;
    }
    if (j->stderr_tail || j->sandbox_json || j->run_json) {
        rc = s->ops->job_text_put(s, j);
    }
    return rc == 0 ? work_end(s, w, o->state, o->reason, o->error) : rc;
}

static int finish(struct store *s, struct work *w, const struct outcome *o, int64_t retry_at_us)
{
    struct task *t = &w->row.task;
    bool failed = o->state == JOB_FAILED;
    bool ours = failed && job_reason_ours(o->reason);
    bool left = ours ? t->lost + 1 < TASK_MAX_LOST : t->failed + 1 < w->job.max_attempts;
    bool again = failed && o->retryable && left && !w->job.cancel_requested;
    int rc = store_begin(s);

    if (rc != 0) {
        return rc;
    }
    t->failed += failed && !ours;
    t->lost += ours;
    if (!w->job.planned) {
        w->job.lost = t->lost;
    }
    return again ? retry(s, w, o, retry_at_us) : end_with(s, w, o);
}

int store_task_finish(struct store *s, const struct lease *l, const struct outcome *o,
                      int64_t retry_at_us, enum job_state *job_state, struct err *e)
{
    struct work w;
    int rc;

    if (o->state >= JOB_STATES || !job_state_terminal(o->state)) {
        return err_set(e, ERR_INVALID, "a run cannot end in state %d", (int)o->state);
    }
    rc = load_claimed(s, l, &w);
    if (rc == 0) {
        if (!task_claimed(&w.row.task, l)) {
            rc = store_fenced(s);
        } else if (w.row.task.state == JOB_RUNNING) {
            rc = finish(s, &w, o, retry_at_us);
        } /* else this end was applied before: the token stays until the next claim */
        if (rc == 0 && job_state) {
            *job_state = w.row.task.state;
        }
        work_done(&w);
    }
    return store_change_end(s, rc, e);
}

/* Back as if this run had not been; what it found is dropped. Queued, or waiting until then. */
static int put_back(struct store *s, struct work *w, int64_t until_us)
{
    int rc = result_discard(s, w, NULL);

    if (rc != 0) {
        return rc;
    }
    if (w->job.planned) {
        return part_put_back(s, w, until_us);
    }
    work_move(s, w, until_us > 0 ? JOB_WAITING : JOB_QUEUED);
    if (until_us > 0) {
        w->job.run_at_us = w->row.task.run_at_us = until_us;
    } else {
        work_enqueue(w, store_now(s));
    }
    w->job.percent_x100 = -1;
    w->job.remaining_s = -1;
    return work_save(s, w, "job.state", NULL);
}

static int end_unreported(struct store *s, struct work *w, enum job_state state,
                          enum job_reason reason, const char *error)
{
    const struct intake *it = intake_of(s, w->job.num, w->row.task.idx);
    int64_t found = it && it->scan ? it->scan->findings : 0;
    int rc = intake_end(s, w);

    if (rc == 0 && w->job.planned) {
        w->part.partial = w->part.counts.hosts > 0;
        return part_end(s, w, state, reason, error);
    }
    w->job.partial = w->job.hosts + found > 0;
    return rc == 0 ? work_end(s, w, state, reason, error) : rc;
}

static int lose(struct store *s, struct work *w)
{
    struct task *t = &w->row.task;
    int rc = store_begin(s);

    if (rc != 0) {
        return rc;
    }
    t->lost++;
    t->token = 0; /* a late report of that worker is fenced */
    if (!w->job.planned) {
        w->job.lost = t->lost;
    }
    if (w->job.cancel_requested) {
        return end_unreported(s, w, JOB_CANCELLED, REASON_CANCELLED, NULL);
    }
    if (t->lost >= TASK_MAX_LOST) {
        return end_unreported(s, w, JOB_FAILED, REASON_WORKER_LOST,
                              "its worker died or could not be reached, several times");
    }
    return put_back(s, w, 0);
}

int store_task_lost(struct store *s, const struct lease *l, uint32_t beat,
                    enum job_state *job_state, struct err *e)
{
    struct work w;
    int rc = load_held(s, l, &w);

    if (rc == 0) {
        rc = beat == TASK_BEAT_ANY || w.row.task.beat == beat ? lose(s, &w) : store_fenced(s);
        if (rc == 0 && job_state) {
            *job_state = w.row.task.state;
        }
        work_done(&w);
    }
    return store_change_end(s, rc, e);
}

static int release(struct store *s, struct work *w, int64_t until_us)
{
    struct task *t = &w->row.task;
    int rc = store_begin(s);

    if (rc != 0) {
        return rc;
    }
    t->token = 0;
    t->attempts--;
    if (!w->job.planned) {
        w->job.attempts = t->attempts;
    }
    if (w->job.cancel_requested) {
        return end_unreported(s, w, JOB_CANCELLED, REASON_CANCELLED, NULL);
    }
    if (t->attempts == 0 && !w->job.planned) {
        w->job.started_us = 0;
    }
    return put_back(s, w, until_us);
}

static int give_back(struct store *s, const struct lease *l, int64_t until_us, struct err *e)
{
    struct work w;
    int rc = load_held(s, l, &w);

    if (rc == 0) {
        rc = release(s, &w, until_us);
        work_done(&w);
    }
    return store_change_end(s, rc, e);
}

int store_task_release(struct store *s, const struct lease *l, struct err *e)
{
    return give_back(s, l, 0, e);
}

int store_task_wait(struct store *s, const struct lease *l, int64_t until_us, struct err *e)
{
    if (until_us <= 0) {
        return err_set(e, ERR_INVALID, "a task that waits needs a time when it goes on");
    }
    return give_back(s, l, until_us, e);
}

/* ---- what time brings ---- */

int task_queue(struct store *s, struct work *w, int64_t now_us)
{
    if (w->job.planned) {
        int rc = part_queue(s, w);

        if (rc != 0 || w->job.state == JOB_RUNNING || w->job.state == JOB_QUEUED) {
            return rc;
        }
    }
    work_move(s, w, JOB_QUEUED);
    work_enqueue(w, now_us);
    return work_save(s, w, "job.state", NULL);
}

static int queue_all(struct store *s, const struct task_at *v, uint32_t n, int64_t now_us)
{
    int rc = n > 0 ? store_begin(s) : 0;

    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        struct work w;

        rc = work_load_task(s, NULL, v[i].job_num, v[i].idx, &w);
        if (rc == 0) {
            rc = task_queue(s, &w, now_us);
            work_done(&w);
        }
    }
    return rc;
}

static bool any_due(const struct store *s)
{
    return s->now.counts[JOB_SCHEDULED] + s->now.counts[JOB_WAITING] + s->now.tasks_timed > 0;
}

int store_task_due(struct store *s, int64_t now_us, int64_t *next_us, struct err *e)
{
    struct task_at v[BATCH];
    uint32_t n = 0;
    int64_t next = 0;
    int rc = store_whole(s);

    if (rc == 0 && any_due(s)) {
        rc = s->ops->task_due(s, now_us, BATCH, v, &n);
    }
    if (rc == 0) {
        rc = queue_all(s, v, n, now_us);
    }
    if (rc == 0 && any_due(s)) {
        rc = s->ops->task_due_next(s, &next);
    }
    if (rc == 0 && next_us) {
        *next_us = next;
    }
    return store_change_end(s, rc, e);
}

/* Where the next call goes on is a task's place in one number. */
int store_task_wake(struct store *s, int64_t *after, struct err *e)
{
    struct task_at v[BATCH];
    uint32_t n = 0;
    struct task_at from = {*after / TASKS_MAX, (int32_t)(*after % TASKS_MAX)};
    int rc = store_whole(s);

    if (rc == 0 && any_due(s)) {
        rc = s->ops->task_waiting(s, from, BATCH, v, &n);
    }
    if (rc == 0) {
        rc = queue_all(s, v, n, store_now(s));
    }
    if (rc == 0) {
        *after = n == BATCH ? v[n - 1].job_num * TASKS_MAX + v[n - 1].idx : 0;
    }
    return store_change_end(s, rc, e);
}

static int give_up(struct store *s, int64_t num)
{
    static const char why[] = "it waited longer than its queue time limit";
    struct work w;
    int rc = work_load(s, NULL, num, &w);

    if (rc != 0) {
        return rc;
    }
    if (w.job.planned) {
        rc = parts_end_idle(s, &w, JOB_FAILED, REASON_QUEUE_TIMEOUT, why);
    }
    if (rc == 0) {
        rc = work_end(s, &w, JOB_FAILED, REASON_QUEUE_TIMEOUT, why);
    }
    work_done(&w);
    return rc;
}

int store_queue_expire(struct store *s, int64_t now_us, int64_t *next_us, struct err *e)
{
    int64_t nums[BATCH];
    uint32_t n = 0;
    int64_t next = 0;
    int rc = store_whole(s);

    if (rc == 0) {
        rc = s->ops->job_overdue(s, now_us, BATCH, nums, &n);
    }
    if (rc == 0 && n > 0) {
        rc = store_begin(s);
    }
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        rc = give_up(s, nums[i]);
    }
    if (rc == 0) {
        rc = s->ops->job_overdue_next(s, &next);
    }
    if (rc == 0 && next_us) {
        *next_us = next;
    }
    return store_change_end(s, rc, e);
}
