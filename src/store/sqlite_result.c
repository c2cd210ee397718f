/*
 * Hosts and ports in SQLite. The id of a row is result * 2^32 + its place in the result, so both
 * tables grow at one end while a run delivers, one set's rows lie together, and a host's ports
 * are a range of ids.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/sqlite.h"

static int64_t first_id(int64_t result)
{
    return (int64_t)((uint64_t)result << 32);
}

/* ---- lists of strings in one column: length and bytes with a NUL, or NONE ---- */

static const uint32_t none = UINT32_MAX;

static void pack(struct buf *b, const char *s)
{
    uint32_t n = s ? (uint32_t)strlen(s) : none;

    buf_add(b, &n, sizeof n);
    if (s) {
        buf_add(b, s, (size_t)n + 1);
    }
}

struct unpacker {
    const char *p;
    size_t n;
};

/* False at the end, or when the bytes make no sense. */
static bool unpack(struct unpacker *u, const char **s)
{
    uint32_t n;

    if (u->n < sizeof n) {
        return false;
    }
    memcpy(&n, u->p, sizeof n);
    u->p += sizeof n;
    u->n -= sizeof n;
    if (n == none) {
        *s = NULL;
        return true;
    }
    if (n >= u->n || u->p[n] != '\0') {
        return false;
    }
    *s = u->p;
    u->p += (size_t)n + 1;
    u->n -= (size_t)n + 1;
    return true;
}

static struct unpacker c_packed(struct columns *c)
{
    struct unpacker u = {sqlite3_column_blob(c->st, c->i), 0};

    if (u.p) {
        u.n = (size_t)sqlite3_column_bytes(c->st, c->i);
    }
    c->i++;
    return u;
}

/* ---- writing ---- */

int sqlite_host_put(struct store *s, int64_t result, int64_t seq, int64_t port_first,
                    const struct host *h)
{
    static const char put[] =
        "INSERT INTO host (id, n_ports, ports_open, port_first, address, state, reason, reason_ttl,"
        " start_s, end_s, timed_out, addrs, names, comment, extraports, os, scripts, more)"
        " VALUES (?, NULL, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};

    buf_reset(&q->addrs);
    buf_reset(&q->names);
    for (size_t i = 0; i < h->n_addrs; i++) {
        pack(&q->addrs, h->addrs[i].addr);
        pack(&q->addrs, h->addrs[i].type);
        pack(&q->addrs, h->addrs[i].vendor);
    }
    for (size_t i = 0; i < h->n_names; i++) {
        pack(&q->names, h->names[i].name);
        pack(&q->names, h->names[i].type);
    }
    b_int(&b, first_id(result) + seq);
    b_int(&b, port_first);
    b_text(&b, host_address(h));
    b_text(&b, h->state);
    b_text(&b, h->reason);
    b_int(&b, h->reason_ttl);
    b_int(&b, h->start_s);
    b_int(&b, h->end_s);
    b_int(&b, h->timed_out);
    b_blob(&b, q->addrs.data, q->addrs.len);
    b_blob(&b, q->names.data, q->names.len);
    b_text(&b, h->comment);
    b_text(&b, h->extraports);
    b_text(&b, h->os);
    b_text(&b, h->scripts);
    b_text(&b, h->more);
    return sq_run(q, b.st, "store a host");
}

int sqlite_port_put(struct store *s, int64_t result, int64_t n, int64_t seq, const struct port *p)
{
    static const char put[] =
        "INSERT INTO port (id, host_seq, number, protocol, state, reason, reason_ttl, conf,"
        " service, method, product, version, extrainfo, tunnel, hostname, ostype, devicetype, cpe,"
        " scripts, reason_ip, owner, more, has_service)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};

    b_int(&b, first_id(result) + n);
    b_int(&b, seq);
    b_int(&b, p->number);
    b_text(&b, p->protocol);
    b_text(&b, p->state);
    b_text(&b, p->reason);
    b_int(&b, p->reason_ttl);
    b_int(&b, p->conf);
    b_text(&b, p->service);
    b_text(&b, p->method);
    b_text(&b, p->product);
    b_text(&b, p->version);
    b_text(&b, p->extrainfo);
    b_text(&b, p->tunnel);
    b_text(&b, p->hostname);
    b_text(&b, p->ostype);
    b_text(&b, p->devicetype);
    b_text(&b, p->cpe);
    b_text(&b, p->scripts);
    b_text(&b, p->reason_ip);
    b_text(&b, p->owner);
    b_text(&b, p->more);
    b_int(&b, p->has_service);
    return sq_run(q, b.st, "store a port");
}

