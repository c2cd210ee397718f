/*
 * Pieces of stages. Addresses are cut in small blocks that are shuffled, so that each task has some
 * of every network; what is left of that is written as prefixes and ranges.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/request.h"
#include "plan/internal.h"
#include "plan/pace.h"

enum { BLOCKS_OF_TASK = 16 };

struct plan_spec *tasks_add(struct plan_tasks *t)
{
    if (t->n == t->size) {
        t->size = t->size ? 2 * t->size : 8;
        t->v = xrealloc(t->v, t->size * sizeof *t->v);
    }
    t->v[t->n] = (struct plan_spec){0};
    return &t->v[t->n++];
}

static void shuffle_tasks(struct plan_tasks *t, size_t from, struct chance *c)
{
    for (size_t i = t->n; i > from + 1; i--) {
        size_t k = from + (size_t)chance_below(c, i - from);
        struct plan_spec keep = t->v[i - 1];

        t->v[i - 1] = t->v[k];
        t->v[k] = keep;
    }
}

/* ---- cutting sets of addresses ---- */

struct blocks {
    struct net_range *v;
    size_t n, size;
};

static void blocks_of(const struct netset *set, uint64_t each, struct blocks *out)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct net_range *r = &set->v[i];
        u128 at = ip_number(&r->first), last = ip_number(&r->last);

        for (;;) {
            u128 end = at / each * each + (each - 1);

            end = end < at || end > last ? last : end;
            if (out->n == out->size) {
                out->size = out->size ? 2 * out->size : 64;
                out->v = xrealloc(out->v, out->size * sizeof *out->v);
            }
            out->v[out->n++] =
                (struct net_range){ip_address(at, r->first.v6), ip_address(end, r->first.v6)};
            if (end == last) {
                break;
            }
            at = end + 1;
        }
    }
}

/* k sets of about the same size, each with blocks from everywhere. */
static void cut_set(const struct netset *set, size_t k, struct chance *c, struct netset *out)
{
    uint64_t n = netset_count(set), each = 1;
    struct blocks b = {0};
    size_t at = 0;

    while (each * 2 <= n / ((uint64_t)k * BLOCKS_OF_TASK)) {
        each *= 2;
    }
    blocks_of(set, k == 1 ? UINT64_C(1) << 63 : each, &b);
    for (size_t i = b.n; k > 1 && i > 1; i--) {
        size_t j = (size_t)chance_below(c, i);
        struct net_range keep = b.v[i - 1];

        b.v[i - 1] = b.v[j];
        b.v[j] = keep;
    }
    for (size_t i = 0; i < k; i++) {
        auto_free struct net_range *mine = xcalloc(b.n - at + 1, sizeof *mine);
        uint64_t left = n / k + (i < n % k);
        size_t m = 0;

        while (left && at < b.n) {
            u128 first = ip_number(&b.v[at].first), last = ip_number(&b.v[at].last);
            u128 take = last - first + 1 < left ? last - first + 1 : left;

            mine[m].first = b.v[at].first;
            mine[m++].last = ip_address(first + take - 1, b.v[at].first.v6);
            left -= (uint64_t)take;
            if (first + take - 1 == last) {
                at++;
            } else {
                b.v[at].first = ip_address(first + take, b.v[at].first.v6);
            }
        }
        netset_add_many(&out[i], mine, m);
    }
    free(b.v);
}

/* ---- the first stage ---- */

/* Of each of `tasks` tasks that share the rate of a stage as far as they run at the same time. */
static uint32_t share_of(uint32_t rate, uint64_t tasks, uint32_t slots)
{
    return rate ? MAX(rate / (uint32_t)MAX(MIN(tasks, (uint64_t)slots), UINT64_C(1)), 1u) : 0;
}

