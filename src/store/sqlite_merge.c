/*
 * Merged sets in SQLite. Their hosts are rows among the others, each with its place from the start;
 * the ports of a host have a slot of ids in a table of their own, so that one is found by its
 * number, and those of a host lie together in order.
 *
 * While a set is read to be merged, rows are written to `host` and `merged_port`: the statements
 * here are read by nobody else meanwhile.
 */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "store/place.h"
#include "store/sqlite_row.h"

/* ---- the source ---- */

/* Ports are numbered through the set, so that one statement gives those of all hosts. */
struct port_walk {
    sqlite3_stmt *st;
    int64_t end; /* of the set */
    bool open;
};

static int give_ports(struct sqlite *q, struct port_walk *w, int64_t from, int64_t n,
                      const struct host_sink *sink)
{
    struct binder b = {w->st, 0};
    int rc = 0;

    if (!w->open) {
        w->open = true;
        b_int(&b, from);
        b_int(&b, w->end);
    }
    for (int64_t i = 0; rc == 0 && i < n; i++) {
        struct columns c = {w->st, 0};
        struct port p = {0};

        rc = sq_step(q, w->st, "read ports");
        if (rc <= 0) {
            return rc < 0 ? rc : store_fail(&q->base, ERR_IO, "ports of a host are missing");
        }
        port_read(&c, &p);
        rc = sink->port(sink->arg, &p, &q->base.err);
    }
    return rc;
}

static int give(struct sqlite *q, sqlite3_stmt *st, int64_t base, int64_t skip, struct port_walk *w,
                const struct host_sink *sink)
{
    struct columns c = {st, 0};
    struct host_row r;
    int rc;

    host_read(&c, &r);
    rc = sink->host(sink->arg, r.id - base, &r.head, &q->base.err);
    if (rc == 0 && skip < r.n_ports) {
        rc = give_ports(q, w, base + r.port_first + skip, r.n_ports - skip, sink);
    }
    if (rc == 0) {
        rc = sink->host_end(sink->arg, &q->base.err);
    }
    host_done(&r.head);
    return rc;
}

int sqlite_merge_source(struct store *s, int64_t from, int64_t seq, int64_t port,
                        const struct host_sink *sink)
{
    static const char hosts[] = "SELECT " HOST_COLUMNS " FROM host WHERE id > ? AND id < ?"
                                " ORDER BY id";
    static const char ports[] =
        "SELECT " PORT_COLUMNS " FROM port WHERE id >= ? AND id < ? ORDER BY id";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, hosts), 0};
    struct port_walk w = {.st = sq_stmt(q, ports), .end = first_id(from + 1)};
    int64_t base = first_id(from);
    int rc;

    b_int(&b, base + seq);
    b_int(&b, w.end);
    while ((rc = sq_step(q, b.st, "read hosts")) > 0) {
        rc = give(q, b.st, base, port, &w, sink);
        if (rc != 0) {
            break;
        }
        port = 0;
    }
    sqlite3_reset(b.st);
    sqlite3_reset(w.st);
    return rc;
}

/* ---- hosts ---- */

int sqlite_merged_find(struct store *s, int64_t result, const uint8_t key[HOST_KEY], int64_t *seq)
{
    static const char get[] = "SELECT seq FROM place WHERE result = ? AND key = ? LIMIT 1";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};

    b_int(&b, result);
    b_blob(&b, key, place_len(key));
    return sqlite_one(q, b.st, seq);
}

int sqlite_merged_get(struct store *s, struct merged_host *m, struct host *head)
{
    static const char get[] = "SELECT " HOST_COLUMNS " FROM host WHERE id = ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};
    struct columns c = {b.st, 0};
    struct host_row r;
    int rc;

    b_int(&b, first_id(m->result) + m->seq);
    rc = sq_step(q, b.st, "read a host");
    if (rc <= 0) {
        return rc < 0 ? rc : store_fail(s, ERR_IO, "a host of a result is missing");
    }
    host_read(&c, &r);
    m->slot = r.port_first;
    m->marks = r.marks;
    m->n_ports = r.n_ports;
    m->n_open = r.ports_open;
    if (head) {
        head_copy(head, &r.head, head->arena);
    }
    host_done(&r.head);
    sqlite3_reset(b.st);
    return 0;
}

int sqlite_merged_put(struct store *s, const struct merged_host *m, const struct host *head,
                      const uint8_t *key)
{
    static const char put[] =
        "INSERT OR REPLACE INTO host (id, n_ports, ports_open, port_first, marks, " HEAD_COLUMNS
        ") VALUES (?, ?, ?, ?, ?, " HEAD_VALUES ")";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};
    int rc;

    b_int(&b, first_id(m->result) + m->seq);
    b_int(&b, m->n_ports);
    b_int(&b, m->n_open);
    b_int(&b, m->slot);
    b_int(&b, m->marks);
    head_bind(q, &b, head);
    rc = sq_run(q, b.st, "store a host");
    return rc == 0 && key ? sqlite_host_place(s, m->result, m->seq, key) : rc;
}

int sqlite_merged_count(struct store *s, const struct merged_host *m)
{
    static const char put[] = "UPDATE host SET n_ports = ?, ports_open = ? WHERE id = ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};

    b_int(&b, m->n_ports);
    b_int(&b, m->n_open);
    b_int(&b, first_id(m->result) + m->seq);
    return sq_run(q, b.st, "store a host");
}

/* ---- ports ---- */

static const char *copy(struct arena *a, const char *s)
{
    return s ? arena_strn(a, s, strlen(s)) : NULL;
}

static void copy_port(struct arena *a, struct port *p)
{
    p->protocol = copy(a, p->protocol);
    p->state = copy(a, p->state);
    p->reason = copy(a, p->reason);
    p->reason_ip = copy(a, p->reason_ip);
    p->owner = copy(a, p->owner);
    p->service = copy(a, p->service);
    p->product = copy(a, p->product);
    p->version = copy(a, p->version);
    p->extrainfo = copy(a, p->extrainfo);
    p->tunnel = copy(a, p->tunnel);
    p->method = copy(a, p->method);
    p->hostname = copy(a, p->hostname);
    p->ostype = copy(a, p->ostype);
    p->devicetype = copy(a, p->devicetype);
    p->cpe = copy(a, p->cpe);
    p->scripts = copy(a, p->scripts);
    p->more = copy(a, p->more);
}

int sqlite_merged_port_get(struct store *s, const struct merged_host *m, int32_t key,
                           struct arena *a, struct port *out, int32_t *stage, bool *found)
{
    static const char get[] = "SELECT stage, " PORT_COLUMNS " FROM merged_port WHERE id = ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};
    struct columns c = {b.st, 0};
    int rc;

    b_int(&b, m->slot * PORT_KEYS + key);
    rc = sq_step(q, b.st, "read a port");
    *found = rc > 0;
    if (rc > 0) {
        *stage = (int32_t)c_int(&c);
        port_read(&c, out);
        copy_port(a, out);
        sqlite3_reset(b.st);
    }
    return MIN(rc, 0);
}

int sqlite_merged_port_put(struct store *s, const struct merged_host *m, int32_t key,
                           const struct port *p, int32_t stage)
{
    static const char put[] = "INSERT OR REPLACE INTO merged_port (id, stage, " PORT_COLUMNS
                              ") VALUES (?, ?, " PORT_VALUES ")";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};

    b_int(&b, m->slot * PORT_KEYS + key);
    b_int(&b, stage);
    port_bind(&b, p);
    return sq_run(q, b.st, "store a port");
}
