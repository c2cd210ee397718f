#include "netd/nft_inside.h"

#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "base/mem.h"

int nft_open(struct nft *n, struct err *e)
{
    *n = (struct nft){.seq = 1};
    n->sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
    if (!n->sock) {
        return err_errno(e, "open a netfilter socket");
    }
    if (mnl_socket_bind(n->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
        int rc = err_errno(e, "bind a netfilter socket");

        nft_close(n);
        return rc;
    }
    return 0;
}

void nft_close(struct nft *n)
{
    if (n->sock) {
        mnl_socket_close(n->sock);
    }
    buf_done(&n->batch);
    *n = (struct nft){0};
}

/* ---- messages ---- */

void nft_message_room(struct nft *n, uint16_t type, uint16_t flags, size_t room)
{
    struct nfgenmsg *g;
    char *at = buf_space(&n->batch, room); /* messages do not move while they are built */
    bool frame = type == NFNL_MSG_BATCH_BEGIN || type == NFNL_MSG_BATCH_END;

    n->msg = mnl_nlmsg_put_header(at);
    n->msg->nlmsg_type = frame ? type : (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
    n->msg->nlmsg_flags = NLM_F_REQUEST | flags;
    n->msg->nlmsg_seq = n->seq++;
    g = mnl_nlmsg_put_extra_header(n->msg, sizeof *g);
    g->nfgen_family = frame ? AF_UNSPEC : n->family;
    g->version = NFNETLINK_V0;
    g->res_id = frame ? htons(NFNL_SUBSYS_NFTABLES) : 0;
}

void nft_message(struct nft *n, uint16_t type, uint16_t flags)
{
    nft_message_room(n, type, flags, MESSAGE_MAX);
}

void nft_message_end(struct nft *n)
{
    n->batch.len += n->msg->nlmsg_len;
}

void nft_put_u32(struct nft *n, uint16_t type, uint32_t v)
{
    mnl_attr_put_u32(n->msg, type, htonl(v));
}

static void put_u64(struct nft *n, uint16_t type, uint64_t v)
{
    mnl_attr_put_u64(n->msg, type, htobe64(v));
}

void nft_begin(struct nft *n, uint8_t family, const char *table)
{
    buf_reset(&n->batch);
    n->family = family;
    n->table = table;
    n->first = n->seq;
    n->n_marks = 0;
    nft_message(n, NFNL_MSG_BATCH_BEGIN, 0);
    nft_message_end(n);
}

void nft_mark(struct nft *n, const char *what)
{
    assert(n->n_marks < ARRAY_LEN(n->marks));
    n->what[n->n_marks] = what;
    n->marks[n->n_marks++] = n->seq;
}

static const char *marked(const struct nft *n, uint32_t seq)
{
    const char *what = "the batch";

    for (unsigned i = 0; i < n->n_marks && seq >= n->marks[i]; i++) {
        what = n->what[i];
    }
    return what;
}

/* The kernel answers while it is being asked: everything is there when send returns. */
static int answers(struct nft *n, uint32_t last, struct err *e)
{
    char in[16384] __attribute__((aligned(8)));
    bool done = false;
    int rc = 0;

    for (;;) {
        ssize_t got = recv(mnl_socket_get_fd(n->sock), in, sizeof in, MSG_DONTWAIT);
        const struct nlmsghdr *h = (const struct nlmsghdr *)in;
        int left = (int)got;

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            break;
        }
        for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
            const struct nlmsgerr *m = mnl_nlmsg_get_payload(h);

            if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_seq < n->first || h->nlmsg_seq > last ||
                mnl_nlmsg_get_payload_len(h) < sizeof *m) {
                continue;
            }
            done = done || h->nlmsg_seq == last;
            if (m->error && rc == 0) {
                errno = n->error = -m->error;
                rc = err_errno(e, "nftables: table %s: %s", n->table, marked(n, h->nlmsg_seq));
            }
        }
    }
    if (rc == 0 && !done) {
        n->error = EIO;
        rc = err_set(e, ERR_IO, "nftables: table %s: the kernel did not answer", n->table);
    }
    return rc;
}

int nft_commit(struct nft *n, struct err *e)
{
    uint32_t last = n->msg->nlmsg_seq;

    n->error = 0;
    n->msg->nlmsg_flags |= NLM_F_ACK;
    nft_message(n, NFNL_MSG_BATCH_END, 0);
    nft_message_end(n);
    if (mnl_socket_sendto(n->sock, n->batch.data, n->batch.len) < 0) {
        n->error = errno;
        return err_errno(e, "nftables: table %s: send", n->table);
    }
    return answers(n, last, e);
}

/* ---- tables, objects, chains ---- */

