/*
 * proto - the messages between runner and proxy, written and checked in one place. Private.
 *
 * Each entry of OPEN begins with its kind: a place to make tunnels to, or a gateway.
 */
#pragma once

#include "ipc/chan.h"
#include "proxy/allow.h"
#include "proxy/gateway.h"
#include "proxy/proxy.h"

enum {
    PROXY_READY = 1, /* from the proxy */
    PROXY_OPEN,      /* one descriptor: the listener */
    PROXY_CLOSE,
    PROXY_COUNTS, /* from the proxy */
};

enum {
    ENTRY_TUNNEL = 1, /* as text: proxy_allow_check() */
    ENTRY_GATEWAY,    /* its members: gateway_put() */
};

int open_put(struct buf *b, const struct proxy_ask *ask, struct err *e);
struct open_in {
    uint64_t run, bytes_max;
    uint32_t connections_max;
    struct allow_list allow;
    struct gateway_list gateways;
};
/* False: not one of ours. allow_done() and gateways_done() after true. */
bool open_get(struct wire *w, struct open_in *in);

void tally_put(struct buf *b, uint64_t run, const struct proxy_counts *c);
bool tally_get(struct wire *w, uint64_t *run, struct proxy_counts *c);
