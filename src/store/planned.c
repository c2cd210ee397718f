/*
 * Planned jobs: many tasks, one result.
 *
 * Each task has the state machine of a job and moves on its own; the job runs from the first claim
 * until it is settled. The board counts what there is to do, so that nothing has to be looked
 * through: a job with tasks that are queued can be claimed from, one that runs with none left and
 * nothing to merge is ripe. Board and task are written with each move of a task; the job's row only
 * when something happens that is told.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/queue.h"
#include "store/internal.h"

/* ---- a task of a planned job ---- */

static bool is_timed(enum job_state st)
{
    return st == JOB_SCHEDULED || st == JOB_WAITING;
}

void part_move(struct store *s, struct work *w, enum job_state to)
{
    struct task *t = &w->row.task;
    int queued = (to == JOB_QUEUED) - (t->state == JOB_QUEUED);

    assert(w->job.planned && t->idx >= 0 && job_state_may(t->state, to));
    w->board.tasks_queued += queued;
    if (queued != 0) {
        work_ready(s, w, queued > 0);
    }
    s->now.tasks_timed += is_timed(to) - is_timed(t->state);
    if (job_state_terminal(to)) {
        w->board.tasks_left--;
    }
    t->state = to;
    if (!is_timed(to)) {
        t->run_at_us = 0;
    }
}

int board_save(struct store *s, struct work *w)
{
    return s->ops->board_put(s, &w->job, &w->board);
}

int part_save(struct store *s, struct work *w)
{
    int rc = s->ops->task_put(s, &w->row);

    if (rc == 0) {
        rc = s->ops->part_put(s, &w->row, &w->part);
    }
    return rc == 0 ? board_save(s, w) : rc;
}

int part_start(struct store *s, struct work *w)
{
    part_move(s, w, JOB_RUNNING);
    w->part.started_us = store_now(s);
    w->part.ended_us = 0;
    w->part.percent_x100 = -1;
    return part_save(s, w);
}

int part_queue(struct store *s, struct work *w)
{
    part_move(s, w, JOB_QUEUED);
    return part_save(s, w);
}

int part_put_back(struct store *s, struct work *w, int64_t until_us)
{
    part_move(s, w, until_us > 0 ? JOB_WAITING : JOB_QUEUED);
    w->row.task.run_at_us = until_us;
    w->part.started_us = 0;
    w->part.percent_x100 = -1;
    return part_save(s, w);
}

/* How its last run ended, whether or not it is tried again. */
static void note_end(struct store *s, struct work *w, enum job_reason reason, const char *error)
{
    w->part.reason = reason;
    text_set(&w->part.error, error);
    w->part.ended_us = store_now(s);
    if (w->row.task.state != JOB_COMPLETED) {
        w->part.percent_x100 = -1;
    }
}

int part_retry(struct store *s, struct work *w, const struct outcome *o, int64_t retry_at_us)
{
    part_move(s, w, JOB_SCHEDULED);
    w->row.task.run_at_us = retry_at_us;
    text_set(&w->part.command_line, o->command_line);
    note_end(s, w, o->reason, o->error);
    return part_save(s, w);
}

int part_end(struct store *s, struct work *w, enum job_state state, enum job_reason reason,
             const char *error)
{
    int rc;

    part_move(s, w, state);
    note_end(s, w, reason, error);
    if (w->row.result) {
        w->part.merge = s->now.next_merge++;
        w->part.merge_pos = 0;
        w->board.tasks_unmerged++;
        s->now.tasks_unmerged++;
    }
    rc = part_save(s, w);
    w->job.rev++;
    if (rc == 0) {
        rc = s->ops->job_put(s, &w->job);
    }
    return rc == 0 ? event_add(s, w, "job.task", NULL) : rc;
}

int part_finish(struct store *s, struct work *w, const struct outcome *o)
{
    w->part.partial = o->partial;
    text_set(&w->part.command_line, o->command_line);
    if (o->state == JOB_COMPLETED) {
        w->part.percent_x100 = 10000;
    }
    return part_end(s, w, o->state, o->reason, o->error);
}

