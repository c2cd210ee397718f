#include "report/diff_cover.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/netset.h"
#include "model/target.h"

enum { OF_HOSTS, OF_TCP, OF_UDP, OF_SCTP, OF_IP, OF_KINDS };

struct ports {
    uint16_t first, last;
};

/* Cells that say the same of their addresses. */
struct group {
    int kind;
    bool up_only;
    char *text;              /* owned: ports as the cells have them */
    struct net_range *range; /* owned: as they come; taken by `set` */
    size_t n_range, size_range;
    struct netset set;
    struct ports *ports; /* owned; sorted, disjoint */
    size_t n_ports;
};

struct span {
    struct net_range range;
    uint32_t group;
};

struct diff_cover {
    struct group *groups; /* owned */
    size_t n_groups;
    struct span *spans; /* owned; by their first address */
    size_t n_spans, next;
    const struct span **at; /* owned: those that hold the address at hand */
    size_t n_at, size_at;
};

static void group_done(struct group *g)
{
    free(g->text);
    free(g->range);
    free(g->ports);
    netset_done(&g->set);
}

void diff_cover_free(struct diff_cover *c)
{
    if (c) {
        for (size_t i = 0; i < c->n_groups; i++) {
            group_done(&c->groups[i]);
        }
        free(c->groups);
        free(c->spans);
        free(c->at);
        free(c);
    }
}

/* ---- reading cells ---- */

static int kind_of(const char *protocol)
{
    static const char *const names[OF_KINDS] = {"host", "tcp", "udp", "sctp", "ip"};

    for (int i = 0; protocol && i < OF_KINDS; i++) {
        if (strcmp(names[i], protocol) == 0) {
            return i;
        }
    }
    return -1;
}

static struct group *group_for(struct diff_cover *c, int kind, bool up_only, const char *ports)
{
    struct group *g;

    /* Tasks of a stage come one after the other: look at the last ones first. */
    for (size_t i = c->n_groups; i-- > 0;) {
        g = &c->groups[i];
        if (g->kind == kind && g->up_only == up_only && strcmp(g->text, ports) == 0) {
            return g;
        }
    }
    if ((c->n_groups & (c->n_groups - 1)) == 0) {
        c->groups = xrealloc(c->groups, MAX(2 * c->n_groups, 1) * sizeof *c->groups);
    }
    g = &c->groups[c->n_groups++];
    *g = (struct group){.kind = kind, .up_only = up_only, .text = xstrdup(ports)};
    return g;
}

static void group_add(struct group *g, const struct net_range *r)
{
    if (g->n_range == g->size_range) {
        g->size_range = MAX(2 * g->size_range, 4);
        g->range = xrealloc(g->range, g->size_range * sizeof *g->range);
    }
    g->range[g->n_range++] = *r;
}

/* One token of target_set_lines(). A name that nobody resolved is no address. */
static void add_address(struct group *g, const char *token)
{
    struct net_range r;
    auto_targets t = {0};

    if (net_range_parse(token, true, &r)) {
        group_add(g, &r);
    } else if (target_add(&t, token, NULL) == 0) {
        for (size_t i = 0; i < t.addresses.n; i++) {
            group_add(g, &t.addresses.v[i]);
        }
    }
}

static int on_cell(void *arg, int32_t task, const struct coverage_cell *cell, struct err *e)
{
    struct diff_cover *c = arg;
    int kind = kind_of(cell->protocol);
    struct group *g;
    char token[NET_TEXT];

    (void)task;
    (void)e;
    if (kind < 0 || !cell->addresses) {
        return 0;
    }
    g = group_for(c, kind, cell->up_only, kind != OF_HOSTS && cell->ports ? cell->ports : "");
    for (const char *s = cell->addresses; *s;) {
        size_t n = strcspn(s, ",");

        if (n > 0 && n < sizeof token) {
            memcpy(token, s, n);
            token[n] = '\0';
            add_address(g, token);
        }
        s += n + (s[n] == ',');
    }
    return 0;
}

/* "22,80-90" without letters. */
static void read_ports(struct group *g)
{
    size_t size = 0;

    for (const char *s = g->text; *s;) {
        char *end;
        unsigned long first = strtoul(s, &end, 10);
        unsigned long last = *end == '-' ? strtoul(end + 1, &end, 10) : first;

        if (end == s || first > last || last > UINT16_MAX) {
            return; /* not ours */
        }
        if (g->n_ports == size) {
            size = MAX(2 * size, 4);
            g->ports = xrealloc(g->ports, size * sizeof *g->ports);
        }
        g->ports[g->n_ports++] = (struct ports){(uint16_t)first, (uint16_t)last};
        s = *end == ',' ? end + 1 : end;
        if (*end && *end != ',') {
            return;
        }
    }
}

/* ---- fewer groups ---- */

static int by_first(const void *a, const void *b)
{
    const struct ports *x = a;
    const struct ports *y = b;

    return x->first < y->first ? -1 : x->first > y->first;
}

