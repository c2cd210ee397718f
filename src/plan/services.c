/*
 * Tasks that look at open ports. nmap probes every port of a task on every host of it, so hosts
 * with about the same ports go together, and hosts x ports is bounded; within that, few tasks are
 * better than many.
 */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "plan/internal.h"
#include "plan/pace.h"

/* The open ports of one host: pairs[low..high). */
struct host_ports {
    const struct pair *low;
    size_t n;
};

static int by_ports(const void *a, const void *b)
{
    const struct host_ports *x = a, *y = b;

    for (size_t i = 0; i < x->n && i < y->n; i++) {
        const struct pair *p = &x->low[i], *q = &y->low[i];
        int d = p->proto != q->proto ? (int)p->proto - q->proto : (int)p->port - q->port;

        if (d) {
            return d;
        }
    }
    if (x->n != y->n) {
        return x->n < y->n ? -1 : 1;
    }
    return net_ip_cmp(&x->low->ip, &y->low->ip);
}

/* Hosts that go into one task. */
struct group {
    struct pairs pairs;
    struct portset ports[PROTOS];
    uint64_t n_ports, n_hosts, n_open;
};

static void group_done(struct group *g)
{
    pairs_done(&g->pairs);
}

struct bounds {
    uint64_t probes, open;
};

static uint64_t new_ports(const struct group *g, const struct host_ports *h)
{
    uint64_t n = 0;

    for (size_t i = 0; i < h->n; i++) {
        n += !portset_has(&g->ports[h->low[i].proto], h->low[i].port);
    }
    return n;
}

static void group_add(struct group *g, const struct host_ports *h, bool open)
{
    g->n_ports += new_ports(g, h);
    g->n_hosts++;
    g->n_open += open ? h->n : 0;
    for (size_t i = 0; i < h->n; i++) {
        portset_add(&g->ports[h->low[i].proto], h->low[i].port);
        pairs_add(&g->pairs, &h->low[i]);
    }
}

/* Where the group that starts at h[0] ends. */
static size_t group_fill(struct group *g, const struct host_ports *h, size_t n,
                         const struct bounds *b)
{
    size_t i = 0;

    do {
        group_add(g, &h[i++], true);
    } while (i < n && mul_sat(g->n_hosts + 1, g->n_ports + new_ports(g, &h[i])) <= b->probes &&
             g->n_open + h[i].n <= b->open);
    return i;
}

static size_t count_groups(const struct host_ports *h, size_t n, const struct bounds *b)
{
    auto_free struct group *g = xmalloc(sizeof *g);
    size_t groups = 0;

    for (size_t i = 0; i < n; groups++) {
        memset(g, 0, sizeof *g);
        i += group_fill(g, h + i, n - i, b);
        group_done(g);
    }
    return groups;
}

/* Tasks of ports that there may be. */
static uint64_t ports_tasks(const struct plan *p)
{
    const struct stage *s = &p->v[MAX(plan_stage_after(p, -1, 1u << STAGE_PORTS), 0)];
    uint64_t tasks = mul_sat(p->addresses, s->n_ports) / PACE_PROBES_MOST;

    tasks = MAX(tasks, (uint64_t)p->slots + p->shards);
    return MAX(MIN(tasks, (uint64_t)p->batch * p->first_tasks), UINT64_C(1));
}

/* So that all tasks of a job stay within what a job may have. */
static size_t groups_most(const struct plan *p)
{
    return (size_t)MAX(2 * PACE_TASKS_MOST / ports_tasks(p), UINT64_C(1));
}

size_t services_apart_most(const struct plan *p)
{
    uint64_t most = 2 * PACE_TASKS_MOST / ports_tasks(p);

    return (size_t)MIN(MAX(most, UINT64_C(2)), (uint64_t)PACE_APART_TASKS);
}

static const char *pinned_name(const struct target_set *t, const struct net_ip *ip)
{
    for (size_t i = 0; t && i < t->n_pins; i++) {
        for (size_t k = 0; k < t->pins[i].n; k++) {
            if (net_ip_cmp(&t->pins[i].ip[k], ip) == 0) {
                return t->pins[i].name;
            }
        }
    }
    return NULL;
}

