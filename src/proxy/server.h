/* server - the inside of the proxy's process. Private to proxy/. */
#pragma once

#include "event/loop.h"
#include "ipc/chan.h"
#include "proxy/allow.h"
#include "proxy/gateway.h"
#include "proxy/link.h"
#include "proxy/proxy.h"
#include "tls/client.h"

#define RUN_SEALED "the checkout is over: the model was asked, and now nothing else is"

/* Who may sign a certificate: read when it is first needed. */
struct trust {
    struct tls_trust *trust; /* owned */
    struct err why;          /* there is none */
    bool tried;
};

struct proxy_process {
    const struct proxy_config *config; /* its times are set */
    struct loop *loop;
    struct chan chan;
    struct proxy_run *runs;
    const struct buf *ca; /* what the settings' files have in them, each */
    struct trust system, file[2];
};

struct proxy_run {
    struct proxy_run *next;
    struct proxy_process *pp;
    uint64_t id;
    struct allow_list allow;
    struct gateway_list gateways;
    bool sealed; /* the checkout is over: no tunnels, no git gateways */
    uint64_t bytes_left;
    uint32_t connections_left;
    struct proxy_counts counts;
    struct watch listener;
    struct timer resume; /* when there was no descriptor for a connection */
    struct link *links;
    unsigned n_links;
};

/* relay.c: one connection, from accept() on. Takes fd. */
void relay_new(struct proxy_run *run, int fd);

/* ---- server.c ---- */

/* After a connection of the run is gone: there is room for another. */
void run_has_room(struct proxy_run *run);
/* The run's bytes are used up: what carries any ends, the caller's too. */
void run_over_cap(struct proxy_run *run);
/* The first request to the model: what the checkout needed ends, for ever. */
void run_seal(struct proxy_run *run);
/* Of one of the settings' CA files, which ca_file has to be, or (NULL) of the system. False: *why
 * not. */
bool process_trust(struct proxy_process *pp, const char *ca_file, const struct tls_trust **out,
                   const char **why);