int parts_end_idle(struct store *s, struct work *w, enum job_state state, enum job_reason reason,
                   const char *error)
{
    struct board *b = &w->board;
    int64_t n = 0;
    int rc = s->ops->part_end_idle(s, w->job.num, state, reason, error, store_now(s), &n);

    if (rc == 0) {
        assert(n >= b->tasks_queued && n <= b->tasks_left);
        ready_take_job(s->ready, &(struct ready_task){.key = w->job.key_id,
                                                      .priority = w->job.priority,
                                                      .job_num = w->job.num});
        s->now.tasks_timed -= n - b->tasks_queued;
        b->tasks_left -= (int32_t)n;
        b->tasks_queued = 0;
    }
    return rc;
}

int part_merged(struct store *s, struct work *w)
{
    int rc = 0;

    assert(w->part.merge != 0);
    if (w->row.result) {
        rc = s->ops->purge_add(s, s->now.next_purge++, w->row.result, NULL);
    }
    w->row.result = 0;
    w->part.merge = w->part.merge_pos = 0;
    w->board.tasks_unmerged--;
    s->now.tasks_unmerged--;
    return rc == 0 ? part_save(s, w) : rc;
}

static int discard_one(struct store *s, int64_t result, const char *path, const char *uri)
{
    int rc = s->ops->purge_add(s, s->now.next_purge++, result, path);

    return rc == 0 ? orphan_add(s, uri) : rc;
}

int parts_discard(struct store *s, struct work *w)
{
    int rc = s->ops->part_remains(s, w->job.num, discard_one);

    if (rc == 0 && w->board.result) {
        rc = discard_one(s, w->board.result, NULL, NULL);
    }
    return rc;
}

/* ---- adding ---- */

static int check_tasks(struct store *s, const struct work *w, const struct task_new *v, size_t n)
{
    enum queue_kind kind;
    char zone[ZONE_MAX];
    int rc;

    if (!w->job.planned) {
        return store_fail(s, ERR_CONFLICT, "job has one task: it was not planned");
    }
    if (job_state_terminal(w->job.state)) {
        return store_fail(s, ERR_CONFLICT, "job has already finished: it is %s",
                          job_state_name(w->job.state));
    }
    if (w->job.cancel_requested) {
        return store_fail(s, ERR_CONFLICT, "job was cancelled");
    }
    if (n > (size_t)(TASKS_MAX - w->board.tasks)) {
        return store_fail(s, ERR_LIMIT, "job would have %zu tasks, the most is %d",
                          (size_t)w->board.tasks + n, TASKS_MAX);
    }
    for (size_t i = 0; i < n; i++) {
        if (!v[i].spec) {
            return store_fail(s, ERR_INVALID, "a task needs to be told what to do");
        }
        if (v[i].queue && (rc = queue_parse(v[i].queue, &kind, zone, &s->err)) != 0) {
            return rc;
        }
    }
    return 0;
}

static int add_one(struct store *s, struct work *w, const struct task_new *v)
{
    bool timed = is_timed(w->job.state);
    int rc;

    w->row = (struct task_row){
        .task = {.job_id = w->job.id,
                 .job_num = w->job.num,
                 .idx = w->board.tasks,
                 .stage = v->stage,
                 .state = timed ? w->job.state : JOB_QUEUED,
                 .priority = w->job.priority,
                 .run_at_us = timed ? w->job.run_at_us : 0},
    };
    w->part = (struct part){.queue = queue_kept(v->queue ? v->queue : w->job.queue),
                            .weight = MAX(v->weight, 1),
                            .found_only = v->found_only,
                            .repeats = v->repeats,
                            .percent_x100 = -1};
    w->board.tasks++;
    w->board.tasks_left++;
    w->board.tasks_queued += !timed;
    s->now.tasks_timed += timed;
    if (!timed) {
        work_ready(s, w, true);
    }
    rc = s->ops->part_add(s, &w->row, &w->part, v->spec);
    w->part.queue = NULL; /* it was lent */
    return rc;
}