void nft_table(struct nft *n, uint32_t flags)
{
    nft_message(n, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
    mnl_attr_put_strz(n->msg, NFTA_TABLE_NAME, n->table);
    nft_put_u32(n, NFTA_TABLE_FLAGS, flags);
    nft_message_end(n);
}

void nft_table_del(struct nft *n)
{
    nft_message(n, NFT_MSG_DELTABLE, 0);
    mnl_attr_put_strz(n->msg, NFTA_TABLE_NAME, n->table);
    nft_message_end(n);
}

void nft_flush(struct nft *n)
{
    nft_message(n, NFT_MSG_DELTABLE, 0);
    nft_message_end(n);
}

static struct nlattr *object(struct nft *n, const char *name, uint32_t type)
{
    nft_message(n, NFT_MSG_NEWOBJ, NLM_F_CREATE | NLM_F_EXCL);
    mnl_attr_put_strz(n->msg, NFTA_OBJ_TABLE, n->table);
    mnl_attr_put_strz(n->msg, NFTA_OBJ_NAME, name);
    nft_put_u32(n, NFTA_OBJ_TYPE, type);
    return mnl_attr_nest_start(n->msg, NFTA_OBJ_DATA);
}

void nft_counter(struct nft *n, const char *name)
{
    struct nlattr *data = object(n, name, NFT_OBJECT_COUNTER);

    mnl_attr_nest_end(n->msg, data);
    nft_message_end(n);
}

void nft_limit(struct nft *n, const char *name, uint32_t per_second)
{
    struct nlattr *data = object(n, name, NFT_OBJECT_LIMIT);

    put_u64(n, NFTA_LIMIT_RATE, per_second);
    put_u64(n, NFTA_LIMIT_UNIT, 1);
    nft_put_u32(n, NFTA_LIMIT_BURST, MAX(per_second, 64)); /* what a second may hold at once */
    nft_put_u32(n, NFTA_LIMIT_TYPE, NFT_LIMIT_PKTS);
    mnl_attr_nest_end(n->msg, data);
    nft_message_end(n);
}

void nft_timeout(struct nft *n, const char *name, bool v6, uint8_t proto, uint32_t seconds)
{
    /* CTA_TIMEOUT_TCP_SYN_SENT and CTA_TIMEOUT_UDP_UNREPLIED are both the first of their lists. */
    enum { UNANSWERED = 1 };
    struct nlattr *data = object(n, name, NFT_OBJECT_CT_TIMEOUT);
    struct nlattr *policy;

    mnl_attr_put_u16(n->msg, NFTA_CT_TIMEOUT_L3PROTO, htons(v6 ? NFPROTO_IPV6 : NFPROTO_IPV4));
    mnl_attr_put_u8(n->msg, NFTA_CT_TIMEOUT_L4PROTO, proto);
    policy = mnl_attr_nest_start(n->msg, NFTA_CT_TIMEOUT_DATA);
    nft_put_u32(n, UNANSWERED, seconds);
    mnl_attr_nest_end(n->msg, policy);
    mnl_attr_nest_end(n->msg, data);
    nft_message_end(n);
}

void nft_chain(struct nft *n, const char *name, const struct nft_hook *h)
{
    struct nlattr *hook;

    nft_message(n, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL);
    mnl_attr_put_strz(n->msg, NFTA_CHAIN_TABLE, n->table);
    mnl_attr_put_strz(n->msg, NFTA_CHAIN_NAME, name);
    if (!h) {
        nft_message_end(n);
        return;
    }
    mnl_attr_put_strz(n->msg, NFTA_CHAIN_TYPE, h->type);
    hook = mnl_attr_nest_start(n->msg, NFTA_CHAIN_HOOK);
    nft_put_u32(n, NFTA_HOOK_HOOKNUM, h->hook);
    nft_put_u32(n, NFTA_HOOK_PRIORITY, (uint32_t)h->priority);
    if (h->dev) {
        mnl_attr_put_strz(n->msg, NFTA_HOOK_DEV, h->dev);
    }
    mnl_attr_nest_end(n->msg, hook);
    nft_put_u32(n, NFTA_CHAIN_POLICY, h->drop ? NF_DROP : NF_ACCEPT);
    nft_message_end(n);
}

/* ---- rules ---- */

void nft_rule(struct nft *n, const char *chain)
{
    nft_message(n, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    mnl_attr_put_strz(n->msg, NFTA_RULE_TABLE, n->table);
    mnl_attr_put_strz(n->msg, NFTA_RULE_CHAIN, chain);
    n->list = mnl_attr_nest_start(n->msg, NFTA_RULE_EXPRESSIONS);
}

void nft_rule_end(struct nft *n)
{
    mnl_attr_nest_end(n->msg, n->list);
    assert(n->msg->nlmsg_len <= MESSAGE_MAX);
    nft_message_end(n);
}

static void expr(struct nft *n, const char *name)
{
    n->elem = mnl_attr_nest_start(n->msg, NFTA_LIST_ELEM);
    mnl_attr_put_strz(n->msg, NFTA_EXPR_NAME, name);
    n->data = mnl_attr_nest_start(n->msg, NFTA_EXPR_DATA);
}

static void expr_end(struct nft *n)
{
    mnl_attr_nest_end(n->msg, n->data);
    mnl_attr_nest_end(n->msg, n->elem);
}

static void put_value(struct nft *n, uint16_t type, const void *p, size_t len)
{
    struct nlattr *nest = mnl_attr_nest_start(n->msg, type);

    mnl_attr_put(n->msg, NFTA_DATA_VALUE, len, p);
    mnl_attr_nest_end(n->msg, nest);
}

void nft_load(struct nft *n, uint32_t base, uint32_t offset, uint32_t len)
{
    expr(n, "payload");
    nft_put_u32(n, NFTA_PAYLOAD_DREG, NFT_REG_1);
    nft_put_u32(n, NFTA_PAYLOAD_BASE, base);
    nft_put_u32(n, NFTA_PAYLOAD_OFFSET, offset);
    nft_put_u32(n, NFTA_PAYLOAD_LEN, len);
    expr_end(n);
}

void nft_load_meta(struct nft *n, uint32_t key)
{
    expr(n, "meta");
    nft_put_u32(n, NFTA_META_DREG, NFT_REG_1);
    nft_put_u32(n, NFTA_META_KEY, key);
    expr_end(n);
}

void nft_load_ct_state(struct nft *n)
{
    expr(n, "ct");
    nft_put_u32(n, NFTA_CT_DREG, NFT_REG_1);
    nft_put_u32(n, NFTA_CT_KEY, NFT_CT_STATE);
    expr_end(n);
}

void nft_mask(struct nft *n, const void *mask, uint32_t len)
{
    static const uint8_t zero[16];

    expr(n, "bitwise");
    nft_put_u32(n, NFTA_BITWISE_SREG, NFT_REG_1);
    nft_put_u32(n, NFTA_BITWISE_DREG, NFT_REG_1);
    nft_put_u32(n, NFTA_BITWISE_LEN, len);
    put_value(n, NFTA_BITWISE_MASK, mask, len);
    put_value(n, NFTA_BITWISE_XOR, zero, len);
    expr_end(n);
}

static void compare(struct nft *n, uint32_t op, const void *p, size_t len)
{
    expr(n, "cmp");
    nft_put_u32(n, NFTA_CMP_SREG, NFT_REG_1);
    nft_put_u32(n, NFTA_CMP_OP, op);
    put_value(n, NFTA_CMP_DATA, p, len);
    expr_end(n);
}

void nft_is(struct nft *n, const void *p, size_t len)
{
    compare(n, NFT_CMP_EQ, p, len);
}

void nft_is_not(struct nft *n, const void *p, size_t len)
{
    compare(n, NFT_CMP_NEQ, p, len);
}

static void lookup(struct nft *n, const char *set, uint32_t flags)
{
    expr(n, "lookup");
    mnl_attr_put_strz(n->msg, NFTA_LOOKUP_SET, set);
    nft_put_u32(n, NFTA_LOOKUP_SREG, NFT_REG_1);
    nft_put_u32(n, NFTA_LOOKUP_FLAGS, flags);
    expr_end(n);
}

void nft_in(struct nft *n, const char *set)
{
    lookup(n, set, 0);
}

void nft_not_in(struct nft *n, const char *set)
{
    lookup(n, set, NFT_LOOKUP_F_INV);
}

static void use_object(struct nft *n, const char *name, uint32_t type)
{
    expr(n, "objref");
    nft_put_u32(n, NFTA_OBJREF_IMM_TYPE, type);
    mnl_attr_put_strz(n->msg, NFTA_OBJREF_IMM_NAME, name);
    expr_end(n);
}

void nft_count(struct nft *n, const char *counter)
{
    use_object(n, counter, NFT_OBJECT_COUNTER);
}

void nft_limited(struct nft *n, const char *limit)
{
    use_object(n, limit, NFT_OBJECT_LIMIT);
}

void nft_use_timeout(struct nft *n, const char *timeout)
{
    use_object(n, timeout, NFT_OBJECT_CT_TIMEOUT);
}

static void verdict(struct nft *n, uint32_t code, const char *chain)
{
    struct nlattr *data, *v;

    expr(n, "immediate");
    nft_put_u32(n, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    data = mnl_attr_nest_start(n->msg, NFTA_IMMEDIATE_DATA);
    v = mnl_attr_nest_start(n->msg, NFTA_DATA_VERDICT);
    nft_put_u32(n, NFTA_VERDICT_CODE, code);
    if (chain) {
        mnl_attr_put_strz(n->msg, NFTA_VERDICT_CHAIN, chain);
    }
    mnl_attr_nest_end(n->msg, v);
    mnl_attr_nest_end(n->msg, data);
    expr_end(n);
}

void nft_verdict(struct nft *n, uint32_t code)
{
    verdict(n, code, NULL);
}

void nft_jump(struct nft *n, const char *chain)
{
    verdict(n, (uint32_t)NFT_JUMP, chain);
}

void nft_goto(struct nft *n, const char *chain)
{
    verdict(n, (uint32_t)NFT_GOTO, chain);
}

void nft_masquerade(struct nft *n)
{
    expr(n, "masq");
    expr_end(n);
}
