/* What is in force: tables, and the packets of a table's counters. */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "base/mem.h"
#include "netd/nft.h"

enum { TRIES = 8 };

/* Somebody else's transaction in the middle makes a dump that cannot be trusted: EINTR. */
static int run_dump(struct nft *n, const struct nlmsghdr *ask, mnl_cb_t fn, void *arg)
{
    char in[32768] __attribute__((aligned(8)));
    unsigned port = mnl_socket_get_portid(n->sock);
    int more = 1;

    if (mnl_socket_sendto(n->sock, ask, ask->nlmsg_len) < 0) {
        return -1;
    }
    while (more > 0) {
        ssize_t got = mnl_socket_recvfrom(n->sock, in, sizeof in);

        if (got < 0) {
            return -1;
        }
        more = mnl_cb_run(in, (size_t)got, ask->nlmsg_seq, port, fn, arg);
    }
    return more;
}

static struct nlmsghdr *ask_for(struct nft *n, char *at, uint16_t type, uint8_t family)
{
    struct nlmsghdr *h = mnl_nlmsg_put_header(at);
    struct nfgenmsg *g;

    h->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    h->nlmsg_seq = n->seq++;
    g = mnl_nlmsg_put_extra_header(h, sizeof *g);
    g->nfgen_family = family;
    g->version = NFNETLINK_V0;
    return h;
}

struct counter_sink {
    void (*fn)(void *arg, const char *name, uint64_t packets);
    void *arg;
};

struct counter_row {
    const char *name;
    uint64_t packets;
    bool counted;
};

static int counter_data(const struct nlattr *a, void *arg)
{
    struct counter_row *row = arg;
    uint64_t be;

    if (mnl_attr_get_type(a) == NFTA_COUNTER_PACKETS && mnl_attr_get_payload_len(a) == sizeof be) {
        memcpy(&be, mnl_attr_get_payload(a), sizeof be);
        row->packets = be64toh(be);
        row->counted = true;
    }
    return MNL_CB_OK;
}

static int counter_attr(const struct nlattr *a, void *arg)
{
    struct counter_row *row = arg;

    switch (mnl_attr_get_type(a)) {
    case NFTA_OBJ_NAME:
        row->name = mnl_attr_get_str(a);
        break;
    case NFTA_OBJ_DATA:
        return mnl_attr_parse_nested(a, counter_data, row);
    default:
        break;
    }
    return MNL_CB_OK;
}

static int on_counter(const struct nlmsghdr *h, void *arg)
{
    const struct counter_sink *sink = arg;
    struct counter_row row = {0};

    if (mnl_attr_parse(h, sizeof(struct nfgenmsg), counter_attr, &row) == MNL_CB_OK && row.name &&
        row.counted) {
        sink->fn(sink->arg, row.name, row.packets);
    }
    return MNL_CB_OK;
}

int nft_counters(struct nft *n, uint8_t family, const char *table,
                 void (*fn)(void *arg, const char *name, uint64_t packets), void *arg,
                 struct err *e)
{
    struct counter_sink sink = {fn, arg};
    char at[512] __attribute__((aligned(8)));

