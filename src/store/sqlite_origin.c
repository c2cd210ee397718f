/* Origins, cursors, dead letters and memos in SQLite. */
#include "base/mem.h"
#include "store/sqlite.h"

/* ---- origins ---- */

int sqlite_origin_put(struct store *s, int64_t job_num, const struct id *job,
                      const struct origin *o)
{
    static const char put[] = "INSERT OR REPLACE INTO origin VALUES (?, ?, 0, ?, ?, ?, ?, ?)";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};

    b_int(&b, job_num);
    b_id(&b, job);
    b_text(&b, o->intake);
    b_text(&b, o->task_id);
    b_text(&b, o->reply_to);
    b_text(&b, o->correlation);
    b_int(&b, o->form);
    return sq_run(q, b.st, "store where a job came from");
}

int sqlite_origin_find(struct store *s, const struct id *job, int64_t job_num, struct origin *out,
                       bool *found)
{
    static const char by_num[] =
        "SELECT intake, task_id, reply_to, correlation, form FROM origin WHERE job_num = ?";
    static const char by_id[] =
        "SELECT intake, task_id, reply_to, correlation, form FROM origin WHERE job_id = ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, job ? by_id : by_num), 0};
    struct columns c = {b.st, 0};
    int rc;

    if (job) {
        b_id(&b, job);
    } else {
        b_int(&b, job_num);
    }
    rc = sq_step(q, b.st, "read where a job came from");
    if (rc < 0) {
        return rc;
    }
    *found = rc > 0;
    if (rc > 0) {
        out->intake = xstrdup(c_text(&c));
        out->task_id = xstrdup(c_text(&c));
        out->reply_to = xstrdup(c_text(&c));
        out->correlation = xstrdup(c_text(&c));
        out->form = (int32_t)c_int(&c);
        sqlite3_reset(b.st);
    }
    return 0;
}

int sqlite_origin_gone(struct store *s, int64_t job_num, int64_t seq)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "UPDATE origin SET gone = ? WHERE job_num = ?"), 0};

    b_int(&b, seq);
    b_int(&b, job_num);
    return sq_run(q, b.st, "note that a job is gone");
}

int sqlite_origin_drop(struct store *s, int64_t last)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "DELETE FROM origin WHERE gone <> 0 AND gone <= ?"), 0};

    b_int(&b, last);
    return sq_run(q, b.st, "forget where jobs came from");
}

/* ---- cursors ---- */

int sqlite_cursor_get(struct store *s, const char *name, int64_t *seq)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "SELECT seq FROM cursor WHERE name = ?"), 0};

    b_text(&b, name);
    return sqlite_one(q, b.st, seq);
}

int sqlite_cursor_put(struct store *s, const char *name, int64_t seq, int64_t now_us)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "INSERT OR REPLACE INTO cursor VALUES (?, ?, ?)"), 0};

    b_text(&b, name);
    b_int(&b, seq);
    b_int(&b, now_us);
    return sq_run(q, b.st, "store how far a reader is");
}

int sqlite_cursor_least(struct store *s, int64_t since_us, int64_t *seq)
{
    static const char get[] =
        "SELECT seq FROM cursor WHERE moved_us >= ? ORDER BY seq LIMIT 1"; /* a handful */
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};
    int rc;

    b_int(&b, since_us);
    rc = sq_step(q, b.st, "read how far readers are");
    if (rc > 0) {
        *seq = sqlite3_column_int64(b.st, 0);
        sqlite3_reset(b.st);
    }
    return MIN(rc, 0);
}

/* ---- messages that were no requests ---- */

int sqlite_dead_put(struct store *s, const struct dead_letter *d)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "INSERT INTO dead VALUES (?, ?, ?, ?, ?, ?)"), 0};

    b_int(&b, d->seq);
    b_int(&b, d->at_us);
    b_text(&b, d->source);
    b_text(&b, d->task_id);
    b_text(&b, d->reason);
    b_text(&b, d->body);
    return sq_run(q, b.st, "store a message");
}

int sqlite_dead_bounds(struct store *s, int64_t *first, int64_t *last)
{
    struct sqlite *q = sqlite_of(s);
    int rc = sqlite_one(q, sq_stmt(q, "SELECT seq FROM dead ORDER BY seq LIMIT 1"), first);

    return rc == 0
               ? sqlite_one(q, sq_stmt(q, "SELECT seq FROM dead ORDER BY seq DESC LIMIT 1"), last)
               : rc;
}

int sqlite_dead_drop(struct store *s, int64_t last)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "DELETE FROM dead WHERE seq <= ?"), 0};

    b_int(&b, last);
    return sq_run(q, b.st, "remove messages");
}

int sqlite_deads(struct store *s, int64_t before, uint32_t limit, dead_fn fn, void *arg)
{
    static const char get[] = "SELECT seq, at_us, source, task_id, reason, body FROM dead"
                              " WHERE seq < ? ORDER BY seq DESC LIMIT ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};
    int rc;

    b_int(&b, before);
    b_int(&b, limit);
    while ((rc = sq_step(q, b.st, "list messages")) > 0) {
        struct columns c = {b.st, 0};
        struct dead_letter d = {.seq = c_int(&c)};
        int stop;

        d.at_us = c_int(&c);
        d.source = c_text(&c);
        d.task_id = c_text(&c);
        d.reason = c_text(&c);
        d.body = c_text(&c);
        stop = fn(arg, &d, &s->err);
        if (stop != 0) {
            sqlite3_reset(b.st);
            return stop;
        }
    }
    return rc;
}

/* ---- memos ---- */

int sqlite_memo_put(struct store *s, const char *name, const char *value)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, value ? "INSERT OR REPLACE INTO memo VALUES (?, ?)"
                                        : "DELETE FROM memo WHERE name = ?"),
                       0};

    b_text(&b, name);
    if (value) {
        b_text(&b, value);
    }
    return sq_run(q, b.st, "store a memo");
}

int sqlite_memo_get(struct store *s, const char *name, char **value)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "SELECT value FROM memo WHERE name = ?"), 0};
    int rc;

    b_text(&b, name);
    rc = sq_step(q, b.st, "read a memo");
    if (rc < 0) {
        return rc;
    }
    *value = rc > 0 ? xstrdup((const char *)sqlite3_column_text(b.st, 0)) : NULL;
    if (rc > 0) {
        sqlite3_reset(b.st);
    }
    return 0;
}
