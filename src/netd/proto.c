#include "netd/proto.h"

#include <string.h>

#include "base/mem.h"

enum { NO_IP = 0, IS_V4 = 4, IS_V6 = 6 };

static void ip_put(struct buf *b, const struct net_ip *ip)
{
    if (ip->v6) {
        wire_u64(b, ip->hi);
        wire_u64(b, ip->lo);
    } else {
        wire_u32(b, (uint32_t)ip->lo);
    }
}

static struct net_ip ip_get(struct wire *w, bool v6)
{
    struct net_ip ip = {.v6 = v6};

    if (v6) {
        ip.hi = wire_get_u64(w);
        ip.lo = wire_get_u64(w);
    } else {
        ip.lo = wire_get_u32(w);
    }
    return ip;
}

static void maybe_ip_put(struct buf *b, bool has, const struct net_ip *ip)
{
    wire_u8(b, !has ? NO_IP : ip->v6 ? IS_V6 : IS_V4);
    if (has) {
        ip_put(b, ip);
    }
}

/* Sets w->bad for a family that there is not. */
static bool maybe_ip_get(struct wire *w, struct net_ip *out)
{
    uint8_t family = wire_get_u8(w);

    if (family == IS_V4 || family == IS_V6) {
        *out = ip_get(w, family == IS_V6);
        return true;
    }
    w->bad = w->bad || family != NO_IP;
    return false;
}

static bool flag_get(struct wire *w)
{
    uint8_t v = wire_get_u8(w);

    w->bad = w->bad || v > 1;
    return v == 1;
}

/* ---- runner to netd ---- */

void up_put(struct buf *b, const struct netd_ask *ask)
{
    wire_u64(b, ask->run);
    wire_u8(b, ask->dedicated);
    wire_u8(b, ask->raw);
    wire_u32(b, ask->rate_pps);
    maybe_ip_put(b, ask->has_dns, &ask->dns);
    wire_u32(b, (uint32_t)ask->targets->n);
}

bool up_get(struct wire *w, struct up_ask *out)
{
    *out = (struct up_ask){.run = wire_get_u64(w)};
    out->dedicated = flag_get(w);
    out->raw = flag_get(w);
    out->rate_pps = wire_get_u32(w);
    out->has_dns = maybe_ip_get(w, &out->dns);
    out->n_ranges = wire_get_u32(w);
    return wire_end(w) && out->n_ranges > 0 && out->n_ranges <= NETD_RANGES_MAX;
}

size_t ranges_put(struct buf *b, const struct netd_ask *ask, size_t from)
{
    size_t n = MIN(ask->targets->n - from, (size_t)NETD_RANGES_AT_ONCE);

    wire_u64(b, ask->run);
    wire_u32(b, (uint32_t)n);
    for (size_t end = from + n; from < end; from++) {
        const struct net_range *r = &ask->targets->v[from];

        wire_u8(b, r->first.v6 ? IS_V6 : IS_V4);
        ip_put(b, &r->first);
        ip_put(b, &r->last);
    }
    return from;
}

static bool range_get(struct wire *w, struct netset *out)
{
    uint8_t family = wire_get_u8(w);
    struct net_range r;
    size_t n = out->n;

    if (family != IS_V4 && family != IS_V6) {
        return false;
    }
    r.first = ip_get(w, family == IS_V6);
    r.last = ip_get(w, family == IS_V6);
    if (w->bad || net_ip_cmp(&r.first, &r.last) > 0 ||
        (n > 0 && net_ip_cmp(&out->v[n - 1].last, &r.first) >= 0)) {
        return false;
    }
    netset_add(out, &r);
    return out->n == n + 1; /* else it is a neighbour of the one before: not a netset's */
}

bool ranges_get(struct wire *w, struct up_ask *ask)
{
    uint64_t run = wire_get_u64(w);
    uint32_t n = wire_get_u32(w);

    if (w->bad || run != ask->run || n == 0 || n > ask->n_ranges - ask->targets.n) {
        return false;
    }
    while (n-- > 0) {
        if (!range_get(w, &ask->targets)) {
            return false;
        }
    }
    return wire_end(w);
}

