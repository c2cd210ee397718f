#include "netd/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum { NETWORK = 4 /* addresses: network, gateway, box, broadcast */ };

struct net_ip net_ip_plus(const struct net_ip *ip, uint64_t n)
{
    struct net_ip out = *ip;

    out.lo += n;
    out.hi += ip->v6 && out.lo < n;
    return out;
}

int pool_init(struct pool *p, const char *prefix, bool v6, uint32_t at, uint32_t of, struct err *e)
{
    unsigned bits = v6 ? 128 : 32;
    const char *slash = strchr(prefix, '/');
    uint64_t len = 0;
    unsigned room;

    *p = (struct pool){0};
    if (!slash || !str_to_u64(slash + 1, 1, bits - 2, &len) ||
        !net_range_parse(prefix, false, &p->all) || p->all.first.v6 != v6) {
        return err_set(e, ERR_INVALID, "'%s' is not an %s prefix for boxes (at least a /%u)",
                       prefix, v6 ? "IPv6" : "IPv4", bits - 2);
    }
    p->len = (unsigned)len;
    room = bits - p->len - 2;
    p->n = room >= 16 ? POOL_MAX : UINT32_C(1) << room;
    p->next = (uint32_t)((uint64_t)p->n * at / of) % p->n;
    p->taken = xcalloc((p->n + 7) / 8, 1);
    return 0;
}

void pool_done(struct pool *p)
{
    free(p->taken);
    *p = (struct pool){0};
}

int pool_take(struct pool *p, const struct netset *avoid, struct net_ip *out, struct err *e)
{
    char text[NET_TEXT];

    for (uint32_t tries = 0; tries < p->n; tries++) {
        uint32_t i = p->next;
        struct net_range r = {.first = net_ip_plus(&p->all.first, (uint64_t)i * NETWORK)};

        p->next = (i + 1) % p->n;
        r.last = net_ip_plus(&r.first, NETWORK - 1);
        if (!(p->taken[i / 8] & 1u << i % 8) && !netset_meets(avoid, &r, NULL)) {
            p->taken[i / 8] |= (uint8_t)(1u << i % 8);
            *out = r.first;
            return 0;
        }
    }
    net_range_text(&p->all, text);
    return err_set(e, ERR_BUSY, "no network of %s is free for another box", text);
}

void pool_give(struct pool *p, const struct net_ip *base)
{
    uint64_t i = (base->lo - p->all.first.lo) / NETWORK;

    assert(i < p->n);
    p->taken[i / 8] &= (uint8_t) ~(1u << i % 8);
}
