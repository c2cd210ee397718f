/* Issues and the lines of scans they belong to, in SQLite. */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/sqlite.h"

#define ISSUE_COLUMNS                                                                       \
    "num, line, kind, open, severity, rule, force, noted, reason, decided_by, decided_us, " \
    "until_us, expires_us, id, first_job, first_us, rev, life, last_life, job_num, job, "   \
    "last_us, fixed_us, reopened, body, confidence, at_line, path, engines, cwes, prints, text"

/* ---- rows ---- */

/* What indexes know of, in the order of the columns. */
static void bind_known(struct binder *b, const struct issue *i)
{
    b_int(b, i->kind);
    b_int(b, i->open);
    b_int(b, i->head.severity);
    b_text(b, i->head.rule);
    b_int(b, i->force);
    b_int(b, i->note.state);
    b_text(b, i->note.reason);
    b_text(b, i->note.by);
    b_int(b, i->note.at_us);
    b_int(b, i->note.until_us);
    b_int(b, i->expires_us);
}

static void bind_rest(struct binder *b, const struct issue *i)
{
    b_int(b, (int64_t)i->rev);
    b_int(b, i->life);
    b_int(b, i->last_life);
    b_int(b, i->job_num);
    b_id(b, &i->job);
    b_int(b, i->last_us);
    b_int(b, i->fixed_us);
    b_int(b, i->reopened);
    b_int(b, i->body);
    b_int(b, i->head.confidence_x100);
    b_int(b, i->head.line);
    b_text(b, i->head.path);
    b_text(b, i->head.engines);
    b_text(b, i->head.cwes);
    b_blob(b, i->head.prints, sizeof i->head.prints);
    b_text(b, i->head.text);
}

static void issue_read(struct columns *c, struct issue *i)
{
    *i = (struct issue){.num = c_int(c)};
    i->line = c_int(c);
    i->kind = c_int(c);
    i->open = c_int(c) != 0;
    i->head.severity = (enum severity)c_int(c);
    i->head.rule = c_text(c);
    i->force = (enum triage)c_int(c);
    i->note.state = (enum triage)c_int(c);
    i->note.reason = c_text(c);
    i->note.by = c_text(c);
    i->note.at_us = c_int(c);
    i->note.until_us = c_int(c);
    i->expires_us = c_int(c);
    c_bytes(c, i->id.b, ID_LEN);
    c_bytes(c, i->first_job.b, ID_LEN);
    i->first_us = c_int(c);
    i->rev = (uint64_t)c_int(c);
    i->life = (enum finding_life)c_int(c);
    i->last_life = (enum finding_life)c_int(c);
    i->job_num = c_int(c);
    c_bytes(c, i->job.b, ID_LEN);
    i->last_us = c_int(c);
    i->fixed_us = c_int(c);
    i->reopened = (int32_t)c_int(c);
    i->body = c_int(c);
    i->head.confidence_x100 = (int32_t)c_int(c);
    i->head.line = (int32_t)c_int(c);
    i->head.path = c_text(c);
    i->head.engines = c_text(c);
    i->head.cwes = c_text(c);
    c_bytes(c, i->head.prints, sizeof i->head.prints);
    i->head.text = c_text(c);
}

int sqlite_issue_add(struct store *s, const struct issue *i)
{
    static const char put[] =
        "INSERT INTO issue (" ISSUE_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?,"
        " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
        " ?, ?)";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};

    b_int(&b, i->num);
    b_int(&b, i->line);
    bind_known(&b, i);
    b_id(&b, &i->id);
    b_id(&b, &i->first_job);
    b_int(&b, i->first_us);
    bind_rest(&b, i);
    return sq_run(q, b.st, "store an issue");
}

#define SET_REST                                                                             \
    "rev = ?, life = ?, last_life = ?, job_num = ?, job = ?, last_us = ?, fixed_us = ?, "    \
    "reopened = ?, body = ?, confidence = ?, at_line = ?, path = ?, engines = ?, cwes = ?, " \
    "prints = ?, text = ? WHERE num = ?"

int sqlite_issue_put(struct store *s, const struct issue *i)
{
    static const char put[] =
        "UPDATE issue SET kind = ?, open = ?, severity = ?, rule = ?, force = ?, noted = ?, reason "
        "= ?,"
        " decided_by = ?, decided_us = ?, until_us = ?, expires_us = ?, " SET_REST;
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};

    bind_known(&b, i);
    bind_rest(&b, i);
    b_int(&b, i->num);
    return sq_run(q, b.st, "store an issue");
}

