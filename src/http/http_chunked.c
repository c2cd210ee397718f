/* The decoder of chunked bodies: a byte decides the next state, data is moved in runs. */
#include <string.h>

#include "base/mem.h"
#include "http/http_parser.h"

enum { SIZE, SIZE_LF, DATA, DATA_CR, DATA_LF, TRAILER, NAME, TEXT, TRAILER_LF, LAST_LF };

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int chunk_bad(struct http_chunked *c, int status, const char *why)
{
    c->why = why;
    return status;
}

static int size_byte(struct http_chunked *c, char b)
{
    int d = hex(b);

    if (c->state == SIZE_LF) {
        if (b != '\n') {
            return chunk_bad(c, 400, "malformed chunk size");
        }
        if (c->left > c->max - c->total) {
            return chunk_bad(c, 413, "body too large");
        }
        c->state = c->left ? DATA : TRAILER;
        return HTTP_MORE;
    }
    if (d >= 0 && c->digits < 8) {
        c->left = c->left << 4 | (uint64_t)d;
        c->digits++;
        return HTTP_MORE;
    }
    if (b != '\r' || c->digits == 0) {
        return chunk_bad(c, 400, "malformed chunk size");
    }
    c->state = SIZE_LF;
    return HTTP_MORE;
}

/* Trailers must be well formed, and are then forgotten: they can never become headers. */
static int trailer_byte(struct http_chunked *c, char b)
{
    bool token = http_is_token(&b, 1), value = http_is_value(&b, 1);
    int next = -1;

    if (++c->trailer > HTTP_TRAILER_MAX) {
        return chunk_bad(c, 431, "trailers too large");
    }
    switch (c->state) {
    case TRAILER:
        next = b == '\r' ? LAST_LF : token ? NAME : -1;
        break;
    case NAME:
        next = b == ':' ? TEXT : token ? NAME : -1;
        break;
    case TEXT:
        next = b == '\r' ? TRAILER_LF : value ? TEXT : -1;
        break;
    case TRAILER_LF:
        next = b == '\n' ? TRAILER : -1;
        break;
    default: /* LAST_LF */
        return b == '\n' ? HTTP_DONE : chunk_bad(c, 400, "malformed end of body");
    }
    if (next < 0) {
        return chunk_bad(c, 400, "malformed trailer");
    }
    c->state = (uint8_t)next;
    return HTTP_MORE;
}

static int data_end_byte(struct http_chunked *c, char b)
{
    if (b != (c->state == DATA_CR ? '\r' : '\n')) {
        return chunk_bad(c, 400, "chunk longer than its size");
    }
    if (c->state == DATA_CR) {
        c->state = DATA_LF;
    } else {
        c->state = SIZE;
        c->digits = 0;
    }
    return HTTP_MORE;
}

int http_chunked_feed(struct http_chunked *c, char *p, size_t n, size_t *used, size_t *out)
{
    size_t i = 0, o = 0;
    int rc = HTTP_MORE;

    while (i < n && rc == HTTP_MORE) {
        if (c->state == DATA) {
            size_t k = MIN(c->left, n - i);

            memmove(p + o, p + i, k);
            i += k;
            o += k;
            c->left -= k;
            c->total += k;
            c->state = c->left ? DATA : DATA_CR;
        } else if (c->state <= SIZE_LF) {
            rc = size_byte(c, p[i++]);
        } else if (c->state <= DATA_LF) {
            rc = data_end_byte(c, p[i++]);
        } else {
            rc = trailer_byte(c, p[i++]);
        }
    }
    *used = i;
    *out = o;
    return rc;
}
