/*
 * Hosts and ports in SQLite. The id of a row is result * 2^32 + its place in the result, so both
 * tables grow at one end while a run delivers, one set's rows lie together, and a host's ports
 * are a range of ids.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/sqlite_row.h"

/* ---- writing ---- */

int sqlite_host_put(struct store *s, int64_t result, int64_t seq, const struct host *head,
                    const struct host_rows *r)
{
    static const char put[] = "INSERT INTO host (id, n_ports, ports_open, port_first, " HEAD_COLUMNS
                              ") VALUES (?, ?, ?, ?, " HEAD_VALUES ")";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};

    b_int(&b, first_id(result) + seq);
    b_int(&b, r->n);
    b_int(&b, r->n_open);
    b_int(&b, r->first);
    head_bind(q, &b, head);
    return sq_run(q, b.st, "store a host");
}

int sqlite_port_put(struct store *s, int64_t result, int64_t n, int64_t seq, const struct port *p)
{
    static const char put[] =
        "INSERT INTO port (id, host_seq, " PORT_COLUMNS ") VALUES (?, ?, " PORT_VALUES ")";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};

    b_int(&b, first_id(result) + n);
    b_int(&b, seq);
    port_bind(&b, p);
    return sq_run(q, b.st, "store a port");
}

static int drop_range(struct sqlite *q, const char *sql, int64_t lo, int64_t hi)
{
    struct binder b = {sq_stmt(q, sql), 0};

    b_int(&b, lo);
    b_int(&b, hi);
    return sq_run(q, b.st, "remove results");
}

static const char drop_hosts[] = "DELETE FROM host WHERE id >= ? AND id < ?";
static const char drop_ports[] = "DELETE FROM port WHERE id >= ? AND id < ?";

int sqlite_result_cut(struct store *s, int64_t result, int64_t n_hosts, int64_t *n_ports)
{
    static const char last[] = "SELECT port_first + n_ports FROM host WHERE id = ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, last), 0};
    int64_t base = first_id(result);
    int64_t ports = 0;
    int rc;

    b_int(&b, base + n_hosts);
    rc = sqlite_one(q, b.st, &ports);
    if (rc == 0) {
        rc = drop_range(q, drop_hosts, base + n_hosts + 1, first_id(result + 1));
    }
    if (rc == 0) {
        rc = drop_range(q, drop_ports, base + ports, first_id(result + 1));
    }
    if (rc == 0) {
        *n_ports = ports;
    }
    return rc;
}

/* ---- reading ---- */

int sqlite_hosts(struct store *s, int64_t result, const struct host_filter *f,
                 const struct host_sink *sink)
{
    static const char get[] =
        "SELECT " HOST_COLUMNS " FROM host WHERE id > ? AND id < ? AND (? IS NULL OR state = ?)"
        " AND ports_open >= ? ORDER BY id LIMIT ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};
    int64_t base = first_id(result);
    int rc;

    if (f->by_address) {
        return sqlite_hosts_by_address(s, result, f, sink);
    }
    b_int(&b, base + MIN(MAX(f->after, 0), (int64_t)UINT32_MAX));
    b_int(&b, first_id(result + 1));
    b_text(&b, f->state);
    b_text(&b, f->state);
    b_int(&b, f->open_only);
    b_int(&b, f->limit);
    while ((rc = sq_step(q, b.st, "read hosts")) > 0) {
        rc = host_give(q, b.st, sink);
        if (rc != 0) {
            sqlite3_reset(b.st);
            return rc;
        }
    }
    return rc;
}

/* ---- what is to be removed ---- */

int sqlite_purge_add(struct store *s, int64_t id, int64_t result, const char *path)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "INSERT INTO purge (id, result, path) VALUES (?, ?, ?)"), 0};

    b_int(&b, id);
    b_int(&b, result);
    b_text(&b, path);
    return sq_run(q, b.st, "note what to remove");
}

int sqlite_purge_drop(struct store *s, int64_t id)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "DELETE FROM purge WHERE id = ?"), 0};

    b_int(&b, id);
    return sq_run(q, b.st, "note what was removed");
}

static int exists(struct sqlite *q, const char *sql, int64_t a, int64_t c, bool *yes)
{
    struct binder b = {sq_stmt(q, sql), 0};
    int64_t v = 0;
    int rc;

    b_int(&b, a);
    b_int(&b, c);
    rc = sqlite_one(q, b.st, &v);
    *yes = v != 0;
    return rc;
}

bool sqlite_purge_any(struct store *s)
{
    struct sqlite *q = sqlite_of(s);
    int64_t id = 0;

    /* when it cannot be read, the step that follows says so */
    return sqlite_one(q, sq_stmt(q, "SELECT id FROM purge LIMIT 1"), &id) != 0 || id != 0;
}

/* Deletes the first *budget rows between two ids; *rest: some stay. */
static int drop_some(struct sqlite *q, const char *nth, const char *del, int64_t lo, int64_t hi,
                     int64_t *budget, bool *rest)
{
    struct binder b = {sq_stmt(q, nth), 0};
    int64_t end = 0;
    int rc;

    b_int(&b, lo);
    b_int(&b, hi);
    b_int(&b, *budget);
    rc = sqlite_one(q, b.st, &end); /* the first that stays */
    *rest = end != 0;
    if (rc == 0) {
        rc = drop_range(q, del, lo, end ? end : hi);
    }
    if (rc == 0) {
        *budget -= sqlite3_changes(q->db);
    }
    return rc;
}

