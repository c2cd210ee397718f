/* Tasks in SQLite. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/sqlite.h"

static void bind_task(struct binder *b, const struct task_row *r)
{
    const struct task *t = &r->task;

    b_int(b, t->state);
    b_int(b, t->priority);
    b_int(b, t->epoch);
    b_int(b, (int64_t)t->token);
    b_int(b, t->beat);
    b_int(b, t->attempts);
    b_int(b, t->failed);
    b_int(b, t->lost);
    b_int(b, t->run_at_us);
    b_text(b, t->worker);
    b_int(b, r->result);
    b_int(b, t->stage);
    b_int(b, r->reports);
    b_int(b, t->job_num);
    b_int(b, t->idx);
}

/* A plain job's. That of a queued job is implied by the job until something happens to it. */
int sqlite_task_add(struct store *s, const struct task_row *r)
{
    return r->task.state == JOB_QUEUED ? 0 : sqlite_task_put(s, r);
}

int sqlite_task_put(struct store *s, const struct task_row *r)
{
    static const char put[] =
        "INSERT OR REPLACE INTO task (state, priority, epoch, token, beat, attempts, failed, lost,"
        " run_at_us, worker, result, stage, reports, job_num, idx)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};

    bind_task(&b, r);
    return sq_run(q, b.st, "store a task");
}

void sqlite_task_read(struct columns *c, struct task_row *out)
{
    struct task *t = &out->task;

    *out = (struct task_row){0};
    t->job_num = c_int(c);
    t->idx = (int32_t)c_int(c);
    t->state = (enum job_state)c_int(c);
    t->priority = (int32_t)c_int(c);
    t->epoch = (uint32_t)c_int(c);
    t->token = (uint64_t)c_int(c);
    t->beat = (uint32_t)c_int(c);
    t->attempts = (int32_t)c_int(c);
    t->failed = (int32_t)c_int(c);
    t->lost = (int32_t)c_int(c);
    t->run_at_us = c_int(c);
    snprintf(t->worker, sizeof t->worker, "%s", c_text(c));
    out->result = c_int(c);
    t->stage = (int32_t)c_int(c);
    out->reports = c_int(c);
}

/* A task without a row, from its job. */
static int implied(struct sqlite *q, int64_t job_num, struct task_row *out)
{
    static const char get[] =
        "SELECT priority FROM job WHERE num = ? AND state = 1 AND planned = 0";
    struct binder b = {sq_stmt(q, get), 0};
    int rc;

    b_int(&b, job_num);
    rc = sq_step(q, b.st, "read a task");
    if (rc > 0) {
        *out = (struct task_row){.task = {.job_num = job_num,
                                          .state = JOB_QUEUED,
                                          .priority = (int32_t)sqlite3_column_int64(b.st, 0)}};
        sqlite3_reset(b.st);
    }
    return rc;
}

int sqlite_task_find(struct store *s, int64_t job_num, int32_t idx, struct task_row *out)
{
    static const char get[] = "SELECT " TASK_COLUMNS " FROM task WHERE job_num = ? AND idx = ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};
    struct columns c = {b.st, 0};
    int rc;

    b_int(&b, job_num);
    b_int(&b, idx);
    rc = sq_step(q, b.st, "read a task");
    if (rc > 0) {
        sqlite_task_read(&c, out);
        sqlite3_reset(b.st);
    } else if (rc == 0 && idx == 0) {
        rc = implied(q, job_num, out);
    }
    if (rc == 0) {
        return store_fail(s, ERR_NOT_FOUND, "no such job");
    }
    return MIN(rc, 0);
}

int sqlite_task_reports(struct store *s, int64_t job_num, int32_t idx, int64_t reports)
{
    static const char put[] = "UPDATE task SET reports = ? WHERE job_num = ? AND idx = ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};

    b_int(&b, reports);
    b_int(&b, job_num);
    b_int(&b, idx);
    return sq_run(q, b.st, "note a report");
}

/* ---- what can be claimed, read once ---- */

typedef void (*ready_fn)(void *arg, const struct ready_task *t);

