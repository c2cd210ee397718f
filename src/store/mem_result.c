/* Hosts and ports in memory. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/mem.h"
#include "store/place.h"

static const char *copy(struct host *h, const char *s)
{
    return s ? arena_strn(h->arena, s, strlen(s)) : NULL;
}

struct mem_host *mem_host_copy(const struct host *from)
{
    struct mem_host *mh = xcalloc(1, sizeof *mh);

    head_copy(&mh->host, from, arena_new());
    return mh;
}

void mem_host_free(struct mem_host *mh)
{
    if (mh) {
        host_done(&mh->host);
        free(mh->stages);
        free(mh);
    }
}

void mem_result_free(struct mem_result *r)
{
    for (int64_t i = 0; i < r->n; i++) {
        mem_host_free(r->hosts[i]);
    }
    free(r->hosts);
    free(r->index);
    free(r);
}

struct mem_result *mem_result_find(struct mem *m, int64_t num)
{
    for (size_t i = 0; i < m->n_results; i++) {
        if (m->results[i]->num == num) {
            return m->results[i];
        }
    }
    return NULL;
}

void mem_result_remove(struct mem *m, int64_t num)
{
    for (size_t i = 0; i < m->n_results; i++) {
        if (m->results[i]->num == num) {
            mem_result_free(m->results[i]);
            m->results[i] = m->results[--m->n_results];
            return;
        }
    }
}

struct mem_result *mem_result_of(struct mem *m, int64_t num)
{
    struct mem_result *r = mem_result_find(m, num);

    if (!r) {
        r = xcalloc(1, sizeof *r);
        r->num = num;
        m->results = xrealloc(m->results, (m->n_results + 1) * sizeof *m->results);
        m->results[m->n_results++] = r;
    }
    return r;
}

void mem_result_add(struct mem_result *r, struct mem_host *mh)
{
    if (r->n == r->size) {
        r->size = MAX(2 * r->size, 16);
        r->hosts = xrealloc(r->hosts, (size_t)r->size * sizeof *r->hosts);
    }
    r->hosts[r->n++] = mh;
}

/* The host whose ports come: not shown before it is put. */
static struct mem_host *host_coming(struct mem *m, int64_t result, int64_t seq)
{
    static const struct host nothing;
    struct mem_result *r = mem_result_of(m, result);

    if (r->n == seq - 1) {
        mem_result_add(r, mem_host_copy(&nothing));
        mem_undo_push(m, &(struct mem_undo){.what = UNDO_HOST, .result = result, .seq = seq});
    }
    assert(r->n == seq);
    return r->hosts[seq - 1];
}

int mem_host_put(struct store *s, int64_t result, int64_t seq, const struct host *head,
                 const struct host_rows *rows)
{
    struct mem *m = mem_of(s);
    struct mem_host *mh = host_coming(m, result, seq);
    struct host *h = &mh->host;
    struct port *ports = h->ports;

    assert(!mh->sealed && h->n_ports == (size_t)rows->n);
    head_copy(h, head, h->arena);
    h->ports = ports;
    h->n_ports = (size_t)rows->n;
    mh->sealed = true;
    mh->n_open = rows->n_open;
    mem_undo_push(m, &(struct mem_undo){.what = UNDO_SEAL, .result = result, .seq = seq});
    return 0;
}

void mem_port_copy(struct host *h, struct port *to, const struct port *p)
{
    *to = *p;
    to->protocol = copy(h, p->protocol);
    to->state = copy(h, p->state);
    to->reason = copy(h, p->reason);
    to->reason_ip = copy(h, p->reason_ip);
    to->owner = copy(h, p->owner);
    to->service = copy(h, p->service);
    to->product = copy(h, p->product);
    to->version = copy(h, p->version);
    to->extrainfo = copy(h, p->extrainfo);
    to->tunnel = copy(h, p->tunnel);
    to->method = copy(h, p->method);
    to->hostname = copy(h, p->hostname);
    to->ostype = copy(h, p->ostype);
    to->devicetype = copy(h, p->devicetype);
    to->cpe = copy(h, p->cpe);
    to->scripts = copy(h, p->scripts);
    to->more = copy(h, p->more);
}

int mem_port_put(struct store *s, int64_t result, int64_t n, int64_t seq, const struct port *p)
{
    struct host *h = &host_coming(mem_of(s), result, seq)->host;

    (void)n;
    mem_port_copy(h, host_add_port(h), p);
    return 0;
}

/* Not undone: a host that is cut was not finished, so nobody can have seen it. */
int mem_result_cut(struct store *s, int64_t result, int64_t n_hosts, int64_t *n_ports)
{
    struct mem_result *r = mem_result_find(mem_of(s), result);
    int64_t ports = 0;

    while (r && r->n > n_hosts) {
        mem_host_free(r->hosts[--r->n]);
    }
    for (int64_t i = 0; r && i < r->n; i++) {
        ports += (int64_t)r->hosts[i]->host.n_ports;
    }
    *n_ports = ports;
    return 0;
}