static int drop_places(struct sqlite *q, int64_t result, int64_t *budget, bool *rest)
{
    static const char nth[] = "SELECT seq, key FROM place WHERE result = ? ORDER BY key, seq"
                              " LIMIT 1 OFFSET ?";
    static const char some[] = "DELETE FROM place WHERE result = ? AND (key, seq) < (?, ?)";
    static const char all[] = "DELETE FROM place WHERE result = ?";
    struct binder b = {sq_stmt(q, nth), 0};
    uint8_t key[HOST_KEY];
    size_t n = 0;
    int64_t seq = 0;
    int rc;

    b_int(&b, result);
    b_int(&b, *budget);
    rc = sq_step(q, b.st, "read what to remove");
    *rest = rc > 0;
    if (rc > 0) { /* the first that stays */
        seq = sqlite3_column_int64(b.st, 0);
        n = MIN((size_t)sqlite3_column_bytes(b.st, 1), sizeof key);
        memcpy(key, sqlite3_column_blob(b.st, 1), n);
        sqlite3_reset(b.st);
    }
    b = (struct binder){sq_stmt(q, *rest ? some : all), 0};
    b_int(&b, result);
    if (*rest) {
        b_blob(&b, key, n);
        b_int(&b, seq);
    }
    if (rc >= 0) {
        rc = sq_run(q, b.st, "remove results");
        *budget -= sqlite3_changes(q->db);
    }
    return rc;
}

/* The first host of a merged set that is there; *found is false if the set is none. */
static int next_merged(struct sqlite *q, int64_t result, int64_t *id, int64_t *slot, bool *found)
{
    static const char next[] = "SELECT id, port_first, marks IS NOT NULL FROM host"
                               " WHERE id >= ? AND id < ? ORDER BY id LIMIT 1";
    struct binder b = {sq_stmt(q, next), 0};
    struct columns c = {b.st, 0};
    int rc;

    b_int(&b, first_id(result));
    b_int(&b, first_id(result + 1));
    rc = sq_step(q, b.st, "read what to remove");
    *found = false;
    if (rc > 0) {
        *id = c_int(&c);
        *slot = c_int(&c);
        *found = c_int(&c) != 0;
        sqlite3_reset(b.st);
    }
    return MIN(rc, 0);
}

/* The hosts of a merged set tell where their ports are, and so go one by one, after these. */
static int drop_merged(struct sqlite *q, int64_t result, int64_t *budget, bool *rest)
{
    static const char nth[] =
        "SELECT id FROM merged_port WHERE id >= ? AND id < ? ORDER BY id LIMIT 1 OFFSET ?";
    static const char ports[] = "DELETE FROM merged_port WHERE id >= ? AND id < ?";
    int64_t id;
    int64_t slot;
    bool found = false;
    int rc = next_merged(q, result, &id, &slot, &found);

    while (rc == 0 && found && !*rest) {
        rc = drop_some(q, nth, ports, slot * PORT_KEYS, (slot + 1) * PORT_KEYS, budget, rest);
        if (rc == 0 && !*rest) {
            rc = drop_range(q, drop_hosts, id, id + 1);
            --*budget;
        }
        if (rc == 0 && !*rest) {
            rc = next_merged(q, result, &id, &slot, &found);
            *rest = found && *budget <= 0;
        }
    }
    return rc;
}

static int drop_rows(struct sqlite *q, int64_t result, uint32_t max_rows, bool *rest)
{
    static const char nth_port[] =
        "SELECT id FROM port WHERE id >= ? AND id < ? ORDER BY id LIMIT 1 OFFSET ?";
    static const char nth_host[] =
        "SELECT id FROM host WHERE id >= ? AND id < ? ORDER BY id LIMIT 1 OFFSET ?";
    int64_t budget = max_rows;
    int64_t lo = first_id(result);
    int64_t hi = first_id(result + 1);
    int rc = drop_some(q, nth_port, drop_ports, lo, hi, &budget, rest);

    if (rc == 0 && !*rest) {
        rc = drop_places(q, result, &budget, rest);
    }
    if (rc == 0 && !*rest) {
        rc = drop_merged(q, result, &budget, rest);
    }
    if (rc == 0 && !*rest) {
        rc = drop_some(q, nth_host, drop_hosts, lo, hi, &budget, rest);
    }
    if (rc == 0 && !*rest) {
        rc = sqlite_findings_purge(q, result, &budget, rest);
    }
    return rc;
}

int sqlite_purge_step(struct store *s, uint32_t max_rows, bool *more, char **path, int64_t *id)
{
    static const char first[] = "SELECT id, result, path, line FROM purge ORDER BY id LIMIT 1";
    static const char next[] = "SELECT id FROM purge WHERE id > ? AND id <> ? LIMIT 1";
    struct sqlite *q = sqlite_of(s);
    struct columns c = {sq_stmt(q, first), 0};
    auto_free char *file = NULL;
    int64_t num;
    int64_t result;
    int64_t line;
    int rc = sq_step(q, c.st, "read what to remove");

    if (rc <= 0) {
        return rc;
    }
    num = c_int(&c);
    result = c_int(&c);
    file = xstrdup(c_text(&c));
    line = c_int(&c);
    sqlite3_reset(c.st);
    rc = result ? drop_rows(q, result, max_rows, more) : 0;
    if (rc == 0 && line) {
        rc = sqlite_line_purge(q, line, max_rows, more);
    }
    if (rc != 0 || *more) {
        return rc;
    }
    if (!file) {
        rc = sqlite_purge_drop(s, num);
    }
    if (rc == 0) {
        rc = exists(q, next, num, num, more);
    }
    if (rc == 0 && file) {
        *id = num;
        *path = take_ptr(&file);
    }
    return rc;
}
