/* Leases of workers that are far away: reports that may come twice, results that come late. */
#include <string.h>

#include "base/mem.h"
#include "store/internal.h"

/* ---- reports ---- */

static int find_claimed(struct store *s, const struct lease *l, struct task_row *row, int64_t *num)
{
    int rc = s->ops->job_num(s, &l->job_id, num);

    if (rc == 0) {
        rc = s->ops->task_find(s, *num, l->idx, row);
    }
    if (rc == ERR_NOT_FOUND || (rc == 0 && !task_claimed(&row->task, l))) {
        return store_fenced(s);
    }
    return rc;
}

static int report(struct store *s, const struct lease *l, int64_t seq, bool *fresh)
{
    struct task_row row;
    int64_t num = 0;
    int rc = store_whole(s);

    if (rc == 0) {
        rc = find_claimed(s, l, &row, &num);
    }
    if (rc != 0) {
        return rc;
    }
    if (seq <= row.reports) {
        *fresh = false;
        return 0;
    }
    if (row.task.state != JOB_RUNNING) {
        return store_fenced(s);
    }
    if (seq > row.reports + 1) {
        return store_fail(s, ERR_CONFLICT, "report %lld of a run came, but %lld did not",
                          (long long)seq, (long long)row.reports + 1);
    }
    rc = store_begin(s);
    if (rc == 0) {
        rc = s->ops->task_reports(s, num, l->idx, seq);
    }
    if (rc == 0) {
        *fresh = true;
    }
    return rc;
}

int store_task_report(struct store *s, const struct lease *l, uint64_t seq, bool *fresh,
                      struct err *e)
{
    if (seq == 0 || seq > INT64_MAX) {
        return err_set(e, ERR_INVALID, "reports of a run are numbered from 1");
    }
    return store_change_end(s, report(s, l, (int64_t)seq, fresh), e);
}

/* ---- results that come late ---- */

static bool was_given(const struct store *s, const struct task *t, const struct lease *l)
{
    return task_claimed(t, l) || (l->epoch > 0 && l->epoch <= t->epoch &&
                                  l->token == token_made(s, &t->job_id, t->idx, l->epoch));
}

/* In place of the run that is under way, whose worker is fenced by it. */
static int replace_run(struct store *s, struct work *w, const char *worker)
{
    int rc = result_discard(s, w, NULL);

    task_lease(s, &w->row, worker);
    if (w->job.planned) {
        w->part.percent_x100 = -1;
        return rc == 0 ? part_save(s, w) : rc;
    }
    w->job.percent_x100 = -1;
    w->job.remaining_s = -1;
    return rc == 0 ? work_save(s, w, "job.state", NULL) : rc;
}

/* By way of the queue, as the table of states has it. */
static int run_again(struct store *s, struct work *w, const char *worker)
{
    struct task *t = &w->row.task;
    int rc = t->state == JOB_QUEUED ? 0 : task_queue(s, w, store_now(s));

    t->attempts = MAX(t->attempts, 1) - 1; /* the claim counts one */
    return rc == 0 ? task_claim(s, w, worker) : rc;
}

static int adopt(struct store *s, struct work *w, const struct lease *old, const char *worker)
{
    struct task *t = &w->row.task;
    int rc;

    if (!was_given(s, t, old)) {
        return store_fenced(s);
    }
    if (job_state_terminal(t->state)) {
        return store_fail(s, ERR_CONFLICT, "the task has ended: it is %s",
                          job_state_name(t->state));
    }
    rc = store_begin(s);
    if (rc != 0) {
        return rc;
    }
    return t->state == JOB_RUNNING ? replace_run(s, w, worker) : run_again(s, w, worker);
}

int store_task_adopt(struct store *s, const struct lease *old, const char *worker,
                     struct lease *now, struct err *e)
{
    struct work w;
    int rc = store_whole(s);

    if (rc == 0) {
        rc = work_load_task(s, &old->job_id, 0, old->idx, &w);
        rc = rc == ERR_NOT_FOUND ? store_fenced(s) : rc;
    }
    if (rc == 0) {
        rc = adopt(s, &w, old, worker);
        if (rc == 0) {
            const struct task *t = &w.row.task;

            *now = (struct lease){t->job_id, t->idx, t->epoch, t->token};
        }
        work_done(&w);
    }
    return store_change_end(s, rc, e);
}