static void join_ports(struct group *to, const struct group *from)
{
    size_t n = to->n_ports + from->n_ports;
    size_t k = 0;

    if (n == 0) {
        return;
    }
    to->ports = xrealloc(to->ports, n * sizeof *to->ports);
    if (from->n_ports) {
        memcpy(to->ports + to->n_ports, from->ports, from->n_ports * sizeof *from->ports);
    }
    qsort(to->ports, n, sizeof *to->ports, by_first);
    for (size_t i = 1; i < n; i++) {
        struct ports p = to->ports[i];

        if (p.first <= (unsigned)to->ports[k].last + 1) {
            to->ports[k].last = MAX(to->ports[k].last, p.last);
        } else {
            to->ports[++k] = p;
        }
    }
    to->n_ports = k + 1;
}

static void join_same_addresses(struct diff_cover *c)
{
    size_t kept = 0;

    for (size_t i = 0; i < c->n_groups; i++) {
        struct group *g = &c->groups[i];
        struct group *same = NULL;

        for (size_t k = 0; k < kept && !same; k++) {
            struct group *o = &c->groups[k];

            if (o->kind == g->kind && o->up_only == g->up_only && o->set.n == g->set.n &&
                netset_equal(&o->set, &g->set)) {
                same = o;
            }
        }
        if (same) {
            join_ports(same, g);
            group_done(g);
        } else {
            c->groups[kept++] = *g;
        }
    }
    c->n_groups = kept;
}

static int span_order(const void *a, const void *b)
{
    const struct span *x = a;
    const struct span *y = b;

    return net_ip_cmp(&x->range.first, &y->range.first);
}

static void make_spans(struct diff_cover *c)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n_groups; i++) {
        n += c->groups[i].set.n;
    }
    if (n == 0) {
        return;
    }
    c->spans = xcalloc(n, sizeof *c->spans);
    for (size_t i = 0; i < c->n_groups; i++) {
        struct netset *set = &c->groups[i].set;

        for (size_t k = 0; k < set->n; k++) {
            c->spans[c->n_spans++] = (struct span){set->v[k], (uint32_t)i};
        }
        netset_done(set);
    }
    qsort(c->spans, c->n_spans, sizeof *c->spans, span_order);
}

int diff_cover_new(struct store *s, int64_t job_num, struct diff_cover **out, struct err *e)
{
    struct diff_cover *c = xcalloc(1, sizeof *c);
    int rc = store_coverage(s, job_num, on_cell, c, e);

    if (rc != 0) {
        diff_cover_free(c);
        return rc;
    }
    for (size_t i = 0; i < c->n_groups; i++) {
        struct group *g = &c->groups[i];

        netset_add_many(&g->set, g->range, g->n_range);
        free(g->range);
        g->range = NULL;
        read_ports(g);
        join_ports(g, &(struct group){0});
    }
    join_same_addresses(c);
    make_spans(c);
    *out = c;
    return 0;
}

/* ---- asking ---- */

static struct net_ip ip_of(const uint8_t key[HOST_KEY])
{
    struct net_ip ip = {.v6 = key[0] == 6};

    for (int i = 0; ip.v6 && i < 8; i++) {
        ip.hi = ip.hi << 8 | key[1 + i];
    }
    for (int i = 0; i < (ip.v6 ? 8 : 4); i++) {
        ip.lo = ip.lo << 8 | key[(ip.v6 ? 9 : 1) + i];
    }
    return ip;
}

void diff_cover_seek(struct diff_cover *c, const uint8_t key[HOST_KEY])
{
    struct net_ip ip = ip_of(key);
    size_t kept = 0;

    for (size_t i = 0; i < c->n_at; i++) {
        if (net_ip_cmp(&c->at[i]->range.last, &ip) >= 0) {
            c->at[kept++] = c->at[i];
        }
    }
    c->n_at = kept;
    while (c->next < c->n_spans && net_ip_cmp(&c->spans[c->next].range.first, &ip) <= 0) {
        const struct span *s = &c->spans[c->next++];

        if (net_ip_cmp(&s->range.last, &ip) < 0) {
            continue;
        }
        if (c->n_at == c->size_at) {
            c->size_at = MAX(2 * c->size_at, 8);
            c->at = xrealloc(c->at, c->size_at * sizeof *c->at);
        }
        c->at[c->n_at++] = s;
    }
}

bool diff_cover_host(const struct diff_cover *c)
{
    for (size_t i = 0; i < c->n_at; i++) {
        const struct group *g = &c->groups[c->at[i]->group];

        if (g->kind == OF_HOSTS || g->up_only) {
            return true;
        }
    }
    return false;
}

static bool has_port(const struct group *g, uint16_t port)
{
    size_t low = 0;
    size_t high = g->n_ports;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (g->ports[mid].last < port) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < g->n_ports && g->ports[low].first <= port;
}

bool diff_cover_port(const struct diff_cover *c, const char *protocol, uint16_t port, bool up)
{
    int kind = kind_of(protocol);

    if (!up && diff_cover_host(c)) {
        return true;
    }
    for (size_t i = 0; i < c->n_at; i++) {
        const struct group *g = &c->groups[c->at[i]->group];

        if (g->kind == kind && kind != OF_HOSTS && has_port(g, port)) {
            return true;
        }
    }
    return false;
}
