/* pool - small networks, one for each box: /30 of an IPv4 prefix, /126 of an IPv6 one. Private. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/netset.h"

enum { POOL_MAX = 65536 }; /* networks; more of a large prefix are not used */

struct pool {
    struct net_range all;
    unsigned len; /* of the prefix */
    uint32_t n, next;
    uint8_t *taken; /* owned: one bit each */
};

/* `at` of `of`: where to begin, so that several do not begin at the same place. */
int pool_init(struct pool *p, const char *prefix, bool v6, uint32_t at, uint32_t of, struct err *e);
void pool_done(struct pool *p); /* zeroed is fine */
/* The first address of a network that is free here and has no part in `avoid`. ERR_BUSY. */
int pool_take(struct pool *p, const struct netset *avoid, struct net_ip *out, struct err *e);
void pool_give(struct pool *p, const struct net_ip *base);
struct net_ip net_ip_plus(const struct net_ip *ip, uint64_t n);