/* `tasks`: of both families, which share the stage's rate. */
static void add_first(const struct plan *p, size_t k, size_t tasks, const struct netset *set,
                      const struct places *names, struct plan_tasks *out)
{
    const struct stage *s = &p->v[0];
    struct chance c = {chance_hash(p->seed, "first", 5) + set->n + names->n};
    size_t from = out->n, per = names->n / k + (names->n % k != 0);
    auto_free struct netset *part = xcalloc(k, sizeof *part);
    uint32_t rate = share_of(s->rate, tasks, p->slots);

    cut_set(set, k, &c, part);
    for (size_t i = 0; i < k; i++) {
        size_t low = MIN(i * per, names->n), high = MIN(low + per, names->n);
        struct plan_spec *t;

        if (!part[i].n && low == high) {
            continue;
        }
        t = tasks_add(out);
        t->stage = 0;
        t->kind = s->kind;
        t->tool = xstrdup(s->tool);
        t->rate = rate;
        t->ports = xstrdup(s->ports);
        spec_set(t, &part[i], names->n ? names->v + low : NULL, high - low);
        t->probes = mul_sat(t->addresses, s->kind == STAGE_HOSTS ? 4 : MAX(s->n_ports, 1u));
        t->arguments = stage_arguments(
            p, s,
            &(struct manner){.fast = s->kind == STAGE_PORTS ? stage_fast(p, s) : !p->own_pace,
                             .rate = rate});
        netset_done(&part[i]);
    }
    shuffle_tasks(out, from, &c);
}

static void add_top(const struct stage *s, struct plan_spec *t)
{
    if (s->top && str_eq(t->tool, "nmap")) {
        auto_free char *old = t->arguments;

        t->arguments = str_fmt("%s%s--top-ports %u", old ? old : "", old ? " " : "", s->top);
    }
}

/* One wave of equal tasks: more of them are not faster, and each ends by waiting. */
static uint64_t nmap_pieces(const struct plan *p, bool quick, uint64_t probes)
{
    uint64_t least = quick ? PACE_PROBES_LEAST : PACE_PROBES_LEAST_OWN;
    uint64_t most = quick ? PACE_PROBES_MOST : PACE_PROBES_MOST_OWN;
    uint64_t k = MIN((uint64_t)p->slots, MAX(probes / least, UINT64_C(1)));

    return MAX(k, (probes + most - 1) / most);
}

struct family {
    struct netset set;   /* owned */
    struct places names; /* owned */
    uint64_t n;
    size_t pieces;
};

/* all: addresses of both families. */
static size_t first_pieces(const struct plan *p, uint64_t n, uint64_t all, bool v6)
{
    const struct stage *s = &p->v[0];
    uint64_t probes = mul_sat(n, MAX(s->n_ports, 1u)), k, four;

    if (n == 0) {
        return 0;
    }
    if (p->one) {
        return 1;
    }
    if (s->kind == STAGE_HOSTS && n == all) {
        k = p->first_tasks;
    } else if (s->kind == STAGE_HOSTS) {
        four = v6 ? all - n : n;
        four = (uint64_t)((double)p->first_tasks * (double)four / (double)all);
        four = MIN(MAX(four, UINT64_C(1)), MAX(p->first_tasks, 2u) - 1);
        k = v6 ? MAX(p->first_tasks, 2u) - four : four;
    } else if (p->shards) {
        k = p->shards;
    } else if (!str_eq(s->tool, "nmap")) {
        k = probes / PACE_SWEEP_PROBES + 1;
    } else {
        k = nmap_pieces(p, stage_fast(p, s), probes);
    }
    return (size_t)MIN(MIN(k, (uint64_t)MAX(PACE_TASKS_MOST, p->shards)), n);
}

int plan_first(const struct plan *p, const struct target_set *t, struct plan_tasks *out,
               struct err *e)
{
    struct family f[2] = {0};
    uint64_t all = 0;
    size_t from = out->n;

