/* Jobs: what may be done to one that does not run, and lists of them. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "model/queue.h"
#include "store/internal.h"

enum { LIST_MAX = 1000, BATCH = 512 };

/* ---- a job and its task ---- */

void work_done(struct work *w)
{
    job_done(&w->job);
    free(w->part.queue);
    free(w->part.error);
    free(w->part.command_line);
    w->part.queue = w->part.error = w->part.command_line = NULL;
}

static int load_job(struct store *s, const struct id *id, int64_t num, struct work *w)
{
    int rc;

    *w = (struct work){0};
    rc = s->ops->job_find(s, id, num, &w->job);
    if (rc == 0 && w->job.planned) {
        rc = s->ops->board_find(s, w->job.num, &w->board);
        if (rc != 0) {
            work_done(w);
        }
    }
    return rc;
}

static int load_task(struct store *s, int32_t idx, struct work *w)
{
    int rc = s->ops->task_find(s, w->job.num, idx, &w->row);

    if (rc == 0 && w->job.planned) {
        rc = s->ops->part_find(s, w->job.num, idx, &w->part);
    }
    if (rc == 0) {
        const struct intake *it = w->job.planned ? intake_of(s, w->job.num, idx) : NULL;

        w->row.task.job_id = w->job.id;
        if (it) {
            w->part.counts = (struct host_counts){it->hosts, it->hosts_up, it->ports_open};
        }
    }
    return rc;
}

int work_load(struct store *s, const struct id *id, int64_t num, struct work *w)
{
    int rc = load_job(s, id, num, w);

    if (rc != 0) {
        return rc;
    }
    if (w->job.planned) {
        w->row.task = (struct task){.job_id = w->job.id, .job_num = w->job.num, .idx = -1};
        return 0;
    }
    intake_overlay(s, &w->job);
    rc = load_task(s, 0, w);
    if (rc != 0) {
        work_done(w);
        return rc == ERR_NOT_FOUND ? store_fail(s, ERR_INTERNAL, "a job has no task") : rc;
    }
    return 0;
}

int work_load_task(struct store *s, const struct id *id, int64_t num, int32_t idx, struct work *w)
{
    int rc = load_job(s, id, num, w);

    if (rc != 0) {
        return rc;
    }
    intake_overlay(s, &w->job);
    rc = load_task(s, idx, w);
    if (rc != 0) {
        work_done(w);
    }
    return rc;
}

struct host_counts work_counts(const struct work *w)
{
    const struct job *j = &w->job;

    return j->planned ? w->part.counts : (struct host_counts){j->hosts, j->hosts_up, j->ports_open};
}

void work_count(struct work *w, struct host_counts c)
{
    if (w->job.planned) {
        w->part.counts = c;
    } else {
        w->job.hosts = c.hosts;
        w->job.hosts_up = c.hosts_up;
        w->job.ports_open = c.ports_open;
    }
}

void work_ready(struct store *s, const struct work *w, bool yes)
{
    const struct ready_task t = {.queue = w->job.planned ? w->part.queue : w->job.queue,
                                 .key = w->job.key_id,
                                 .priority = w->job.priority,
                                 .job_num = w->job.num,
                                 .idx = w->row.task.idx};

    if (yes) {
        ready_put(s->ready, &t);
    } else {
        ready_take(s->ready, &t);
    }
}

void work_move(struct store *s, struct work *w, enum job_state to)
{
    enum job_state from = w->job.state;

    assert(job_state_may(from, to));
    s->now.counts[from]--;
    s->now.counts[to]++;
    if (job_state_waits(from) != job_state_waits(to)) {
        key_waiting_add(s, w->job.key_id, job_state_waits(to) ? 1 : -1);
    }
    w->job.state = to;
    if (to != JOB_QUEUED) {
        w->job.queue_expires_us = 0;
    }
    if (to != JOB_SCHEDULED && to != JOB_WAITING) {
        w->job.run_at_us = 0;
    }
    if (w->job.planned) {
        s->now.planned_running += (to == JOB_RUNNING) - (from == JOB_RUNNING);
    } else {
        w->row.task.state = to;
        w->row.task.run_at_us = w->job.run_at_us;
        if ((from == JOB_QUEUED) != (to == JOB_QUEUED)) {
            work_ready(s, w, to == JOB_QUEUED);
        }
    }
}

void work_enqueue(struct work *w, int64_t now_us)
{
    if (w->job.queue_timeout_s > 0) {
        w->job.queue_expires_us = now_us + (int64_t)w->job.queue_timeout_s * 1000000;
    }
}

