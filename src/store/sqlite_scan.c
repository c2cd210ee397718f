/* Scans of repositories and their lines in SQLite. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/sqlite.h"

static char *text(struct columns *c)
{
    return xstrdup(c_text(c));
}

static const void *bytes(struct columns *c, size_t *n)
{
    const void *p = sqlite3_column_blob(c->st, c->i);

    *n = p ? (size_t)sqlite3_column_bytes(c->st, c->i) : 0;
    c->i++;
    return p ? p : "";
}

/* ---- scans ---- */

int sqlite_scan_put(struct store *s, const struct scan *sc)
{
    static const char put[] =
        "INSERT OR REPLACE INTO scan (job_num, line, url, branch, subdir,"
        " commit_id, asked, baseline, diff, complete, ended, reread,"
        " findings, figures) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};
    auto_buf figures = {0};

    figures_pack(&sc->is, &figures);
    b_int(&b, sc->job_num);
    b_int(&b, sc->line);
    b_text(&b, sc->url);
    b_text(&b, sc->branch);
    b_text(&b, sc->subdir);
    b_text(&b, sc->commit);
    b_int(&b, sc->asked);
    b_id(&b, &sc->baseline);
    b_int(&b, sc->diff);
    b_int(&b, sc->complete);
    b_int(&b, sc->ended);
    b_int(&b, sc->reread);
    b_int(&b, sc->findings);
    b_blob(&b, figures.data, figures.len);
    return sq_run(q, b.st, "store a scan");
}

int sqlite_scan_find(struct store *s, int64_t job_num, struct scan *out)
{
    static const char get[] =
        "SELECT job_num, line, url, branch, subdir, commit_id, asked,"
        " baseline, diff, complete, ended, reread, findings, figures FROM scan"
        " WHERE job_num = ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};
    struct columns c = {b.st, 0};
    const void *p;
    size_t n;
    int rc;

    b_int(&b, job_num);
    rc = sq_step(q, b.st, "read a scan");
    if (rc == 0) {
        return store_fail(s, ERR_NOT_FOUND, "the job is no repository scan");
    }
    if (rc < 0) {
        return rc;
    }
    *out = (struct scan){.job_num = c_int(&c)};
    out->line = c_int(&c);
    out->url = text(&c);
    out->branch = text(&c);
    out->subdir = text(&c);
    out->commit = text(&c);
    out->asked = (enum scan_asked)c_int(&c);
    c_bytes(&c, out->baseline.b, ID_LEN);
    out->diff = c_int(&c) != 0;
    out->complete = c_int(&c) != 0;
    out->ended = c_int(&c) != 0;
    out->reread = c_int(&c) != 0;
    out->findings = c_int(&c);
    p = bytes(&c, &n);
    figures_unpack(p, n, &out->is);
    sqlite3_reset(b.st);
    return 0;
}

int sqlite_scan_drop(struct store *s, int64_t job_num)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "DELETE FROM scan WHERE job_num = ?"), 0};

    b_int(&b, job_num);
    return sq_run(q, b.st, "remove a scan");
}

/* ---- lines ---- */

int sqlite_line_put(struct store *s, const struct line *l)
{
    static const char put[] = "INSERT OR REPLACE INTO line VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
                              " ?, ?, ?)";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};
    auto_buf counting = {0};

    spread_pack(&l->counting, &counting);
    b_int(&b, l->num);
    b_text(&b, l->key);
    b_text(&b, l->url);
    b_text(&b, l->branch);
    b_text(&b, l->subdir);
    b_int(&b, l->last_num);
    b_id(&b, &l->last_job);
    b_int(&b, l->last_us);
    b_int(&b, l->jobs);
    b_int(&b, l->gone_below);
    b_int(&b, l->open);
    b_int(&b, l->complete);
    b_text(&b, l->level);
    b_blob(&b, counting.data, counting.len);
    return sq_run(q, b.st, "store a line of scans");
}

#define LINE_COLUMNS                                                                       \
    "num, key, url, branch, subdir, last_num, last_job, last_us, jobs, gone_below, open, " \
    "complete, level, counting"

static void line_read(struct columns *c, struct line *l)
{
    const void *p;
    size_t n;

    *l = (struct line){.num = c_int(c)};
    l->key = text(c);
    l->url = text(c);
    l->branch = text(c);
    l->subdir = text(c);
    l->last_num = c_int(c);
    c_bytes(c, l->last_job.b, ID_LEN);
    l->last_us = c_int(c);
    l->jobs = c_int(c);
    l->gone_below = c_int(c);
    l->open = c_int(c);
    l->complete = c_int(c) != 0;
    snprintf(l->level, sizeof l->level, "%s", c_text(c));
    p = bytes(c, &n);
    spread_unpack(p, n, &l->counting);
}

int sqlite_line_find(struct store *s, const char *key, int64_t num, struct line *out)
{
    static const char by_key[] = "SELECT " LINE_COLUMNS " FROM line WHERE key = ?";
    static const char by_num[] = "SELECT " LINE_COLUMNS " FROM line WHERE num = ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, key ? by_key : by_num), 0};
    struct columns c = {b.st, 0};
    int rc;

    if (key) {
        b_text(&b, key);
    } else {
        b_int(&b, num);
    }
    rc = sq_step(q, b.st, "read a line of scans");
    if (rc == 0) {
        return store_fail(s, ERR_NOT_FOUND, "no such line of scans");
    }
    if (rc > 0) {
        line_read(&c, out);
        sqlite3_reset(b.st);
    }
    return MIN(rc, 0);
}

int sqlite_lines(struct store *s, const char *after, line_fn fn, void *arg)
{
    static const char get[] = "SELECT " LINE_COLUMNS " FROM line WHERE key > ? ORDER BY key";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};
    int rc;

    b_text(&b, after);
    while ((rc = sq_step(q, b.st, "read lines of scans")) > 0) {
        struct columns c = {b.st, 0};
        struct line l;

        line_read(&c, &l);
        rc = fn(arg, &l);
        line_done(&l);
        if (rc != 0) {
            sqlite3_reset(b.st);
            return rc;
        }
    }
    return rc;
}
