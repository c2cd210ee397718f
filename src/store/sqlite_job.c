/* Jobs in SQLite. Lists are in sqlite_list.c. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/sqlite.h"

enum { MARK_EVERY = 256 };

/* ---- tool names: few, so jobs keep a number ---- */

int sqlite_tools_load(struct sqlite *q)
{
    sqlite3_stmt *st = sq_stmt(q, "SELECT name FROM tool ORDER BY num");
    int rc;

    while ((rc = sq_step(q, st, "read tool names")) > 0 && q->n_tools < TOOLS_MAX) {
        q->tools[q->n_tools++] = xstrdup((const char *)sqlite3_column_text(st, 0));
    }
    sqlite3_reset(st);
    q->n_tools_committed = q->n_tools;
    return rc < 0 ? rc : 0;
}

static int tool_num(struct sqlite *q, const char *name, int64_t *num)
{
    struct binder b;
    int rc;

    for (int i = 0; i < q->n_tools; i++) {
        if (strcmp(q->tools[i], name) == 0) {
            *num = i + 1;
            return 0;
        }
    }
    if (q->n_tools == TOOLS_MAX) {
        return store_fail(&q->base, ERR_LIMIT, "more than %d different tools", TOOLS_MAX);
    }
    b = (struct binder){sq_stmt(q, "INSERT INTO tool VALUES (?, ?)"), 0};
    b_int(&b, q->n_tools + 1);
    b_text(&b, name);
    rc = sq_run(q, b.st, "store a tool's name");
    if (rc == 0) {
        q->tools[q->n_tools++] = xstrdup(name);
        *num = q->n_tools;
    }
    return rc;
}

/* ---- rows ---- */

static char *text(struct columns *c)
{
    const char *s = (const char *)sqlite3_column_text(c->st, c->i);
    size_t n = (size_t)sqlite3_column_bytes(c->st, c->i);
    char *copy;

    c->i++;
    if (!s) {
        return NULL;
    }
    copy = xmalloc(n + 1);
    memcpy(copy, s, n + 1);
    return copy;
}

void sqlite_job_read(struct sqlite *q, struct columns *c, struct job *out)
{
    int64_t tool;

    *out = (struct job){0};
    out->num = c_int(c);
    c_bytes(c, out->id.b, ID_LEN);
    out->rev = (uint64_t)c_int(c);
    out->state = (enum job_state)c_int(c);
    tool = c_int(c);
    out->tool = xstrdup(tool > 0 && tool <= q->n_tools ? q->tools[tool - 1] : "");
    out->targets = text(c);
    out->ports = text(c);
    out->arguments = text(c);
    out->timeout_s = c_int(c);
    out->run_timeout_s = (int32_t)c_int(c);
    out->queue_timeout_s = (int32_t)c_int(c);
    out->priority = (int32_t)c_int(c);
    out->max_attempts = (int32_t)c_int(c);
    out->key_id = text(c);
    out->old_route = c_int(c) != 0;
    out->clip = c_int(c) != 0;
    out->scope_rule = text(c);
    out->planned = c_int(c) != 0;
    out->profile = text(c);
    out->import_path = text(c);
    out->queue = text(c);
    out->created_us = c_int(c);
    out->started_us = c_int(c);
    out->completed_us = c_int(c);
    out->run_at_us = c_int(c);
    out->queue_expires_us = c_int(c);
    out->reason = (enum job_reason)c_int(c);
    out->error = text(c);
    out->exit_status = (int32_t)c_int(c);
    out->exit_signal = (int32_t)c_int(c);
    out->command_line = text(c);
    out->tool_version = text(c);
    out->confinement = text(c);
    out->partial = c_int(c) != 0;
    out->cancel_requested = c_int(c) != 0;
    out->attempts = (int32_t)c_int(c);
    out->lost = (int32_t)c_int(c);
    out->percent_x100 = (int32_t)c_int(c);
    out->remaining_s = (int32_t)c_int(c);
    out->hosts = c_int(c);
    out->hosts_up = c_int(c);
    out->ports_open = c_int(c);
    out->raw_sha256 = text(c);
    out->raw_size = c_int(c);
}

