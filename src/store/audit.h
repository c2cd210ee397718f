/*
 * audit - the chain of the audit log, for the store and for whoever verifies it elsewhere.
 *
 * The canonical line of an entry is its members in this order, each as a netstring (length in
 * bytes, ':', the bytes, ','), numbers in decimal:
 *
 *     seq at_us actor action object detail
 *     1:1,16:1795316400000000,6:system,10:key.create,16:0123456789abcdef,2:{},
 *
 * hash = SHA-256(hash of the entry before, 32 bytes; canonical line). Before the first entry stand
 * 32 zero bytes.
 */
#pragma once

#include "store/store.h"

/* The hash that belongs to `a` after an entry with the hash `before`; a->hash is not read. */
void audit_hash(const uint8_t before[32], const struct audit *a, uint8_t out[32]);

/* Follows a chain from its first entry. A zeroed one is at the start. */
struct audit_chain {
    int64_t n;        /* entries so far; the seq of the last one */
    uint8_t head[32]; /* its hash */
    bool expected;    /* the entry with the exported head went by */
};
/* ERR_CONFLICT: `a` is not the next entry. `expect` as in store_audit_verify(). */
int audit_chain_next(struct audit_chain *c, const struct audit *a, const struct audit *expect,
                     struct err *e);
/* ERR_CONFLICT: the chain ends before the entry that was exported. */
int audit_chain_end(const struct audit_chain *c, const struct audit *expect, struct err *e);