int work_save(struct store *s, struct work *w, const char *event, const char *task)
{
    int rc;

    w->job.rev++;
    rc = s->ops->job_put(s, &w->job);
    if (rc == 0) {
        rc = w->job.planned ? board_save(s, w) : s->ops->task_put(s, &w->row);
    }
    return rc == 0 ? event_add(s, w, event, task) : rc;
}

void text_set(char **at, const char *text)
{
    char *copy = xstrdup(text);

    free(*at);
    *at = copy;
}

int work_end(struct store *s, struct work *w, enum job_state state, enum job_reason reason,
             const char *error)
{
    int rc = scan_end(s, w, state);

    if (rc != 0) {
        return rc;
    }
    work_move(s, w, state);
    w->job.completed_us = store_now(s);
    w->job.reason = reason;
    w->job.remaining_s = -1;
    text_set(&w->job.error, error);
    return work_save(s, w, "job.state", NULL);
}

/* ---- adding ---- */

static int check_new(struct store *s, const struct job *j)
{
    enum queue_kind kind;
    char zone[ZONE_MAX];
    int rc;

    if (!j->tool || !j->targets) {
        return store_fail(s, ERR_INVALID, "a job needs a tool and targets");
    }
    if (j->priority < 0 || j->priority > JOB_PRIORITY_MAX) {
        return store_fail(s, ERR_INVALID, "priority %d is not within 0 and %d", j->priority,
                          JOB_PRIORITY_MAX);
    }
    if (j->state == JOB_WAITING && j->run_at_us <= 0) {
        return store_fail(s, ERR_INVALID, "a job that waits needs a time when it goes on");
    }
    if ((rc = scan_check(s, j)) != 0) {
        return rc;
    }
    if (j->queue && (rc = queue_parse(j->queue, &kind, zone, &s->err)) != 0) {
        return rc;
    }
    return store_room(s);
}

int store_room(struct store *s)
{
    const int64_t *c = s->now.counts;
    int64_t waiting = c[JOB_SCHEDULED] + c[JOB_QUEUED] + c[JOB_WAITING];
    int64_t all = 0;

    for (int i = 0; i < JOB_STATES; i++) {
        all += c[i];
    }
    if (s->limits.max_jobs > 0 && all >= s->limits.max_jobs) {
        return store_fail(s, ERR_BUSY,
                          "Job store is at capacity — purge finished jobs (DELETE /scans) or "
                          "wait for retention to expire");
    }
    if (s->limits.max_waiting > 0 && waiting >= s->limits.max_waiting) {
        return store_fail(s, ERR_BUSY,
                          "%lld jobs are waiting, which is the most allowed — try again when "
                          "some of them have run, or cancel some",
                          (long long)waiting);
    }
    return 0;
}

char *queue_kept(const char *queue)
{
    return str_eq(queue, queue_kind_names[QUEUE_NET]) ? NULL : (char *)(uintptr_t)queue;
}

static void start_job(struct store *s, const struct job *j, struct work *w)
{
    job_init(&w->job); /* nothing came of it yet */
    w->job.id = j->id;
    w->job.num = s->now.next_job;
    w->job.rev = 1;
    w->job.state = j->run_at_us <= 0         ? JOB_QUEUED
                   : j->state == JOB_WAITING ? JOB_WAITING
                                             : JOB_SCHEDULED;
    w->job.tool = j->tool; /* strings stay the caller's */
    w->job.targets = j->targets;
    w->job.ports = j->ports;
    w->job.arguments = j->arguments;
    w->job.timeout_s = j->timeout_s;
    w->job.run_timeout_s = j->run_timeout_s;
    w->job.queue_timeout_s = j->queue_timeout_s;
    w->job.priority = j->priority;
    w->job.max_attempts = j->max_attempts;
    w->job.key_id = j->key_id;
    w->job.old_route = j->old_route;
    w->job.pins = j->pins;
    w->job.limits = j->limits;
    w->job.scope_rule = j->scope_rule;
    w->job.clip = j->clip;
    w->job.profile = j->profile;
    w->job.plan = j->plan;
    w->job.planned = j->plan != NULL;
    w->job.repo = j->repo;
    w->job.import_path = j->import_path;
    w->job.queue = queue_kept(j->queue);
    w->job.created_us = j->created_us;
    w->job.run_at_us = MAX(j->run_at_us, 0);
    if (w->job.state == JOB_QUEUED) {
        work_enqueue(w, j->created_us);
    }
    w->row.task = (struct task){
        .job_id = j->id,
        .job_num = w->job.num,
        .state = w->job.state,
        .priority = j->priority,
        .run_at_us = w->job.run_at_us,
    };
}

