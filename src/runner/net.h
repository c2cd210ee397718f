/*
 * net - the runner's side of netd: the one that the service has, and the one of its own behind
 * slirp4netns. Private to runner/.
 */
#pragma once

#include "event/loop.h"
#include "netd/netd.h"

struct runner_process;

/* One way out. */
struct net {
    struct runner_process *rp;
    enum egress level;
    struct netd *netd;  /* NULL: none, or gone */
    struct watch child; /* of our own: its pidfd; fd -1: none */
    bool told;          /* what it can do is known */
};

/*
 * Finds out which ways there are, and calls caps_found() when that is known, perhaps from inside.
 * Level rootless is tried where level nft is not to be had.
 */
void net_begin(struct runner_process *rp);
/* NULL if that level is not usable (any more). */
struct netd *net_of(const struct runner_process *rp, enum egress level);