void up_done(struct up_ask *ask)
{
    netset_done(&ask->targets);
}

/* ---- netd to runner ---- */

static bool why_get(struct wire *w, const char **out)
{
    size_t n = 0;

    return wire_get_str(w, out, &n) && *out && n <= NETD_WHY_MAX;
}

void netd_ready_put(struct buf *b, const struct netd_ready *r)
{
    wire_u8(b, r->usable);
    wire_str(b, r->why);
    wire_u8(b, r->forward_v4);
    wire_u8(b, r->forward_v6);
    wire_u32(b, r->dedicated_v4);
    wire_u32(b, r->dedicated_v6);
}

bool netd_ready_get(struct wire *w, struct netd_ready *out)
{
    *out = (struct netd_ready){.usable = flag_get(w)};
    if (!why_get(w, &out->why)) {
        return false;
    }
    out->forward_v4 = flag_get(w);
    out->forward_v6 = flag_get(w);
    out->dedicated_v4 = wire_get_u32(w);
    out->dedicated_v6 = wire_get_u32(w);
    return wire_end(w) && out->usable == !*out->why;
}

void answer_put(struct buf *b, const struct up_answer *a)
{
    const struct box_address *ad = &a->address;

    wire_u64(b, a->run);
    wire_i32(b, a->code);
    wire_str(b, a->why);
    wire_u8(b, a->dedicated);
    maybe_ip_put(b, ad->has_v4, &ad->v4);
    maybe_ip_put(b, ad->has_v4, &ad->gateway4);
    wire_u8(b, ad->prefix4);
    maybe_ip_put(b, ad->has_v6, &ad->v6);
    maybe_ip_put(b, ad->has_v6, &ad->gateway6);
    wire_u8(b, ad->prefix6);
    buf_add(b, ad->gateway_mac, sizeof ad->gateway_mac);
}

bool answer_get(struct wire *w, struct up_answer *out)
{
    struct box_address *a = &out->address;
    bool gateway4, gateway6;

    *out = (struct up_answer){.run = wire_get_u64(w)};
    out->code = wire_get_i32(w);
    if (!why_get(w, &out->why)) {
        return false;
    }
    out->dedicated = flag_get(w);
    a->has_v4 = maybe_ip_get(w, &a->v4);
    gateway4 = maybe_ip_get(w, &a->gateway4);
    a->prefix4 = wire_get_u8(w);
    a->has_v6 = maybe_ip_get(w, &a->v6);
    gateway6 = maybe_ip_get(w, &a->gateway6);
    a->prefix6 = wire_get_u8(w);
    for (size_t i = 0; i < sizeof a->gateway_mac; i++) {
        a->gateway_mac[i] = wire_get_u8(w);
    }
    return wire_end(w) && out->code <= 0 && a->has_v4 == gateway4 && a->has_v6 == gateway6 &&
           !a->v4.v6 && !a->gateway4.v6 && a->v6.v6 == a->has_v6 && a->gateway6.v6 == a->has_v6 &&
           a->prefix4 <= 32 && a->prefix6 <= 128 && (out->code == 0) == (a->has_v4 || a->has_v6);
}

void counts_put(struct buf *b, uint64_t run, const struct egress_counts *c)
{
    wire_u64(b, run);
    wire_u64(b, c->passed);
    wire_u64(b, c->out_of_scope);
    wire_u64(b, c->spoofed);
    wire_u64(b, c->protocol);
    wire_u64(b, c->options);
    wire_u64(b, c->link);
    wire_u64(b, c->rate);
    wire_u64(b, c->noise);
}

bool counts_get(struct wire *w, uint64_t *run, struct egress_counts *out)
{
    *run = wire_get_u64(w);
    out->passed = wire_get_u64(w);
    out->out_of_scope = wire_get_u64(w);
    out->spoofed = wire_get_u64(w);
    out->protocol = wire_get_u64(w);
    out->options = wire_get_u64(w);
    out->link = wire_get_u64(w);
    out->rate = wire_get_u64(w);
    out->noise = wire_get_u64(w);
    return wire_end(w);
}