int sqlite_host_seal(struct store *s, int64_t result, int64_t seq, int64_t n_ports, int64_t n_open)
{
    static const char put[] = "UPDATE host SET n_ports = ?, ports_open = ? WHERE id = ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};

    b_int(&b, n_ports);
    b_int(&b, n_open);
    b_int(&b, first_id(result) + seq);
    return sq_run(q, b.st, "store a host");
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

static void read_port(struct columns *c, struct port *p)
{
    p->number = (uint16_t)c_int(c);
    p->protocol = c_text(c);
    p->state = c_text(c);
    p->reason = c_text(c);
    p->reason_ttl = (int32_t)c_int(c);
    p->conf = (int32_t)c_int(c);
    p->service = c_text(c);
    p->method = c_text(c);
    p->product = c_text(c);
    p->version = c_text(c);
    p->extrainfo = c_text(c);
    p->tunnel = c_text(c);
    p->hostname = c_text(c);
    p->ostype = c_text(c);
    p->devicetype = c_text(c);
    p->cpe = c_text(c);
    p->scripts = c_text(c);
    p->reason_ip = c_text(c);
    p->owner = c_text(c);
    p->more = c_text(c);
    p->has_service = c_int(c) != 0;
}

static int give_ports(struct sqlite *q, int64_t first, int64_t n, const struct host_sink *sink)
{
    static const char get[] =
        "SELECT number, protocol, state, reason, reason_ttl, conf, service, method, product,"
        " version, extrainfo, tunnel, hostname, ostype, devicetype, cpe, scripts, reason_ip, owner,"
        " more, has_service FROM port WHERE id >= ? AND id < ? ORDER BY id";
    struct binder b = {sq_stmt(q, get), 0};
    int rc;

    b_int(&b, first);
    b_int(&b, first + n);
    while ((rc = sq_step(q, b.st, "read ports")) > 0) {
        struct columns c = {b.st, 0};
        struct port p = {0};

        read_port(&c, &p);
        rc = sink->port(sink->arg, &p, &q->base.err);
        if (rc != 0) {
            sqlite3_reset(b.st);
            return rc;
        }
    }
    return rc;
}

static void read_lists(struct host *h, struct unpacker addrs, struct unpacker names)
{
    const char *v[3];

    while (unpack(&addrs, &v[0]) && unpack(&addrs, &v[1]) && unpack(&addrs, &v[2])) {
        *host_add_addr(h) = (struct host_addr){v[0], v[1], v[2]};
    }
    while (unpack(&names, &v[0]) && unpack(&names, &v[1])) {
        *host_add_name(h) = (struct host_name){v[0], v[1]};
    }
}

static int give_host(struct sqlite *q, sqlite3_stmt *st, int64_t base, const struct host_sink *sink)
{
    struct columns c = {st, 0};
    struct host h = {0};
    int64_t seq = c_int(&c) - base;
    int64_t n_ports = c_int(&c);
    int64_t port_first = c_int(&c);
    struct unpacker addrs;
    struct unpacker names;
    int rc;

    h.state = c_text(&c);
    h.reason = c_text(&c);
    h.reason_ttl = (int32_t)c_int(&c);
    h.start_s = c_int(&c);
    h.end_s = c_int(&c);
    h.timed_out = c_int(&c) != 0;
    addrs = c_packed(&c);
    names = c_packed(&c);
    h.comment = c_text(&c);
    h.extraports = c_text(&c);
    h.os = c_text(&c);
    h.scripts = c_text(&c);
    h.more = c_text(&c);
    read_lists(&h, addrs, names);
    rc = sink->host(sink->arg, seq, &h, &q->base.err);
    if (rc == 0 && sink->port && n_ports > 0) {
        rc = give_ports(q, base + port_first, n_ports, sink);
    }
    if (rc == 0 && sink->host_end) {
        rc = sink->host_end(sink->arg, &q->base.err);
    }
    host_done(&h);
    return rc;
}

int sqlite_hosts(struct store *s, int64_t result, const struct host_filter *f,
                 const struct host_sink *sink)
{
    static const char get[] =
        "SELECT id, n_ports, port_first, state, reason, reason_ttl, start_s, end_s, timed_out,"
        " addrs, names, comment, extraports, os, scripts, more FROM host"
        " WHERE id > ? AND id < ? AND n_ports IS NOT NULL AND (? IS NULL OR state = ?)"
        " AND ports_open >= ? ORDER BY id LIMIT ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};
    int64_t base = first_id(result);
    int rc;

    b_int(&b, base + MIN(MAX(f->after, 0), (int64_t)UINT32_MAX));
    b_int(&b, first_id(result + 1));
    b_text(&b, f->state);
    b_text(&b, f->state);
    b_int(&b, f->open_only);
    b_int(&b, f->limit);
    while ((rc = sq_step(q, b.st, "read hosts")) > 0) {
        rc = give_host(q, b.st, base, sink);
        if (rc != 0) {
            sqlite3_reset(b.st);
            return rc;
        }
    }
    return rc;
}

/* ---- raw files, and what is to be removed ---- */

int sqlite_blob_put(struct store *s, const struct task *t, const struct outcome *o)
{
    static const char put[] = "INSERT INTO blob VALUES (?, ?, ?, ?, ?, ?, ?)";
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

int sqlite_blob_path(struct store *s, int64_t job_num, int32_t idx, char **path)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "SELECT path FROM blob WHERE job_num = ? AND idx = ?"), 0};
    int rc;

    b_int(&b, job_num);
    b_int(&b, idx);
    rc = sq_step(q, b.st, "read a raw file's name");
    if (rc > 0) {
        *path = xstrdup((const char *)sqlite3_column_text(b.st, 0));
        sqlite3_reset(b.st);
        return 0;
    }
    *path = NULL;
    return rc;
}

