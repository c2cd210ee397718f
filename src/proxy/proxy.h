/*
 * proxy - the role that serves the one socket of a box at egress level proxy: HTTP CONNECT to an
 * exact list of hosts and ports, requests to gateways, and nothing else.
 *
 *   runner --OPEN(run, listener, allow-list)--> proxy      tool --CONNECT host:port--> proxy
 *   runner --CLOSE(run)-->                      proxy --COUNTS(run)--> runner
 *
 * A name is resolved once for each connection, in a child. Addresses that are hard denied
 * (policy/hard.h), not global, or the machine's own are refused, and the connection goes to one of
 * those that were checked. Refusals are answered with a status and a line that says why: 400, 403,
 * 405, 408, 431; 502 when the far side does not answer. Header 8 KiB and 10 s, connect 10 s each,
 * 60 s without a byte (300 s until and while a model answers), caps on bytes and connections of a
 * run, 64 connections at a time (others wait). The role has no capability and keeps nothing; when
 * its channel closes it ends, and when it ends every connection does.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "event/loop.h"
#include "proxy/lookup.h"
#include "secret/secret.h"

enum {
    PROXY_PORT = 3128,       /* inside the box, on 127.0.0.1 */
    PROXY_ENTRIES_MAX = 256, /* of one run's list */
    PROXY_AT_ONCE = 64,
    PROXY_CONNECTIONS = 10000, /* default of connections_max */
};
static const uint64_t PROXY_BYTES = UINT64_C(8) << 30; /* default of bytes_max */

struct proxy_config {
    bool change_user; /* root: become uid and gid */
    uid_t uid;
    gid_t gid;
    struct secrets *secrets; /* those that gateways name; shared with the child; NULL: none */
    /* PEM, read by proxy_spawn(): those that gateways may name; NULL: none */
    const char *ca_file[2];
    /* For tests; 0 and NULL: as above and below, getaddrinfo(). */
    uint32_t header_ms, connect_ms, idle_ms, answer_ms;
    lookup_fn *look_up;
};

/* In the parent, early. The child never returns. *out_fd is for the runner (proxy_connect). */
int proxy_spawn(const struct proxy_config *c, int *out_fd, int *out_pidfd, struct err *e);

/*
 * An entry is "HOST:PORT" or "HOST:PORT=RANGE,RANGE...": a host name or an IP address (IPv6 in
 * brackets), one port. With ranges the address has to be in one of them, which then lift what is
 * refused otherwise as they do in a scope file: a hard denial only from inside of it, the
 * machine's own addresses only alone. ERR_INVALID names the entry and what is wrong; ERR_LIMIT: too
 * many.
 */
int proxy_allow_check(const struct strvec *allow, struct err *e);

/*
 * A gateway: requests to PREFIX/... on the same listener, in plain HTTP, which the proxy makes
 * itself, over TLS, to the one upstream, with a secret that the box never sees. What is let through
 * is decided by the kind; everything else gets 403 with the reason:
 *   GATEWAY_MESSAGES  POST /v1/messages, /v1/messages/count_tokens (any query), HEAD / (answered
 *                     here); x-api-key and authorization of the client are dropped, the secret is
 *                     put in; no compression is asked for, so that `usage` can be counted as it
 *                     streams by; once tokens_max or requests_max is spent, 429 in the API's own
 *                     shape. The first request ends all tunnels and git gateways of the run, for
 *                     ever: the checkout is over.
 *   GATEWAY_GIT       GET /PATH/info/refs?service=git-upload-pack, POST /PATH/git-upload-pack;
 *                     Basic authorization from `username` and the secret
 * One request a connection, or several one after the other, each with its own head (16 KiB); bodies
 * by Content-Length or chunked; redirects are handed to the client as they come, never followed.
 * Each goes to the far side on a connection of its own. An answer is handed on as it comes, without
 * cookies; one that has the secret in it, in any form of secret/secret.h, is not: 502 if it is in
 * the head, a reset connection if it is in the body. 504: no answer in time.
 */
enum gateway_kind { GATEWAY_MESSAGES, GATEWAY_GIT };
struct proxy_gateway {
    enum gateway_kind kind;
    const char *prefix;   /* "/anthropic": [a-z]+ behind a slash */
    const char *upstream; /* as an entry: "api.anthropic.com:443", with ranges where needed */
    bool tls;             /* false: plain HTTP, only with ranges (a laboratory) */
    const char *path;     /* put before what is asked: "" or "/owner/name.git"; of git: all of it */
    const char *ca_file;  /* one of proxy_config: who may sign; NULL: whom the system trusts */
    const char *secret;   /* name; NULL: none is added */
    const char *username; /* GATEWAY_GIT */
    uint64_t tokens_max;  /* input and output together; 0: no limit */
    uint32_t requests_max;
    uint32_t body_max; /* bytes of one request; 0: 32 MiB */
};
/* ERR_INVALID names the member. */
int proxy_gateway_check(const struct proxy_gateway *g, struct err *e);

/* ---- the runner's side ---- */

struct proxy;

struct proxy_ask {
    uint64_t run;  /* the caller's number, not in use */
    int listen_fd; /* a TCP listener; borrowed */
    const struct strvec *allow;
    const struct proxy_gateway *gateways;
    size_t n_gateways;
    uint64_t bytes_max; /* both ways together; more resets what is open. 0: PROXY_BYTES */
    uint32_t connections_max;
};

struct proxy_counts {
    uint64_t passed;               /* connections that were made */
    uint64_t refused;              /* answered with 4xx */
    uint64_t failed;               /* allowed, but not to be had: 502 */
    uint64_t bytes_up, bytes_down; /* handed on inside of passed ones; of gateways: bodies */
    uint64_t api_requests, api_refused, input_tokens, output_tokens; /* GATEWAY_MESSAGES */
};

/* Call-backs come later, never from inside a call. */
struct proxy_events {
    void (*ready)(void *arg); /* once, first */
    /* After proxy_close(): nothing of the run is open any more. */
    void (*counts)(void *arg, uint64_t run, const struct proxy_counts *c);
    void (*gone)(void *arg);
    void *arg;
};

/* Takes fd, also on failure. */
int proxy_connect(struct loop *l, int fd, const struct proxy_events *ev, struct proxy **out,
                  struct err *e);
/* ERR_INVALID: the list, as proxy_allow_check(). ERR_IO: the proxy is gone. */
int proxy_open(struct proxy *p, const struct proxy_ask *ask, struct err *e);
void proxy_close(struct proxy *p, uint64_t run); /* each run that was opened needs one */
void proxy_free(struct proxy *p);
