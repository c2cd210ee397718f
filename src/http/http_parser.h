/*
 * http_parser - bytes to requests, strictly. No I/O, no allocation, nothing but its arguments.
 *
 * The head is parsed in the caller's buffer: call again with the same start and more bytes; what
 * was done already is not looked at again. Whatever the split, the result is the same. Fields are
 * offsets, so that the buffer may move in between. Everything whose meaning could depend on who
 * reads it is an error: the caller answers with the status and closes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_MORE = 0, HTTP_DONE = 1 }; /* or a status: 400 and up */

enum {
    HTTP_LINE_MAX = 8192,    /* request line without CRLF: 414 */
    HTTP_BLOCK_MAX = 32768,  /* header lines with their CRLFs: 431 */
    HTTP_FIELDS_MAX = 64,    /* 431 */
    HTTP_TRAILER_MAX = 8192, /* 431 */
    HTTP_HEAD_MAX = 2 + HTTP_LINE_MAX + 2 + HTTP_BLOCK_MAX,
};

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_METHODS
};

extern const char *const http_method_names[HTTP_METHODS];

struct http_span { /* in the caller's buffer */
    uint16_t at, len;
};

struct http_field {
    struct http_span name, value; /* without the white space around the value */
};

/* A zeroed struct is the start. The result is valid when http_head_parse() gave HTTP_DONE. */
struct http_head {
    enum http_method method;
    uint8_t minor; /* 0 or 1 */
    bool chunked;  /* else content_length says it all */
    bool close;    /* Connection: close, or 1.0 without keep-alive */
    bool expect;   /* 100-continue */
    uint16_t n;
    struct http_span target;    /* path and query as they came; "*" for OPTIONS */
    struct http_span host;      /* with port; len 0: none (1.0 only) */
    struct http_span authority; /* of a target in absolute form; equals host */
    uint64_t content_length;    /* 0 if there was none */
    uint32_t len;               /* bytes of the whole head */
    const char *why;            /* after an error: what it was, a literal */
    struct http_field f[HTTP_FIELDS_MAX];

    /* private */
    uint32_t line, scan, block;
    uint8_t state;
    uint32_t seen;
};

int http_head_parse(struct http_head *h, const char *p, size_t n);

/* The decoder of a chunked body. Set max, zero the rest. Extensions are refused, trailers dropped.
 */
struct http_chunked {
    uint64_t max;   /* decoded bytes; more is 413 */
    uint64_t total; /* decoded so far */
    const char *why;

    /* private */
    uint64_t left;
    uint32_t trailer;
    uint8_t state, digits;
};

/*
 * Decodes in place: the data of p[0, n) ends up at its front. *used: raw bytes eaten, *out: bytes
 * of data. All n are eaten unless the body ended (HTTP_DONE) or is wrong (status).
 */
int http_chunked_feed(struct http_chunked *c, char *p, size_t n, size_t *used, size_t *out);

/* name[:port], IPv4[:port] or [IPv6][:port]; *name_len without the port, with the brackets. */
bool http_host_valid(const char *p, size_t n, size_t *name_len);
bool http_is_token(const char *p, size_t n);
bool http_is_value(const char *p, size_t n); /* no controls but tab */
