/* bytes - an address as it stands in packets and netlink messages. Private to the room. */
#pragma once

#include <arpa/inet.h>
#include <endian.h>
#include <string.h>

#include "base/netset.h"

/* Network order; returns the length, 4 or 16. */
static inline uint16_t net_bytes(const struct net_ip *ip, uint8_t out[16])
{
    uint64_t hi = htobe64(ip->hi), lo = htobe64(ip->lo);
    uint32_t v4 = htonl((uint32_t)ip->lo);

    if (!ip->v6) {
        memcpy(out, &v4, sizeof v4);
        return sizeof v4;
    }
    memcpy(out, &hi, sizeof hi);
    memcpy(out + sizeof hi, &lo, sizeof lo);
    return sizeof hi + sizeof lo;
}
