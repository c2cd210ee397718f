/*
 * http - a strict HTTP/1.1 server in our loop. It knows nothing of jobs.
 *
 * A request that is ambiguous in framing, host or credentials gets one 400 and a closed connection.
 * A handler runs when the whole body is there. It answers now, or keeps the request and answers
 * later (suspended: no reading from that connection meanwhile). Answers are collected and leave at
 * the end of the turn, after the store's commit; http_fail_turn() replaces those that were built
 * on changes that could not be made durable.
 *
 * Everything that a request gives out is borrowed and lives until it is answered.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "event/loop.h"

struct http_req;
struct http_server;

struct http_str { /* not NUL-terminated */
    const char *p;
    size_t n;
};

typedef void (*http_handler)(struct http_req *r, void *app);

enum {
    ROUTE_OPEN = 1,
    ROUTE_LEGACY = 2,
    ROUTE_STREAM = 4,
    ROUTE_UPLOAD = 8,
    ROUTE_OLD_REPO = 16,
    ROUTE_EITHER = 32, /* the right to submit repositories will do, too: the handler knows which
                          of them it is about */
};

struct http_route {
    const char *method;  /* "GET" (also answers HEAD) */
    const char *pattern; /* "/scans/{id}" */
    http_handler fn;
    unsigned flags;  /* ROUTE_OPEN: no key; ROUTE_LEGACY: errors in the old service's shape;
                        ROUTE_UPLOAD: the body goes to a sink, http_body() is empty;
                        ROUTE_OLD_REPO: the app's own */
    size_t body_max; /* 0: 1 MiB; of an upload the sink has it */
    const char *id;  /* operationId in openapi.json; the metrics' route label */
    unsigned needs;  /* the app's: what authorize() asks of the caller */
};

/* Takes the body of an upload as it arrives. */
struct http_sink {
    /* 0, or the status of an error that ends the request, with its detail in *why (static). */
    int (*take)(struct http_sink *k, const char *p, size_t n, const char **why);
    /* The request ended before its handler was called: frees. */
    void (*drop)(struct http_sink *k);
    uint64_t max; /* bytes; more is a 413 */
};

struct http_config {
    const struct http_route *routes; /* ends with method NULL */
    void *app;
    /*
     * Decides before the handler, and before more than 16 KiB of a body was read; answers itself
     * and returns false to refuse. What http_header() and the like give it may move afterwards.
     */
    bool (*authorize)(struct http_req *r, const struct http_route *route, void *app);
    /* For routes with ROUTE_UPLOAD, after authorize() and before anything of the body is taken.
     * NULL: it answered itself; the connection ends then. */
    struct http_sink *(*upload)(struct http_req *r, const struct http_route *route, void *app);
    /* No route: status 404 or 405 (allow: the other methods). Answers. */
    void (*no_route)(struct http_req *r, int status, const char *allow, void *app);
    /* Body for an error that the server itself makes (400, 408, 413, 431, 503). NULL: plain. */
    void (*error_body)(int status, const char *detail, bool legacy, struct buf *out);
    const char *const
        *hosts; /* names accepted in Host beside IP literals and localhost; NULL-terminated */
    /* 0: 10 s, 75 s, 60 s, 30 s. The first and the third are absolute, the last counts stalls. */
    uint32_t header_timeout_ms, idle_timeout_ms, body_timeout_ms, write_timeout_ms;
    uint32_t max_conns, max_conns_per_address; /* 0: no limit */
    const char *tls_cert, *tls_key;            /* NULL: plain */
};

int http_server_new(struct loop *l, const struct http_config *c, struct http_server **out,
                    struct err *e);
/* "ADDR:PORT", "[v6]:PORT" or "unix:PATH". The descriptor can be opened before privileges are
 * dropped. ERR_CONFLICT: taken, the message names the address. */
int http_listen(const char *where, int *out_fd, struct err *e);
int http_server_listen(struct http_server *s, int fd, struct err *e); /* takes fd */
void http_server_flush(struct http_server *s); /* end of the turn, after the commit */
void http_fail_turn(struct http_server *s, int status, const char *detail);
/* Stops accepting; idle connections close; true when none is left. */
bool http_server_drain(struct http_server *s);
void http_server_free(struct http_server *s);

/* ---- a request ---- */
const char *http_method(const struct http_req *r);
/* Decoded, but %2F stays as it is, so that it never separates; so do values of http_param(). */
const char *http_path(const struct http_req *r);
const char *http_param(const struct http_req *r, const char *name); /* {id}; NULL if absent */
const char *http_query(const struct http_req *r, const char *name); /* decoded; NULL if absent */
/* Query parameters in order, to refuse unknown ones. i from 0; NULL at the end. */
const char *http_query_name(const struct http_req *r, unsigned i);
const char *http_header(const struct http_req *r, const char *name); /* NULL if absent */
struct http_str http_body(const struct http_req *r);
/* Of an upload, whose body is whole: the handler's from now on. */
struct http_sink *http_take_sink(struct http_req *r);
const char *http_peer(const struct http_req *r); /* "127.0.0.1" or "unix" */
const struct http_route *http_req_route(const struct http_req *r);
void http_set_user(struct http_req *r, void *user); /* the handler's own */
void *http_user(const struct http_req *r);
/*
 * Called if the client goes away before a suspended request was answered; the request is gone then.
 * A client that only closes its sending side still waits. Without this, the request stays valid
 * until it is answered, to nobody.
 */
void http_on_abort(struct http_req *r, void (*fn)(struct http_req *r));

/* ---- the answer; each request gets exactly one ---- */
/* A value with control characters is left out: it could begin another answer. */
void http_add_header(struct http_req *r, const char *name, const char *value);
/* Copies the body. type NULL: none. */
void http_reply(struct http_req *r, int status, const char *type, const void *body, size_t n);
/* The connection ends after this answer: what follows in it is not to be trusted. */
void http_close_after(struct http_req *r);
/* The buffer for a body: write into it, then http_reply_buf(). Saves a copy. */
struct buf *http_out(struct http_req *r);
void http_reply_buf(struct http_req *r, int status, const char *type);
/* The reply depends on the store: replaced if this turn's commit fails. Default: true. */
void http_not_stored(struct http_req *r);

/*
 * A body of unknown length (chunked). `more` is called when there is room: appends to out, returns
 * 1: call again when sent, 0: that was the end, 2: nothing now, http_stream_wake() later,
 * -1: break off (the connection is closed so that the client sees it). `done` is always called
 * once.
 */
struct http_stream {
    int (*more)(struct http_stream *st, struct buf *out);
    void (*done)(struct http_stream *st);
    struct http_req *req;
};
void http_reply_stream(struct http_req *r, int status, const char *type, struct http_stream *st);
void http_stream_wake(struct http_stream *st);
size_t http_stream_backlog(const struct http_stream *st); /* bytes not yet taken by the kernel */

struct http_stats {
    int64_t conns, accepted, rejected, deadline_closed, requests;
};
void http_stats(const struct http_server *s, struct http_stats *out);
/* Calls fn for each (route, status class) with a count and the sum of times. */
typedef void (*http_metric_fn)(void *arg, const char *route, const char *method, int status,
                               int64_t n, int64_t us_total);
void http_metrics(const struct http_server *s, http_metric_fn fn, void *arg);
