/*
 * client - requests to a ScanPod server: HTTP, HTTPS or a unix socket, over libcurl.
 *
 * Redirects are not followed, other protocols refused, answers capped, everything has a time
 * limit. libcurl is loaded when the first client is made (edge/curl_lib.h).
 *
 * A call returns 0 when the server answered, whatever the status; client_check() turns a status
 * into an error. ERR_IO: not reached. The key goes into a header and nowhere else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct client;

struct client_config {
    const char *server;  /* "http://HOST:PORT", "https://...", "unix:PATH" */
    const char *key;     /* NULL: none */
    const char *ca_file; /* NULL: the system's */
};

int client_new(const struct client_config *c, struct client **out, struct err *e);
void client_free(struct client *c);
const char *client_server(const struct client *c);

/* While a call waits: called when fd is readable and about every tick_ms. Non-zero ends the call
 * with that value. */
struct client_pause {
    int fd; /* -1: none */
    int tick_ms;
    int (*fn)(void *arg);
    void *arg;
};

struct call {
    const char *method, *path; /* path with its query, from '/' */
    const char *body;          /* JSON; NULL: none */
    int upload_fd;             /* with upload_size: a file that is the body instead */
    int64_t upload_size;       /* bytes; 0: no upload */
    const char *idempotency_key, *if_none_match, *accept; /* NULL: not sent */
    int64_t timeout_ms;                                   /* 0: 30 s */
    const struct client_pause *pause;                     /* NULL: none */
    /* NULL: the body is collected (at most 16 MiB). Otherwise successful bodies of any length go
     * here in pieces, with no limit of the total time, only of silence; non-zero ends the call. */
    int (*sink)(void *arg, const char *data, size_t n);
    void *arg;
};

struct answer {
    long status;
    struct buf body;
    char etag[128];
    char request_id[128];
    char content_type[96];
    bool too_large;     /* the body was cut at the cap */
    bool not_connected; /* nothing was sent */
};

int client_call(struct client *c, const struct call *call, struct answer *a, struct err *e);
/* True when the last call failed because of the server's certificate. */
bool client_untrusted(const struct client *c);
void answer_done(struct answer *a);

/* ERR_* and a message from the problem document, or 0 for 2xx and 304. *hint (may be NULL) gets
 * the document's hint, or NULL; the caller frees. */
int client_check(const struct answer *a, struct err *e, char **hint);
/* The program's exit status for an HTTP status (docs/cli.md). */
int client_exit_status(long http_status);
/* Appends s percent-encoded for a query or a path segment. */
void buf_add_url(struct buf *b, const char *s);
