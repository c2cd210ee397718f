#include "report/diff_side.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum { PAGE_ROWS = 1024 };

/* ---- pages ---- */

static void page_reset(struct diff_page *p)
{
    for (size_t i = 0; i < p->n; i++) {
        p->hosts[i].arena = NULL;
        host_done(&p->hosts[i]);
    }
    p->n = p->at = p->rows = 0;
    if (p->arena) {
        arena_reset(p->arena);
    } else {
        p->arena = arena_new();
    }
}

static void page_done(struct diff_page *p)
{
    page_reset(p);
    arena_free(p->arena);
    free(p->hosts);
}

static const char *keep(struct arena *a, const char *s)
{
    return s ? arena_strn(a, s, strlen(s)) : NULL;
}

static const char *share(struct arena *a, const char *neighbour, const char *s)
{
    return s && neighbour && strcmp(neighbour, s) == 0 ? neighbour : keep(a, s);
}

/* Only what is compared or shown. */
static void copy_head(struct host *to, const struct host *h, struct arena *a)
{
    for (size_t i = 0; i < h->n_addrs; i++) {
        *host_add_addr(to) = (struct host_addr){.addr = keep(a, h->addrs[i].addr),
                                                .type = keep(a, h->addrs[i].type)};
    }
    for (size_t i = 0; i < h->n_names; i++) {
        *host_add_name(to) = (struct host_name){.name = keep(a, h->names[i].name)};
    }
    to->state = keep(a, h->state);
    to->timed_out = h->timed_out;
    to->extraports = keep(a, h->extraports);
    to->os = keep(a, h->os);
    to->scripts = keep(a, h->scripts);
}

static void copy_port(struct host *to, const struct port *p, struct arena *a)
{
    static const struct port none;
    struct port *v = host_add_port(to);
    const struct port *o = to->n_ports > 1 ? v - 1 : &none;

    v->number = p->number;
    v->protocol = share(a, o->protocol, p->protocol);
    v->state = share(a, o->state, p->state);
    v->has_service = p->has_service;
    v->service = share(a, o->service, p->service);
    v->product = share(a, o->product, p->product);
    v->version = share(a, o->version, p->version);
    v->extrainfo = share(a, o->extrainfo, p->extrainfo);
    v->tunnel = share(a, o->tunnel, p->tunnel);
    v->scripts = keep(a, p->scripts);
}

static int on_host(void *arg, int64_t seq, const struct host *h, struct err *e)
{
    struct diff_side *d = arg;
    struct diff_page *p = &d->pages[d->page];
    const char *address = host_address(h);
    uint8_t key[HOST_KEY];

    (void)e;
    if (p->rows >= PAGE_ROWS) {
        return 1;
    }
    if (!address || !host_key(address, key)) {
        d->end = true; /* these are the last ones */
        return 1;
    }
    memcpy(d->after_key, key, sizeof key);
    d->after = seq;
    d->started = true;
    if (p->n == p->size) {
        p->size = MAX(2 * p->size, 64);
        p->hosts = xrealloc(p->hosts, p->size * sizeof *p->hosts);
    }
    p->hosts[p->n] = (struct host){.reason_ttl = -1};
    copy_head(&p->hosts[p->n++], h, p->arena);
    p->rows++;
    return 0;
}

static int on_port(void *arg, const struct port *port, struct err *e)
{
    struct diff_side *d = arg;
    struct diff_page *p = &d->pages[d->page];

    (void)e;
    copy_port(&p->hosts[p->n - 1], port, p->arena);
    p->rows++;
    return 0;
}

static int on_end(void *arg, struct err *e)
{
    (void)arg;
    (void)e;
    return 0;
}

/* Fills the page d->page anew. */
static int page_load(struct diff_side *d, struct err *e)
{
    const struct host_sink sink = {.host = on_host, .port = on_port, .host_end = on_end, .arg = d};
    struct host_filter f = {.by_address = true, .after = d->after, .limit = 1000};
    struct diff_page *p = &d->pages[d->page];
    uint8_t after_key[HOST_KEY];
    int rc;

    page_reset(p);
    memcpy(after_key, d->after_key, HOST_KEY);
    f.after_key = d->started ? after_key : NULL;
    rc = store_hosts(d->store, d->num, &f, &sink, e);
    if (rc < 0) {
        return rc;
    }
    d->end = d->end || p->n == 0;
    return 0;
}

/* ---- hosts ---- */

/* The next one, without taking it. 1: a page was read first, ask again. */
static int peek(struct diff_side *d, const struct host **out, uint32_t *rows, struct err *e)
{
    struct diff_page *p = &d->pages[d->page];
    int rc;

    if (p->at < p->n || d->end) {
        *out = p->at < p->n ? &p->hosts[p->at] : NULL;
        return 0;
    }
    d->page ^= 1; /* what is at hand may be in the other one */
    rc = page_load(d, e);
    *rows += 1 + (uint32_t)d->pages[d->page].rows;
    return rc < 0 ? rc : 1;
}