/* An update writes each index anew that one of its columns is in. */
int sqlite_issue_touch(struct store *s, const struct issue *i)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "UPDATE issue SET " SET_REST), 0};

    bind_rest(&b, i);
    b_int(&b, i->num);
    return sq_run(q, b.st, "store an issue");
}

int sqlite_issue_drop(struct store *s, int64_t num)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "DELETE FROM issue WHERE num = ?"), 0};

    b_int(&b, num);
    return sq_run(q, b.st, "remove an issue");
}

/* ---- reading ---- */

static int give(sqlite3_stmt *st, issue_fn fn, void *arg)
{
    struct columns c = {st, 0};
    struct issue i;

    issue_read(&c, &i);
    return fn(arg, &i);
}

int sqlite_issue_find(struct store *s, int64_t num, issue_fn fn, void *arg)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "SELECT " ISSUE_COLUMNS " FROM issue WHERE num = ?"), 0};
    int rc;

    b_int(&b, num);
    rc = sq_step(q, b.st, "read an issue");
    if (rc == 0) {
        return store_fail(s, ERR_NOT_FOUND, "no such issue");
    }
    if (rc > 0) {
        rc = give(b.st, fn, arg);
        sqlite3_reset(b.st);
    }
    return rc;
}

static int give_all(struct sqlite *q, const char *sql, int64_t line, issue_fn fn, void *arg)
{
    struct binder b = {sq_stmt(q, sql), 0};
    int rc;

    b_int(&b, line);
    while ((rc = sq_step(q, b.st, "read issues")) > 0) {
        rc = give(b.st, fn, arg);
        if (rc != 0) {
            sqlite3_reset(b.st);
            return rc;
        }
    }
    return rc;
}

int sqlite_issues_of(struct store *s, int64_t line, issue_fn fn, void *arg)
{
    return give_all(sqlite_of(s), "SELECT " ISSUE_COLUMNS " FROM issue WHERE line = ?", line, fn,
                    arg);
}

int sqlite_issues_noted(struct store *s, int64_t line, issue_fn fn, void *arg)
{
    return give_all(sqlite_of(s),
                    "SELECT " ISSUE_COLUMNS
                    " FROM issue WHERE line = ? AND noted <> 0 ORDER BY num",
                    line, fn, arg);
}

int sqlite_issue_before(struct store *s, const struct issue_range *r, int64_t below, int64_t *num)
{
    static const char *const sql[] = {
        "SELECT num FROM issue WHERE num < ? ORDER BY num DESC LIMIT 1",
        "SELECT num FROM issue WHERE line = ? AND open = ? AND severity = ? AND num < ?"
        " ORDER BY num DESC LIMIT 1",
        "SELECT num FROM issue WHERE open = ? AND severity = ? AND num < ?"
        " ORDER BY num DESC LIMIT 1",
        "SELECT num FROM issue WHERE kind = ? AND num < ? ORDER BY num DESC LIMIT 1",
        "SELECT num FROM issue WHERE force = ? AND force <> 0 AND num < ?"
        " ORDER BY num DESC LIMIT 1",
    };
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, sql[r->by]), 0};

    if (r->by == ISSUES_OF_LINE) {
        b_int(&b, r->line);
    }
    if (r->by == ISSUES_OF_LINE || r->by == ISSUES_OF_STATE) {
        b_int(&b, r->open);
        b_int(&b, r->severity);
    } else if (r->by == ISSUES_OF_KIND) {
        b_int(&b, r->kind);
    } else if (r->by == ISSUES_OF_TRIAGE) {
        b_int(&b, r->force);
    }
    b_int(&b, below);
    return sqlite_one(q, b.st, num);
}

int sqlite_issue_due(struct store *s, int64_t now_us, uint32_t limit, int64_t *nums, uint32_t *n)
{
    static const char get[] = "SELECT num FROM issue WHERE expires_us <> 0 AND expires_us <= ?"
                              " ORDER BY expires_us, num";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};

    b_int(&b, now_us);
    return sqlite_nums(q, b.st, limit, nums, n);
}

