/* Tasks in memory: a plain job's is with the job, those of planned jobs are in a list. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/mem.h"

static struct mem_task *task_copy(const struct mem_task *from)
{
    struct mem_task *c = xcalloc(1, sizeof *c);

    *c = *from;
    c->part.queue = xstrdup(from->part.queue);
    c->part.error = xstrdup(from->part.error);
    c->part.command_line = xstrdup(from->part.command_line);
    c->spec = xstrdup(from->spec);
    c->raw_path = xstrdup(from->raw_path);
    c->raw_uri = xstrdup(from->raw_uri);
    return c;
}

void mem_task_free(struct mem_task *mt)
{
    free(mt->part.queue);
    free(mt->part.error);
    free(mt->part.command_line);
    free(mt->spec);
    free(mt->raw_path);
    free(mt->raw_uri);
}

void mem_cell_free(struct mem_cell *mc)
{
    free((void *)(uintptr_t)mc->cell.addresses);
    free((void *)(uintptr_t)mc->cell.protocol);
    free((void *)(uintptr_t)mc->cell.ports);
}

void mem_task_store(struct mem *m, size_t at, const struct mem_task *mt)
{
    mem_replace(m, MEM_TASK, at, task_copy(mt));
}

struct mem_task *mem_task_at(struct mem *m, size_t i)
{
    return m->lists[MEM_TASK].v[i];
}

bool mem_task_where(struct mem *m, int64_t job_num, int32_t idx, size_t *at)
{
    for (size_t i = 0; i < m->lists[MEM_TASK].n; i++) {
        const struct task *t = &mem_task_at(m, i)->row.task;

        if (t->job_num == job_num && t->idx == idx) {
            *at = i;
            return true;
        }
    }
    return false;
}

/* ---- all tasks, of plain and planned jobs ---- */

/* NULL when *i is behind the last. */
static const struct task_row *each(struct mem *m, size_t *i)
{
    size_t jobs = m->lists[MEM_JOB].n;

    for (; *i < jobs; ++*i) {
        const struct mem_job *mj = mem_job_at(m, *i);

        if (!mj->job.planned) {
            ++*i;
            return &mj->row;
        }
    }
    return *i < jobs + m->lists[MEM_TASK].n ? &mem_task_at(m, (*i)++ - jobs)->row : NULL;
}

struct found {
    struct task task;
    int64_t us; /* by that first */
};

static int in_order(const void *a, const void *b)
{
    const struct found *x = a;
    const struct found *y = b;

    if (x->us != y->us) {
        return x->us < y->us ? -1 : 1;
    }
    if (x->task.job_num != y->task.job_num) {
        return x->task.job_num < y->task.job_num ? -1 : 1;
    }
    return (x->task.idx > y->task.idx) - (x->task.idx < y->task.idx);
}

/* Those for which `at` gives a time, in order. Caller frees. */
static struct found *sorted(struct mem *m, int64_t (*at)(const struct task *t), size_t *n)
{
    struct found *v = xcalloc(m->lists[MEM_JOB].n + m->lists[MEM_TASK].n + 1, sizeof *v);
    const struct task_row *r;
    size_t i = 0;

    *n = 0;
    while ((r = each(m, &i)) != NULL) {
        if (at(&r->task) != 0) {
            v[*n].task = r->task;
            v[(*n)++].us = at(&r->task);
        }
    }
    qsort(v, *n, sizeof *v, in_order);
    return v;
}

static int64_t due_at(const struct task *t)
{
    return t->run_at_us; /* only of those that are scheduled or waiting */
}

static int64_t waits(const struct task *t)
{
    return t->state == JOB_WAITING;
}

static int64_t runs(const struct task *t)
{
    return t->state == JOB_RUNNING;
}

int mem_task_due(struct store *s, int64_t now_us, uint32_t limit, struct task_at *v, uint32_t *n)
{
    size_t all;
    auto_free struct found *f = sorted(mem_of(s), due_at, &all);

    for (*n = 0; *n < all && *n < limit && f[*n].us <= now_us; ++*n) {
        v[*n] = (struct task_at){f[*n].task.job_num, f[*n].task.idx};
    }
    return 0;
}

int mem_task_due_next(struct store *s, int64_t *next_us)
{
    size_t all;
    auto_free struct found *f = sorted(mem_of(s), due_at, &all);

    *next_us = all ? f[0].us : 0;
    return 0;
}

int mem_task_waiting(struct store *s, struct task_at after, uint32_t limit, struct task_at *v,
                     uint32_t *n)
{
    size_t all;
    auto_free struct found *f = sorted(mem_of(s), waits, &all);

    *n = 0;
    for (size_t i = 0; i < all && *n < limit; i++) {
        struct task_at at = {f[i].task.job_num, f[i].task.idx};

        if (at.job_num > after.job_num || (at.job_num == after.job_num && at.idx > after.idx)) {
            v[(*n)++] = at;
        }
    }
    return 0;
}