    for (int six = 0; six < 2; six++) {
        places_family(t, six, !str_eq(p->v[0].tool, "nmap"), &f[six].set, &f[six].names);
        f[six].n = add_sat(netset_count(&f[six].set), f[six].names.n);
        all = add_sat(all, f[six].n);
    }
    for (int six = 0; six < 2; six++) {
        f[six].pieces = first_pieces(p, f[six].n, all, six);
    }
    for (int six = 0; six < 2; six++) {
        if (f[six].n) {
            add_first(p, f[six].pieces, f[0].pieces + f[1].pieces, &f[six].set, &f[six].names, out);
        }
        netset_done(&f[six].set);
        places_done(&f[six].names);
    }
    for (; from < out->n; from++) {
        add_top(&p->v[0], &out->v[from]);
    }
    return out->n ? 0 : err_set(e, ERR_INVALID, "none of the targets has an address to probe");
}

/* ---- stages of ports over hosts that are up ---- */

/* The (protocol, port) pairs of a list, in order. */
static uint32_t *port_list(const char *ports, unsigned protocols, size_t *n)
{
    uint32_t *v = xcalloc((size_t)PROTOS * 65536, sizeof *v);

    *n = 0;
    for (unsigned k = 0; k < PROTOS; k++) {
        auto_free struct portset *set = xcalloc(1, sizeof *set);

        if (protocols >> k & 1) {
            portset_read(set, ports, k);
        }
        for (unsigned p = 0; p <= UINT16_MAX; p++) {
            if (portset_has(set, p)) {
                v[(*n)++] = k << 16 | p;
            }
        }
    }
    return v;
}

/* v[from..to) as a list. */
static char *list_text(const uint32_t *v, size_t from, size_t to, unsigned protocols)
{
    auto_free struct portset *sets = xcalloc(PROTOS, sizeof *sets);
    auto_buf b = {0};

    for (size_t i = from; i < to; i++) {
        portset_add(&sets[v[i] >> 16], v[i] & UINT16_MAX);
    }
    ports_join(sets, protocols, &b);
    return buf_take(&b);
}

/* What is the same for all pieces of one cut. */
struct cut {
    const struct plan *p;
    const struct stage *s;
    int at;
    size_t hosts, ports; /* how many pieces of each */
    const char *list;
    uint32_t n_ports;
    struct manner m;
};

static void add_pieces(const struct cut *c, const struct places *up, struct plan_tasks *out)
{
    auto_free uint32_t *list = NULL;
    size_t n = 0;

    if (c->list) {
        list = port_list(c->list, c->s->protocols, &n);
    }
    for (size_t i = 0; i < c->hosts; i++) {
        size_t low = up->n * i / c->hosts, high = up->n * (i + 1) / c->hosts;

        for (size_t k = 0; k < c->ports && high > low; k++) {
            size_t first = n * k / c->ports, last = n * (k + 1) / c->ports;
            struct plan_spec *t = tasks_add(out);
            struct manner m = c->m;

            if (!m.fast && high - low <= PACE_GROUP_MOST) {
                m.group = (uint32_t)(high - low);
            }
            t->stage = c->at;
            t->kind = STAGE_PORTS;
            t->tool = xstrdup(c->m.tool ? c->m.tool : c->s->tool);
            spec_places(t, up->v + low, high - low);
            t->ports = list ? list_text(list, first, last, c->s->protocols) : NULL;
            t->rate = c->m.rate;
            t->arguments = stage_arguments(c->p, c->s, &m);
            t->probes = mul_sat(t->addresses, list ? last - first : c->n_ports);
            add_top(c->s, t);
        }
    }
}

static void shuffle_places(struct places *l, struct chance *c)
{
    for (size_t i = l->n; i > 1; i--) {
        size_t k = (size_t)chance_below(c, i);
        struct place keep = l->v[i - 1];

        l->v[i - 1] = l->v[k];
        l->v[k] = keep;
    }
}

static int by_ip(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    return net_ip_cmp(&x->ip, &y->ip);
}

/* How many pieces, and which way: by hosts while there are enough of them, since each task that
 * has a host sees all of its answers. Few hosts are all in each task, with a part of the ports. */