/* What may change, in the order of job_columns below. */
static void bind_fate(struct binder *b, const struct job *j)
{
    b_int(b, (int64_t)j->rev);
    b_int(b, j->state);
    b_int(b, j->started_us);
    b_int(b, j->completed_us);
    b_int(b, j->run_at_us);
    b_int(b, j->queue_expires_us);
    b_int(b, j->reason);
    b_text(b, j->error);
    b_int(b, j->exit_status);
    b_int(b, j->exit_signal);
    b_text(b, j->command_line);
    b_text(b, j->tool_version);
    b_text(b, j->confinement);
    b_int(b, j->partial);
    b_int(b, j->cancel_requested);
    b_int(b, j->attempts);
    b_int(b, j->lost);
    b_int(b, j->percent_x100);
    b_int(b, j->remaining_s);
    b_int(b, j->hosts);
    b_int(b, j->hosts_up);
    b_int(b, j->ports_open);
    b_text(b, j->raw_sha256);
    b_int(b, j->raw_size);
    b_int(b, j->num);
}

/* What the columns without a value have is what a new job has. */
static const char insert_job[] =
    "INSERT INTO job (num, id, rev, state, tool, targets, ports, arguments, timeout_s,"
    " run_timeout_s, queue_timeout_s, priority, max_attempts, key_id, old_route, clip,"
    " scope_rule, planned, profile, import_path, queue, created_us, run_at_us, queue_expires_us)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/* No job up to this one was created later than the mark says: where lists by time may start. */
static int put_mark(struct sqlite *q, const struct job *j)
{
    struct binder b = {sq_stmt(q, "INSERT INTO mark VALUES (?, ?)"), 0};

    b_int(&b, j->num);
    b_int(&b, MAX(q->base.now.created_max_us, j->created_us));
    return sq_run(q, b.st, "store a mark");
}

int sqlite_job_add(struct store *s, const struct job *j)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {0};
    int64_t tool = 0;
    int rc = tool_num(q, j->tool, &tool);

    if (rc != 0) {
        return rc;
    }
    b.st = sq_stmt(q, insert_job);
    b_int(&b, j->num);
    b_id(&b, &j->id);
    b_int(&b, (int64_t)j->rev);
    b_int(&b, j->state);
    b_int(&b, tool);
    b_text(&b, j->targets);
    b_text(&b, j->ports);
    b_text(&b, j->arguments);
    b_int(&b, j->timeout_s);
    b_int(&b, j->run_timeout_s);
    b_int(&b, j->queue_timeout_s);
    b_int(&b, j->priority);
    b_int(&b, j->max_attempts);
    b_text(&b, j->key_id);
    b_int(&b, j->old_route);
    b_int(&b, j->clip);
    b_text(&b, j->scope_rule);
    b_int(&b, j->planned);
    b_text(&b, j->profile);
    b_text(&b, j->import_path);
    b_text(&b, j->queue);
    b_int(&b, j->created_us);
    b_int(&b, j->run_at_us);
    b_int(&b, j->queue_expires_us);
    rc = sq_run(q, b.st, "store a job");
    if (rc != 0 && sqlite3_extended_errcode(q->db) == SQLITE_CONSTRAINT_UNIQUE) {
        return store_fail(s, ERR_CONFLICT, "a job with this id exists already");
    }
    if (rc == 0 && j->num % MARK_EVERY == 0) {
        rc = put_mark(q, j);
    }
    return rc;
}

int sqlite_job_put(struct store *s, const struct job *j)
{
    static const char update[] =
        "UPDATE job SET rev = ?, state = ?, started_us = ?, completed_us = ?, run_at_us = ?,"
        " queue_expires_us = ?, reason = ?, error = ?, exit_status = ?, exit_signal = ?,"
        " command_line = ?, tool_version = ?, confinement = ?, partial = ?, cancel_requested = ?,"
        " attempts = ?, lost = ?, percent_x100 = ?, remaining_s = ?, hosts = ?, hosts_up = ?,"
        " ports_open = ?, raw_sha256 = ?, raw_size = ? WHERE num = ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, update), 0};

    bind_fate(&b, j);
    return sq_run(q, b.st, "store a job");
}

int sqlite_job_text_put(struct store *s, const struct job *j)
{
    static const char put[] =
        "INSERT INTO job_text (job_num, pins, limits, plan, repo, stderr_tail, sandbox_json,"
        " run_json, summary_json) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (job_num) DO UPDATE SET"
        " pins = coalesce(excluded.pins, pins), limits = coalesce(excluded.limits, limits),"
        " plan = coalesce(excluded.plan, plan), repo = coalesce(excluded.repo, repo),"
        " stderr_tail = coalesce(excluded.stderr_tail, stderr_tail),"
        " sandbox_json = coalesce(excluded.sandbox_json, sandbox_json),"
        " run_json = coalesce(excluded.run_json, run_json),"
        " summary_json = coalesce(excluded.summary_json, summary_json)";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};

    b_int(&b, j->num);
    b_text(&b, j->pins);
    b_text(&b, j->limits);
    b_text(&b, j->plan);
    b_text(&b, j->repo);
    b_text(&b, j->stderr_tail);
    b_text(&b, j->sandbox_json);
    b_text(&b, j->run_json);
    b_text(&b, j->summary_json);
    return sq_run(q, b.st, "store a job's texts");
}

