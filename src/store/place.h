/*
 * place - where a host is in the order of addresses: host_key() of its address, or 255s for one
 * without an address of IPv4 or IPv6, which come last.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/host.h"

enum {
    /* So many hosts of a plain set are put in order when they are asked for; only those that follow
     * have a row that says where they are. So the many small jobs write nothing for it. */
    PLACE_UNWRITTEN = 256,
};

/* False: it has no address. out: HOST_KEY bytes, in any case. */
bool place_of(const struct host *head, uint8_t out[HOST_KEY]);
bool place_of_text(const char *address, uint8_t out[HOST_KEY]);
/* How many bytes of a key say all; the others are the same for all keys of this kind. */
size_t place_len(const uint8_t key[HOST_KEY]);

struct place {
    uint8_t key[HOST_KEY];
    int64_t seq;
};
/* By key, then seq; for qsort() too. */
int place_cmp(const void *a, const void *b);
/* The place behind which a list goes on; the start of it all if f->after_key is NULL. */
struct host_filter;
struct place place_after(const struct host_filter *f);
