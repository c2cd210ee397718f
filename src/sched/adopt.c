/* A complete result of a run that is over: it becomes a run anew, with nothing to launch. */
#include "base/clock.h"
#include "base/mem.h"
#include "sched/internal.h"

static struct run *run_of_task(struct sched *s, const struct lease *l)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->runs[i]->task.idx == l->idx && id_cmp(&s->runs[i]->task.job_id, &l->job_id) == 0) {
            return s->runs[i];
        }
    }
    return NULL;
}

int sched_adopt(struct sched *s, const struct lease *old, struct lease *now, struct err *e)
{
    struct run *r = run_of_task(s, old);
    struct run *n;
    int rc;

    if (r && (r->step == STEP_CLAIMED || r->step >= STEP_ENDED)) {
        return err_set(e, ERR_BUSY, "the task is changing hands");
    }
    rc = store_task_adopt(s->store, old, s->lane->worker, now, e);
    if (rc != 0) {
        return rc;
    }
    n = xcalloc(1, sizeof *n);
    job_init(&n->job);
    n->task.job_id = now->job_id;
    n->task.idx = now->idx;
    n->task.epoch = now->epoch;
    n->task.token = now->token;
    n->step = STEP_CLAIMED;
    n->adopted = n->away = true;
    n->claimed_ms = n->beat_ms = boot_ms();
    rc = lane_job(s, &now->job_id, &n->job, e);
    sched_run_add(s, n);
    s->lane->claimed(s->lane->link.arg, now, NULL);
    if (r && r->away) {
        sched_run_step(
            s, r, STEP_RELEASED); /* the store will say that it is fenced, unless this is undone */
    }
    waiters_touch(&s->waiters, &now->job_id);
    return rc;
}
