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

void sched_run_drop(struct sched *s, struct run *r)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->runs[i] == r) {
            s->runs[i] = s->runs[--s->n];
            break;
        }
    }
    job_done(&r->job);
    outcome_done(&r->end);
    free(r);
}

struct run *sched_run_find(struct sched *s, const struct lease *l)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const struct task *t = &s->runs[i]->task;

        if (t->epoch == l->epoch && t->token == l->token && t->idx == l->idx &&
            id_cmp(&t->job_id, &l->job_id) == 0) {
            return s->runs[i];
        }
    }
    return NULL;
}

bool sched_run_planned(const struct run *r)
{
    return r->job.plan != NULL;
}
