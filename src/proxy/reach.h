/*
 * reach - the way to a far side: its name is asked for once, its addresses are checked, and one of
 * those that will do is connected to. Private to proxy/.
 */
#pragma once

#include "base/netset.h"
#include "event/loop.h"
#include "proxy/allow.h"
#include "proxy/lookup.h"

struct proxy_process;

enum { TRIES_MAX = 4 /* addresses of a name */ };

/* Embedded; zeroed but for far.fd (-1) and done. */
struct reach {
    struct proxy_process *pp;
    const struct allow_entry *en; /* borrowed */
    struct lookup *lookup;
    struct net_ip ip[TRIES_MAX];
    unsigned n_ip, tried;
    struct watch far;
    struct timer late;
    /* Once, also from inside of reach_start(). 200: far.fd is connected, and not watched any more;
     * 403, 502: `why`. */
    void (*done)(struct reach *r, int status, const char *why);
};

void reach_start(struct reach *r, struct proxy_process *pp, const struct allow_entry *en);
void reach_stop(struct reach *r, bool reset); /* no call-back then; closes far.fd */