int sqlite_purge_add(struct store *s, int64_t id, int64_t result, const char *path)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "INSERT INTO purge VALUES (?, ?, ?)"), 0};

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

/* Deletes the first *budget rows of a set; *rest: some stay. */
static int drop_some(struct sqlite *q, const char *nth, const char *del, int64_t result,
                     int64_t *budget, bool *rest)
{
    struct binder b = {sq_stmt(q, nth), 0};
    int64_t end = 0;
    int rc;

    b_int(&b, first_id(result));
    b_int(&b, first_id(result + 1));
    b_int(&b, *budget);
    rc = sqlite_one(q, b.st, &end); /* the first that stays */
    *rest = end != 0;
    if (rc == 0) {
        rc = drop_range(q, del, first_id(result), end ? end : first_id(result + 1));
    }
    if (rc == 0) {
        *budget -= sqlite3_changes(q->db);
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
    int rc = drop_some(q, nth_port, drop_ports, result, &budget, rest);

    if (rc == 0 && !*rest) {
        rc = drop_some(q, nth_host, drop_hosts, result, &budget, rest);
    }
    return rc;
}

int sqlite_purge_step(struct store *s, uint32_t max_rows, bool *more, char **path, int64_t *id)
{
    static const char first[] = "SELECT id, result, path FROM purge ORDER BY id LIMIT 1";
    static const char next[] = "SELECT id FROM purge WHERE id > ? AND id <> ? LIMIT 1";
    struct sqlite *q = sqlite_of(s);
    struct columns c = {sq_stmt(q, first), 0};
    auto_free char *file = NULL;
    int64_t num;
    int64_t result;
    int rc = sq_step(q, c.st, "read what to remove");

    if (rc <= 0) {
        return rc;
    }
    num = c_int(&c);
    result = c_int(&c);
    file = xstrdup(c_text(&c));
    sqlite3_reset(c.st);
    rc = result ? drop_rows(q, result, max_rows, more) : 0;
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