static void choose_cut(struct cut *c, uint64_t hosts, uint64_t pieces)
{
    uint64_t by_ports = c->list ? MAX(c->n_ports / PACE_PORTS_OF_PIECE, 1u) : 1;

    c->hosts = (size_t)MIN(MAX(pieces, UINT64_C(1)), hosts);
    c->ports = 1;
    if (hosts < pieces && by_ports > 1) {
        uint64_t each = (pieces + by_ports - 1) / by_ports; /* of hosts, if ports are too few */

        c->hosts = (size_t)MIN(each, hosts);
        c->ports = (size_t)MIN((pieces + each - 1) / each, by_ports);
    }
}

void shard_ports(const struct plan *p, int at, struct places *up, struct plan_tasks *out)
{
    const struct stage *s = &p->v[at];
    struct cut c = {.p = p, .s = s, .at = at, .list = s->ports, .n_ports = s->n_ports};
    uint64_t probes = mul_sat(up->n, s->n_ports), k;
    struct chance chance;
    size_t from = out->n;

    if (up->n == 0) {
        return;
    }
    qsort(up->v, up->n, sizeof *up->v, by_ip);
    chance.state = chance_hash(p->seed, &up->v[0].ip.lo, sizeof up->v[0].ip.lo) + up->n;
    shuffle_places(up, &chance);
    if (p->shards) {
        k = MAX(p->shards / p->first_tasks, 1u);
    } else if (!str_eq(s->tool, "nmap")) {
        k = probes / PACE_SWEEP_PROBES + 1;
    } else {
        k = nmap_pieces(p, stage_fast(p, s), probes);
    }
    k = MIN(k, (uint64_t)p->batch);
    choose_cut(&c, up->n, k);
    c.m = (struct manner){
        .fast = stage_fast(p, s),
        .rate = share_of(s->rate, mul_sat(c.hosts * c.ports, p->first_tasks), p->slots)};
    add_pieces(&c, up, out);
    shuffle_tasks(out, from, &chance);
}

void shard_part(const struct plan *p, const struct target_set *t, uint64_t n, struct plan_spec *out)
{
    struct chance c = {chance_hash(p->seed, "part", 4)};
    size_t k = (size_t)MAX(netset_count(&t->addresses) / MAX(n, UINT64_C(1)), UINT64_C(1));
    auto_free struct netset *part = xcalloc(k, sizeof *part);

    cut_set(&t->addresses, k, &c, part);
    spec_set(out, &part[0], NULL, 0);
    for (size_t i = 0; i < k; i++) {
        netset_done(&part[i]);
    }
}

void spec_key(const struct plan_spec *s, char out[17])
{
    uint64_t h = chance_hash((uint64_t)s->stage + 1, s->targets ? s->targets : "",
                             s->targets ? strlen(s->targets) : 0);

    h = chance_hash(h, s->ports ? s->ports : "", s->ports ? strlen(s->ports) : 0);
    snprintf(out, 17, "%016" PRIx64, h);
}

void shard_again(const struct plan *p, const struct plan_spec *s, const struct places *hosts,
                 bool fast, const char *known, struct plan_tasks *out)
{
    const struct stage *st = &p->v[s->stage];
    struct cut c = {.p = p, .s = st, .at = s->stage, .list = s->ports};
    struct checks carried = {.known = (char *)(uintptr_t)known};
    size_t from = out->n;
    uint64_t pieces;
    char key[17];

    c.n_ports = s->ports ? ports_of(s->ports, st->protocols) : st->n_ports;
    pieces = nmap_pieces(p, fast, mul_sat(hosts->n, c.n_ports));
    choose_cut(&c, hosts->n, MIN(pieces, (uint64_t)PACE_TASKS_MOST / 4));
    c.m = (struct manner){.fast = fast, .tool = "nmap"};
    c.m.rate = fast ? share_of(MIN(MAX(st->rate, 1u), (uint32_t)PACE_PORTS_RATE),
                               mul_sat(c.hosts * c.ports, p->first_tasks), p->slots)
                    : 0;
    add_pieces(&c, hosts, out);
    spec_key(s, key);
    carried.of = key;
    for (; from < out->n; from++) {
        out->v[from].repeats = true;
        out->v[from].round = s->round + 1;
        out->v[from].checks = checks_text(&carried);
    }
}