static struct plan_spec *add_task(const struct plan *p, int at, struct group *g, int32_t round,
                                  const struct target_set *pins, struct plan_tasks *out)
{
    const struct stage *s = &p->v[at];
    struct plan_spec *t = tasks_add(out);
    struct manner m = {.fast = !p->own_pace, .rate = s->rate ? MAX(s->rate / p->slots, 1u) : 0};
    auto_places places = {0};
    auto_buf ports = {0};

    pairs_sort(&g->pairs);
    for (size_t i = 0; i < g->pairs.n; i++) {
        const struct net_ip *ip = &g->pairs.v[i].ip;

        m.protocols |= 1u << g->pairs.v[i].proto;
        if (i == 0 || net_ip_cmp(ip, &g->pairs.v[i - 1].ip) != 0) {
            places_add(&places, ip, pinned_name(pins, ip));
        }
    }
    ports_join(g->ports, m.protocols, &ports);
    t->stage = at;
    t->kind = s->kind;
    t->tool = xstrdup(s->tool);
    spec_places(t, places.v, places.n);
    t->ports = buf_take(&ports);
    m.bare = g->n_open == 0; /* a sample alone */
    if (m.fast && s->kind == STAGE_SERVICES && !m.bare) {
        uint64_t times = (g->n_open + PACE_SERVICE_PORTS - 1) / PACE_SERVICE_PORTS;

        m.host_s = (uint32_t)MIN(MAX(times, UINT64_C(1)) *
                                     (round > 0 ? PACE_APART_SECONDS : PACE_HOST_SECONDS),
                                 (uint64_t)JOB_TIMEOUT_MAX_S);
    }
    t->arguments = stage_arguments(p, s, &m);
    t->rate = m.rate;
    t->probes = mul_sat(g->n_hosts, MAX(g->n_ports, UINT64_C(1)));
    t->found_only = true;
    if (s->kind == STAGE_SERVICES) {
        uint64_t each = m.fast ? PACE_SERVICE_PORTS : PACE_SERVICE_PORTS_OWN;
        uint64_t times = (g->n_open + each - 1) / each;

        /* The limit of its hosts is to come first, on a busy machine too: a task that is ended
         * has told nothing. */
        t->wall_s = (uint32_t)MIN(
            MAX(p->service_s * MAX(times, UINT64_C(1)), 2 * (uint64_t)m.host_s + PACE_HOST_SECONDS),
            (uint64_t)JOB_TIMEOUT_MAX_S);
    }
    return t;
}

/* Hosts of sorted pairs. Caller frees. */
static struct host_ports *hosts_of(const struct pairs *s, size_t *n)
{
    struct host_ports *h = xcalloc(s->n + 1, sizeof *h);

    *n = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (i == 0 || net_ip_cmp(&s->v[i].ip, &s->v[i - 1].ip) != 0) {
            h[(*n)++].low = &s->v[i];
        }
        h[*n - 1].n++;
    }
    return h;
}

/* The sample joins a task where that does not make it much larger, else it is one of its own. */
static bool sample_joins(const struct group *g, const struct pairs *sample,
                         const struct host_ports *h, size_t n)
{
    auto_free struct group *all = xcalloc(1, sizeof *all);
    bool joins;

    memcpy(all->ports, g->ports, sizeof all->ports);
    all->n_ports = g->n_ports;
    all->n_hosts = g->n_hosts;
    for (size_t i = 0; i < n; i++) {
        group_add(all, &h[i], false);
    }
    joins = sample->n && mul_sat(all->n_hosts, all->n_ports) <= 2 * (uint64_t)PACE_SERVICE_PROBES;
    group_done(all);
    return joins;
}

/* What is to be looked at once more if hosts are given up. */
static void put_open(const struct plan *p, struct plan_spec *t, const struct host_ports *h,
                     size_t n)
{
    auto_pairs open = {0};
    auto_buf b = {0};

    if (t->kind != STAGE_SERVICES || p->own_pace) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < h[i].n; k++) {
            pairs_add(&open, &h[i].low[k]);
        }
    }
    pairs_sort(&open);
    pairs_text(&open, &b);
    t->open = b.len ? buf_take(&b) : NULL;
}

