/*
 * Hosts in the order of their addresses. The table `place` has them in that order, but for the
 * first PLACE_UNWRITTEN of a plain set: these are looked at whenever a page is asked for, and put
 * between the others.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/place.h"
#include "store/sqlite_row.h"

int sqlite_host_place(struct store *s, int64_t result, int64_t seq, const uint8_t key[HOST_KEY])
{
    static const char put[] = "INSERT INTO place VALUES (?, ?, ?)";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};

    b_int(&b, result);
    b_blob(&b, key, place_len(key));
    b_int(&b, seq);
    return sq_run(q, b.st, "store an address");
}

/* The hosts without a row that a page may show. */
struct first {
    struct place v[PLACE_UNWRITTEN];
    size_t n;
};

/* Hosts of merged sets have all of them rows. */
static int load_first(struct sqlite *q, int64_t result, const struct host_filter *f,
                      struct first *out)
{
    static const char get[] = "SELECT id, address FROM host WHERE id > ? AND id <= ?"
                              " AND marks IS NULL AND (? IS NULL OR state = ?) AND ports_open >= ?";
    struct binder b = {sq_stmt(q, get), 0};
    struct place after = place_after(f);
    int64_t base = first_id(result);
    int rc;

    out->n = 0;
    b_int(&b, base);
    b_int(&b, base + PLACE_UNWRITTEN);
    b_text(&b, f->state);
    b_text(&b, f->state);
    b_int(&b, f->open_only);
    while ((rc = sq_step(q, b.st, "read addresses")) > 0) {
        struct columns c = {b.st, 0};
        struct place *p = &out->v[out->n];

        p->seq = c_int(&c) - base;
        place_of_text(c_text(&c), p->key);
        out->n += place_cmp(p, &after) > 0;
    }
    qsort(out->v, out->n, sizeof *out->v, place_cmp);
    return rc;
}

static int give_first(struct sqlite *q, int64_t id, const struct host_sink *sink)
{
    static const char get[] = "SELECT " HOST_COLUMNS " FROM host WHERE id = ?";
    struct binder b = {sq_stmt(q, get), 0};
    int rc;

    b_int(&b, id);
    rc = sq_step(q, b.st, "read a host");
    if (rc > 0) {
        rc = host_give(q, b.st, sink);
        sqlite3_reset(b.st);
    }
    return rc;
}

static sqlite3_stmt *walk(struct sqlite *q, int64_t result, const struct host_filter *f,
                          const struct place *after)
{
    static const char get[] =
        "SELECT " HOST_COLUMNS ", seq, key FROM place CROSS JOIN host"
        " WHERE result = ?1 AND (key, seq) > (?2, ?3) AND id = (?1 << 32) + seq"
        " AND (?4 IS NULL OR state = ?4) AND ports_open >= ?5"
        " ORDER BY key, seq LIMIT ?6";
    struct binder b = {sq_stmt(q, get), 0};

    b_int(&b, result);
    b_blob(&b, after->key, place_len(after->key));
    b_int(&b, after->seq);
    b_text(&b, f->state);
    b_int(&b, f->open_only);
    b_int(&b, f->limit);
    return b.st;
}

enum { WALK_SEQ = 19, WALK_KEY };

/* Where the row of the walk is. */
static struct place place_read(sqlite3_stmt *st)
{
    struct place p;
    const void *key = sqlite3_column_blob(st, WALK_KEY);
    size_t n = (size_t)sqlite3_column_bytes(st, WALK_KEY);

    memset(p.key, 255, sizeof p.key);
    if (key && n > 1 && n <= HOST_KEY) {
        memset(p.key, 0, sizeof p.key);
        memcpy(p.key, key, n);
    }
    p.seq = sqlite3_column_int64(st, WALK_SEQ);
    return p;
}

/* Those of `first` that come before `p` (NULL: all). */
static int give_before(struct sqlite *q, int64_t result, const struct first *first, size_t *at,
                       const struct place *p, uint32_t *left, const struct host_sink *sink)
{
    int rc = 0;

    while (rc == 0 && *left > 0 && *at < first->n && (!p || place_cmp(&first->v[*at], p) < 0)) {
        rc = give_first(q, first_id(result) + first->v[(*at)++].seq, sink);
        --*left;
    }
    return rc;
}

int sqlite_hosts_by_address(struct store *s, int64_t result, const struct host_filter *f,
                            const struct host_sink *sink)
{
    struct sqlite *q = sqlite_of(s);
    struct place after = place_after(f);
    struct first first;
    size_t at = 0;
    uint32_t left = f->limit;
    sqlite3_stmt *st;
    int rc = load_first(q, result, f, &first);
    int more;

    if (rc != 0) {
        return rc;
    }
    st = walk(q, result, f, &after);
    while (rc == 0 && left > 0 && (more = sq_step(q, st, "read hosts")) != 0) {
        struct place p;

        if (more < 0) {
            return more;
        }
        p = place_read(st);
        rc = give_before(q, result, &first, &at, &p, &left, sink);
        if (rc == 0 && left > 0) {
            rc = host_give(q, st, sink);
            left--;
        }
    }
    sqlite3_reset(st);
    return rc == 0 ? give_before(q, result, &first, &at, NULL, &left, sink) : rc;
}
