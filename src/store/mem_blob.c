/* Raw files of runs in memory: a plain job's with the job, others with their tasks. */
#include <stdlib.h>

#include "base/mem.h"
#include "store/mem.h"

/* Both are only to be copied. */
static int put(struct store *s, int64_t job_num, int32_t idx, const char *path, const char *uri)
{
    struct mem *m = mem_of(s);
    struct mem_job mj;
    size_t at;

    if (mem_task_where(m, job_num, idx, &at)) {
        struct mem_task mt = *mem_task_at(m, at);

        mt.raw_path = (char *)(uintptr_t)path;
        mt.raw_uri = (char *)(uintptr_t)uri;
        mem_task_store(m, at, &mt);
        return 0;
    }
    if (!mem_job_where(m, NULL, job_num, &at)) {
        return mem_job_missing(s);
    }
    mj = *mem_job_at(m, at);
    mj.raw_path = (char *)(uintptr_t)path;
    mj.raw_uri = (char *)(uintptr_t)uri;
    mem_job_store(m, at, &mj);
    return 0;
}

int mem_blob_put(struct store *s, const struct task *t, const struct outcome *o)
{
    return put(s, t->job_num, t->idx, o->raw_path, NULL);
}

int mem_blob_get(struct store *s, int64_t job_num, int32_t idx, char **path, char **uri)
{
    struct mem *m = mem_of(s);
    const char *is_path = NULL;
    const char *is_uri = NULL;
    size_t at;

    if (mem_task_where(m, job_num, idx, &at)) {
        is_path = mem_task_at(m, at)->raw_path;
        is_uri = mem_task_at(m, at)->raw_uri;
    } else if (idx == 0 && mem_job_where(m, NULL, job_num, &at)) {
        is_path = mem_job_at(m, at)->raw_path;
        is_uri = mem_job_at(m, at)->raw_uri;
    }
    if (path) {
        *path = xstrdup(is_path);
    }
    if (uri) {
        *uri = xstrdup(is_uri);
    }
    return 0;
}

int mem_blob_move(struct store *s, int64_t job_num, int32_t idx, const char *uri)
{
    auto_free char *path = NULL;
    int rc = mem_blob_get(s, job_num, idx, &path, NULL);

    return rc == 0 ? put(s, job_num, idx, path, uri) : rc;
}

/* Jobs are in the order of their numbers, and so are the tasks of each. */
int mem_blobs_local(struct store *s, uint32_t limit, blob_fn fn, void *arg)
{
    struct mem *m = mem_of(s);
    uint32_t given = 0;
    int rc = 0;

    for (size_t i = 0; i < m->lists[MEM_JOB].n; i++) {
        const struct mem_job *mj = mem_job_at(m, i);

        if (mj->raw_path && !mj->raw_uri && rc == 0 && given++ < limit) {
            rc = fn(arg, mj->job.num, 0, mj->raw_path, &s->err);
        }
        for (size_t k = 0; mj->job.planned && k < m->lists[MEM_TASK].n; k++) {
            const struct mem_task *mt = mem_task_at(m, k);

            if (mt->row.task.job_num == mj->job.num && mt->raw_path && !mt->raw_uri && rc == 0 &&
                given++ < limit) {
                rc = fn(arg, mj->job.num, mt->row.task.idx, mt->raw_path, &s->err);
            }
        }
    }
    return rc;
}
