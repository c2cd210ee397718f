/*
 * broker - makes the calls of a tool that has no network of its own (EGRESS_BROKER): its connect()
 * and its sendto() with an address stop in the kernel until we have answered. box/seccomp.h says
 * which calls come here.
 *
 * The address is copied once and judged; the socket is duplicated, and the call is made on the
 * duplicate with our copy. The tool's own call never continues: its memory may have changed. Never
 * blocks: what would is finished when the socket is ready. Above the rate nothing is dropped: calls
 * wait in the kernel until there is room for them again. Private to runner/.
 */
#pragma once

#include <stdint.h>

#include "base/netset.h"
#include "event/loop.h"
#include "model/sandbox.h"

struct broker;

struct broker_scope {
    const struct netset *targets; /* outlives the broker */
    bool has_dns;
    struct net_ip dns; /* port 53 of it */
    uint32_t rate_pps; /* calls that reach the network; 0: not limited */
};

/* Watches the listener, which stays the caller's; NULL: it cannot be watched. */
struct broker *broker_new(struct loop *l, int notify_fd, const struct broker_scope *scope);
const struct egress_counts *broker_counts(const struct broker *b);
void broker_free(struct broker *b); /* NULL is fine; what is not answered fails in the kernel */

/* What a destination is. Only for the broker and its tests. */
enum broker_verdict {
    BROKER_PASS,   /* inside the scope: counted */
    BROKER_LOCAL,  /* reaches no network: the kernel's own answers, dissolving */
    BROKER_SCOPE,  /* outside: counted, ENETUNREACH */
    BROKER_REFUSED /* nothing that a tool may speak to: EACCES */
};
enum broker_verdict broker_judge(const struct broker_scope *scope, const void *address, size_t len,
                                 bool is_connect);
