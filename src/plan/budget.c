/*
 * One bucket for each network that somebody sends to. A task pays for its first second when it
 * starts and has that second paid ahead for as long as it runs; what is left of it comes back when
 * it ends. So a bucket never owes anything. Buckets that are full and that nobody uses are dropped
 * when the table grows.
 */
#include "plan/budget.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

enum { NETWORKS_MAX = 4096, WAIT_LEAST_MS = 20, WAIT_USED_MS = 1000, SHARE_LEAST = 8 };

struct bucket {
    uint64_t net; /* IPv4: address / 256; IPv6: the high half */
    bool v6, taken;
    int64_t at_ms;
    double tokens, used; /* used: a second */
};

struct share {
    uint64_t net;
    bool v6;
    double part; /* of the task's rate */
};

struct running {
    uint64_t task;
    uint32_t rate;
    struct share *v; /* owned */
    size_t n;
};

struct budget {
    uint32_t pps;
    struct bucket *table; /* owned; size is a power of two */
    size_t n, size;
    struct running *running; /* owned */
    size_t n_running;
};

struct budget *budget_new(uint32_t pps)
{
    struct budget *b = xcalloc(1, sizeof *b);

    b->pps = pps;
    return b;
}

void budget_free(struct budget *b)
{
    if (!b) {
        return;
    }
    for (size_t i = 0; i < b->n_running; i++) {
        free(b->running[i].v);
    }
    free(b->running);
    free(b->table);
    free(b);
}

void budget_set(struct budget *b, uint32_t pps)
{
    b->pps = pps;
}

uint32_t budget_pps(const struct budget *b)
{
    return b->pps;
}

/* ---- buckets ---- */

static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static struct bucket *slot_of(struct budget *b, uint64_t net, bool v6)
{
    size_t i = (size_t)mix(net * 2 + v6) & (b->size - 1);

    while (b->table[i].taken && (b->table[i].net != net || b->table[i].v6 != v6)) {
        i = (i + 1) & (b->size - 1);
    }
    return &b->table[i];
}

static void fill(const struct budget *b, struct bucket *k, int64_t now_ms)
{
    double passed = now_ms > k->at_ms ? (double)(now_ms - k->at_ms) / 1000 : 0;

    k->tokens += passed * ((double)b->pps - k->used);
    k->tokens = fmin(fmax(k->tokens, 0), b->pps);
    k->at_ms = now_ms > k->at_ms ? now_ms : k->at_ms;
}

static void grow(struct budget *b, int64_t now_ms)
{
    struct bucket *old = b->table;
    size_t size = b->size, keep = 0;

    for (size_t i = 0; i < size; i++) {
        if (old[i].taken) {
            fill(b, &old[i], now_ms);
            old[i].taken = old[i].used > 0 || old[i].tokens < b->pps;
            keep += old[i].taken;
        }
    }
    for (b->size = 256; b->size < 4 * keep + 4; b->size *= 2) {
    }
    b->table = xcalloc(b->size, sizeof *b->table);
    b->n = keep;
    for (size_t i = 0; i < size; i++) {
        if (old[i].taken) {
            *slot_of(b, old[i].net, old[i].v6) = old[i];
        }
    }
    free(old);
}

static struct bucket *bucket_of(struct budget *b, uint64_t net, bool v6, int64_t now_ms)
{
    struct bucket *k;

    if (2 * (b->n + 1) > b->size) {
        grow(b, now_ms);
    }
    k = slot_of(b, net, v6);
    if (!k->taken) {
        *k =
            (struct bucket){.net = net, .v6 = v6, .taken = true, .at_ms = now_ms, .tokens = b->pps};
        b->n++;
    }
    fill(b, k, now_ms);
    return k;
}

/* ---- networks of a task ---- */

static uint64_t net_of(const struct net_ip *ip)
{
    return ip->v6 ? ip->hi : ip->lo >> 8;
}

static double addresses(const struct net_range *r)
{
    return (double)(r->last.hi - r->first.hi) * 18446744073709551616.0 +
           ((double)r->last.lo - (double)r->first.lo) + 1;
}

/* How many addresses of a range are in one network. */
static double inside(const struct net_range *r, uint64_t net)
{
    double all = r->first.v6 ? 18446744073709551616.0 : 256;
    uint64_t first = net_of(&r->first), last = net_of(&r->last);
    double before = r->first.v6 ? (double)r->first.lo : (double)(r->first.lo & 255);
    double behind =
        r->first.v6 ? (double)(UINT64_MAX - r->last.lo) : (double)(255 - (r->last.lo & 255));

    return fmax(all - (net == first ? before : 0) - (net == last ? behind : 0), 1);
}

