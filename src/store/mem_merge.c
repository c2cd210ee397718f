/*
 * Merged sets in memory. A host that is changed is copied once in each turn, so that a rollback has
 * the old one; ports are kept in the order of port_key().
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/mem.h"
#include "store/place.h"

int mem_merge_source(struct store *s, int64_t from, int64_t seq, int64_t port,
                     const struct host_sink *sink)
{
    const struct mem_result *r = mem_result_find(mem_of(s), from);
    int rc = 0;

    for (int64_t i = seq; r && rc == 0 && i < r->n; i++, port = 0) {
        const struct mem_host *mh = r->hosts[i];
        struct host head = mh->host;

        if (!mh->sealed) {
            continue;
        }
        head.ports = NULL;
        head.n_ports = 0;
        head.arena = NULL;
        rc = sink->host(sink->arg, i + 1, &head, &s->err);
        for (size_t k = (size_t)port; rc == 0 && k < mh->host.n_ports; k++) {
            rc = sink->port(sink->arg, &mh->host.ports[k], &s->err);
        }
        if (rc == 0) {
            rc = sink->host_end(sink->arg, &s->err);
        }
    }
    return rc;
}

/* ---- by address ---- */

static size_t hash(const uint8_t key[HOST_KEY])
{
    uint32_t h = 2166136261u;

    for (int i = 0; i < HOST_KEY; i++) {
        h = (h ^ key[i]) * 16777619u;
    }
    return h;
}

/* Where a key is, or would be. */
static uint32_t *index_at(const struct mem_result *r, const uint8_t key[HOST_KEY])
{
    uint8_t is[HOST_KEY];
    size_t i = hash(key) % r->index_size;

    while (r->index[i]) {
        place_of(&r->hosts[r->index[i] - 1]->host, is);
        if (memcmp(is, key, HOST_KEY) == 0) {
            break;
        }
        i = (i + 1) % r->index_size;
    }
    return &r->index[i];
}

static void index_add(struct mem_result *r, int64_t seq)
{
    uint8_t key[HOST_KEY];

    if (place_of(&r->hosts[seq - 1]->host, key)) {
        *index_at(r, key) = (uint32_t)seq;
        r->indexed++;
    }
}

static void index_drop(struct mem_result *r)
{
    free(r->index);
    r->index = NULL;
    r->index_size = r->indexed = 0;
}

static void index_make(struct mem_result *r, size_t size)
{
    index_drop(r);
    r->index = xcalloc(size, sizeof *r->index);
    r->index_size = size;
    for (int64_t seq = 1; seq <= r->n; seq++) {
        index_add(r, seq);
    }
}

int mem_merged_find(struct store *s, int64_t result, const uint8_t key[HOST_KEY], int64_t *seq)
{
    struct mem_result *r = mem_result_find(mem_of(s), result);

    if (r && !r->index) {
        index_make(r, MAX(64, 4 * (size_t)r->n));
    }
    *seq = r ? *index_at(r, key) : 0;
    return 0;
}

/* ---- hosts ---- */

static struct mem_host *host_at(const struct mem_result *r, int64_t seq)
{
    assert(r && seq >= 1 && seq <= r->n);
    return r->hosts[seq - 1];
}

/* Another head with the same ports. */
static struct mem_host *with_head(const struct mem_host *from, const struct host *head)
{
    struct mem_host *to = mem_host_copy(head);
    size_t n = from->host.n_ports;

    to->sealed = from->sealed;
    to->n_open = from->n_open;
    to->marks = from->marks;
    to->turn = from->turn;
    for (size_t i = 0; i < n; i++) {
        mem_port_copy(&to->host, host_add_port(&to->host), &from->host.ports[i]);
    }
    if (n > 0) {
        to->stages = xcalloc(n, sizeof *to->stages);
        memcpy(to->stages, from->stages, n * sizeof *to->stages);
    }
    return to;
}

/* The host, which may be changed: what it was is kept for a rollback. */
static struct mem_host *host_touch(struct mem *m, const struct merged_host *at)
{
    struct mem_result *r = mem_result_of(m, at->result);
    struct mem_host *mh;

