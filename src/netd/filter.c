#include "netd/filter.h"

#include <arpa/inet.h>
#include <endian.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/mem.h"
#include "netd/blocks.h"
#include "netd/bytes.h"
#include "netd/nat.h"
#include "netd/netd.h"

enum { PRIORITY = -500, DNS_PORT = 53 };

/* Offsets in headers. */
enum {
    ETH_TYPE = 12,
    IP_FIRST = 0, /* version and header length */
    IP_FRAGMENT = 6,
    IP_PROTO = 9,
    IP_SOURCE = 12,
    IP_DESTINATION = 16,
    IP_SOURCE_PORT = 20, /* behind a header without options, as the next two */
    IP_PORT = 22,
    IP_TCP_FLAGS = 33,
    IP6_NEXT = 6,
    IP6_SOURCE = 8,
    IP6_DESTINATION = 24,
    IP6_TYPE = 40, /* of ICMPv6, behind a header without extensions */
    IP6_SOURCE_PORT = 40,
    IP6_PORT = 42,
    IP6_TCP_FLAGS = 53,
    ARP_OPERATION = 6,
    ARP_SENDER = 14,
    ARP_TARGET = 24,
};

static const struct {
    const char *name;
    size_t at;
} counters[] = {
    {"passed", offsetof(struct egress_counts, passed)},
    {"out_of_scope", offsetof(struct egress_counts, out_of_scope)},
    {"spoofed", offsetof(struct egress_counts, spoofed)},
    {"protocol", offsetof(struct egress_counts, protocol)},
    {"options", offsetof(struct egress_counts, options)},
    {"link", offsetof(struct egress_counts, link)},
    {"rate", offsetof(struct egress_counts, rate)},
    {"noise", offsetof(struct egress_counts, noise)},
};

/* ---- matches ---- */

static void net_is(struct nft *n, uint32_t offset, const void *p, uint32_t len)
{
    nft_load(n, NFT_PAYLOAD_NETWORK_HEADER, offset, len);
    nft_is(n, p, len);
}

static void net_is_not(struct nft *n, uint32_t offset, const void *p, uint32_t len)
{
    nft_load(n, NFT_PAYLOAD_NETWORK_HEADER, offset, len);
    nft_is_not(n, p, len);
}

static void ip_is(struct nft *n, uint32_t offset, const struct net_ip *ip)
{
    uint8_t b[16];

    net_bytes(ip, b);
    net_is(n, offset, b, ip->v6 ? 16 : 4);
}

static void ip_is_not(struct nft *n, uint32_t offset, const struct net_ip *ip)
{
    uint8_t b[16];

    net_bytes(ip, b);
    net_is_not(n, offset, b, ip->v6 ? 16 : 4);
}

static void type_is(struct nft *n, uint16_t type)
{
    uint16_t be = htons(type);

    nft_load(n, NFT_PAYLOAD_LL_HEADER, ETH_TYPE, sizeof be);
    nft_is(n, &be, sizeof be);
}

/* To the outer end itself, with this type: a tag before it is another type. */
static void to_gateway(struct nft *n, const struct filter *f, uint16_t type)
{
    static const uint8_t here = 0; /* PACKET_HOST: to the hardware address of the outer end */

    nft_load_meta(n, NFT_META_PKTTYPE);
    nft_is(n, &here, sizeof here);
    type_is(n, type);
}

static void in_set(struct nft *n, uint32_t offset, uint32_t len, const char *set)
{
    nft_load(n, NFT_PAYLOAD_NETWORK_HEADER, offset, len);
    nft_in(n, set);
}

static void end(struct nft *n, const char *counter, uint32_t verdict)
{
    nft_count(n, counter);
    nft_verdict(n, verdict);
    nft_rule_end(n);
}

/* ---- what passes ---- */

static void match_v4(struct nft *n, const struct filter *f)
{
    static const uint8_t plain = 0x45; /* version 4, twenty bytes: no options */

    nft_rule(n, "out");
    to_gateway(n, f, ETH_P_IP);
    net_is(n, IP_FIRST, &plain, 1);
    ip_is(n, IP_SOURCE, &f->v4);
}

static void match_v6(struct nft *n, const struct filter *f)
{
    nft_rule(n, "out");
    to_gateway(n, f, ETH_P_IPV6);
    ip_is(n, IP6_SOURCE, &f->v6);
}