static void add_share(struct running *t, const struct net_range *r, uint64_t net, double all)
{
    struct share *last = t->n ? &t->v[t->n - 1] : NULL;
    double part = inside(r, net) / all;

    if (last && last->net == net && last->v6 == r->first.v6) {
        last->part += part;
        return;
    }
    t->v[t->n++] = (struct share){net, r->first.v6, part};
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* The networks of a set, at most NETWORKS_MAX of them, by chance. Ranges of one network each may
 * repeat it: they are neighbours in a sorted set. */
static void shares_of(const struct netset *s, struct running *t)
{
    uint64_t nets = 0, seed = t->task, at = 0;
    size_t picks = 0, k = 0;
    double all = 0;
    auto_free uint64_t *pick = NULL;

    for (size_t i = 0; i < s->n; i++) {
        uint64_t n = net_of(&s->v[i].last) - net_of(&s->v[i].first);

        all += addresses(&s->v[i]);
        nets = nets + n + 1 < nets ? UINT64_MAX : nets + n + 1;
    }
    picks = (size_t)(nets < NETWORKS_MAX ? nets : NETWORKS_MAX);
    pick = xcalloc(picks + 1, sizeof *pick);
    for (size_t i = 0; i < picks; i++) {
        pick[i] = nets <= NETWORKS_MAX ? i : mix(seed += UINT64_C(0x9e3779b97f4a7c15)) % nets;
    }
    qsort(pick, picks, sizeof *pick, by_number);
    t->v = xcalloc(picks + 1, sizeof *t->v);
    for (size_t i = 0; i < s->n && k < picks; i++) {
        uint64_t first = net_of(&s->v[i].first), n = net_of(&s->v[i].last) - first;

        for (; k < picks && pick[k] - at <= n; k++) {
            if (k == 0 || pick[k] != pick[k - 1]) {
                add_share(t, &s->v[i], first + (pick[k] - at), all);
            }
        }
        at += n + 1;
    }
}

/* ---- taking and giving ---- */

/* The rate at which no bucket of the task runs dry; *full: if nobody else sent anything. */
static double rate_of(struct budget *b, const struct running *t, int64_t now_ms, double *full,
                      uint32_t *wait_ms, double want)
{
    double best = INFINITY;

    *full = INFINITY;
    *wait_ms = WAIT_LEAST_MS;
    for (size_t i = 0; i < t->n; i++) {
        struct bucket *k = bucket_of(b, t->v[i].net, t->v[i].v6, now_ms);
        double room = fmax(b->pps - k->used, 0), part = t->v[i].part;
        double need = fmin(want * part, b->pps) / SHARE_LEAST;

        *full = fmin(*full, b->pps / part);
        best = fmin(best, fmin(room, k->tokens) / part);
        if (room <= need) {
            *wait_ms = WAIT_USED_MS; /* until somebody ends */
        } else if (k->tokens < need && *wait_ms != WAIT_USED_MS) {
            double ms = 1000 * (need - k->tokens) / room;

            *wait_ms = (uint32_t)fmin(fmax(*wait_ms, ceil(ms) + 1), WAIT_USED_MS);
        }
    }
    return best;
}

bool budget_take(struct budget *b, uint64_t task, const struct netset *targets, uint32_t rate,
                 int64_t now_ms, uint32_t *granted, uint32_t *wait_ms)
{
    struct running t = {.task = task};
    double best, full, want;

    if (!b->pps || !targets->n) {
        *granted = rate;
        return true;
    }
    budget_give(b, task, now_ms);
    shares_of(targets, &t);
    rate_of(b, &t, now_ms, &full, wait_ms, 0);
    want = rate ? fmin(rate, full) : full;
    best = fmin(rate_of(b, &t, now_ms, &full, wait_ms, want), want);
    if (best < 1 || best * SHARE_LEAST < want) {
        free(t.v);
        return false;
    }
    t.rate = best < UINT32_MAX ? (uint32_t)best : UINT32_MAX;
    for (size_t i = 0; i < t.n; i++) {
        struct bucket *k = bucket_of(b, t.v[i].net, t.v[i].v6, now_ms);

        k->used += t.rate * t.v[i].part;
        k->tokens = fmax(k->tokens - t.rate * t.v[i].part, 0);
    }
    b->running = xrealloc(b->running, (b->n_running + 1) * sizeof *b->running);
    b->running[b->n_running++] = t;
    *granted = t.rate;
    return true;
}

void budget_give(struct budget *b, uint64_t task, int64_t now_ms)
{
    for (size_t i = 0; i < b->n_running; i++) {
        struct running *t = &b->running[i];

        if (t->task != task) {
            continue;
        }
        for (size_t k = 0; k < t->n; k++) {
            struct bucket *u = bucket_of(b, t->v[k].net, t->v[k].v6, now_ms);
            double share = t->rate * t->v[k].part;

            u->used = u->used - share < 1e-6 ? 0 : u->used - share;
            u->tokens = fmin(u->tokens + share, b->pps);
        }
        free(t->v);
        *t = b->running[--b->n_running];
        return;
    }
}