static int give(const struct mem_host *mh, int64_t seq, const struct host_sink *sink, struct err *e)
{
    struct host head = mh->host;
    int rc;

    head.ports = NULL;
    head.n_ports = 0;
    head.arena = NULL;
    rc = sink->host(sink->arg, seq, &head, e);
    for (size_t i = 0; rc == 0 && sink->port && i < mh->host.n_ports; i++) {
        rc = sink->port(sink->arg, &mh->host.ports[i], e);
    }
    if (rc == 0 && sink->host_end) {
        rc = sink->host_end(sink->arg, e);
    }
    return rc;
}

static bool shows(const struct mem_host *mh, const struct host_filter *f)
{
    return mh->sealed && (!f->state || str_eq(f->state, mh->host.state)) &&
           (!f->open_only || mh->n_open > 0);
}

static int by_address(struct store *s, const struct mem_result *r, const struct host_filter *f,
                      const struct host_sink *sink)
{
    auto_free struct place *v = xcalloc((size_t)r->n + 1, sizeof *v);
    struct place after = place_after(f);
    size_t n = 0;
    int rc = 0;

    for (int64_t i = 0; i < r->n; i++) {
        v[n].seq = i + 1;
        place_of(&r->hosts[i]->host, v[n].key);
        n += shows(r->hosts[i], f) && place_cmp(&v[n], &after) > 0;
    }
    qsort(v, n, sizeof *v, place_cmp);
    for (size_t i = 0; rc == 0 && i < n && i < f->limit; i++) {
        rc = give(r->hosts[v[i].seq - 1], v[i].seq, sink, &s->err);
    }
    return rc;
}

int mem_hosts(struct store *s, int64_t result, const struct host_filter *f,
              const struct host_sink *sink)
{
    const struct mem_result *r = mem_result_find(mem_of(s), result);
    uint32_t given = 0;
    int rc = 0;

    if (r && f->by_address) {
        return by_address(s, r, f, sink);
    }
    for (int64_t i = MAX(f->after, 0); r && rc == 0 && i < r->n && given < f->limit; i++) {
        if (shows(r->hosts[i], f)) {
            rc = give(r->hosts[i], i + 1, sink, &s->err);
            given++;
        }
    }
    return rc;
}

/* In order when they are asked for. */
int mem_host_place(struct store *s, int64_t result, int64_t seq, const uint8_t key[HOST_KEY])
{
    (void)s;
    (void)result;
    (void)seq;
    (void)key;
    return 0;
}

/* ---- what is to be removed ---- */

int mem_purge_add(struct store *s, int64_t id, int64_t result, const char *path)
{
    struct mem *m = mem_of(s);
    struct mem_purge *p = xcalloc(1, sizeof *p);

    *p = (struct mem_purge){.id = id, .result = result, .rows = -1, .path = xstrdup(path)};
    mem_add(m, MEM_PURGE, p);
    return 0;
}

static int64_t rows_of(struct store *s, int64_t result)
{
    const struct mem_result *r = mem_result_find(mem_of(s), result);
    int64_t ports = 0;

    mem_result_cut(s, result, INT64_MAX, &ports);
    return ports + (r ? r->n : 0) + (result ? mem_findings_rows(mem_of(s), result) : 0);
}

bool mem_purge_any(struct store *s)
{
    return mem_of(s)->lists[MEM_PURGE].n > 0;
}

int mem_purge_step(struct store *s, uint32_t max_rows, bool *more, char **path, int64_t *id)
{
    struct mem *m = mem_of(s);
    const struct mem_purge *first = m->lists[MEM_PURGE].v[0];
    struct mem_purge *p = xcalloc(1, sizeof *p);

    *p = *first;
    p->path = xstrdup(first->path);
    if (p->rows < 0) {
        p->rows = rows_of(s, p->result) + (p->line ? mem_line_rows(m, p->line) : 0);
    }
    p->rows -= MIN(p->rows, (int64_t)max_rows);
    mem_replace(m, MEM_PURGE, 0, p);
    if (p->rows > 0) {
        *more = true;
        return 0;
    }
    if (p->result) {
        mem_findings_remove(m, p->result);
    }
    if (p->line) {
        mem_line_remove(m, p->line);
    }
    *more = m->lists[MEM_PURGE].n > 1;
    if (p->path) {
        *path = xstrdup(p->path);
        *id = p->id;
    } else {
        mem_remove(m, MEM_PURGE, 0);
    }
    return 0;
}

int mem_purge_drop(struct store *s, int64_t id)
{
    struct mem *m = mem_of(s);

    for (size_t i = 0; i < m->lists[MEM_PURGE].n; i++) {
        if (((struct mem_purge *)m->lists[MEM_PURGE].v[i])->id == id) {
            mem_remove(m, MEM_PURGE, i);
            break;
        }
    }
    return 0;
}

int mem_purge_keep(struct store *s, int64_t id)
{
    struct mem *m = mem_of(s);

    for (size_t i = 0; i < m->lists[MEM_PURGE].n; i++) {
        const struct mem_purge *is = m->lists[MEM_PURGE].v[i];

        if (is->id == id) {
            struct mem_purge *p = xcalloc(1, sizeof *p);

            *p = (struct mem_purge){.id = id}; /* the rows go with the entry that names them */
            mem_replace(m, MEM_PURGE, i, p);
            mem_remove(m, MEM_PURGE, i);
            break;
        }
    }
    return 0;
}