void services_task(const struct plan *p, int at, struct pairs *open, const struct target_set *pins,
                   int32_t round, struct plan_tasks *out)
{
    auto_free struct group *g = xcalloc(1, sizeof *g);
    auto_free struct host_ports *h = NULL;
    struct plan_spec *t;
    size_t n;

    pairs_sort(open);
    h = hosts_of(open, &n);
    for (size_t i = 0; i < n; i++) {
        group_add(g, &h[i], true);
    }
    t = add_task(p, at, g, round, pins, out);
    t->repeats = true;
    t->round = round;
    put_open(p, t, h, n);
    group_done(g);
}

static void put_sample(struct plan_spec *t, const struct pairs *sample, const char *checks)
{
    auto_buf b = {0};

    pairs_text(sample, &b);
    t->sample = buf_take(&b);
    t->checks = xstrdup(checks);
}

void services_of(const struct plan *p, int at, struct pairs *open, const struct pairs *sample,
                 const char *checks, const struct target_set *pins, struct plan_tasks *out)
{
    struct bounds b = {PACE_SERVICE_PROBES,
                       p->own_pace ? PACE_SERVICE_PORTS_OWN : PACE_SERVICE_PORTS};
    size_t n, n_sample, most = groups_most(p);
    auto_free struct host_ports *h = hosts_of(open, &n), *s = hosts_of(sample, &n_sample);
    auto_free struct group *g = xmalloc(sizeof *g);
    bool placed = sample->n == 0;

    qsort(h, n, sizeof *h, by_ports);
    while (n && count_groups(h, n, &b) > most) {
        b.probes *= 2;
        b.open *= 2;
    }
    for (size_t i = 0; i < n;) {
        size_t from = i;
        bool joins;

        memset(g, 0, sizeof *g);
        i += group_fill(g, h + i, n - i, &b);
        joins = !placed && sample_joins(g, sample, s, n_sample);
        for (size_t k = 0; joins && k < n_sample; k++) {
            group_add(g, &s[k], false);
        }
        struct plan_spec *t = add_task(p, at, g, 0, pins, out);

        put_open(p, t, h + from, i - from);
        if (joins) {
            put_sample(t, sample, checks);
            placed = true;
        }
        group_done(g);
    }
    if (!placed) {
        memset(g, 0, sizeof *g);
        for (size_t k = 0; k < n_sample; k++) {
            group_add(g, &s[k], false);
        }
        put_sample(add_task(p, at, g, 0, pins, out), sample, checks);
        group_done(g);
    }
}

/* ---- in time, or with less ---- */

/* A part of a task of services: hosts v[0..n) and the list of ports. */
static void add_light(const struct plan *p, const struct plan_spec *s, const struct place *v,
                      size_t n, const char *ports, struct plan_tasks *out)
{
    const struct stage *st = &p->v[s->stage];
    struct plan_spec *t = tasks_add(out);
    struct manner m = {
        .fast = !p->own_pace, .light = true, .rate = st->rate ? MAX(st->rate / p->slots, 1u) : 0};
    unsigned any = 0;

    any |= ports_of(ports, 1u << PROTO_TCP) ? 1u << PROTO_TCP : 0;
    any |= strstr(ports, "U:") ? 1u << PROTO_UDP : 0;
    any |= strstr(ports, "S:") ? 1u << PROTO_SCTP : 0;
    m.protocols = any;
    t->stage = s->stage;
    t->kind = s->kind;
    t->tool = xstrdup(s->tool);
    spec_places(t, v, n);
    t->ports = xstrdup(ports);
    t->arguments = stage_arguments(p, st, &m);
    t->rate = m.rate;
    t->probes = mul_sat(t->addresses, MAX(ports_of(ports, any), 1u));
    t->wall_s = p->service_s;
    t->found_only = true;
    t->repeats = true;
    t->light = true;
    t->round = s->round + 1;
}

