/*
 * nft - batches of nf_tables messages over netlink: the few kinds that netd needs.
 *
 * One batch is one transaction: nft_commit() puts all of it into force, or nothing. A message that
 * the kernel refuses is named in the error. Rules are built expression by expression between
 * nft_rule() and nft_rule_end(); each match loads into register 1 and compares, and a rule whose
 * load fails (the packet is too short) does not match. Private to the room.
 */
#pragma once

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/netset.h"

struct nft {
    struct mnl_socket *sock; /* owned */
    struct buf batch;
    uint32_t seq, first; /* of the next message; of the batch's first */
    struct nlmsghdr *msg;
    struct nlattr *list, *elem, *data; /* open nests */
    const char *what[8];               /* for errors: what the messages since `marks` make */
    uint32_t marks[8];
    unsigned n_marks;
    int error; /* errno of the last commit; 0: it is in force */
    bool lasting_known;
    uint32_t lasting; /* nat.h: nft_lasting() */
    uint8_t family;   /* of the table that the messages are about */
    const char *table;
};

int nft_open(struct nft *n, struct err *e);
void nft_close(struct nft *n); /* zeroed is fine */

/* Starts a batch about one table; names are borrowed until it is committed. */
void nft_begin(struct nft *n, uint8_t family, const char *table);
/* What is built from here on, for messages: "the table", "the set of targets". A literal. */
void nft_mark(struct nft *n, const char *what);
int nft_commit(struct nft *n, struct err *e);

void nft_table(struct nft *n, uint32_t flags);
void nft_table_del(struct nft *n);
void nft_flush(struct nft *n); /* every table that may be removed: for tests of ours that may not */

enum nft_key { KEY_IPV4 = 7, KEY_IPV6 = 8, KEY_PROTO = 12 }; /* as the nft command calls them */
void nft_set(struct nft *n, const char *name, enum nft_key key, bool interval);
void nft_hash(struct nft *n, const char *name, enum nft_key key, size_t size); /* at most so many */
/* Ranges of one family of `s`, from number `from` on, as many as fit into a batch. Returns the
 * number of the next. */
size_t nft_ranges(struct nft *n, const char *set, const struct netset *s, bool v6, size_t from);
/* Single keys of `len` bytes each; the same. */
struct nft_keys {
    const void *v;
    size_t n;
    uint16_t len;
};
size_t nft_keys(struct nft *n, const char *set, const struct nft_keys *k, size_t from);
void nft_counter(struct nft *n, const char *name);
void nft_limit(struct nft *n, const char *name, uint32_t per_second);

/* How long conntrack remembers what got no answer: of TCP after the SYN, of UDP. */
void nft_timeout(struct nft *n, const char *name, bool v6, uint8_t proto, uint32_t seconds);

struct nft_hook {
    const char *type; /* "filter", "nat" */
    uint32_t hook;
    int32_t priority;
    bool drop;       /* the policy; false: accept */
    const char *dev; /* family netdev; else NULL */
};
/* h NULL: one that others jump to. */
void nft_chain(struct nft *n, const char *name, const struct nft_hook *h);

void nft_rule(struct nft *n, const char *chain);
void nft_rule_end(struct nft *n);
/* base: NFT_PAYLOAD_*. */
void nft_load(struct nft *n, uint32_t base, uint32_t offset, uint32_t len);
void nft_load_meta(struct nft *n, uint32_t key);
void nft_load_ct_state(struct nft *n);
void nft_mask(struct nft *n, const void *mask, uint32_t len);
void nft_is(struct nft *n, const void *p, size_t len);
void nft_is_not(struct nft *n, const void *p, size_t len);
void nft_in(struct nft *n, const char *set);
void nft_not_in(struct nft *n, const char *set);
void nft_count(struct nft *n, const char *counter); /* a named counter */
void nft_limited(struct nft *n, const char *limit); /* matches while below it */
void nft_verdict(struct nft *n, uint32_t code);     /* NF_ACCEPT, NF_DROP */
void nft_jump(struct nft *n, const char *chain);    /* and back, if no rule there decides */
void nft_goto(struct nft *n, const char *chain);
void nft_use_timeout(struct nft *n, const char *timeout);
void nft_masquerade(struct nft *n);

/* Calls fn for each named counter of a table. */
int nft_counters(struct nft *n, uint8_t family, const char *table,
                 void (*fn)(void *arg, const char *name, uint64_t packets), void *arg,
                 struct err *e);
/* Calls fn for each table there is. */
int nft_tables(struct nft *n,
               void (*fn)(void *arg, uint8_t family, const char *name, uint32_t flags), void *arg,
               struct err *e);
/* Calls fn for each chain that by its policy drops what is forwarded. */
int nft_forward_drops(struct nft *n, void (*fn)(void *arg, const char *table, const char *chain),
                      void *arg, struct err *e);
