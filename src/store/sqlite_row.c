/* Hosts and ports as rows. */
#include "store/sqlite_row.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

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

/* ---- heads ---- */

void head_bind(struct sqlite *q, struct binder *b, const struct host *h)
{
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
    b_text(b, host_address(h));
    b_text(b, h->state);
    b_text(b, h->reason);
    b_int(b, h->reason_ttl);
    b_int(b, h->start_s);
    b_int(b, h->end_s);
    b_int(b, h->timed_out);
    b_blob(b, q->addrs.data, q->addrs.len);
    b_blob(b, q->names.data, q->names.len);
    b_text(b, h->comment);
    b_text(b, h->extraports);
    b_text(b, h->os);
    b_text(b, h->scripts);
    b_text(b, h->more);
}

void host_read(struct columns *c, struct host_row *r)
{
    struct host *h = &r->head;
    struct unpacker addrs;
    struct unpacker names;

    *r = (struct host_row){.id = c_int(c)};
    r->n_ports = c_int(c);
    r->ports_open = c_int(c);
    r->port_first = c_int(c);
    r->merged = sqlite3_column_type(c->st, c->i) != SQLITE_NULL;
    r->marks = c_int(c);
    c->i++; /* the address is among the others */
    h->state = c_text(c);
    h->reason = c_text(c);
    h->reason_ttl = (int32_t)c_int(c);
    h->start_s = c_int(c);
    h->end_s = c_int(c);
    h->timed_out = c_int(c) != 0;
    addrs = c_packed(c);
    names = c_packed(c);
    h->comment = c_text(c);
    h->extraports = c_text(c);
    h->os = c_text(c);
    h->scripts = c_text(c);
    h->more = c_text(c);
    read_lists(h, addrs, names);
}

/* ---- ports ---- */

void port_bind(struct binder *b, const struct port *p)
{
    b_int(b, p->number);
    b_text(b, p->protocol);
    b_text(b, p->state);
    b_text(b, p->reason);
    b_int(b, p->reason_ttl);
    b_int(b, p->conf);
    b_text(b, p->service);
    b_text(b, p->method);
    b_text(b, p->product);
    b_text(b, p->version);
    b_text(b, p->extrainfo);
    b_text(b, p->tunnel);
    b_text(b, p->hostname);
    b_text(b, p->ostype);
    b_text(b, p->devicetype);
    b_text(b, p->cpe);
    b_text(b, p->scripts);
    b_text(b, p->reason_ip);
    b_text(b, p->owner);
    b_text(b, p->more);
    b_int(b, p->has_service);
}

void port_read(struct columns *c, struct port *p)
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

static int give_ports(struct sqlite *q, sqlite3_stmt *st, int64_t lo, int64_t hi,
                      const struct host_sink *sink)
{
    struct binder b = {st, 0};
    int rc;

    b_int(&b, lo);
    b_int(&b, hi);
    while ((rc = sq_step(q, b.st, "read ports")) > 0) {
        struct columns c = {b.st, 0};
        struct port p = {0};

        port_read(&c, &p);
        rc = sink->port(sink->arg, &p, &q->base.err);
        if (rc != 0) {
            sqlite3_reset(b.st);
            return rc;
        }
    }
    return rc;
}

static int ports_of(struct sqlite *q, const struct host_row *r, int64_t base,
                    const struct host_sink *sink)
{
    static const char plain[] =
        "SELECT " PORT_COLUMNS " FROM port WHERE id >= ? AND id < ? ORDER BY id";
    static const char merged[] =
        "SELECT " PORT_COLUMNS " FROM merged_port WHERE id >= ? AND id < ? ORDER BY id";
    int64_t lo = r->merged ? r->port_first * PORT_KEYS : base + r->port_first;
    int64_t hi = r->merged ? lo + PORT_KEYS : lo + r->n_ports;

    return give_ports(q, sq_stmt(q, r->merged ? merged : plain), lo, hi, sink);
}

int host_give(struct sqlite *q, sqlite3_stmt *st, const struct host_sink *sink)
{
    struct columns c = {st, 0};
    struct host_row r;
    int64_t base;
    int rc;

    host_read(&c, &r);
    base = r.id & ~(int64_t)UINT32_MAX;
    rc = sink->host(sink->arg, r.id - base, &r.head, &q->base.err);
    if (rc == 0 && sink->port && r.n_ports > 0) {
        rc = ports_of(q, &r, base, sink);
    }
    if (rc == 0 && sink->host_end) {
        rc = sink->host_end(sink->arg, &q->base.err);
    }
    host_done(&r.head);
    return rc;
}
