/* Jobs in memory. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/mem.h"

static struct mem_job *job_copy(const struct mem_job *from)
{
    struct mem_job *c = xcalloc(1, sizeof *c);
    struct job *j = &c->job;

    *c = *from;
    c->raw_path = xstrdup(from->raw_path);
    c->raw_uri = xstrdup(from->raw_uri);
    j->tool = xstrdup(j->tool);
    j->targets = xstrdup(j->targets);
    j->ports = xstrdup(j->ports);
    j->arguments = xstrdup(j->arguments);
    j->key_id = xstrdup(j->key_id);
    j->error = xstrdup(j->error);
    j->stderr_tail = xstrdup(j->stderr_tail);
    j->command_line = xstrdup(j->command_line);
    j->tool_version = xstrdup(j->tool_version);
    j->confinement = xstrdup(j->confinement);
    j->raw_sha256 = xstrdup(j->raw_sha256);
    j->run_json = xstrdup(j->run_json);
    j->sandbox_json = xstrdup(j->sandbox_json);
    j->pins = xstrdup(j->pins);
    j->limits = xstrdup(j->limits);
    j->scope_rule = xstrdup(j->scope_rule);
    j->profile = xstrdup(j->profile);
    j->plan = xstrdup(j->plan);
    j->import_path = xstrdup(j->import_path);
    j->repo = xstrdup(j->repo);
    j->queue = xstrdup(j->queue);
    j->task_spec = NULL;
    j->summary_json = xstrdup(j->summary_json);
    return c;
}

/* The large texts, from one to the other. */
static void lend_texts(struct job *to, const struct job *from)
{
    to->pins = from->pins;
    to->limits = from->limits;
    to->plan = from->plan;
    to->repo = from->repo;
    to->summary_json = from->summary_json;
    to->stderr_tail = from->stderr_tail;
    to->sandbox_json = from->sandbox_json;
    to->run_json = from->run_json;
}

static const struct job no_texts;

/* ---- jobs ---- */

struct mem_job *mem_job_at(struct mem *m, size_t i)
{
    return m->lists[MEM_JOB].v[i];
}

bool mem_job_where(struct mem *m, const struct id *id, int64_t num, size_t *at)
{
    for (size_t i = 0; i < m->lists[MEM_JOB].n; i++) {
        const struct job *j = &mem_job_at(m, i)->job;

        if (id ? id_cmp(&j->id, id) == 0 : j->num == num) {
            *at = i;
            return true;
        }
    }
    return false;
}

void mem_job_store(struct mem *m, size_t at, const struct mem_job *mj)
{
    mem_replace(m, MEM_JOB, at, job_copy(mj));
}

int mem_job_missing(struct store *s)
{
    return store_fail(s, ERR_NOT_FOUND, "no such job");
}

int mem_job_add(struct store *s, const struct job *j)
{
    struct mem *m = mem_of(s);
    struct mem_job mj = {.job = *j};
    size_t at;

    if (mem_job_where(m, &j->id, 0, &at)) {
        return store_fail(s, ERR_CONFLICT, "a job with this id exists already");
    }
    lend_texts(&mj.job, &no_texts);
    mem_add(m, MEM_JOB, job_copy(&mj));
    return 0;
}

int mem_job_put(struct store *s, const struct job *j)
{
    struct mem *m = mem_of(s);
    struct mem_job mj;
    size_t at;

    if (!mem_job_where(m, NULL, j->num, &at)) {
        return mem_job_missing(s);
    }
    mj = *mem_job_at(m, at);
    mj.job = *j;
    lend_texts(&mj.job, &mem_job_at(m, at)->job);
    mem_job_store(m, at, &mj);
    return 0;
}

int mem_job_text_put(struct store *s, const struct job *j)
{
    struct mem *m = mem_of(s);
    struct mem_job mj;
    size_t at;

    if (!mem_job_where(m, NULL, j->num, &at)) {
        return mem_job_missing(s);
    }
    mj = *mem_job_at(m, at);
    mj.job.pins = j->pins ? j->pins : mj.job.pins;
    mj.job.limits = j->limits ? j->limits : mj.job.limits;
    mj.job.stderr_tail = j->stderr_tail ? j->stderr_tail : mj.job.stderr_tail;
    mj.job.sandbox_json = j->sandbox_json ? j->sandbox_json : mj.job.sandbox_json;
    mj.job.run_json = j->run_json ? j->run_json : mj.job.run_json;
    mj.job.plan = j->plan ? j->plan : mj.job.plan;
    mj.job.repo = j->repo ? j->repo : mj.job.repo;
    mj.job.summary_json = j->summary_json ? j->summary_json : mj.job.summary_json;
    mem_job_store(m, at, &mj);
    return 0;
}

