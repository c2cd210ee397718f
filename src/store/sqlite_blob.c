/* Raw files of runs in SQLite: where they are, and what is left of them elsewhere. */
#include "base/mem.h"
#include "store/sqlite.h"

int sqlite_blob_put(struct store *s, const struct task *t, const struct outcome *o)
{
    static const char put[] = "INSERT INTO blob (job_num, idx, epoch, path, sha256, size, stored) "
                              "VALUES (?, ?, ?, ?, ?, ?, ?)";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};

    b_int(&b, t->job_num);
    b_int(&b, t->idx);
    b_int(&b, t->epoch);
    b_text(&b, o->raw_path);
    b_text(&b, o->raw_sha256);
    b_int(&b, o->raw_size);
    b_int(&b, o->raw_stored);
    return sq_run(q, b.st, "store a raw file's name");
}

int sqlite_blob_get(struct store *s, int64_t job_num, int32_t idx, char **path, char **uri)
{
    static const char get[] = "SELECT path, uri FROM blob WHERE job_num = ? AND idx = ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};
    struct columns c = {b.st, 0};
    int rc;

    b_int(&b, job_num);
    b_int(&b, idx);
    rc = sq_step(q, b.st, "read a raw file's name");
    if (rc < 0) {
        return rc;
    }
    if (path) {
        *path = rc > 0 ? xstrdup((const char *)sqlite3_column_text(c.st, 0)) : NULL;
    }
    if (uri) {
        *uri = rc > 0 ? xstrdup((const char *)sqlite3_column_text(c.st, 1)) : NULL;
    }
    if (rc > 0) {
        sqlite3_reset(b.st);
    }
    return 0;
}

int sqlite_blob_move(struct store *s, int64_t job_num, int32_t idx, const char *uri)
{
    static const char put[] = "UPDATE blob SET uri = ? WHERE job_num = ? AND idx = ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};

    b_text(&b, uri);
    b_int(&b, job_num);
    b_int(&b, idx);
    return sq_run(q, b.st, "store where a raw file is");
}

int sqlite_blobs_local(struct store *s, uint32_t limit, blob_fn fn, void *arg)
{
    static const char get[] = "SELECT job_num, idx, path FROM blob WHERE uri IS NULL"
                              " ORDER BY job_num, idx LIMIT ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};
    int rc;

    b_int(&b, limit);
    while ((rc = sq_step(q, b.st, "list raw files")) > 0) {
        struct columns c = {b.st, 0};
        int64_t num = c_int(&c);
        int32_t idx = (int32_t)c_int(&c);
        int stop = fn(arg, num, idx, c_text(&c), &s->err);

        if (stop != 0) {
            sqlite3_reset(b.st);
            return stop;
        }
    }
    return rc;
}

int sqlite_orphan_add(struct store *s, int64_t id, const char *uri)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "INSERT INTO orphan VALUES (?, ?)"), 0};

    b_int(&b, id);
    b_text(&b, uri);
    return sq_run(q, b.st, "note what to remove");
}

int sqlite_orphans(struct store *s, uint32_t limit, orphan_fn fn, void *arg)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "SELECT id, uri FROM orphan ORDER BY id LIMIT ?"), 0};
    int rc;

    b_int(&b, limit);
    while ((rc = sq_step(q, b.st, "read what to remove")) > 0) {
        struct columns c = {b.st, 0};
        int64_t id = c_int(&c);
        int stop = fn(arg, id, c_text(&c), &s->err);

        if (stop != 0) {
            sqlite3_reset(b.st);
            return stop;
        }
    }
    return rc;
}

int sqlite_orphan_drop(struct store *s, int64_t id)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "DELETE FROM orphan WHERE id = ?"), 0};

    b_int(&b, id);
    return sq_run(q, b.st, "note what was removed");
}
