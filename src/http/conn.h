/*
 * conn - private to the server: one connection, the request it is at, and the server around them.
 *
 *   HANDSHAKE -> IDLE -> HEAD -> BODY -> BUSY -> WRITE -> IDLE ...      (or LINGER, then closed)
 *
 * Reading happens when epoll says so; BUSY is "the handler has it". Everything that leaves does so
 * in http_server_flush(), in the order of the pending list, so that nothing overtakes the commit.
 * A connection that dies stays in memory until the flush, because its frames may be on the stack.
 */
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <time.h>

#include "http/http.h"
#include "http/http_parser.h"
#include "http/router.h"
#include "http/target.h"
#include "http/tls.h"

enum {
    BODY_UNSIGNED = 16384,    /* read before it is known who sends it */
    IN_SMALL = 2048,          /* a buffer of this size is kept with its request for the next one */
    OUT_KEPT = 16384,         /* so is an output buffer up to this */
    READ_AHEAD = 65536,       /* bytes read and not yet used, beside the body of a request */
    STREAM_HIGH = 65536,      /* `more` is not called while so much waits for the kernel */
    STREAM_PER_TURN = 262144, /* then the others get their turn */
    LINGER_BYTES = 262144,    /* read and dropped after an error */
    LINGER_MS = 2000,
    HANDSHAKE_MS = 10000,
    BODY_GRACE_MS = 10000, /* then a body has to come at 1 KiB/s, */
    UPLOAD_RATE = 16384,   /* an upload at so many bytes a second, however long it takes */
    SPARE_REQS = 256,      /* unused requests kept */
};

enum phase { PH_HANDSHAKE, PH_IDLE, PH_HEAD, PH_BODY, PH_BUSY, PH_WRITE, PH_LINGER, PH_DEAD };

/* What a connection has while it has bytes of a request; else it goes back to the server. */
struct http_req {
    struct conn *c;
    struct http_req *next_spare;
    char *in; /* owned: head, body, then what was sent ahead */
    uint32_t in_len, in_size;
    struct http_head head;
    struct http_chunked chunked;
    struct target target;
    uint32_t body_len;      /* after head.len */
    struct http_sink *sink; /* of an upload, until its handler has it */
    uint64_t taken;         /* bytes that the sink was given */
    bool decoded;           /* head, target and route are valid */
    struct route_match match;
    struct buf params; /* values of the path's parameters, each with a NUL */

    struct buf extra; /* header lines of the handler */
    struct buf out;   /* head of the answer, and mostly its body; of a stream: chunks */
    struct buf body;  /* what http_out() gave out */
    size_t sent;      /* of out and body together */
    struct http_stream *stream;
    bool waiting;    /* the stream had nothing */
    bool raw;        /* a stream without chunks, for HTTP/1.0 */
    bool authorized; /* or nobody needs to be */
    bool answered;   /* a reply is queued */
    bool leaving;    /* the first flush has begun: too late to replace it */
    bool not_stored; /* the reply does not depend on the commit */
    bool close;      /* after this answer */
    bool faulty;     /* the server made this answer: linger, so that it arrives */
    int status;
    int64_t started_us;
    void *user;
    void (*on_abort)(struct http_req *r);
};

enum { PEER_KEY = 8 };

struct peer { /* connections of one address */
    struct peer *next;
    unsigned char key[PEER_KEY];
    uint32_t n;
};

struct conn {
    struct watch w;
    struct timer t;
    struct http_server *s;
    struct conn *prev, *next;  /* all connections */
    struct conn *next_pending; /* to be written at the flush */
    struct conn *next_ready;   /* bytes are there without an event */
    struct http_req *req;      /* NULL: nothing is buffered */
    struct tls *tls;
    struct peer *peer;   /* NULL: not counted (unix socket) */
    int64_t deadline_ms; /* 0: none; the timer may fire earlier and looks here */
    int64_t since_ms;    /* start of the phase, where the deadline depends on it */
    uint32_t drained;    /* while lingering */
    enum phase phase;
    uint32_t wants; /* EPOLLIN, EPOLLOUT: see conn_want() */
    bool pending, ready, eof, local;
    bool orphan; /* dead, but its handler still has the request and was not told */
    char peer_text[INET6_ADDRSTRLEN];
};

struct listener {
    struct watch w;
    struct http_server *s;
    struct listener *next;
    bool local; /* a unix socket */
};

struct metrics;
enum { PEER_BUCKETS = 1024 };

struct http_server {
    struct loop *loop;
    struct http_config cfg;
    struct router *router;
    struct tls_ctx *tls;
    struct metrics *metrics;
    struct listener *listeners;
    struct conn *conns;
    struct conn *pending, **pending_tail;
    struct conn *ready, **ready_tail;
    struct conn *dead;
    struct http_req *spare;
    unsigned n_spare;
    struct timer ready_timer;  /* next turn: connections that have bytes already */
    struct timer accept_timer; /* after the process ran out of descriptors */
    struct peer *peers[PEER_BUCKETS];
    struct http_stats stats;
    struct buf scratch; /* chunks and TLS records on their way */
    bool flushed;       /* this turn's flush is over: what is queued now needs another turn */
    bool draining;
    time_t date_s;
    char date[32];
};

/* server.c */
void server_conn_gone(struct http_server *s, struct conn *c);
const char *server_date(struct http_server *s);
bool server_host_allowed(const struct http_server *s, const struct conn *c, const char *host,
                         size_t n);

/* peer.c */
struct peer *peer_take(struct http_server *s, const struct sockaddr *sa, uint32_t max);
void peer_drop(struct http_server *s, struct peer *p); /* NULL is fine */

/* input.c */
ssize_t conn_recv(struct conn *c, void *p, size_t n); /* count, 0: the end, or TLS_* */
void conn_fail(struct conn *c, int status, const char *why);
void conn_process(struct conn *c);  /* as far as the buffered bytes go */
void conn_readable(struct conn *c); /* reads, then the same */

/* conn.c */
void conn_new(struct http_server *s, int fd, bool local, const struct sockaddr *sa,
              struct peer *peer);
void conn_close(struct conn *c); /* at once; tells the handler or the stream */
void conn_pend(struct conn *c);  /* into this turn's flush, or another turn */
void conn_make_ready(struct conn *c);
void conn_run_ready(struct conn *c);
void conn_want(struct conn *c, uint32_t events, bool on); /* EPOLLIN or EPOLLOUT */
void conn_deadline(struct conn *c, int64_t in_ms);        /* 0: none */
void conn_next(struct conn *c);                           /* the answer is out */

/* request.c */
struct http_req *req_get(struct http_server *s, struct conn *c);
void req_put(struct http_server *s, struct http_req *r);
void req_reset(struct http_req *r); /* keeps the buffers and what was sent ahead */
void req_free(struct http_req *r);
void req_drop_sink(struct http_req *r);
bool req_is_events(const struct http_req *r); /* a running stream of a ROUTE_STREAM */

/* reply.c */
void reply_error(struct http_req *r, int status, const char *detail);

/* output.c */
void conn_flush(struct conn *c);
void stream_end(struct http_req *r);  /* calls done, once */
void stream_last(struct http_req *r); /* the body ends here */

/* metrics.c */
struct metrics *metrics_new(const struct http_route *routes, unsigned n);
void metrics_free(struct metrics *m);
void metrics_count(struct metrics *m, const struct http_req *r, int64_t us);
void metrics_each(const struct metrics *m, http_metric_fn fn, void *arg);
