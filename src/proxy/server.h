/* server - the inside of the proxy's process. Private to proxy/. */
#pragma once

#include "event/loop.h"
#include "ipc/chan.h"
#include "proxy/allow.h"
#include "proxy/proxy.h"

struct relay;

struct proxy_process {
    const struct proxy_config *config; /* its times are set */
    struct loop *loop;
    struct chan chan;
    struct proxy_run *runs;
};

struct proxy_run {
    struct proxy_run *next;
    struct proxy_process *pp;
    uint64_t id;
    struct allow_list allow;
    uint64_t bytes_left;
    uint32_t connections_left;
    struct proxy_counts counts;
    struct watch listener;
    struct timer resume; /* when there was no descriptor for a connection */
    struct relay *relays;
    unsigned n_relays;
};

/* relay.c: one connection, from accept() on. Takes fd. */
void relay_new(struct proxy_run *run, int fd);
void relay_free(struct relay *c, bool reset);
/* server.c: after a connection of the run is gone: there is room for another. */
void run_has_room(struct proxy_run *run);