static int plain_ready(struct sqlite *q, int tool, ready_fn fn, void *arg)
{
    static const char get[] = "SELECT num, priority, key_id, queue FROM job"
                              " WHERE tool = ? AND state = 1 AND planned = 0 ORDER BY num";
    struct binder b = {sq_stmt(q, get), 0};
    int rc;

    b_int(&b, tool);
    while ((rc = sq_step(q, b.st, "read what can be claimed")) > 0) {
        struct columns c = {b.st, 0};
        struct ready_task t = {.job_num = c_int(&c)};

        t.priority = (int32_t)c_int(&c);
        t.key = c_text(&c);
        t.queue = c_text(&c);
        fn(arg, &t);
    }
    return rc;
}

static int planned_ready(struct sqlite *q, ready_fn fn, void *arg)
{
    static const char get[] =
        "SELECT t.job_num, t.idx, p.priority, p.key_id, part.queue"
        " FROM planned p CROSS JOIN task t ON t.job_num = p.job_num AND t.state = 1"
        " CROSS JOIN part ON part.job_num = t.job_num AND part.idx = t.idx"
        " WHERE p.tasks_queued > 0 ORDER BY p.job_num, t.idx";
    sqlite3_stmt *st = sq_stmt(q, get);
    int rc;

    while ((rc = sq_step(q, st, "read what can be claimed")) > 0) {
        struct columns c = {st, 0};
        struct ready_task t = {.job_num = c_int(&c)};

        t.idx = (int32_t)c_int(&c);
        t.priority = (int32_t)c_int(&c);
        t.key = c_text(&c);
        t.queue = c_text(&c);
        fn(arg, &t);
    }
    return rc;
}

int sqlite_task_ready(struct store *s, ready_fn fn, void *arg)
{
    struct sqlite *q = sqlite_of(s);
    int rc = 0;

    for (int tool = 1; rc == 0 && tool <= q->n_tools; tool++) {
        rc = plain_ready(q, tool, fn, arg);
    }
    return rc == 0 ? planned_ready(q, fn, arg) : rc;
}

/* ---- lists ---- */

int sqlite_task_running(struct store *s, task_fn fn, void *arg)
{
    static const char get[] = "SELECT " TASK_COLUMNS ", (SELECT id FROM job WHERE num = job_num)"
                              " FROM task WHERE state = 3 ORDER BY job_num, idx";
    struct sqlite *q = sqlite_of(s);
    sqlite3_stmt *st = sq_stmt(q, get);
    int rc;

    while ((rc = sq_step(q, st, "list running tasks")) > 0) {
        struct columns c = {st, 0};
        struct task_row row;
        int stop;

        sqlite_task_read(&c, &row);
        c_bytes(&c, row.task.job_id.b, ID_LEN);
        stop = fn(arg, &row.task, &s->err);
        if (stop != 0) {
            sqlite3_reset(st);
            return stop;
        }
    }
    return rc;
}

/* Reads (job_num, idx). */
static int places(struct sqlite *q, sqlite3_stmt *st, uint32_t limit, struct task_at *v,
                  uint32_t *n)
{
    uint32_t got = 0;
    int rc = 0;

    while (got < limit && (rc = sq_step(q, st, "read tasks")) > 0) {
        struct columns c = {st, 0};

        v[got].job_num = c_int(&c);
        v[got++].idx = (int32_t)c_int(&c);
    }
    if (rc > 0 || limit == 0) {
        sqlite3_reset(st);
    }
    *n = got;
    return MIN(rc, 0);
}

int sqlite_task_due(struct store *s, int64_t now_us, uint32_t limit, struct task_at *v, uint32_t *n)
{
    static const char get[] = "SELECT job_num, idx FROM task WHERE run_at_us <> 0"
                              " AND run_at_us <= ? ORDER BY run_at_us, job_num, idx";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};

    b_int(&b, now_us);
    return places(q, b.st, limit, v, n);
}

int sqlite_task_waiting(struct store *s, struct task_at after, uint32_t limit, struct task_at *v,
                        uint32_t *n)
{
    static const char get[] = "SELECT job_num, idx FROM task WHERE state = 2"
                              " AND (job_num, idx) > (?, ?) ORDER BY job_num, idx";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};

    b_int(&b, after.job_num);
    b_int(&b, after.idx);
    return places(q, b.st, limit, v, n);
}

int sqlite_task_due_next(struct store *s, int64_t *next_us)
{
    static const char get[] =
        "SELECT run_at_us FROM task WHERE run_at_us <> 0 ORDER BY run_at_us LIMIT 1";
    struct sqlite *q = sqlite_of(s);

    return sqlite_one(q, sq_stmt(q, get), next_us);
}
