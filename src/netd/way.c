#include "netd/way.h"

#include <assert.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"

static bool has_family(const struct netset *s, bool v6)
{
    /* sorted: IPv4 before IPv6 */
    return s->n > 0 && s->v[v6 ? s->n - 1 : 0].first.v6 == v6;
}

/* ---- addresses ---- */

static struct scan_address *free_address(const struct ways *ws, bool v6)
{
    for (size_t i = 0; i < ws->n_addresses; i++) {
        if (ws->addresses[i].ip.v6 == v6 && !ws->addresses[i].taken) {
            return &ws->addresses[i];
        }
    }
    return NULL;
}

bool ways_beat(const struct ways *ws)
{
    bool any = false;

    for (const struct way *w = ws->list; w; w = w->next) {
        if (w->raw && w->index) {
            beat_send(&ws->beat, w->index, !w->box.has_v4);
            any = true;
        }
    }
    return any;
}

uint32_t ways_dedicated(const struct ways *ws, bool v6)
{
    uint32_t n = 0;

    for (size_t i = 0; i < ws->n_addresses; i++) {
        n += ws->addresses[i].ip.v6 == v6;
    }
    return n;
}

/* None is kept back for what NAT would falsify: the server runs no more scans at a time than there
 * are addresses. */
static int take_dedicated(struct ways *ws, struct way *w, const struct up_ask *ask, bool v4,
                          bool v6, struct err *e)
{
    struct scan_address *a4 = v4 ? free_address(ws, false) : NULL;
    struct scan_address *a6 = v6 ? free_address(ws, true) : NULL;

    if ((v4 && !a4) || (v6 && !a6)) {
        bool is_v6 = !v4 || a4;

        if (!ask->dedicated) {
            return 0;
        }
        return ways_dedicated(ws, is_v6)
                   ? err_set(e, ERR_BUSY, "all scan addresses (%s) are in use",
                             is_v6 ? "IPv6" : "IPv4")
                   : err_set(e, ERR_SANDBOX, "there is no scan address (%s) of our own",
                             is_v6 ? "IPv6" : "IPv4");
    }
    w->dedicated = true;
    if (v4) {
        a4->taken = true;
        w->addr_v4 = a4;
        w->box.v4 = a4->ip;
        w->box.gateway4 = (struct net_ip){.lo = UINT32_C(169) << 24 | UINT32_C(254) << 16 | 0x101};
        w->box.prefix4 = 32;
    }
    if (v6) {
        a6->taken = true;
        w->addr_v6 = a6;
        w->box.v6 = a6->ip;
        w->box.gateway6 = (struct net_ip){.v6 = true, .hi = UINT64_C(0xfe80) << 48, .lo = 1};
        w->box.prefix6 = 128;
    }
    return 0;
}

static int take_pool(struct ways *ws, struct way *w, bool v6, const struct netset *avoid,
                     struct err *e)
{
    struct net_ip *net = v6 ? &w->net_v6 : &w->net_v4;
    int rc = pool_take(v6 ? &ws->v6 : &ws->v4, avoid, net, e);

    if (rc != 0) {
        return rc;
    }
    if (v6) {
        w->pool_v6 = true;
        w->box.gateway6 = net_ip_plus(net, 1);
        w->box.v6 = net_ip_plus(net, 2);
        w->box.prefix6 = 126;
    } else {
        w->pool_v4 = true;
        w->box.gateway4 = net_ip_plus(net, 1);
        w->box.v4 = net_ip_plus(net, 2);
        w->box.prefix4 = 30;
    }
    return 0;
}

static int take_addresses(struct ways *ws, struct way *w, const struct up_ask *ask,
                          const struct netset *avoid, struct err *e)
{
    bool v4 = has_family(&ask->targets, false) || (ask->has_dns && !ask->dns.v6);
    bool v6 = has_family(&ask->targets, true) || (ask->has_dns && ask->dns.v6);
    int rc = take_dedicated(ws, w, ask, v4, v6, e);

    w->box.has_v4 = v4;
    w->box.has_v6 = v6;
    if (rc == 0 && !w->dedicated && v4) {
        rc = take_pool(ws, w, false, avoid, e);
    }
    if (rc == 0 && !w->dedicated && v6) {
        rc = take_pool(ws, w, true, avoid, e);
    }
    return rc;
}

static void give_addresses(struct ways *ws, struct way *w)
{
    if (w->pool_v4) {
        pool_give(&ws->v4, &w->net_v4);
    }
    if (w->pool_v6) {
        pool_give(&ws->v6, &w->net_v6);
    }
    if (w->addr_v4) {
        w->addr_v4->taken = false;
    }
    if (w->addr_v6) {
        w->addr_v6->taken = false;
    }
}

/* ---- interface and filter ---- */

static void random_mac(uint8_t mac[MAC_LEN])
{
    ssize_t n = getrandom(mac, MAC_LEN, 0);

    assert(n == MAC_LEN);
    (void)n;
    mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02); /* locally administered, not multicast */
}

static void gateway_mac(uint8_t mac[MAC_LEN])
{
    static const char text[] = NETD_GATEWAY_MAC;

    for (size_t i = 0; i < MAC_LEN; i++) {
        mac[i] = (uint8_t)strtoul(text + 3 * i, NULL, 16);
    }
}

static int make_veth(struct ways *ws, struct way *w, int netns_fd, struct err *e)
{
    struct veth v = {.name = w->name, .peer = NETD_INTERFACE, .peer_ns = netns_fd};
    int rc;

    gateway_mac(w->box.gateway_mac);
    random_mac(w->box_mac);
    memcpy(v.mac, w->box.gateway_mac, MAC_LEN);
    memcpy(v.peer_mac, w->box_mac, MAC_LEN);
    rc = link_veth(&ws->link, &v, &w->index, e);
    return rc == 0 ? 0 : err_prefix(e, rc, "interface %s", w->name);
}