static int job_add(struct store *s, struct job *j)
{
    struct work w = {0};
    int rc = store_whole(s);

    if (rc == 0) {
        rc = check_new(s, j);
    }
    if (rc == 0) {
        rc = store_begin(s);
    }
    if (rc != 0) {
        return rc;
    }
    start_job(s, j, &w);
    rc = s->ops->job_add(s, &w.job);
    if (rc != 0) {
        return rc;
    }
    s->now.next_job++;
    s->now.counts[w.job.state]++;
    if (w.job.state == JOB_QUEUED && !w.job.planned) {
        work_ready(s, &w, true);
    }
    key_waiting_add(s, j->key_id, 1);
    s->now.created_max_us = MAX(s->now.created_max_us, j->created_us);
    if (j->pins || j->limits || j->plan || j->repo) {
        rc = s->ops->job_text_put(s, &w.job);
    }
    if (rc == 0) {
        rc = w.job.planned ? s->ops->board_add(s, &w.job, &w.board) : s->ops->task_add(s, &w.row);
    }
    if (rc == 0 && j->repo) {
        rc = scan_add(s, &w.job);
    }
    if (rc == 0) {
        rc = event_add(s, &w, "job.created", NULL);
    }
    if (rc == 0) {
        j->num = w.job.num;
        j->rev = w.job.rev;
        j->state = w.job.state;
        j->planned = w.job.planned;
        j->run_at_us = w.job.run_at_us;
        j->queue_expires_us = w.job.queue_expires_us;
    }
    return rc;
}

int store_job_add(struct store *s, struct job *j, struct err *e)
{
    return store_change_end(s, job_add(s, j), e);
}

/* ---- reading ---- */

int store_job_get(struct store *s, const struct id *id, struct job *out, struct err *e)
{
    struct job j = {0};
    int rc = s->ops->job_find(s, id, 0, &j);

    if (rc == 0) {
        rc = s->ops->job_text_get(s, &j);
        if (rc != 0) {
            job_done(&j);
        }
    }
    if (rc == 0) {
        intake_overlay(s, &j);
        *out = j;
    }
    return store_read_end(s, rc, e);
}

struct overlay {
    struct store *s;
    job_fn fn;
    void *arg;
};

static int overlaid(void *arg, const struct job *j, struct err *e)
{
    struct overlay *o = arg;
    struct job copy = *j; /* strings stay the list's */

    intake_overlay(o->s, &copy);
    return o->fn(o->arg, &copy, e);
}

static struct job_filter bounded(const struct job_filter *f)
{
    struct job_filter b = *f;

    if (b.limit == 0 || b.limit > LIST_MAX) {
        b.limit = LIST_MAX;
    }
    b.states &= (1u << JOB_STATES) - 1;
    if (b.states == 0) {
        b.states = (1u << JOB_STATES) - 1;
    }
    return b;
}

int store_job_list(struct store *s, const struct job_filter *f, job_fn fn, void *arg, struct err *e)
{
    struct job_filter b = bounded(f);
    struct overlay o = {s, fn, arg};

    return store_read_end(s, s->ops->job_list(s, &b, overlaid, &o), e);
}

int store_job_heads(struct store *s, const struct job_filter *f, job_head_fn fn, void *arg,
                    struct err *e)
{
    struct job_filter b = bounded(f);

    return store_read_end(s, s->ops->job_heads(s, &b, fn, arg), e);
}

void store_job_counts(struct store *s, int64_t counts[JOB_STATES])
{
    memcpy(counts, s->now.counts, sizeof s->now.counts);
}

int job_head_of(void *arg, const struct job *j, struct err *e)
{
    const struct head_sink *h = arg;

    (void)e;
    return h->fn(h->arg, j->num, &j->id, j->state);
}

/* ---- ending without a run ---- */

static int cancel(struct store *s, struct work *w)
{
    int rc = store_begin(s);

    w->job.cancel_requested = true;
    if (rc == 0 && w->job.planned) {
        rc = parts_end_idle(s, w, JOB_CANCELLED, REASON_CANCELLED, NULL);
    }
    if (rc != 0) {
        return rc;
    }
    return w->job.state == JOB_RUNNING ? work_save(s, w, "job.state", NULL)
                                       : work_end(s, w, JOB_CANCELLED, REASON_CANCELLED, NULL);
}

static int job_cancel(struct store *s, const struct id *id, enum job_state *now)
{
    struct work w;
    int rc = store_whole(s);

    if (rc == 0) {
        rc = work_load(s, id, 0, &w);
    }
    if (rc != 0) {
        return rc;
    }
    if (job_state_terminal(w.job.state)) {
        rc = store_fail(s, ERR_CONFLICT, "job has already finished: it is %s",
                        job_state_name(w.job.state));
    } else if (!w.job.cancel_requested) {
        rc = cancel(s, &w);
    }
    if (rc == 0 && now) {
        *now = w.job.state;
    }
    work_done(&w);
    return rc;
}

