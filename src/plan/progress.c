/*
 * How far a plan is. Every stage counts for a share of the whole; within it tasks count by their
 * probes. Of a stage that is fed by the one before only some tasks are known: how many there will
 * be is estimated from how far that one is.
 *
 * The time that is left is told by the pace of the whole so far, but a job is not over before its
 * last task is, and services that do not speak keep a task waiting long after its probes were
 * sent. So each task that is not over is looked at too: by how long others like it took, and by
 * its own time limit when it takes longer than they did.
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

/* ---- what is left ---- */

struct left {
    double sum, longest; /* seconds of tasks that are not over */
    double bound, bound_longest;
    bool unbounded; /* of some of them no limit is known */
    bool unknown;   /* nothing can be said of some of them */
    size_t tasks;
};

/* How long tasks took, in seconds, by stage and round. */
enum { ROUNDS = 8 }; /* later ones are like the last of them */

struct usual {
    double sum[PLAN_STAGES_MAX][ROUNDS];
    size_t over[PLAN_STAGES_MAX][ROUNDS];
};

static void read_usual(struct usual *u, const struct plan *p, const struct plan_task *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct plan_spec *s = v[i].spec;
        int32_t round = MIN(MAX(s->round, 0), ROUNDS - 1);

        if (v[i].state == JOB_COMPLETED && v[i].started_us > 0 && v[i].ended_us > v[i].started_us &&
            s->stage >= 0 && (size_t)s->stage < p->n) {
            u->sum[s->stage][round] += (double)(v[i].ended_us - v[i].started_us) / 1e6;
            u->over[s->stage][round]++;
        }
    }
}

/* 0: no such task is over. */
static double usual_of(const struct usual *u, const struct plan *p, const struct plan_spec *s)
{
    int32_t round = MIN(MAX(s->round, 0), ROUNDS - 1);

    if (s->stage < 0 || (size_t)s->stage >= p->n || !u->over[s->stage][round]) {
        return 0;
    }
    return u->sum[s->stage][round] / (double)u->over[s->stage][round];
}

static void add_left(struct left *l, const struct plan_task *t, double usual_s, int64_t now_us)
{
    bool runs = t->state == JOB_RUNNING && t->started_us > 0;
    double gone = runs && now_us > t->started_us ? (double)(now_us - t->started_us) / 1e6 : 0;
    double bound = t->spec->wall_s ? MAX(t->spec->wall_s - gone, 1.0) : 0;
    double done = runs && t->percent_x100 >= 100 ? t->percent_x100 / 10000.0 : 0;
    double left = usual_s - gone;

    if (left <= 0) { /* it takes longer than the others did, or is the first of its kind */
        left = bound > 0 ? bound : done > 0 ? gone * (1 - done) / done : 0;
        l->unknown |= left <= 0;
    }
    if (bound > 0) {
        left = MIN(left, bound);
    }
    l->tasks++;
    l->sum += left;
    l->longest = MAX(l->longest, left);
    l->bound += bound;
    l->bound_longest = MAX(l->bound_longest, bound);
    l->unbounded |= bound <= 0;
}

/* `by_pace`: what the pace so far says. -1: not known. */
static double seconds_left(const struct plan *p, const struct plan_task *v, size_t n,
                           int64_t now_us, double by_pace)
{
    double slots = MAX(p->slots, 1u);
    struct left l = {0};
    struct usual u = {0};
    double least;

    read_usual(&u, p, v, n);
    for (size_t i = 0; i < n; i++) {
        if (!job_state_terminal(v[i].state)) {
            add_left(&l, &v[i], usual_of(&u, p, v[i].spec), now_us);
        }
    }
    if (l.tasks == 0) {
        return by_pace;
    }
    if (!l.unbounded) {
        by_pace = MIN(by_pace, l.bound / slots + l.bound_longest);
    }
    least = MAX(l.longest, l.sum / slots);
    if (l.unknown && MAX(by_pace, least) < 1) {
        return -1;
    }
    return MAX(MAX(by_pace, least), 1.0);
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
        double by_pace = (double)(now_us - started_us) / 1e6 * (1 - sum) / sum;

        out->remaining_s = (int32_t)MIN(seconds_left(p, v, n, now_us, by_pace), 1e8);
    }
}