/* Whole packets only: a later fragment has no port. */
static void pass_dns(struct nft *n, const struct filter *f)
{
    static const uint8_t offset[2] = {0x1f, 0xff}, first[2];
    uint16_t port = htons(DNS_PORT);

    if (f->dns.v6) {
        match_v6(n, f);
        ip_is(n, IP6_DESTINATION, &f->dns);
        in_set(n, IP6_NEXT, 1, "pd");
        net_is(n, IP6_PORT, &port, sizeof port);
    } else {
        match_v4(n, f);
        ip_is(n, IP_DESTINATION, &f->dns);
        in_set(n, IP_PROTO, 1, "pd");
        nft_load(n, NFT_PAYLOAD_NETWORK_HEADER, IP_FRAGMENT, sizeof offset);
        nft_mask(n, offset, sizeof offset);
        nft_is(n, first, sizeof first);
        net_is(n, IP_PORT, &port, sizeof port);
    }
    nft_goto(n, "pass");
    nft_rule_end(n);
}

/* Loads a destination as the keys of a set of blocks are. */
static void load_block(struct nft *n, const struct blocks *b)
{
    const uint32_t mask = htonl(UINT32_MAX << (32 - b->len));

    nft_load(n, NFT_PAYLOAD_NETWORK_HEADER, IP_DESTINATION, 4);
    if (b->len < 32) {
        nft_mask(n, &mask, sizeof mask);
    }
}

/* Each packet is asked where it goes once it is known to be one that may. */
static void pass_targets_v4(struct nft *n, const struct filter *f, const struct division *d)
{
    for (size_t i = 0; i < d->n; i++) {
        nft_rule(n, "to4");
        load_block(n, &d->blocks[i]);
        nft_in(n, d->blocks[i].name);
        nft_goto(n, "pass");
        nft_rule_end(n);
    }
    nft_rule(n, "to4");
    in_set(n, IP_DESTINATION, 4, "t4");
    nft_goto(n, "pass");
    nft_rule_end(n);
    match_v4(n, f);
    in_set(n, IP_PROTO, 1, "p4");
    nft_jump(n, "to4");
    nft_rule_end(n);
}

static void pass_targets_v6(struct nft *n, const struct filter *f)
{
    match_v6(n, f);
    in_set(n, IP6_DESTINATION, 16, "t6");
    in_set(n, IP6_NEXT, 1, "p6");
    nft_goto(n, "pass");
    nft_rule_end(n);
}

/*
 * The box's kernel knows nothing of connections that a tool has over raw sockets, and would end
 * each of them by its answer to the first packet. The port is looked at first: for almost every
 * packet that is all.
 */
static void drop_kernel_resets(struct nft *n, bool v6)
{
    static const uint16_t ports = UINT16_MAX - (NETD_SILENT_PORTS - 1);
    static const uint8_t tcp = IPPROTO_TCP, reset = TH_RST;
    const uint16_t first = htons(NETD_SILENT_PORT), mask = htons(ports);

    nft_rule(n, "pass");
    nft_load(n, NFT_PAYLOAD_NETWORK_HEADER, v6 ? IP6_SOURCE_PORT : IP_SOURCE_PORT, sizeof mask);
    nft_mask(n, &mask, sizeof mask);
    nft_is(n, &first, sizeof first);
    type_is(n, v6 ? ETH_P_IPV6 : ETH_P_IP);
    net_is(n, v6 ? IP6_NEXT : IP_PROTO, &tcp, 1);
    nft_load(n, NFT_PAYLOAD_NETWORK_HEADER, v6 ? IP6_TCP_FLAGS : IP_TCP_FLAGS, 1);
    nft_mask(n, &reset, 1);
    nft_is(n, &reset, 1);
    end(n, "noise", NF_DROP);
}

/* Where all that may pass ends: once for what the rate allows, once for what is above it. */
static void pass(struct nft *n, const struct filter *f)
{
    if (f->raw && f->has_v4) {
        drop_kernel_resets(n, false);
    }
    if (f->raw && f->has_v6) {
        drop_kernel_resets(n, true);
    }
    nft_rule(n, "pass");
    if (f->rate_pps) {
        nft_limited(n, "limit");
    }
    end(n, "passed", NF_ACCEPT);
    if (f->rate_pps) {
        nft_rule(n, "pass");
        end(n, "rate", NF_DROP);
    }
}

/* The one question that ARP may ask: who is the gateway. */
static void pass_arp(struct nft *n, const struct filter *f)
{
    uint16_t request = htons(ARPOP_REQUEST);

    nft_rule(n, "out");
    type_is(n, ETH_P_ARP);
    net_is(n, ARP_OPERATION, &request, sizeof request);
    ip_is(n, ARP_SENDER, &f->v4);
    ip_is(n, ARP_TARGET, &f->gateway4);
    end(n, "noise", NF_ACCEPT);
}

