/* Sets and what is in them. */
#include <linux/netfilter/nf_tables.h>

#include "base/mem.h"
#include "netd/bytes.h"
#include "netd/nft_inside.h"

enum {
    ELEMENTS_MAX = 60 << 10, /* bytes of elements in a message: a nest has 16 bits of length */
    BATCH_MAX = 120 << 10,   /* fits into a socket buffer of the default size */
};

static uint32_t key_len(enum nft_key key)
{
    return key == KEY_IPV6 ? 16 : key == KEY_IPV4 ? 4 : 1;
}

static void set_begin(struct nft *n, const char *name, enum nft_key key, bool interval)
{
    nft_message(n, NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL);
    mnl_attr_put_strz(n->msg, NFTA_SET_TABLE, n->table);
    mnl_attr_put_strz(n->msg, NFTA_SET_NAME, name);
    nft_put_u32(n, NFTA_SET_FLAGS, interval ? NFT_SET_INTERVAL : 0);
    nft_put_u32(n, NFTA_SET_KEY_TYPE, key);
    nft_put_u32(n, NFTA_SET_KEY_LEN, key_len(key));
    nft_put_u32(n, NFTA_SET_ID, n->seq);
}

void nft_set(struct nft *n, const char *name, enum nft_key key, bool interval)
{
    set_begin(n, name, key, interval);
    nft_message_end(n);
}

void nft_hash(struct nft *n, const char *name, enum nft_key key, size_t size)
{
    struct nlattr *desc;

    set_begin(n, name, key, false);
    desc = mnl_attr_nest_start(n->msg, NFTA_SET_DESC);
    nft_put_u32(n, NFTA_SET_DESC_SIZE, (uint32_t)size);
    mnl_attr_nest_end(n->msg, desc);
    nft_message_end(n);
}

static void put_element(struct nft *n, const void *key, uint16_t len, uint32_t flags)
{
    struct nlattr *elem = mnl_attr_nest_start(n->msg, NFTA_LIST_ELEM);
    struct nlattr *k = mnl_attr_nest_start(n->msg, NFTA_SET_ELEM_KEY);

    mnl_attr_put(n->msg, NFTA_DATA_VALUE, len, key);
    mnl_attr_nest_end(n->msg, k);
    if (flags) {
        nft_put_u32(n, NFTA_SET_ELEM_FLAGS, flags);
    }
    mnl_attr_nest_end(n->msg, elem);
}

static struct nlattr *elements(struct nft *n, const char *set)
{
    nft_message_room(n, NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, ELEMENTS_MAX + MESSAGE_MAX);
    mnl_attr_put_strz(n->msg, NFTA_SET_ELEM_LIST_TABLE, n->table);
    mnl_attr_put_strz(n->msg, NFTA_SET_ELEM_LIST_SET, set);
    return mnl_attr_nest_start(n->msg, NFTA_SET_ELEM_LIST_ELEMENTS);
}

/* An interval is its first address and the one after its last. */
static void put_range(struct nft *n, const struct net_range *r)
{
    uint16_t len = r->first.v6 ? 16 : 4;
    struct net_ip after = r->last;
    uint8_t key[16];

    net_bytes(&r->first, key);
    put_element(n, key, len, 0);
    if (!after.v6 && after.lo == UINT32_MAX) {
        return; /* it reaches the end of all addresses */
    }
    after.lo++;
    if (after.v6 && after.lo == 0 && ++after.hi == 0) {
        return;
    }
    net_bytes(&after, key);
    put_element(n, key, len, NFT_SET_ELEM_INTERVAL_END);
}

/* Is there room for one more message of elements? */
static bool has_room(const struct nft *n)
{
    return n->batch.len + ELEMENTS_MAX < BATCH_MAX + MESSAGE_MAX;
}

size_t nft_ranges(struct nft *n, const char *set, const struct netset *s, bool v6, size_t from)
{
    while (from < s->n && has_room(n)) {
        struct nlattr *nest = NULL;

        while (from < s->n && s->v[from].first.v6 != v6) {
            from++;
        }
        if (from == s->n) {
            break;
        }
        nest = elements(n, set);
        while (from < s->n && s->v[from].first.v6 == v6 && n->msg->nlmsg_len < ELEMENTS_MAX) {
            put_range(n, &s->v[from++]);
        }
        mnl_attr_nest_end(n->msg, nest);
        nft_message_end(n);
    }
    return from;
}

size_t nft_keys(struct nft *n, const char *set, const struct nft_keys *k, size_t from)
{
    const char *at = k->v;

    while (from < k->n && has_room(n)) {
        struct nlattr *nest = elements(n, set);

        for (; from < k->n && n->msg->nlmsg_len < ELEMENTS_MAX; from++) {
            put_element(n, at + from * k->len, k->len, 0);
        }
        mnl_attr_nest_end(n->msg, nest);
        nft_message_end(n);
    }
    return from;
}
