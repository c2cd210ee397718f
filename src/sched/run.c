/* Runs: what the scheduler holds of each task that somebody works on. */
#include <stdlib.h>

#include "base/mem.h"
#include "sched/internal.h"

struct lease sched_run_lease(const struct run *r)
{
    return (struct lease){.job_id = r->task.job_id,
                          .idx = r->task.idx,
                          .epoch = r->task.epoch,
                          .token = r->task.token};
}

static void free_text(const char *s)
{
    free((char *)(uintptr_t)s);
}

static struct coverage_cell *cells_copy(const struct coverage_cell *from, size_t n)
{
    struct coverage_cell *v = n > 0 ? xcalloc(n, sizeof *v) : NULL;

    for (size_t i = 0; i < n; i++) {
        v[i] = from[i];
        v[i].addresses = xstrdup(from[i].addresses);
        v[i].protocol = xstrdup(from[i].protocol);
        v[i].ports = xstrdup(from[i].ports);
    }
    return v;
}

static void cells_free(const struct coverage_cell *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free_text(v[i].addresses);
        free_text(v[i].protocol);
        free_text(v[i].ports);
    }
    free((struct coverage_cell *)(uintptr_t)v);
}

void outcome_copy(struct outcome *to, const struct outcome *from)
{
    *to = *from;
    to->error = xstrdup(from->error);
    to->stderr_tail = xstrdup(from->stderr_tail);
    to->command_line = xstrdup(from->command_line);
    to->tool_version = xstrdup(from->tool_version);
    to->confinement = xstrdup(from->confinement);
    to->run_json = xstrdup(from->run_json);
    to->sandbox_json = xstrdup(from->sandbox_json);
    to->raw_path = xstrdup(from->raw_path);
    to->raw_sha256 = xstrdup(from->raw_sha256);
    to->summary_json = xstrdup(from->summary_json);
    to->cells = cells_copy(from->cells, from->n_cells);
}

void outcome_rows_lost(struct outcome *o)
{
    cells_free(o->cells, o->n_cells);
    o->cells = NULL;
    o->n_cells = 0;
    o->partial = true;
    if (o->state == JOB_COMPLETED) {
        o->state = JOB_FAILED;
        o->reason = REASON_INTERNAL;
        o->retryable = true;
        free_text(o->error);
        o->error = xstrdup("stopped because results could not be stored");
    }
}

static void outcome_done(struct outcome *o)
{
    free_text(o->error);
    free_text(o->stderr_tail);
    free_text(o->command_line);
    free_text(o->tool_version);
    free_text(o->confinement);
    free_text(o->run_json);
    free_text(o->sandbox_json);
    free_text(o->raw_path);
    free_text(o->raw_sha256);
    free_text(o->summary_json);
    cells_free(o->cells, o->n_cells);
    *o = (struct outcome){0};
}

void sched_run_unend(struct run *r)
{
    if (r->step >= STEP_ENDED && r->step != STEP_LOST) {
        outcome_done(&r->end);
        r->step = STEP_RUNNING;
    }
}

static struct run **bucket(struct sched *s, const struct run *r)
{
    return &s->by_token[r->task.token % RUN_HASH];
}

static void place(struct sched *s, uint32_t at, struct run *r)
{
    s->runs[at] = r;
    r->at = at;
}

static void swap(struct sched *s, struct run *r, uint32_t at)
{
    uint32_t from = r->at;

    place(s, from, s->runs[at]);
    place(s, at, r);
}

static void wake(struct sched *s, struct run *r)
{
    if (r->at >= s->n_live) {
        swap(s, r, s->n_live++);
    }
}

static void rest(struct sched *s, struct run *r)
{
    if (r->at < s->n_live) {
        swap(s, r, --s->n_live);
    }
}

void sched_run_step(struct sched *s, struct run *r, enum run_step step)
{
    r->step = step;
    wake(s, r);
}

void sched_run_rest(struct sched *s, struct run *r)
{
    if (r->away && r->step == STEP_RUNNING) {
        rest(s, r);
    }
}

void sched_run_add(struct sched *s, struct run *r)
{
    struct run **at = bucket(s, r);

    if (s->n == s->size) {
        s->size = s->size ? s->size * 2 : 16;
        s->runs = xrealloc(s->runs, s->size * sizeof(struct run *));
    }
    place(s, s->n++, r);
    wake(s, r);
    s->n_away += r->away;
    key_limit_add(s, r);
    r->next = *at;
    *at = r;
}

static void unlink_run(struct sched *s, struct run *r)
{
    struct run **at = bucket(s, r);

    while (*at != r) {
        at = &(*at)->next;
    }
    *at = r->next;
}

void sched_run_drop(struct sched *s, struct run *r)
{
    rest(s, r);
    place(s, r->at, s->runs[--s->n]);
    s->n_away -= r->away;
    key_limit_drop(s, r);
    unlink_run(s, r);
    if (r->away) {
        struct lease l = sched_run_lease(r);

        s->lane->over(s->lane->link.arg, &l);
    }
    job_done(&r->job);
    outcome_done(&r->end);
    free(r);
}

struct run *sched_run_find(struct sched *s, const struct lease *l)
{
    for (struct run *r = s->by_token[l->token % RUN_HASH]; r; r = r->next) {
        const struct task *t = &r->task;

        if (t->epoch == l->epoch && t->token == l->token && t->idx == l->idx &&
            id_cmp(&t->job_id, &l->job_id) == 0) {
            return r;
        }
    }
    return NULL;
}

bool sched_run_planned(const struct run *r)
{
    return r->job.plan != NULL || r->job.planned;
}