/* The same by neighbour discovery, to the gateway or its solicited-node address. */
static void pass_solicitation(struct nft *n, const struct filter *f)
{
    static const uint8_t next = IPPROTO_ICMPV6, type = ND_NEIGHBOR_SOLICIT;
    struct net_ip solicited = {.v6 = true, .hi = UINT64_C(0xff02) << 48};

    solicited.lo = UINT64_C(0x1ff000000) | (f->gateway6.lo & 0xffffff);
    for (int i = 0; i < 2; i++) {
        nft_rule(n, "out");
        type_is(n, ETH_P_IPV6);
        net_is(n, IP6_NEXT, &next, 1);
        ip_is(n, IP6_SOURCE, &f->v6);
        ip_is(n, IP6_DESTINATION, i ? &solicited : &f->gateway6);
        net_is(n, IP6_TYPE, &type, 1);
        end(n, "noise", NF_ACCEPT);
    }
}

/* ---- what does not, by name ---- */

/* Multicast on the link by which a kernel looks after itself: MLD, ND, router solicitation. */
static void drop_noise(struct nft *n)
{
    static const uint8_t link_multicast[2] = {0xff, 0x02}, next[2] = {IPPROTO_ICMPV6, 0};

    for (int i = 0; i < 2; i++) { /* MLD wears a hop-by-hop header */
        nft_rule(n, "out");
        type_is(n, ETH_P_IPV6);
        net_is(n, IP6_DESTINATION, link_multicast, sizeof link_multicast);
        net_is(n, IP6_NEXT, &next[i], 1);
        end(n, "noise", NF_DROP);
    }
}

static void drop_foreign_mac(struct nft *n, const struct filter *f)
{
    nft_rule(n, "out");
    nft_load(n, NFT_PAYLOAD_LL_HEADER, 0, MAC_LEN);
    nft_is_not(n, f->gateway_mac, MAC_LEN);
    end(n, "link", NF_DROP);
}

static void drop_v4(struct nft *n, const struct filter *f, const struct division *d)
{
    static const uint8_t plain = 0x45;

    if (f->has_v4) {
        nft_rule(n, "out");
        type_is(n, ETH_P_IP);
        ip_is_not(n, IP_SOURCE, &f->v4);
        end(n, "spoofed", NF_DROP);
    }
    nft_rule(n, "out");
    type_is(n, ETH_P_IP);
    net_is_not(n, IP_FIRST, &plain, 1);
    end(n, "options", NF_DROP);
    nft_rule(n, "out");
    type_is(n, ETH_P_IP);
    nft_load(n, NFT_PAYLOAD_NETWORK_HEADER, IP_DESTINATION, 4);
    nft_not_in(n, "t4");
    for (size_t i = 0; i < d->n; i++) {
        load_block(n, &d->blocks[i]);
        nft_not_in(n, d->blocks[i].name);
    }
    end(n, "out_of_scope", NF_DROP);
    nft_rule(n, "out");
    type_is(n, ETH_P_IP);
    end(n, "protocol", NF_DROP);
}

static void drop_v6(struct nft *n, const struct filter *f)
{
    if (f->has_v6) {
        nft_rule(n, "out");
        type_is(n, ETH_P_IPV6);
        ip_is_not(n, IP6_SOURCE, &f->v6);
        end(n, "spoofed", NF_DROP);
    }
    nft_rule(n, "out");
    type_is(n, ETH_P_IPV6);
    nft_load(n, NFT_PAYLOAD_NETWORK_HEADER, IP6_DESTINATION, 16);
    nft_not_in(n, "t6");
    end(n, "out_of_scope", NF_DROP);
    nft_rule(n, "out");
    type_is(n, ETH_P_IPV6);
    end(n, "protocol", NF_DROP);
}

static void rules(struct nft *n, const struct filter *f, const struct division *d)
{
    pass(n, f);
    if (f->has_v4) {
        pass_targets_v4(n, f, d);
    }
    if (f->has_v6) {
        pass_targets_v6(n, f);
    }
    if (f->has_dns) {
        pass_dns(n, f);
    }
    if (f->has_v4) {
        pass_arp(n, f);
    }
    if (f->has_v6) {
        pass_solicitation(n, f);
    }
    drop_noise(n);
    drop_foreign_mac(n, f);
    drop_v4(n, f, d);
    drop_v6(n, f);
    nft_rule(n, "out");
    end(n, "link", NF_DROP);
}

/* ---- the table ---- */

static void declare_protos(struct nft *n, const char *set, const uint8_t *protos, size_t count)
{
    const struct nft_keys keys = {.v = protos, .n = count, .len = 1};

    nft_set(n, set, KEY_PROTO, false);
    (void)nft_keys(n, set, &keys, 0);
}