    for (int i = 0; i < TRIES; i++) {
        struct nlmsghdr *h = ask_for(n, at, NFT_MSG_GETOBJ, family);

        mnl_attr_put_strz(h, NFTA_OBJ_TABLE, table);
        mnl_attr_put_u32(h, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
        if (run_dump(n, h, on_counter, &sink) >= 0) {
            return 0;
        }
        if (errno != EINTR) {
            break;
        }
    }
    return err_errno(e, "nftables: read the counters of table %s", table);
}

struct table_sink {
    void (*fn)(void *arg, uint8_t family, const char *name, uint32_t flags);
    void *arg;
};

struct table_row {
    const char *name;
    uint32_t flags;
};

static int table_attr(const struct nlattr *a, void *arg)
{
    struct table_row *row = arg;

    if (mnl_attr_get_type(a) == NFTA_TABLE_NAME) {
        row->name = mnl_attr_get_str(a);
    } else if (mnl_attr_get_type(a) == NFTA_TABLE_FLAGS) {
        row->flags = ntohl(mnl_attr_get_u32(a));
    }
    return MNL_CB_OK;
}

static int on_table(const struct nlmsghdr *h, void *arg)
{
    const struct table_sink *sink = arg;
    const struct nfgenmsg *g = mnl_nlmsg_get_payload(h);
    struct table_row row = {0};

    if (mnl_attr_parse(h, sizeof *g, table_attr, &row) == MNL_CB_OK && row.name) {
        sink->fn(sink->arg, g->nfgen_family, row.name, row.flags);
    }
    return MNL_CB_OK;
}

int nft_tables(struct nft *n,
               void (*fn)(void *arg, uint8_t family, const char *name, uint32_t flags), void *arg,
               struct err *e)
{
    struct table_sink sink = {fn, arg};
    char at[512] __attribute__((aligned(8)));

    for (int i = 0; i < TRIES; i++) {
        struct nlmsghdr *h = ask_for(n, at, NFT_MSG_GETTABLE, AF_UNSPEC);

        if (run_dump(n, h, on_table, &sink) >= 0) {
            return 0;
        }
        if (errno != EINTR) {
            break;
        }
    }
    return err_errno(e, "nftables: list the tables");
}

struct chain_sink {
    void (*fn)(void *arg, const char *table, const char *chain);
    void *arg;
};

struct chain_row {
    const char *table, *name;
    bool forward, drop;
};

static int hook_attr(const struct nlattr *a, void *arg)
{
    struct chain_row *row = arg;

    if (mnl_attr_get_type(a) == NFTA_HOOK_HOOKNUM) {
        row->forward = ntohl(mnl_attr_get_u32(a)) == NF_INET_FORWARD;
    }
    return MNL_CB_OK;
}

static int chain_attr(const struct nlattr *a, void *arg)
{
    struct chain_row *row = arg;

    switch (mnl_attr_get_type(a)) {
    case NFTA_CHAIN_TABLE:
        row->table = mnl_attr_get_str(a);
        break;
    case NFTA_CHAIN_NAME:
        row->name = mnl_attr_get_str(a);
        break;
    case NFTA_CHAIN_HOOK:
        return mnl_attr_parse_nested(a, hook_attr, row);
    case NFTA_CHAIN_POLICY:
        row->drop = ntohl(mnl_attr_get_u32(a)) == NF_DROP;
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

static int on_chain(const struct nlmsghdr *h, void *arg)
{
    const struct chain_sink *sink = arg;
    const struct nfgenmsg *g = mnl_nlmsg_get_payload(h);
    struct chain_row row = {0};

    if (mnl_attr_parse(h, sizeof *g, chain_attr, &row) == MNL_CB_OK && row.table && row.name &&
        row.forward && row.drop && g->nfgen_family != NFPROTO_NETDEV &&
        g->nfgen_family != NFPROTO_ARP && g->nfgen_family != NFPROTO_BRIDGE) {
        sink->fn(sink->arg, row.table, row.name);
    }
    return MNL_CB_OK;
}

int nft_forward_drops(struct nft *n, void (*fn)(void *arg, const char *table, const char *chain),
                      void *arg, struct err *e)
{
    struct chain_sink sink = {fn, arg};
    char at[512] __attribute__((aligned(8)));

    for (int i = 0; i < TRIES; i++) {
        struct nlmsghdr *h = ask_for(n, at, NFT_MSG_GETCHAIN, AF_UNSPEC);

        if (run_dump(n, h, on_chain, &sink) >= 0) {
            return 0;
        }
        if (errno != EINTR) {
            break;
        }
    }
    return err_errno(e, "nftables: list the chains");
}