static int task_add(struct store *s, struct work *w, const struct task_new *v, size_t n,
                    int32_t *first)
{
    int32_t start = w->board.tasks;
    int rc = check_tasks(s, w, v, n);

    if (rc == 0 && n > 0) {
        rc = store_begin(s);
    }
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = add_one(s, w, &v[i]);
    }
    if (rc == 0 && n > 0) {
        rc = board_save(s, w);
    }
    if (rc == 0 && first) {
        *first = start;
    }
    return rc;
}

int store_task_add(struct store *s, const struct id *job, const struct task_new *v, size_t n,
                   int32_t *first, struct err *e)
{
    struct work w;
    int rc = store_whole(s);

    if (rc == 0) {
        rc = work_load(s, job, 0, &w);
    }
    if (rc == 0) {
        rc = task_add(s, &w, v, n, first);
        work_done(&w);
    }
    return store_change_end(s, rc, e);
}

/* ---- reading ---- */

struct task_info part_info(const struct task_row *r, const struct part *p, const char *spec)
{
    return (struct task_info){.task = r->task,
                              .spec = spec,
                              .weight = p->weight,
                              .percent_x100 = p->percent_x100,
                              .reason = p->reason,
                              .error = p->error,
                              .command_line = p->command_line,
                              .partial = p->partial,
                              .started_us = p->started_us,
                              .ended_us = p->ended_us,
                              .hosts = p->counts.hosts,
                              .hosts_up = p->counts.hosts_up,
                              .ports_open = p->counts.ports_open,
                              .merged = job_state_terminal(r->task.state) && p->merge == 0};
}

struct told {
    struct store *s;
    const struct id *job_id;
    task_info_fn fn;
    void *arg;
};

static int tell(void *arg, const struct task_info *t, struct err *e)
{
    const struct told *to = arg;
    const struct intake *it = intake_of(to->s, t->task.job_num, t->task.idx);
    struct task_info copy = *t;

    copy.task.job_id = *to->job_id;
    if (it) {
        copy.hosts = it->hosts;
        copy.hosts_up = it->hosts_up;
        copy.ports_open = it->ports_open;
    }
    return to->fn(to->arg, &copy, e);
}

/* What is known of a plain job's task is what is known of the job. */
static int tell_plain(struct store *s, const struct work *w, task_info_fn fn, void *arg)
{
    const struct job *j = &w->job;

    return fn(arg,
              &(struct task_info){.task = w->row.task,
                                  .weight = 1,
                                  .percent_x100 = j->percent_x100,
                                  .reason = j->reason,
                                  .error = j->error,
                                  .command_line = j->command_line,
                                  .partial = j->partial,
                                  .started_us = j->started_us,
                                  .ended_us = j->completed_us,
                                  .hosts = j->hosts,
                                  .hosts_up = j->hosts_up,
                                  .ports_open = j->ports_open,
                                  .merged = job_state_terminal(j->state)},
              &s->err);
}

int store_tasks(struct store *s, int64_t job_num, int32_t after, uint32_t limit, task_info_fn fn,
                void *arg, struct err *e)
{
    struct work w;
    int rc = work_load(s, NULL, job_num, &w);

    if (rc != 0) {
        return store_read_end(s, rc, e);
    }
    if (limit == 0 || limit > TASKS_MAX) {
        limit = TASKS_MAX;
    }
    if (w.job.planned) {
        struct told to = {s, &w.job.id, fn, arg};

        rc = s->ops->parts(s, job_num, after, limit, tell, &to);
    } else if (after < 0) {
        rc = tell_plain(s, &w, fn, arg);
    }
    work_done(&w);
    return store_read_end(s, rc, e);
}

/* ---- the job as a whole ---- */

