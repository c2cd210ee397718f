/*
 * lease - deadlines of runs in shared memory: one side moves them on, the other looks at them, and
 * neither has to be awake for the other. A run has a slot with a time in CLOCK_BOOTTIME ms.
 *
 * The daemon's side makes the memory when the first run with a deadline is launched. It can be
 * mapped for writing there alone: the runner, and the init of each box as its child, can but read.
 * A tool has neither the mapping, which ends at exec, nor a descriptor. Private to runner/.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { LEASES = 8192 }; /* runs with a deadline at the same time */
#define NO_LEASE UINT32_MAX

/* The daemon's side. Zeroes are one without memory. */
struct leases {
    int64_t *page; /* NULL: none yet; 0: the slot is free */
    uint32_t next; /* where to look for a free one */
};

/* *fd: to be handed to the runner, and closed. */
int leases_make(struct leases *s, int *fd, struct err *e);
/* What is still looked at has passed from now on. */
void leases_done(struct leases *s);
/* ERR_LIMIT: all are taken. */
int lease_take(struct leases *s, int64_t until_ms, uint32_t *slot, struct err *e);
void lease_give(struct leases *s, uint32_t slot);
void lease_move(struct leases *s, uint32_t slot, int64_t until_ms); /* later than it was only */

static inline int64_t lease_until_ms(const int64_t *slot)
{
    return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}

/* The runner's side: maps what it was handed. NULL: that is no memory of leases_make(). */
const int64_t *leases_map(int fd);
