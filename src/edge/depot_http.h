/*
 * depot_http - one signed request to the storage. In the depot's own process, over libcurl.
 *
 * Content goes from a file and into a file in pieces; an answer's text is kept up to S3_XML_MAX.
 * Redirects are not followed, other protocols refused; what says nothing for half a minute is
 * given up.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "edge/curl_lib.h"
#include "edge/depot.h"
#include "store/digest.h"

struct depot_http {
    const struct curl_lib *lib;
    const struct depot_config *config;
    CURLM *multi;
};

struct s3_call {
    const char *method; /* GET, HEAD, PUT, POST, DELETE */
    const char *name, *query;
    const char *sha256;     /* of what is sent, hex; NULL: of nothing */
    const char *meta;       /* x-amz-meta-sha256 of an object that begins; NULL: none */
    const struct buf *text; /* POST; borrowed until the end; NULL: empty */
    int in_fd;              /* PUT: `size` bytes from `at` on; borrowed */
    uint64_t at, size;
    int out_fd; /* GET: where content goes; borrowed */
};

enum { TAG_SIZE = 260 };

struct transfer {
    /* What came back. */
    long status; /* 0: no answer, and `why` */
    char why[CURL_ERROR_SIZE];
    char etag[TAG_SIZE]; /* with its quotes; "" if there is none, or none that fits */
    char meta[65];       /* x-amz-meta-sha256 */
    int64_t length;      /* Content-Length; -1: not told */
    struct buf text;     /* of an answer that is not content */
    uint64_t got;        /* of content */
    struct sha256 *hash; /* of content, running */
    bool disk;           /* content could not be written: `why` */
    /* Private. */
    void *owner;
    struct depot_http *http;
    CURL *easy;
    struct curl_slist *headers;
    int in_fd, out_fd;
    uint64_t from, size, at;
    size_t head;
};

/* NULL: libcurl refuses, for want of memory. owner comes back with its end. */
struct transfer *transfer_start(struct depot_http *h, const struct s3_call *c, void *owner);
/* One that has ended, or NULL. */
struct transfer *transfer_ended(struct depot_http *h);
void transfer_free(struct transfer *t); /* ends it where it stands; NULL is fine */