    if (at->seq > r->n) {
        static const struct host empty;

        assert(at->seq == r->n + 1);
        mh = mem_host_copy(&empty);
        mem_result_add(r, mh);
        mem_undo_push(
            m, &(struct mem_undo){.what = UNDO_MERGED, .result = at->result, .seq = at->seq});
    } else {
        struct mem_host *old = host_at(r, at->seq);

        if (old->turn == m->turn) {
            return old;
        }
        mh = with_head(old, &old->host);
        r->hosts[at->seq - 1] = mh;
        mem_undo_push(m,
                      &(struct mem_undo){
                          .what = UNDO_MERGED, .result = at->result, .seq = at->seq, .old = old});
    }
    mh->turn = m->turn;
    return mh;
}

void mem_merged_undo(struct mem *m, const struct mem_undo *u)
{
    struct mem_result *r = mem_result_find(m, u->result);

    mem_host_free(host_at(r, u->seq));
    if (u->old) {
        r->hosts[u->seq - 1] = u->old;
    } else {
        assert(u->seq == r->n);
        r->n--;
        index_drop(r);
    }
}

int mem_merged_get(struct store *s, struct merged_host *m, struct host *head)
{
    const struct mem_host *mh = host_at(mem_result_find(mem_of(s), m->result), m->seq);

    m->marks = mh->marks;
    m->n_ports = (int64_t)mh->host.n_ports;
    m->n_open = mh->n_open;
    if (head) {
        head_copy(head, &mh->host, head->arena);
    }
    return 0;
}

int mem_merged_put(struct store *s, const struct merged_host *m, const struct host *head,
                   const uint8_t *key)
{
    struct mem_host *old = host_touch(mem_of(s), m);
    struct mem_result *r = mem_result_find(mem_of(s), m->result);
    struct mem_host *mh = with_head(old, head);

    assert(mh->host.n_ports == (size_t)m->n_ports);
    mh->sealed = true;
    mh->marks = m->marks;
    mh->n_open = m->n_open;
    r->hosts[m->seq - 1] = mh;
    mem_host_free(old);
    if (key && r->index) {
        if (2 * r->indexed >= r->index_size) {
            index_make(r, 4 * r->index_size);
        } else {
            index_add(r, m->seq);
        }
    }
    return 0;
}

int mem_merged_count(struct store *s, const struct merged_host *m)
{
    struct mem_host *mh = host_touch(mem_of(s), m);

    assert(mh->host.n_ports == (size_t)m->n_ports);
    mh->n_open = m->n_open;
    return 0;
}

/* ---- ports ---- */

/* The first that is not before the key. */
static size_t port_at(const struct host *h, int32_t key)
{
    size_t lo = 0;
    size_t hi = h->n_ports;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (port_key(&h->ports[mid]) < key) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

int mem_merged_port_get(struct store *s, const struct merged_host *m, int32_t key, struct arena *a,
                        struct port *out, int32_t *stage, bool *found)
{
    const struct mem_result *r = mem_result_find(mem_of(s), m->result);
    const struct mem_host *mh = r && m->seq <= r->n ? host_at(r, m->seq) : NULL;
    size_t i = mh ? port_at(&mh->host, key) : 0;

    (void)a; /* its strings stay as long as the turn */
    *found = mh && i < mh->host.n_ports && port_key(&mh->host.ports[i]) == key;
    if (*found) {
        *out = mh->host.ports[i];
        *stage = mh->stages[i];
    }
    return 0;
}

int mem_merged_port_put(struct store *s, const struct merged_host *m, int32_t key,
                        const struct port *p, int32_t stage)
{
    struct mem_host *mh = host_touch(mem_of(s), m);
    struct host *h = &mh->host;
    size_t i = port_at(h, key);

    if (i == h->n_ports || port_key(&h->ports[i]) != key) {
        size_t behind = h->n_ports - i;

        host_add_port(h);
        mh->stages = xrealloc(mh->stages, h->n_ports * sizeof *mh->stages);
        memmove(&h->ports[i + 1], &h->ports[i], behind * sizeof *h->ports);
        memmove(&mh->stages[i + 1], &mh->stages[i], behind * sizeof *mh->stages);
    }
    mem_port_copy(h, &h->ports[i], p);
    mh->stages[i] = stage;
    return 0;
}
