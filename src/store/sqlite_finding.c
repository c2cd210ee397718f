/*
 * Findings, verdicts and bodies in SQLite: three tables with the ids of the findings, that grow at
 * one end while a scan delivers.
 */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/sqlite.h"

/* ---- heads ---- */

static void head_bind(struct binder *b, const struct finding_head *h)
{
    b_int(b, h->severity);
    b_int(b, h->confidence_x100);
    b_int(b, h->line);
    b_text(b, h->rule);
    b_text(b, h->path);
    b_text(b, h->engines);
    b_text(b, h->cwes);
    b_blob(b, h->prints, sizeof h->prints);
    b_text(b, h->text);
}

static void head_read(struct columns *c, struct finding_head *h)
{
    h->severity = (enum severity)c_int(c);
    h->confidence_x100 = (int32_t)c_int(c);
    h->line = (int32_t)c_int(c);
    h->rule = c_text(c);
    h->path = c_text(c);
    h->engines = c_text(c);
    h->cwes = c_text(c);
    c_bytes(c, h->prints, sizeof h->prints);
    h->text = c_text(c);
}

int sqlite_finding_put(struct store *s, int64_t id, const struct finding_head *h, const void *body,
                       size_t n)
{
    static const char put_head[] = "INSERT INTO finding (id, severity, confidence, at_line, rule,"
                                   " path, engines, cwes, prints, text)"
                                   " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put_head), 0};
    int rc;

    b_int(&b, id);
    head_bind(&b, h);
    rc = sq_run(q, b.st, "store a finding");
    if (rc != 0) {
        return rc;
    }
    b = (struct binder){sq_stmt(q, "INSERT INTO finding_body VALUES (?, ?)"), 0};
    b_int(&b, id);
    b_blob(&b, body, n);
    return sq_run(q, b.st, "store a finding");
}

int sqlite_verdict_put(struct store *s, int64_t id, const struct verdict *v)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "INSERT INTO verdict VALUES (?, ?, ?, ?)"), 0};

    b_int(&b, id);
    b_int(&b, v->issue);
    b_int(&b, v->life);
    b_int(&b, v->body);
    return sq_run(q, b.st, "store what a finding is");
}

static void verdict_read(struct columns *c, struct verdict *v)
{
    v->issue = c_int(c);
    v->life = (enum finding_life)c_int(c);
    v->body = c_int(c);
}

/* ---- sets ---- */

static sqlite3_stmt *set_stmt(struct sqlite *q, const char *sql, int64_t result, int64_t after)
{
    struct binder b = {sq_stmt(q, sql), 0};

    b_int(&b, finding_id(result, MIN(MAX(after, 0), (int64_t)UINT32_MAX)));
    b_int(&b, finding_id(result + 1, 0));
    return b.st;
}

int sqlite_findings(struct store *s, int64_t result, int64_t after, head_fn fn, void *arg)
{
    static const char get[] =
        "SELECT f.id, v.id IS NOT NULL, v.issue, v.life, v.body, severity, confidence, at_line,"
        " rule, path, engines, cwes, prints, text FROM finding f LEFT JOIN verdict v ON v.id = f.id"
        " WHERE f.id > ? AND f.id < ? ORDER BY f.id";
    struct sqlite *q = sqlite_of(s);
    sqlite3_stmt *st = set_stmt(q, get, result, after);
    int rc;

    while ((rc = sq_step(q, st, "read findings")) > 0) {
        struct columns c = {st, 0};
        struct finding_head h;
        struct verdict v;
        int64_t seq = c_int(&c) - finding_id(result, 0);
        bool compared = c_int(&c) != 0;

        verdict_read(&c, &v);
        head_read(&c, &h);
        rc = fn(arg, seq, &h, compared ? &v : NULL);
        if (rc != 0) {
            sqlite3_reset(st);
            return rc;
        }
    }
    return rc;
}

int sqlite_verdicts(struct store *s, int64_t result, int64_t after, verdict_fn fn, void *arg)
{
    static const char get[] =
        "SELECT id, issue, life, body FROM verdict WHERE id > ? AND id < ? ORDER BY id";
    struct sqlite *q = sqlite_of(s);
    sqlite3_stmt *st = set_stmt(q, get, result, after);
    int rc;

    while ((rc = sq_step(q, st, "read findings")) > 0) {
        struct columns c = {st, 0};
        int64_t seq = c_int(&c) - finding_id(result, 0);
        struct verdict v;

        verdict_read(&c, &v);
        rc = fn(arg, seq, &v);
        if (rc != 0) {
            sqlite3_reset(st);
            return rc;
        }
    }
    return rc;
}

