/*
 * way - the way out of one box: veth, filter, addresses. Private to the room.
 *
 * way_up() leaves nothing behind when it fails. The outer end goes up only when its filter is in
 * force, and the filter goes away only after the interface. Removal costs the kernel some
 * milliseconds, so it is put off: way_count() reads the counters at once, way_remove() comes when
 * there is time; mostly the interface is gone by then, with the box's namespace.
 */
#pragma once

#include "box/box.h"
#include "netd/beat.h"
#include "netd/filter.h"
#include "netd/instance.h"
#include "netd/link.h"
#include "netd/pool.h"
#include "netd/proto.h"

/* A scan address of our own. */
struct scan_address {
    struct net_ip ip;
    int uplink; /* where it is announced; 0: it is routed to us */
    bool taken;
};

/* What all ways share. */
struct ways {
    struct nft nft;
    struct link link;
    unsigned instance;
    uint32_t serial; /* of the next name */
    struct pool v4, v6;
    struct scan_address *addresses; /* owned */
    size_t n_addresses;
    struct way *list, *dying;
    struct beat beat;
};

struct way {
    struct way *next;
    uint64_t run;
    char name[NAME_LEN];
    int index;
    bool dedicated;
    bool raw;        /* it gets a beat */
    bool has_filter; /* ways_check() */
    bool pool_v4, pool_v6;
    struct net_ip net_v4, net_v6;           /* with pool_*: to give back */
    struct scan_address *addr_v4, *addr_v6; /* dedicated; NULL: not this family */
    struct box_address box;
    uint8_t box_mac[MAC_LEN];
};

/* Fills `ask`'s way into ws->list. `avoid`: addresses that are in use here. */
int way_up(struct ways *ws, const struct up_ask *ask, int netns_fd, const struct netset *avoid,
           struct way **out, struct err *e);
struct way *way_find(const struct ways *ws, uint64_t run);
/* Moves it to ws->dying and reads the counters: an error if they cannot be known. */
int way_count(struct ways *ws, struct way *w, struct egress_counts *out, struct err *e);
/* Cuts off every box whose table somebody removed (nat.h: where tables do not last). */
void ways_check(struct ways *ws);
/* The first of ws->dying, if there is one. */
void way_remove(struct ways *ws);
/* All of them, now. */
void ways_remove_all(struct ways *ws);
/* One beat for each that is to have it; false: there is none. */
bool ways_beat(const struct ways *ws);
uint32_t ways_dedicated(const struct ways *ws, bool v6);
