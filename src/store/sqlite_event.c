/* Events and remembered requests in SQLite. */
#include "store/sqlite.h"

/* ---- events ---- */

int sqlite_event_put(struct store *s, const struct event *ev)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "INSERT INTO event VALUES (?, ?, ?, ?, ?)"), 0};

    b_int(&b, ev->seq);
    b_int(&b, ev->at_us);
    b_int(&b, event_type_num(ev->type));
    b_id(&b, &ev->job_id);
    b_text(&b, ev->data);
    return sq_run(q, b.st, "store an event");
}

int sqlite_events(struct store *s, int64_t after, int64_t last, uint32_t limit, event_fn fn,
                  void *arg)
{
    static const char get[] = "SELECT seq, at_us, type, job_id, data FROM event"
                              " WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};
    int rc;

    b_int(&b, after);
    b_int(&b, last);
    b_int(&b, limit);
    while ((rc = sq_step(q, b.st, "read events")) > 0) {
        struct columns c = {b.st, 0};
        struct event ev = {.seq = c_int(&c)};
        int stop;

        ev.at_us = c_int(&c);
        ev.type = event_type_name((int)c_int(&c));
        c_bytes(&c, ev.job_id.b, ID_LEN);
        ev.data = c_text(&c);
        stop = fn(arg, &ev, &s->err);
        if (stop != 0) {
            sqlite3_reset(b.st);
            return stop;
        }
    }
    return rc;
}

int64_t sqlite_event_first(struct store *s)
{
    struct sqlite *q = sqlite_of(s);
    int64_t seq = 0;

    return sqlite_one(q, sq_stmt(q, "SELECT seq FROM event ORDER BY seq LIMIT 1"), &seq) == 0 ? seq
                                                                                              : 0;
}

int sqlite_event_older(struct store *s, int64_t before_us, int64_t upto, uint32_t limit,
                       int64_t *last, int64_t *n)
{
    struct sqlite *q = sqlite_of(s);
    sqlite3_stmt *st = sq_stmt(q, "SELECT seq, at_us FROM event ORDER BY seq");
    int rc = 0;

    while (*n < limit && (rc = sq_step(q, st, "read events")) > 0 &&
           sqlite3_column_int64(st, 1) < before_us && sqlite3_column_int64(st, 0) <= upto) {
        *last = sqlite3_column_int64(st, 0);
        ++*n;
    }
    sqlite3_reset(st);
    return rc < 0 ? rc : 0;
}

int sqlite_event_drop(struct store *s, int64_t last)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "DELETE FROM event WHERE seq <= ?"), 0};

    b_int(&b, last);
    return sq_run(q, b.st, "remove events");
}

/* ---- remembered requests ---- */

int sqlite_idem_find(struct store *s, const char *key_id, const char *idem, uint8_t fingerprint[32],
                     struct id *job, bool *found)
{
    static const char get[] = "SELECT fingerprint, job_id FROM idem WHERE key_id = ? AND idem = ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};
    struct columns c = {b.st, 0};
    int rc;

    b_text(&b, key_id);
    b_text(&b, idem);
    rc = sq_step(q, b.st, "look up a request");
    if (rc < 0) {
        return rc;
    }
    *found = rc > 0;
    if (rc > 0) {
        c_bytes(&c, fingerprint, 32);
        c_bytes(&c, job->b, ID_LEN);
        sqlite3_reset(b.st);
    }
    return 0;
}

int sqlite_idem_put(struct store *s, const char *key_id, const char *idem,
                    const uint8_t fingerprint[32], const struct id *job, int64_t now_us)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "INSERT INTO idem VALUES (?, ?, ?, ?, ?)"), 0};

    b_text(&b, key_id);
    b_text(&b, idem);
    b_blob(&b, fingerprint, 32);
    b_id(&b, job);
    b_int(&b, now_us);
    return sq_run(q, b.st, "remember a request");
}

bool sqlite_idem_older(struct store *s, int64_t before_us)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "SELECT 1 FROM idem WHERE at_us < ? LIMIT 1"), 0};
    int64_t yes = 0;

    b_int(&b, before_us);
    return sqlite_one(q, b.st, &yes) == 0 && yes;
}

int sqlite_idem_drop(struct store *s, int64_t before_us)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "DELETE FROM idem WHERE at_us < ?"), 0};

    b_int(&b, before_us);
    return sq_run(q, b.st, "forget requests");
}