int sqlite_issue_due_next(struct store *s, int64_t *next_us)
{
    static const char get[] =
        "SELECT expires_us FROM issue WHERE expires_us <> 0 ORDER BY expires_us LIMIT 1";
    struct sqlite *q = sqlite_of(s);

    return sqlite_one(q, sq_stmt(q, get), next_us);
}

/* ---- kinds ---- */

int sqlite_kind_add(struct store *s, const struct kind *k)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "INSERT INTO kind VALUES (?, ?, ?, ?)"), 0};

    b_int(&b, k->num);
    b_text(&b, k->rule);
    b_text(&b, k->engines);
    b_text(&b, k->cwes);
    return sq_run(q, b.st, "store a kind of issues");
}

int sqlite_kinds(struct store *s, kind_fn fn, void *arg)
{
    struct sqlite *q = sqlite_of(s);
    sqlite3_stmt *st = sq_stmt(q, "SELECT num, rule, engines, cwes FROM kind ORDER BY num");
    int rc;

    while ((rc = sq_step(q, st, "read kinds of issues")) > 0) {
        struct columns c = {st, 0};
        struct kind k = {.num = c_int(&c)};

        k.rule = c_text(&c);
        k.engines = c_text(&c);
        k.cwes = c_text(&c);
        rc = fn(arg, &k);
        if (rc != 0) {
            sqlite3_reset(st);
            return rc;
        }
    }
    return rc;
}

/* ---- removing what is gone ---- */

static int drop_upto(struct sqlite *q, const char *sql, int64_t line, int64_t below, int64_t budget)
{
    struct binder b = {sq_stmt(q, sql), 0};

    b_int(&b, line);
    b_int(&b, below);
    b_int(&b, budget);
    return sq_run(q, b.st, "remove issues");
}

/* The first of those that are gone: their bodies, unless findings have them, and they. */
int sqlite_line_purge(struct sqlite *q, int64_t line, uint32_t max_rows, bool *rest)
{
    static const char gone[] =
        "SELECT count(*) FROM (SELECT 1 FROM issue WHERE line = ? AND noted = 0"
        " AND num < (SELECT gone_below FROM line WHERE num = ?) LIMIT ?)";
    static const char bodies[] =
        "DELETE FROM finding_body WHERE id IN (SELECT body FROM issue WHERE line = ?1 AND noted = 0"
        " AND num < ?2 ORDER BY open, severity, num LIMIT ?3)"
        " AND NOT EXISTS (SELECT 1 FROM finding WHERE id = finding_body.id)";
    static const char issues[] =
        "DELETE FROM issue WHERE num IN (SELECT num FROM issue WHERE line = ?1 AND noted = 0"
        " AND num < ?2 ORDER BY open, severity, num LIMIT ?3)";
    static const char unused[] = "DELETE FROM line WHERE num = ?1 AND jobs = 0"
                                 " AND NOT EXISTS (SELECT 1 FROM issue WHERE line = ?1)";
    static const char below_of[] = "SELECT gone_below FROM line WHERE num = ?";
    struct binder b = {sq_stmt(q, below_of), 0};
    int64_t below = 0;
    int64_t n = 0;
    int rc;

    b_int(&b, line);
    rc = sqlite_one(q, b.st, &below);
    if (rc == 0) {
        b = (struct binder){sq_stmt(q, gone), 0};
        b_int(&b, line);
        b_int(&b, line);
        b_int(&b, (int64_t)max_rows + 1);
        rc = sqlite_one(q, b.st, &n);
    }
    *rest = n > (int64_t)max_rows;
    if (rc == 0 && n > 0) {
        rc = drop_upto(q, bodies, line, below, max_rows);
        if (rc == 0) {
            rc = drop_upto(q, issues, line, below, max_rows);
        }
    }
    if (rc == 0 && !*rest) {
        b = (struct binder){sq_stmt(q, unused), 0};
        b_int(&b, line);
        rc = sq_run(q, b.st, "remove a line of scans");
    }
    return rc;
}

int sqlite_purge_line(struct store *s, int64_t id, int64_t line)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "INSERT INTO purge (id, result, line) VALUES (?, 0, ?)"), 0};

    b_int(&b, id);
    b_int(&b, line);
    return sq_run(q, b.st, "note what to remove");
}