int store_job_ripe(struct store *s, struct id *job, bool *found, struct err *e)
{
    struct job j = {0};
    int64_t num = 0;
    int rc = 0;

    if (s->now.planned_running > 0) {
        rc = s->ops->board_ripe(s, &num);
    }
    if (rc == 0 && num) {
        rc = s->ops->job_find(s, NULL, num, &j);
    }
    if (rc == 0) {
        *found = num != 0;
        if (num) {
            *job = j.id;
        }
    }
    job_done(&j);
    return store_read_end(s, rc, e);
}

static int settle(struct store *s, struct work *w, const struct outcome *o)
{
    struct job *j = &w->job;
    int rc;

    if (!j->planned || j->state != JOB_RUNNING || w->board.tasks_left > 0 ||
        w->board.tasks_unmerged > 0) {
        return store_fail(s, ERR_CONFLICT, "job is %s: it cannot be settled",
                          job_state_name(j->state));
    }
    rc = store_begin(s);
    j->partial = o->partial;
    text_set(&j->command_line, o->command_line);
    text_set(&j->tool_version, o->tool_version);
    text_set(&j->confinement, o->confinement);
    text_set(&j->run_json, o->run_json);
    text_set(&j->sandbox_json, o->sandbox_json);
    text_set(&j->summary_json, o->summary_json);
    if (o->state == JOB_COMPLETED) {
        j->percent_x100 = 10000;
    }
    if (rc == 0 && (o->run_json || o->sandbox_json || o->summary_json)) {
        rc = s->ops->job_text_put(s, j);
    }
    return rc == 0 ? work_end(s, w, o->state, o->reason, o->error) : rc;
}

int store_job_settle(struct store *s, const struct id *job, const struct outcome *o, struct err *e)
{
    struct work w;
    int rc;

    if (o->state >= JOB_STATES || !job_state_terminal(o->state)) {
        return err_set(e, ERR_INVALID, "a job cannot end in state %d", (int)o->state);
    }
    rc = store_whole(s);
    if (rc == 0) {
        rc = work_load(s, job, 0, &w);
    }
    if (rc == 0) {
        rc = settle(s, &w, o);
        work_done(&w);
    }
    return store_change_end(s, rc, e);
}

static int progress(struct store *s, struct work *w, const struct progress *p,
                    const char *summary_json)
{
    struct job *j = &w->job;
    int rc;

    if (!j->planned || job_state_terminal(j->state)) {
        return store_fail(s, ERR_CONFLICT, "job is %s: it has no progress of its own",
                          j->planned ? job_state_name(j->state) : "not planned");
    }
    rc = store_begin(s);
    if (p) {
        j->percent_x100 = MAX(j->percent_x100, MIN(p->percent_x100, 10000));
        j->remaining_s = p->remaining_s;
    }
    if (rc == 0 && summary_json) {
        text_set(&j->summary_json, summary_json);
        rc = s->ops->job_text_put(s, j);
    }
    return rc == 0 ? work_save(s, w, "job.progress", p ? p->task : NULL) : rc;
}

int store_job_progress(struct store *s, const struct id *job, const struct progress *p,
                       const char *summary_json, struct err *e)
{
    struct work w;
    int rc = store_whole(s);

    if (rc == 0) {
        rc = work_load(s, job, 0, &w);
    }
    if (rc == 0) {
        rc = progress(s, &w, p, summary_json);
        work_done(&w);
    }
    return store_change_end(s, rc, e);
}

/* ---- coverage ---- */

int cells_add(struct store *s, const struct work *w, const struct outcome *o)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < o->n_cells; i++) {
        rc = s->ops->cell_add(s, w->job.num, w->row.task.idx, i, &o->cells[i]);
    }
    return rc;
}

int store_coverage(struct store *s, int64_t job_num, cell_fn fn, void *arg, struct err *e)
{
    return store_read_end(s, s->ops->cells(s, job_num, fn, arg), e);
}
