/*
 * blocks - a large set of IPv4 ranges, divided for the kernel. Private to the room.
 *
 * The kernel keeps ranges in a tree: with 20,000 of them each packet costs a quarter of a
 * microsecond. Most ranges of a large set are single addresses or small networks of one size; such
 * are kept in a hash, by the prefix of one length that they are made of, which costs next to
 * nothing. What does not fit stays a range. Small sets are not divided.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/netset.h"

enum { BLOCKS_MAX = 2 };

struct blocks {
    char name[4]; /* of the set */
    unsigned len; /* of the prefixes */
    uint32_t *v;  /* owned; network order */
    size_t n;
};

struct division {
    struct blocks blocks[BLOCKS_MAX];
    size_t n;
    struct netset rest; /* owned */
};

#define auto_division __attribute__((cleanup(division_done))) struct division

void division_make(struct division *d, const struct netset *targets);
void division_done(struct division *d);