/* One host is left: its ports are cut. */
static void light_ports(const struct plan *p, const struct plan_spec *s, const struct place *one,
                        struct plan_tasks *out)
{
    auto_free struct portset *part = xcalloc(PROTOS, sizeof *part);
    uint32_t total = 0, at = 0, pieces;
    unsigned protocols = 0;

    for (unsigned k = 0; k < PROTOS; k++) {
        auto_free struct portset *all = xcalloc(1, sizeof *all);

        portset_read(all, s->ports, k);
        if (k == PROTO_TCP || strstr(s->ports, k == PROTO_UDP ? "U:" : "S:")) {
            total += portset_count(all);
            protocols |= portset_count(all) ? 1u << k : 0;
        }
    }
    pieces = MIN((uint32_t)PACE_SERVICE_PIECES, total);
    for (unsigned k = 0; k < PROTOS; k++) {
        auto_free struct portset *all = xcalloc(1, sizeof *all);

        portset_read(all, s->ports, k);
        for (unsigned port = 0; protocols >> k & 1 && port <= UINT16_MAX; port++) {
            uint32_t piece = (uint32_t)((uint64_t)at * pieces / total);

            if (!portset_has(all, port)) {
                continue;
            }
            portset_add(&part[k], port);
            at++;
            if ((uint32_t)((uint64_t)at * pieces / total) != piece) {
                auto_buf text = {0};

                ports_join(part, protocols, &text);
                add_light(p, s, one, 1, text.data, out);
                memset(part, 0, PROTOS * sizeof *part);
            }
        }
    }
}

/* The sample alone: there is no service that could be silent. */
void services_sample(const struct plan *p, const struct plan_spec *s, const struct target_set *set,
                     struct plan_tasks *out)
{
    auto_pairs sample = {0}, none = {0};
    size_t at = out->n;

    if (!pairs_read(s->sample, &sample)) {
        return;
    }
    services_of(p, s->stage, &none, &sample, s->checks, set, out);
    for (; at < out->n; at++) {
        out->v[at].repeats = true;
        out->v[at].light = true;
        out->v[at].round = s->round + 1;
    }
}

static void tell_light(const struct plan_spec *s, const struct places *left, struct strvec *notes)
{
    struct plan_spec named = {0};
    bool many;

    spec_places(&named, left->v, left->n);
    many = strlen(named.targets) > 80;
    strvec_pushf(notes,
                 "services: of %zu address%s some ports did not say in %u s what they are, nor to "
                 "the light set of probes; they are told without a service (%s)",
                 left->n, left->n == 1 ? "" : "es", s->wall_s, many ? "many" : named.targets);
    plan_spec_done(&named);
}

void services_again(const struct plan *p, const struct plan_ended *t, const struct found *f,
                    const struct target_set *set, struct plan_tasks *out, struct strvec *notes)
{
    const struct plan_spec *s = t->spec;
    auto_places all = {0}, left = {0};
    size_t pieces;

    places_of(set, PACE_SERVICE_PROBES, &all);
    for (size_t i = 0; i < all.n; i++) {
        bool seen = false;

        for (size_t k = 0; k < f->up.n && !seen; k++) {
            seen = net_ip_cmp(&f->up.v[k].ip, &all.v[i].ip) == 0;
        }
        if (!seen) {
            places_add(&left, &all.v[i].ip, all.v[i].name);
        }
    }
    if (left.n == 0 || !s->ports) {
        return;
    }
    if (s->light) {
        tell_light(s, &left, notes);
        return;
    }
    if (left.n == 1) {
        light_ports(p, s, &left.v[0], out);
    } else {
        pieces = MIN((size_t)PACE_SERVICE_PIECES, left.n);
        for (size_t i = 0; i < pieces; i++) {
            size_t low = left.n * i / pieces, high = left.n * (i + 1) / pieces;

            add_light(p, s, left.v + low, high - low, s->ports, out);
        }
    }
    if (s->sample) {
        services_sample(p, s, set, out);
    }
}
