/*
 * filter - the table "netdev sp_..." of one run: what leaves the box, before ARP, routing and
 * conntrack.
 *
 * A packet passes only if one rule says yes to all of it: destination hardware address, ethertype
 * (so no VLAN tag), the box's own source, a header without options, a target's address and TCP,
 * UDP, ICMP or SCTP. Everything else is dropped by the policy of the chain; rules after the
 * accepting ones only find out under which name it is counted. Private to the room.
 */
#pragma once

#include "base/netset.h"
#include "model/sandbox.h"
#include "netd/link.h"
#include "netd/nft.h"

struct filter {
    const char *name; /* of the table, and of the interface that is filtered */
    const struct netset *targets;
    bool has_v4, has_v6, has_dns;
    bool raw; /* netd.h, NETD_SILENT_PORT */
    struct net_ip v4, v6, gateway4, gateway6, dns;
    uint8_t gateway_mac[MAC_LEN];
    uint32_t rate_pps;
};

int filter_load(struct nft *n, const struct filter *f, struct err *e);
int filter_counts(struct nft *n, const char *name, struct egress_counts *out, struct err *e);
int filter_remove(struct nft *n, const char *name, struct err *e);