static void host_join(struct host *to, const struct host *h)
{
    struct host head = *h;

    if (str_eq(to->state, "up")) {
        head.state = "up";
    }
    if (to->arena == NULL) {
        to->arena = arena_new();
    }
    head.extraports = h->extraports ? h->extraports : to->extraports;
    head.os = h->os ? h->os : to->os;
    head.scripts = h->scripts ? h->scripts : to->scripts;
    copy_head(to, &head, to->arena);
    for (size_t i = 0; i < h->n_ports; i++) {
        copy_port(to, &h->ports[i], to->arena);
    }
}

int diff_port_order(const struct port *a, const struct port *b)
{
    int rc = a->protocol == b->protocol
                 ? 0
                 : strcmp(a->protocol ? a->protocol : "", b->protocol ? b->protocol : "");

    return rc ? rc : (int)a->number - (int)b->number;
}

/* Rows of one port: the later one first. */
static int row_order(const void *a, const void *b)
{
    const struct port *x = *(const struct port *const *)a;
    const struct port *y = *(const struct port *const *)b;
    int rc = diff_port_order(x, y);

    return rc ? rc : (x < y) - (x > y);
}

static void order_ports(struct diff_side *d)
{
    const struct host *h = d->host;
    bool sorted = true;
    size_t n = 0;

    if (h->n_ports > d->size_ports) {
        d->size_ports = MAX(h->n_ports, 2 * d->size_ports);
        free(d->ports);
        d->ports = xcalloc(d->size_ports, sizeof *d->ports);
    }
    for (size_t i = 0; i < h->n_ports; i++) {
        d->ports[i] = &h->ports[i];
        sorted = sorted && (i == 0 || diff_port_order(&h->ports[i - 1], &h->ports[i]) < 0);
    }
    d->n_ports = h->n_ports;
    if (sorted) {
        return;
    }
    qsort(d->ports, d->n_ports, sizeof *d->ports, row_order);
    for (size_t i = 0; i < d->n_ports; i++) {
        if (n == 0 || diff_port_order(d->ports[n - 1], d->ports[i]) != 0) {
            d->ports[n++] = d->ports[i];
        }
    }
    d->n_ports = n;
}

/* Takes the next one; NULL: there is none. */
static int take(struct diff_side *d, uint32_t *rows, struct err *e)
{
    const struct host *h;
    int rc;

    d->host = NULL;
    d->n_ports = 0;
    rc = peek(d, &h, rows, e);
    if (rc != 0) {
        return rc;
    }
    host_done(&d->joined);
    d->host = h;
    if (h) {
        d->pages[d->page].at++;
        host_key(host_address(h), d->key);
    }
    return 0;
}

int diff_side_next(struct diff_side *d, uint32_t *rows, struct err *e)
{
    const struct host *next;
    uint8_t key[HOST_KEY];
    int rc = d->taken ? 0 : take(d, rows, e);

    if (rc != 0 || !d->host) {
        return rc;
    }
    d->taken = true; /* until it is known that no other row is of its address */
    for (;;) {
        rc = peek(d, &next, rows, e);
        if (rc != 0) {
            return rc;
        }
        if (!next || !host_key(host_address(next), key) || memcmp(key, d->key, HOST_KEY) != 0) {
            break;
        }
        if (d->host != &d->joined) {
            host_join(&d->joined, d->host);
            d->host = &d->joined;
        }
        host_join(&d->joined, next);
        d->pages[d->page].at++;
    }
    d->taken = false;
    order_ports(d);
    return 0;
}

/* ---- the job ---- */

struct found {
    int64_t num;
    struct diff_side *side;
    bool found, over;
};

static int on_job(void *arg, const struct job *j, struct err *e)
{
    struct found *f = arg;

    (void)e;
    f->found = j->num == f->num;
    f->over = job_state_terminal(j->state);
    f->side->tells = str_eq(j->tool, "nmap") && !j->profile;
    return 0;
}

int diff_side_init(struct diff_side *d, struct store *s, int64_t num, struct err *e)
{
    const struct job_filter filter = {.oldest_first = true, .after = num - 1, .limit = 1};
    struct found f = {.num = num, .side = d};
    int rc;

    *d = (struct diff_side){.store = s, .num = num};
    rc = store_job_list(s, &filter, on_job, &f, e);
    if (rc != 0) {
        return rc;
    }
    if (!f.found) {
        return err_set(e, ERR_NOT_FOUND, "there is no such scan");
    }
    if (!f.over) {
        return err_set(e, ERR_CONFLICT, "the scan has not ended: there is no result to compare");
    }
    return diff_cover_new(s, num, &d->cover, e);
}

void diff_side_done(struct diff_side *d)
{
    page_done(&d->pages[0]);
    page_done(&d->pages[1]);
    host_done(&d->joined);
    diff_cover_free(d->cover);
    free(d->ports);
}