int mem_task_running(struct store *s, task_fn fn, void *arg)
{
    size_t all;
    auto_free struct found *f = sorted(mem_of(s), runs, &all);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < all; i++) {
        rc = fn(arg, &f[i].task, &s->err);
    }
    return rc;
}

int mem_task_ready(struct store *s, void (*fn)(void *arg, const struct ready_task *t), void *arg)
{
    struct mem *m = mem_of(s);
    size_t jobs = m->lists[MEM_JOB].n;

    for (size_t i = 0; i < jobs; i++) {
        const struct job *j = &mem_job_at(m, i)->job;

        if (j->state == JOB_QUEUED && !j->planned) {
            fn(arg, &(struct ready_task){j->queue, j->key_id, j->priority, j->num, 0});
        }
    }
    for (size_t i = 0; i < m->lists[MEM_TASK].n; i++) {
        const struct mem_task *mt = mem_task_at(m, i);
        const struct task *t = &mt->row.task;
        size_t at;

        if (t->state == JOB_QUEUED && mem_job_where(m, NULL, t->job_num, &at)) {
            fn(arg, &(struct ready_task){mt->part.queue, mem_job_at(m, at)->job.key_id, t->priority,
                                         t->job_num, t->idx});
        }
    }
    return 0;
}

int mem_task_put(struct store *s, const struct task_row *r)
{
    struct mem *m = mem_of(s);
    struct mem_task mt;
    struct mem_job mj;
    size_t at;

    if (mem_task_where(m, r->task.job_num, r->task.idx, &at)) {
        mt = *mem_task_at(m, at);
        mt.row = *r;
        mem_task_store(m, at, &mt);
        return 0;
    }
    if (!mem_job_where(m, NULL, r->task.job_num, &at)) {
        return mem_job_missing(s);
    }
    mj = *mem_job_at(m, at);
    mj.row = *r;
    mem_job_store(m, at, &mj);
    return 0;
}

int mem_task_find(struct store *s, int64_t job_num, int32_t idx, struct task_row *out)
{
    struct mem *m = mem_of(s);
    size_t at;

    if (mem_task_where(m, job_num, idx, &at)) {
        *out = mem_task_at(m, at)->row;
        return 0;
    }
    if (idx != 0 || !mem_job_where(m, NULL, job_num, &at) || mem_job_at(m, at)->job.planned) {
        return mem_job_missing(s);
    }
    *out = mem_job_at(m, at)->row;
    return 0;
}

int mem_task_reports(struct store *s, int64_t job_num, int32_t idx, int64_t reports)
{
    struct task_row row = {0};
    int rc = mem_task_find(s, job_num, idx, &row);

    row.reports = reports;
    return rc == 0 ? mem_task_put(s, &row) : rc;
}

/* ---- planned jobs ---- */

int mem_board_put(struct store *s, const struct job *j, const struct board *b)
{
    struct mem *m = mem_of(s);
    struct mem_job mj;
    size_t at;

    if (!mem_job_where(m, NULL, j->num, &at)) {
        return mem_job_missing(s);
    }
    mj = *mem_job_at(m, at);
    mj.board = *b;
    mem_job_store(m, at, &mj);
    return 0;
}

int mem_board_add(struct store *s, const struct job *j, const struct board *b)
{
    return mem_board_put(s, j, b);
}

int mem_board_find(struct store *s, int64_t job_num, struct board *out)
{
    struct mem *m = mem_of(s);
    size_t at;

    if (!mem_job_where(m, NULL, job_num, &at) || !mem_job_at(m, at)->job.planned) {
        return mem_job_missing(s);
    }
    *out = mem_job_at(m, at)->board;
    return 0;
}

int mem_board_ripe(struct store *s, int64_t *job_num)
{
    struct mem *m = mem_of(s);

    *job_num = 0;
    for (size_t i = 0; *job_num == 0 && i < m->lists[MEM_JOB].n; i++) {
        const struct mem_job *mj = mem_job_at(m, i);

        if (mj->job.planned && mj->job.state == JOB_RUNNING && mj->board.tasks_left == 0 &&
            mj->board.tasks_unmerged == 0) {
            *job_num = mj->job.num;
        }
    }
    return 0;
}

int mem_part_add(struct store *s, const struct task_row *r, const struct part *p, const char *spec)
{
    struct mem_task mt = {.row = *r, .part = *p, .spec = (char *)(uintptr_t)spec};

    mem_add(mem_of(s), MEM_TASK, task_copy(&mt));
    return 0;
}

int mem_part_put(struct store *s, const struct task_row *r, const struct part *p)
{
    struct mem *m = mem_of(s);
    struct mem_task mt;
    size_t at;

    if (!mem_task_where(m, r->task.job_num, r->task.idx, &at)) {
        return mem_job_missing(s);
    }
    mt = *mem_task_at(m, at);
    mt.part = *p;
    mem_task_store(m, at, &mt);
    return 0;
}

int mem_part_find(struct store *s, int64_t job_num, int32_t idx, struct part *out)
{
    struct mem *m = mem_of(s);
    size_t at;

    if (!mem_task_where(m, job_num, idx, &at)) {
        return mem_job_missing(s);
    }
    *out = mem_task_at(m, at)->part;
    out->queue = xstrdup(out->queue);
    out->error = xstrdup(out->error);
    out->command_line = xstrdup(out->command_line);
    return 0;
}