/* ---- bodies ---- */

int sqlite_body_get(struct store *s, int64_t id, struct buf *out, bool *found)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "SELECT body FROM finding_body WHERE id = ?"), 0};
    int rc;

    b_int(&b, id);
    rc = sq_step(q, b.st, "read a finding");
    *found = rc > 0;
    if (rc > 0) {
        const void *body = sqlite3_column_blob(b.st, 0);

        buf_add(out, body ? body : "", (size_t)sqlite3_column_bytes(b.st, 0));
        sqlite3_reset(b.st);
    }
    return MIN(rc, 0);
}

int sqlite_body_free(struct store *s, int64_t id)
{
    static const char sql[] = "DELETE FROM finding_body WHERE id = ?"
                              " AND NOT EXISTS (SELECT 1 FROM finding WHERE id = finding_body.id)";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, sql), 0};

    b_int(&b, id);
    return sq_run(q, b.st, "remove a finding");
}

/* ---- removing ---- */

static int drop(struct sqlite *q, const char *sql, int64_t lo, int64_t hi)
{
    struct binder b = {sq_stmt(q, sql), 0};

    b_int(&b, lo);
    b_int(&b, hi);
    return sq_run(q, b.st, "remove findings");
}

/* The first id of a table, from lo on, that stays if `budget` rows go; 0: none. */
static int first_left(struct sqlite *q, const char *nth, int64_t lo, int64_t hi, int64_t budget,
                      int64_t *id)
{
    struct binder b = {sq_stmt(q, nth), 0};

    b_int(&b, lo);
    b_int(&b, hi);
    b_int(&b, MAX(budget, 0));
    return sqlite_one(q, b.st, id);
}

static const char drop_findings[] = "DELETE FROM finding WHERE id >= ? AND id < ?";
static const char drop_verdicts[] = "DELETE FROM verdict WHERE id >= ? AND id < ?";
/* But for those that issues show. */
static const char drop_bodies[] =
    "DELETE FROM finding_body WHERE id IN (SELECT id FROM finding WHERE id >= ? AND id < ?)"
    " AND NOT EXISTS (SELECT 1 FROM verdict v JOIN issue i ON i.num = v.issue"
    " WHERE v.id = finding_body.id AND i.body = finding_body.id)";

/* All of the findings from lo to before `end`. */
static int drop_whole(struct sqlite *q, int64_t lo, int64_t end, int64_t *budget)
{
    int rc = drop(q, drop_bodies, lo, end);

    if (rc == 0) {
        rc = drop(q, drop_verdicts, lo, end);
    }
    if (rc == 0) {
        rc = drop(q, drop_findings, lo, end);
        *budget -= sqlite3_changes(q->db);
    }
    return rc;
}

static int drop_reported(struct sqlite *q, int64_t lo, int64_t hi, int64_t *budget, bool *rest)
{
    static const char nth[] =
        "SELECT id FROM finding WHERE id >= ? AND id < ? ORDER BY id LIMIT 1 OFFSET ?";
    static const char last[] =
        "SELECT id FROM finding WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT 1 OFFSET ?";
    int64_t end = 0;
    int rc = first_left(q, nth, lo, hi, *budget, &end);

    *rest = end != 0;
    if (rc == 0 && !*rest) {
        rc = first_left(q, last, lo, hi, 0, &end); /* the verdicts behind it are of others */
        end += end != 0;
    }
    return rc == 0 && end ? drop_whole(q, lo, end, budget) : rc;
}

int sqlite_findings_purge(struct sqlite *q, int64_t result, int64_t *budget, bool *rest)
{
    static const char nth[] =
        "SELECT id FROM verdict WHERE id >= ? AND id < ? ORDER BY id LIMIT 1 OFFSET ?";
    int64_t lo = finding_id(result, 0);
    int64_t hi = finding_id(result + 1, 0);
    int64_t end = 0;
    int rc = drop_reported(q, lo, hi, budget, rest);

    if (rc != 0 || *rest) {
        return rc;
    }
    rc = first_left(q, nth, lo, hi, *budget, &end);
    *rest = end != 0;
    if (rc == 0) {
        rc = drop(q, drop_verdicts, lo, end ? end : hi);
        *budget -= sqlite3_changes(q->db);
    }
    return rc;
}