int store_job_cancel(struct store *s, const struct id *id, enum job_state *now, struct err *e)
{
    return store_change_end(s, job_cancel(s, id, now), e);
}

static int drop(struct store *s, struct work *w)
{
    auto_free char *raw = NULL;
    auto_free char *uri = NULL;
    int rc = w->job.planned ? parts_discard(s, w) : s->ops->blob_get(s, w->job.num, 0, &raw, &uri);

    if (rc == 0 && !w->job.planned) {
        rc = result_discard(s, w, raw);
    }
    if (rc == 0) {
        rc = orphan_add(s, uri);
    }
    if (rc == 0 && w->job.import_path) {
        rc = s->ops->purge_add(s, s->now.next_purge++, 0, w->job.import_path);
    }
    if (rc == 0) {
        rc = scan_gone(s, &w->job);
    }
    if (rc == 0) {
        rc = s->ops->job_drop(s, w->job.num, w->job.planned);
    }
    if (rc == 0) {
        rc = s->ops->origin_gone(s, w->job.num, s->now.next_event);
    }
    if (rc == 0) {
        s->now.counts[w->job.state]--;
        w->job.rev++;
        rc = event_add(s, w, "job.deleted", NULL);
    }
    return rc;
}

static int job_delete(struct store *s, const struct id *id)
{
    struct work w;
    int rc = store_whole(s);

    if (rc == 0) {
        rc = work_load(s, id, 0, &w);
    }
    if (rc != 0) {
        return rc;
    }
    if (!job_state_terminal(w.job.state)) {
        rc = store_fail(s, ERR_CONFLICT, "job is %s: cancel it first", job_state_name(w.job.state));
    } else {
        rc = store_begin(s);
        if (rc == 0) {
            rc = drop(s, &w);
        }
    }
    work_done(&w);
    return rc;
}

int store_job_delete(struct store *s, const struct id *id, struct err *e)
{
    return store_change_end(s, job_delete(s, id), e);
}

/* Deletes the first of those that ended before; *n counts up. */
static int drop_ended(struct store *s, int64_t before_us, uint32_t limit, int64_t *n)
{
    int64_t nums[BATCH];
    uint32_t found = 0;
    int rc = s->ops->job_ended(s, before_us, MIN(limit, BATCH), nums, &found);

    if (rc == 0 && found > 0) {
        rc = store_begin(s);
    }
    for (uint32_t i = 0; rc == 0 && i < found; i++) {
        struct work w;

        rc = work_load(s, NULL, nums[i], &w);
        if (rc == 0) {
            rc = drop(s, &w);
            work_done(&w);
        }
    }
    *n += found;
    return rc;
}

static int job_expire(struct store *s, int64_t before_us, int64_t limit, int64_t *out)
{
    int64_t n = 0;
    int64_t last = -1;
    int rc = store_whole(s);

    while (rc == 0 && n < limit && n != last) {
        last = n;
        rc = drop_ended(s, before_us, (uint32_t)MIN(limit - n, BATCH), &n);
    }
    if (rc == 0 && out) {
        *out = n;
    }
    return rc;
}

int store_job_delete_finished(struct store *s, int64_t *n, struct err *e)
{
    return store_change_end(s, job_expire(s, INT64_MAX, INT64_MAX, n), e);
}

int store_job_expire(struct store *s, int64_t before_us, uint32_t limit, int64_t *n, struct err *e)
{
    return store_change_end(s, job_expire(s, before_us, limit, n), e);
}

int store_purge_step(struct store *s, uint32_t max_rows, bool *more, char **raw_path,
                     int64_t *purge_id, struct err *e)
{
    bool left = false;
    char *path = NULL;
    int64_t id = 0;
    int rc = store_whole(s);

    if (rc == 0 && !intake_reparses(s) && s->ops->purge_any(s)) {
        rc = store_begin(s);
        if (rc == 0) {
            rc = s->ops->purge_step(s, MAX(max_rows, 1u), &left, &path, &id);
        }
    }
    if (rc == 0) {
        *more = left;
        *raw_path = path;
        *purge_id = id;
    }
    return store_change_end(s, rc, e);
}

int store_purge_done(struct store *s, int64_t purge_id, struct err *e)
{
    int rc = store_whole(s);

    if (rc == 0) {
        rc = store_begin(s);
    }
    if (rc == 0) {
        rc = s->ops->purge_drop(s, purge_id);
    }
    return store_change_end(s, rc, e);
}