static int make_filter(struct ways *ws, const struct way *w, const struct up_ask *ask,
                       struct err *e)
{
    struct filter f = {
        .name = w->name,
        .targets = &ask->targets,
        .has_v4 = w->box.has_v4,
        .has_v6 = w->box.has_v6,
        .has_dns = ask->has_dns,
        .v4 = w->box.v4,
        .v6 = w->box.v6,
        .gateway4 = w->box.gateway4,
        .gateway6 = w->box.gateway6,
        .dns = ask->dns,
        .rate_pps = ask->rate_pps,
        .raw = ask->raw,
    };

    memcpy(f.gateway_mac, w->box.gateway_mac, MAC_LEN);
    return filter_load(&ws->nft, &f, e);
}

static void configure(struct link *l, const struct way *w, const struct net_ip *box,
                      const struct net_ip *gateway, const struct scan_address *own)
{
    unsigned host = box->v6 ? 128 : 32;

    link_address(l, w->index, gateway, (uint8_t)(w->dedicated ? host : host - 2));
    link_neighbour(l, w->index, box, w->box_mac);
    if (w->dedicated) {
        link_route(l, w->index, box);
        if (own->uplink) {
            link_proxy(l, own->uplink, box, true);
        }
    }
}

static int bring_up(struct ways *ws, const struct way *w, struct err *e)
{
    struct link *l = &ws->link;

    link_up(l, w->index);
    if (w->box.has_v4) {
        configure(l, w, &w->box.v4, &w->box.gateway4, w->addr_v4);
    }
    if (w->box.has_v6) {
        configure(l, w, &w->box.v6, &w->box.gateway6, w->addr_v6);
    }
    return link_flush(l, e);
}

static void take_down(struct ways *ws, struct way *w)
{
    struct err e = {0};

    if (w->addr_v4 && w->addr_v4->uplink) {
        link_proxy(&ws->link, w->addr_v4->uplink, &w->box.v4, false);
    }
    if (w->addr_v6 && w->addr_v6->uplink) {
        link_proxy(&ws->link, w->addr_v6->uplink, &w->box.v6, false);
    }
    (void)link_flush(&ws->link, NULL);
    if (w->index && link_del(&ws->link, w->index, &e) != 0) {
        fprintf(stderr, "netd: %s: %s\n", w->name, e.msg); /* its filter stays, too */
    } else if (filter_remove(&ws->nft, w->name, &e) != 0 && ws->nft.error != ENOENT) {
        fprintf(stderr, "netd: %s\n", e.msg);
    }
    give_addresses(ws, w);
    free(w);
}

int way_up(struct ways *ws, const struct up_ask *ask, int netns_fd, const struct netset *avoid,
           struct way **out, struct err *e)
{
    struct way *w = xcalloc(1, sizeof *w);
    int rc = take_addresses(ws, w, ask, avoid, e);

    w->run = ask->run;
    w->raw = ask->raw;
    snprintf(w->name, sizeof w->name, NETD_PREFIX "%02x_%x", ws->instance & 0xff, ws->serial++);
    if (rc == 0) {
        rc = make_veth(ws, w, netns_fd, e);
    }
    if (rc == 0) {
        rc = make_filter(ws, w, ask, e);
    }
    if (rc == 0) {
        rc = bring_up(ws, w, e);
    }
    if (rc != 0) {
        take_down(ws, w);
        return rc;
    }
    w->next = ws->list;
    ws->list = w;
    *out = w;
    return 0;
}

struct way *way_find(const struct ways *ws, uint64_t run)
{
    struct way *w = ws->list;

    while (w && w->run != run) {
        w = w->next;
    }
    return w;
}

int way_count(struct ways *ws, struct way *w, struct egress_counts *out, struct err *e)
{
    struct way **at = &ws->list;
    int rc = filter_counts(&ws->nft, w->name, out, e);

    while (*at != w) {
        at = &(*at)->next;
    }
    *at = w->next;
    w->next = NULL;
    for (at = &ws->dying; *at; at = &(*at)->next) {
    }
    *at = w; /* in order: the oldest are the first whose namespace is gone */
    return rc;
}

static void seen_table(void *arg, uint8_t family, const char *name, uint32_t flags)
{
    (void)flags;
    for (struct way *w = arg; w; w = w->next) {
        w->has_filter = w->has_filter || (family == NFPROTO_NETDEV && str_eq(w->name, name));
    }
}

void ways_check(struct ways *ws)
{
    for (struct way *w = ws->list; w; w = w->next) {
        w->has_filter = false;
    }
    if (!ws->list || nft_tables(&ws->nft, seen_table, ws->list, NULL) != 0) {
        return;
    }
    for (struct way *w = ws->list; w; w = w->next) {
        struct err e = {0};

        if (w->has_filter || w->index == 0) {
            continue;
        }
        fprintf(stderr, "netd: table %s was removed by somebody: its box is cut off\n", w->name);
        if (link_del(&ws->link, w->index, &e) != 0) {
            fprintf(stderr, "netd: %s: %s\n", w->name, e.msg);
        } else {
            w->index = 0;
        }
    }
}

void way_remove(struct ways *ws)
{
    struct way *w = ws->dying;

    if (w) {
        ws->dying = w->next;
        take_down(ws, w);
    }
}

void ways_remove_all(struct ways *ws)
{
    while (ws->list) {
        struct way *w = ws->list;

        ws->list = w->next;
        take_down(ws, w);
    }
    while (ws->dying) {
        way_remove(ws);
    }
}