int mem_part_spec(struct store *s, int64_t job_num, int32_t idx, char **spec)
{
    struct mem *m = mem_of(s);
    size_t at;

    if (!mem_task_where(m, job_num, idx, &at)) {
        return mem_job_missing(s);
    }
    *spec = xstrdup(mem_task_at(m, at)->spec);
    return 0;
}

int mem_part_end_idle(struct store *s, int64_t job_num, enum job_state state,
                      enum job_reason reason, const char *error, int64_t now_us, int64_t *n)
{
    struct mem *m = mem_of(s);

    for (size_t i = 0; i < m->lists[MEM_TASK].n; i++) {
        struct mem_task mt = *mem_task_at(m, i);

        if (mt.row.task.job_num == job_num && job_state_waits(mt.row.task.state)) {
            mt.row.task.state = state;
            mt.row.task.run_at_us = 0;
            mt.part.reason = reason;
            mt.part.error = (char *)(uintptr_t)error; /* only to be copied */
            mt.part.ended_us = now_us;
            mt.part.percent_x100 = -1;
            mem_task_store(m, i, &mt);
            ++*n;
        }
    }
    return 0;
}

/* In the list as they were added: those of one job by idx. */
int mem_parts(struct store *s, int64_t job_num, int32_t after, uint32_t limit, task_info_fn fn,
              void *arg)
{
    struct mem *m = mem_of(s);
    uint32_t given = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < m->lists[MEM_TASK].n && given < limit; i++) {
        const struct mem_task *mt = mem_task_at(m, i);

        if (mt->row.task.job_num == job_num && mt->row.task.idx > after) {
            struct task_info info = part_info(&mt->row, &mt->part, mt->spec);

            rc = fn(arg, &info, &s->err);
            given++;
        }
    }
    return rc;
}

int mem_part_to_merge(struct store *s, struct task_at *out)
{
    struct mem *m = mem_of(s);
    int64_t best = 0;

    *out = (struct task_at){0};
    for (size_t i = 0; i < m->lists[MEM_TASK].n; i++) {
        const struct mem_task *mt = mem_task_at(m, i);

        if (mt->part.merge != 0 && (best == 0 || mt->part.merge < best)) {
            best = mt->part.merge;
            *out = (struct task_at){mt->row.task.job_num, mt->row.task.idx};
        }
    }
    return 0;
}

int mem_part_remains(struct store *s, int64_t job_num,
                     int (*fn)(struct store *s, int64_t result, const char *path, const char *uri))
{
    struct mem *m = mem_of(s);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < m->lists[MEM_TASK].n; i++) {
        const struct mem_task *mt = mem_task_at(m, i);

        if (mt->row.task.job_num == job_num && (mt->row.result || mt->raw_path)) {
            rc = fn(s, mt->row.result, mt->raw_path, mt->raw_uri);
        }
    }
    return rc;
}

void mem_tasks_drop(struct mem *m, int64_t job_num)
{
    for (size_t i = m->lists[MEM_TASK].n; i > 0; i--) {
        if (mem_task_at(m, i - 1)->row.task.job_num == job_num) {
            mem_remove(m, MEM_TASK, i - 1);
        }
    }
    for (size_t i = m->lists[MEM_CELL].n; i > 0; i--) {
        if (((struct mem_cell *)m->lists[MEM_CELL].v[i - 1])->job_num == job_num) {
            mem_remove(m, MEM_CELL, i - 1);
        }
    }
}

/* ---- coverage ---- */

int mem_cell_add(struct store *s, int64_t job_num, int32_t idx, size_t seq,
                 const struct coverage_cell *c)
{
    struct mem_cell *mc = xcalloc(1, sizeof *mc);

    (void)seq;
    *mc = (struct mem_cell){job_num, idx, *c};
    mc->cell.addresses = xstrdup(c->addresses);
    mc->cell.protocol = xstrdup(c->protocol);
    mc->cell.ports = xstrdup(c->ports);
    mem_add(mem_of(s), MEM_CELL, mc);
    return 0;
}

/* In the list by the order of ends, wanted by task. */
int mem_cells(struct store *s, int64_t job_num, cell_fn fn, void *arg)
{
    const struct mem_list *l = &mem_of(s)->lists[MEM_CELL];
    int32_t idx = -1;
    int32_t next = 0;
    int rc = 0;

    while (rc == 0 && next != INT32_MAX) {
        next = INT32_MAX;
        for (size_t i = 0; rc == 0 && i < l->n; i++) {
            const struct mem_cell *mc = l->v[i];

            if (mc->job_num != job_num) {
                continue;
            }
            if (mc->idx == idx) {
                rc = fn(arg, idx, &mc->cell, &s->err);
            } else if (mc->idx > idx) {
                next = MIN(next, mc->idx);
            }
        }
        idx = next;
    }
    return rc;
}