static void declare(struct nft *n, const struct filter *f, const struct division *d)
{
    static const uint8_t p4[] = {IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};
    static const uint8_t p6[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMPV6, IPPROTO_SCTP};
    static const uint8_t pd[] = {IPPROTO_TCP, IPPROTO_UDP};

    nft_mark(n, "its sets");
    nft_set(n, "t4", KEY_IPV4, true);
    nft_set(n, "t6", KEY_IPV6, true);
    for (size_t i = 0; i < d->n; i++) {
        nft_hash(n, d->blocks[i].name, KEY_IPV4, d->blocks[i].n);
    }
    declare_protos(n, "p4", p4, sizeof p4);
    declare_protos(n, "p6", p6, sizeof p6);
    declare_protos(n, "pd", pd, sizeof pd);
    nft_mark(n, "its counters");
    for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
        nft_counter(n, counters[i].name);
    }
    nft_mark(n, "its limit");
    if (f->rate_pps) {
        nft_limit(n, "limit", f->rate_pps);
    }
}

/* As much as fits into a batch; true: that was all. `next`: where each part goes on. */
static bool put_targets(struct nft *n, const struct division *d, size_t next[BLOCKS_MAX + 2])
{
    bool all = true;

    for (size_t i = 0; i < d->n; i++) {
        const struct blocks *b = &d->blocks[i];
        const struct nft_keys keys = {.v = b->v, .n = b->n, .len = sizeof *b->v};

        next[i] = nft_keys(n, b->name, &keys, next[i]);
        all = all && next[i] == b->n;
    }
    for (size_t v6 = 0; v6 < 2; v6++) {
        size_t *at = &next[BLOCKS_MAX + v6];

        *at = nft_ranges(n, v6 ? "t6" : "t4", &d->rest, v6, *at);
        all = all && *at == d->rest.n;
    }
    return all;
}

/* Large sets take several transactions; the chain, which makes it a filter, comes with the last. */
static int load_targets(struct nft *n, const struct filter *f, const struct division *d,
                        struct err *e)
{
    size_t next[BLOCKS_MAX + 2] = {0};
    bool all = false;
    int rc = 0;

    while (rc == 0 && !all) {
        nft_mark(n, "the set of targets");
        all = put_targets(n, d, next);
        if (!all) {
            rc = nft_commit(n, e);
            nft_begin(n, NFPROTO_NETDEV, f->name);
        }
    }
    return rc;
}

int filter_load(struct nft *n, const struct filter *f, struct err *e)
{
    const struct nft_hook hook = {.type = "filter",
                                  .hook = NF_NETDEV_INGRESS,
                                  .priority = PRIORITY,
                                  .drop = true,
                                  .dev = f->name};
    uint32_t flags = nft_lasting(n);
    auto_division d = {0};
    int rc;

    division_make(&d, f->targets);
    nft_begin(n, NFPROTO_NETDEV, f->name);
    nft_mark(n, "the table");
    nft_table(n, flags);
    declare(n, f, &d);
    rc = load_targets(n, f, &d, e);
    if (rc == 0) {
        nft_mark(n, "the chains");
        nft_chain(n, "pass", NULL);
        nft_chain(n, "to4", NULL);
        nft_chain(n, "out", &hook);
        nft_mark(n, "the rules");
        rules(n, f, &d);
        rc = nft_commit(n, e);
    }
    if (rc != 0) {
        (void)filter_remove(n, f->name, NULL); /* it may be there in part */
    }
    return rc;
}

struct counted {
    struct egress_counts c;
    unsigned found; /* a bit for each */
};

static void on_counter(void *arg, const char *name, uint64_t packets)
{
    struct counted *all = arg;

    for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
        if (str_eq(counters[i].name, name)) {
            memcpy((char *)&all->c + counters[i].at, &packets, sizeof packets);
            all->found |= 1u << i;
        }
    }
}

int filter_counts(struct nft *n, const char *name, struct egress_counts *out, struct err *e)
{
    struct counted all = {0};
    int rc = nft_counters(n, NFPROTO_NETDEV, name, on_counter, &all, e);

    if (rc == 0 && all.found != (1u << ARRAY_LEN(counters)) - 1) {
        /* A list of what is not there is empty, and no error. */
        rc = err_set(e, ERR_SANDBOX, "table %s was removed by somebody", name);
    }
    if (rc == 0) {
        *out = all.c;
    }
    return rc;
}

int filter_remove(struct nft *n, const char *name, struct err *e)
{
    nft_begin(n, NFPROTO_NETDEV, name);
    nft_mark(n, "its removal");
    nft_table_del(n);
    return nft_commit(n, e);
}
