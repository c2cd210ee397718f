/*
 * How far a plan is. Every stage counts for a share of the whole; within it tasks count by their
 * probes. Of a stage that is fed by the one before only some tasks are known: how many there will
 * be is estimated from how far that one is.
 */
#include <string.h>

#include "base/mem.h"
#include "plan/internal.h"

static const unsigned shares[STAGE_KINDS] = {
    [STAGE_HOSTS] = 10,
    [STAGE_PORTS] = 60,
    [STAGE_SERVICES] = 30,
    [STAGE_VERIFY] = 10,
};

struct part {
    double all, done;
    size_t tasks, over, running;
};

static void add_task(struct part *s, const struct plan_task *t)
{
    double weight = t->spec->probes ? (double)t->spec->probes : 1;
    double done = 0;

    s->tasks++;
    if (job_state_terminal(t->state)) {
        s->over++;
        done = 1;
    } else if (t->state == JOB_RUNNING) {
        s->running++;
        done = t->percent_x100 > 0 ? MIN(t->percent_x100, 9900) / 10000.0 : 0;
    }
    s->all += weight;
    s->done += weight * done;
}

/* The share of a stage that is done, given that of what feeds it. */
static double part_of(const struct part *s, double before)
{
    double all;

    if (s->tasks == 0) {
        return before >= 1 ? 1 : 0; /* nothing came of it */
    }
    if (before <= 0.01) {
        return 0;
    }
    all = s->all / MIN(before, 1.0);
    return all > 0 ? MIN(s->done / all, 1.0) : 0;
}

void plan_progress(const struct plan *p, const struct plan_task *v, size_t n, int64_t now_us,
                   int64_t started_us, struct progress *out)
{
    struct part parts[PLAN_STAGES_MAX] = {0};
    double before = 1, sum = 0, whole = 0;
    const char *task = NULL;

    for (size_t i = 0; i < n; i++) {
        int32_t at = v[i].spec->stage;

        if (at >= 0 && (size_t)at < p->n) {
            add_task(&parts[at], &v[i]);
        }
    }
    for (size_t i = 0; i < p->n; i++) {
        double share = shares[p->v[i].kind];
        double done = i == 0 && !parts[0].tasks ? 0 : part_of(&parts[i], before);

        whole += share;
        sum += share * done;
        before = MIN(before, done);
        if (parts[i].running || (!task && parts[i].over < parts[i].tasks)) {
            task = stage_kind_name(p->v[i].kind); /* the last one that runs */
        }
    }
    sum = whole > 0 ? sum / whole : 0;
    *out = (struct progress){
        .task = task ? task : stage_kind_name(p->v[0].kind),
        .percent_x100 = (int32_t)MIN(sum * 10000, 9999.0),
        .remaining_s = -1,
    };
    if (sum >= 0.02 && started_us > 0 && now_us > started_us + 1000000) {
        double left = (double)(now_us - started_us) / 1e6 * (1 - sum) / sum;

        out->remaining_s = (int32_t)MIN(left, 1e8);
    }
}