int mem_job_text_get(struct store *s, struct job *j)
{
    struct mem *m = mem_of(s);
    const struct job *from;
    size_t at;

    if (!mem_job_where(m, NULL, j->num, &at)) {
        return mem_job_missing(s);
    }
    from = &mem_job_at(m, at)->job;
    j->pins = xstrdup(from->pins);
    j->limits = xstrdup(from->limits);
    j->stderr_tail = xstrdup(from->stderr_tail);
    j->sandbox_json = xstrdup(from->sandbox_json);
    j->run_json = xstrdup(from->run_json);
    j->plan = xstrdup(from->plan);
    j->repo = xstrdup(from->repo);
    j->summary_json = xstrdup(from->summary_json);
    return 0;
}

int mem_job_find(struct store *s, const struct id *id, int64_t num, struct job *out)
{
    struct mem *m = mem_of(s);
    struct mem_job *copy;
    struct mem_job mj;
    size_t at;

    if (!mem_job_where(m, id, num, &at)) {
        return mem_job_missing(s);
    }
    mj = *mem_job_at(m, at);
    mj.raw_path = mj.raw_uri = NULL;
    lend_texts(&mj.job, &no_texts);
    copy = job_copy(&mj);
    *out = copy->job;
    free(copy);
    return 0;
}

int mem_job_num(struct store *s, const struct id *id, int64_t *num)
{
    struct mem *m = mem_of(s);
    size_t at;

    if (!mem_job_where(m, id, 0, &at)) {
        return mem_job_missing(s);
    }
    *num = mem_job_at(m, at)->job.num;
    return 0;
}

int mem_job_drop(struct store *s, int64_t num, bool planned)
{
    struct mem *m = mem_of(s);
    size_t at;

    if (!mem_job_where(m, NULL, num, &at)) {
        return mem_job_missing(s);
    }
    (void)planned;
    mem_remove(m, MEM_JOB, at);
    mem_tasks_drop(m, num);
    return 0;
}

static bool matches(const struct job *j, const struct job_filter *f)
{
    if (!(f->states & (1u << j->state)) || (f->tool && strcmp(f->tool, j->tool) != 0)) {
        return false;
    }
    if (f->since_us > 0 && j->created_us < f->since_us) {
        return false;
    }
    return f->after <= 0 || (f->oldest_first ? j->num > f->after : j->num < f->after);
}

int mem_job_list(struct store *s, const struct job_filter *f, job_fn fn, void *arg)
{
    struct mem *m = mem_of(s);
    size_t n = m->lists[MEM_JOB].n;
    uint32_t given = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < n && given < f->limit; i++) {
        struct job j = mem_job_at(m, f->oldest_first ? i : n - 1 - i)->job;

        if (matches(&j, f)) {
            lend_texts(&j, &no_texts);
            rc = fn(arg, &j, &s->err);
            given++;
        }
    }
    return rc;
}

int mem_job_heads(struct store *s, const struct job_filter *f, job_head_fn fn, void *arg)
{
    struct head_sink h = {fn, arg};

    return mem_job_list(s, f, job_head_of, &h);
}

/* ---- by time: the least first, by looking at all ---- */

typedef int64_t (*time_fn)(const struct mem_job *mj); /* 0: does not count */

static int64_t completed_at(const struct mem_job *mj)
{
    return mj->job.completed_us;
}

static int64_t overdue_at(const struct mem_job *mj)
{
    return mj->job.queue_expires_us;
}

/* The first after (after_us, after_num) in the order of time, then number. */
static const struct mem_job *earliest(struct mem *m, time_fn at, int64_t after_us,
                                      int64_t after_num)
{
    const struct mem_job *best = NULL;

    for (size_t i = 0; i < m->lists[MEM_JOB].n; i++) {
        const struct mem_job *mj = mem_job_at(m, i);
        int64_t us = at(mj);

        if (us != 0 && (us > after_us || (us == after_us && mj->job.num > after_num)) &&
            (!best || us < at(best))) {
            best = mj;
        }
    }
    return best;
}

static uint32_t until(struct mem *m, time_fn at, int64_t last_us, uint32_t limit, int64_t *nums)
{
    const struct mem_job *mj = earliest(m, at, INT64_MIN, 0);
    uint32_t n = 0;

    while (mj && n < limit && at(mj) <= last_us) {
        nums[n++] = mj->job.num;
        mj = earliest(m, at, at(mj), mj->job.num);
    }
    return n;
}

int mem_job_ended(struct store *s, int64_t before_us, uint32_t limit, int64_t *nums, uint32_t *n)
{
    *n = until(mem_of(s), completed_at, before_us - 1, limit, nums);
    return 0;
}

int mem_job_overdue(struct store *s, int64_t now_us, uint32_t limit, int64_t *nums, uint32_t *n)
{
    *n = until(mem_of(s), overdue_at, now_us, limit, nums);
    return 0;
}

int mem_job_overdue_next(struct store *s, int64_t *next_us)
{
    const struct mem_job *mj = earliest(mem_of(s), overdue_at, INT64_MIN, 0);

    *next_us = mj ? overdue_at(mj) : 0;
    return 0;
}