int sqlite_job_text_get(struct store *s, struct job *j)
{
    static const char get[] = "SELECT pins, limits, plan, repo, stderr_tail, sandbox_json,"
                              " run_json, summary_json FROM job_text WHERE job_num = ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};
    struct columns c = {b.st, 0};
    int rc;

    b_int(&b, j->num);
    rc = sq_step(q, b.st, "read a job's texts");
    if (rc > 0) {
        j->pins = text(&c);
        j->limits = text(&c);
        j->plan = text(&c);
        j->repo = text(&c);
        j->stderr_tail = text(&c);
        j->sandbox_json = text(&c);
        j->run_json = text(&c);
        j->summary_json = text(&c);
        sqlite3_reset(b.st);
    }
    return rc < 0 ? rc : 0;
}

int sqlite_job_find(struct store *s, const struct id *id, int64_t num, struct job *out)
{
    static const char by_id[] = "SELECT " JOB_COLUMNS " FROM job WHERE id = ?";
    static const char by_num[] = "SELECT " JOB_COLUMNS " FROM job WHERE num = ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, id ? by_id : by_num), 0};
    struct columns c = {b.st, 0};
    int rc;

    if (id) {
        b_id(&b, id);
    } else {
        b_int(&b, num);
    }
    rc = sq_step(q, b.st, "read a job");
    if (rc == 0) {
        return store_fail(s, ERR_NOT_FOUND, "no such job");
    }
    if (rc < 0) {
        return rc;
    }
    sqlite_job_read(q, &c, out);
    sqlite3_reset(b.st);
    return 0;
}

int sqlite_job_num(struct store *s, const struct id *id, int64_t *num)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "SELECT num FROM job WHERE id = ?"), 0};
    int64_t got = 0;
    int rc;

    b_id(&b, id);
    rc = sqlite_one(q, b.st, &got);
    if (rc == 0 && got == 0) {
        return store_fail(s, ERR_NOT_FOUND, "no such job");
    }
    *num = got;
    return rc;
}

static int drop_from(struct sqlite *q, const char *sql, int64_t num)
{
    struct binder b = {sq_stmt(q, sql), 0};

    b_int(&b, num);
    return sq_run(q, b.st, "delete a job");
}

int sqlite_job_drop(struct store *s, int64_t num, bool planned)
{
    enum { OF_ALL = 5 };
    static const char *const sql[] = {
        "DELETE FROM job WHERE num = ?",          "DELETE FROM job_text WHERE job_num = ?",
        "DELETE FROM task WHERE job_num = ?",     "DELETE FROM blob WHERE job_num = ?",
        "DELETE FROM coverage WHERE job_num = ?", "DELETE FROM planned WHERE job_num = ?",
        "DELETE FROM part WHERE job_num = ?",     "DELETE FROM spec WHERE job_num = ?",
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < (planned ? ARRAY_LEN(sql) : OF_ALL); i++) {
        rc = drop_from(sqlite_of(s), sql[i], num);
    }
    return rc;
}

/* ---- by time ---- */

int sqlite_job_ended(struct store *s, int64_t before_us, uint32_t limit, int64_t *nums, uint32_t *n)
{
    static const char get[] = "SELECT num FROM job WHERE completed_us <> 0 AND completed_us < ?"
                              " ORDER BY completed_us, num";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};

    b_int(&b, before_us);
    return sqlite_nums(q, b.st, limit, nums, n);
}

int sqlite_job_overdue(struct store *s, int64_t now_us, uint32_t limit, int64_t *nums, uint32_t *n)
{
    static const char get[] = "SELECT num FROM job WHERE queue_expires_us <> 0"
                              " AND queue_expires_us <= ? ORDER BY queue_expires_us, num";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};

    b_int(&b, now_us);
    return sqlite_nums(q, b.st, limit, nums, n);
}

int sqlite_job_overdue_next(struct store *s, int64_t *next_us)
{
    static const char get[] = "SELECT queue_expires_us FROM job WHERE queue_expires_us <> 0"
                              " ORDER BY queue_expires_us LIMIT 1";
    struct sqlite *q = sqlite_of(s);

    return sqlite_one(q, sq_stmt(q, get), next_us);
}
