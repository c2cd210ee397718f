/*
 * proto - the messages between runner and netd, written and checked in one place. Private.
 *
 *   runner --UP(run, flags, rate, dns, number of ranges; descriptor of the namespace)--> netd
 *          --RANGES(run, ranges)--> until all have come      --DOWN(run)-->
 *   netd --READY-->  --UP_DONE(run, code, why, addresses)-->  --COUNTS(run, counters)--> runner
 */
#pragma once

#include "ipc/chan.h"
#include "netd/netd.h"

enum {
    NETD_UP = 1,
    NETD_RANGES,
    NETD_DOWN,
    NETD_READY, /* from here on: netd to runner */
    NETD_UP_DONE,
    NETD_COUNTS,
    NETD_LOST, /* instead: somebody removed the filter, nobody knows the counters */
};

enum { NETD_RANGES_MAX = 131072, NETD_RANGES_AT_ONCE = 3900, NETD_WHY_MAX = 511 };

/* What UP asks for; its ranges come in pieces. */
struct up_ask {
    uint64_t run;
    bool dedicated, raw, has_dns;
    struct net_ip dns;
    uint32_t rate_pps;
    uint32_t n_ranges;     /* in all */
    struct netset targets; /* owned; those that came */
};

void up_put(struct buf *b, const struct netd_ask *ask);
/* Ranges from number `from` on; returns the number of the next. */
size_t ranges_put(struct buf *b, const struct netd_ask *ask, size_t from);
/* False: not one of ours. `targets` is left empty. */
bool up_get(struct wire *w, struct up_ask *out);
/* Adds them; they come in order, and not more than UP said. */
bool ranges_get(struct wire *w, struct up_ask *ask);
void up_done(struct up_ask *ask);

struct netd_ready {
    bool usable, forward_v4, forward_v6;
    const char *why; /* got: points into the body */
    uint32_t dedicated_v4, dedicated_v6;
};
void netd_ready_put(struct buf *b, const struct netd_ready *r);
bool netd_ready_get(struct wire *w, struct netd_ready *out);

struct up_answer {
    uint64_t run;
    int code;
    const char *why; /* got: points into the body */
    bool dedicated;
    struct box_address address;
};
void answer_put(struct buf *b, const struct up_answer *a);
bool answer_get(struct wire *w, struct up_answer *out);

void counts_put(struct buf *b, uint64_t run, const struct egress_counts *c);
bool counts_get(struct wire *w, uint64_t *run, struct egress_counts *out);
