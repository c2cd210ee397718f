/* Answers are written into the request's buffers here; the flush at the end of the turn sends. */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "http/conn.h"

static const struct {
    int status;
    const char *text;
} reasons[] = {
    {200, "200 OK"},
    {201, "201 Created"},
    {202, "202 Accepted"},
    {204, "204 No Content"},
    {301, "301 Moved Permanently"},
    {302, "302 Found"},
    {303, "303 See Other"},
    {304, "304 Not Modified"},
    {307, "307 Temporary Redirect"},
    {308, "308 Permanent Redirect"},
    {400, "400 Bad Request"},
    {401, "401 Unauthorized"},
    {403, "403 Forbidden"},
    {404, "404 Not Found"},
    {405, "405 Method Not Allowed"},
    {406, "406 Not Acceptable"},
    {408, "408 Request Timeout"},
    {409, "409 Conflict"},
    {410, "410 Gone"},
    {412, "412 Precondition Failed"},
    {413, "413 Content Too Large"},
    {414, "414 URI Too Long"},
    {415, "415 Unsupported Media Type"},
    {417, "417 Expectation Failed"},
    {421, "421 Misdirected Request"},
    {422, "422 Unprocessable Content"},
    {428, "428 Precondition Required"},
    {429, "429 Too Many Requests"},
    {431, "431 Request Header Fields Too Large"},
    {500, "500 Internal Server Error"},
    {501, "501 Not Implemented"},
    {502, "502 Bad Gateway"},
    {503, "503 Service Unavailable"},
    {504, "504 Gateway Timeout"},
    {505, "505 HTTP Version Not Supported"},
    {507, "507 Insufficient Storage"},
};

static const char *reason(int status)
{
    for (unsigned i = 0; i < ARRAY_LEN(reasons); i++) {
        if (reasons[i].status == status) {
            return reasons[i].text;
        }
    }
    return NULL;
}

void http_add_header(struct http_req *r, const char *name, const char *value)
{
    size_t n = strlen(value);

    assert(!r->answered && http_is_token(name, strlen(name)));
    if (!http_is_value(value, n)) { /* a control could end the line and begin another answer */
        return;
    }
    buf_adds(&r->extra, name);
    buf_add(&r->extra, ": ", 2);
    buf_add(&r->extra, value, n);
    buf_add(&r->extra, "\r\n", 2);
}

void http_close_after(struct http_req *r)
{
    r->close = true;
}

void http_not_stored(struct http_req *r)
{
    r->not_stored = true;
}

enum {
    LENGTH_CHUNKED = -1,
    LENGTH_NONE = -2,
    BODY_COPIED = 1024, /* behind its head: one buffer is sent faster than two */
};

static void head_write(struct http_req *r, int status, const char *type, int64_t length)
{
    const char *text = reason(status);
    struct buf *b = &r->out;

    r->close = r->close || r->c->s->draining;
    buf_reset(b);
    buf_space(b, 512);
    buf_add(b, "HTTP/1.1 ", 9);
    if (text) {
        buf_adds(b, text);
    } else {
        buf_addf(b, "%d Status", status);
    }
    buf_add(b, "\r\nDate: ", 8);
    buf_add(b, server_date(r->c->s), 29);
    if (type) {
        buf_add(b, "\r\nContent-Type: ", 16);
        buf_adds(b, type);
    }
    if (length >= 0) {
        buf_add(b, "\r\nContent-Length: ", 18);
        buf_addu(b, (uint64_t)length);
    } else if (length == LENGTH_CHUNKED) {
        buf_adds(b, "\r\nTransfer-Encoding: chunked");
    }
    if (r->close) {
        buf_adds(b, "\r\nConnection: close");
    } else if (r->head.minor == 0) {
        buf_adds(b, "\r\nConnection: keep-alive");
    }
    buf_add(b, "\r\n", 2);
    buf_add(b, r->extra.data, r->extra.len);
    buf_add(b, "\r\n", 2);
}

/* False: nobody is there any more. */
static bool reply_begin(struct http_req *r, int status)
{
    struct conn *c = r->c;

    assert(!r->answered && status >= 200 && status <= 599);
    r->answered = true;
    r->status = status;
    if (c->phase != PH_DEAD) {
        conn_pend(c);
        return true;
    }
    if (c->orphan) {
        c->orphan = false;
        server_conn_gone(c->s, c);
    }
    return false;
}

static bool has_body(const struct http_req *r, int status)
{
    return r->head.method != HTTP_HEAD && status != 204 && status != 304;
}

static void head_plain(struct http_req *r, int status, const char *type, size_t n)
{
    head_write(r, status, type, status == 204 || status == 304 ? LENGTH_NONE : (int64_t)n);
}

void http_reply(struct http_req *r, int status, const char *type, const void *body, size_t n)
{
    if (!reply_begin(r, status)) {
        return;
    }
    head_plain(r, status, type, n);
    buf_reset(&r->body);
    if (has_body(r, status)) {
        buf_add(&r->out, body, n);
    }
}

struct buf *http_out(struct http_req *r)
{
    return &r->body;
}

void http_reply_buf(struct http_req *r, int status, const char *type)
{
    if (!reply_begin(r, status)) {
        return;
    }
    head_plain(r, status, type, r->body.len);
    if (!has_body(r, status)) {
        buf_reset(&r->body);
    } else if (r->body.len <= BODY_COPIED) {
        buf_add(&r->out, r->body.data, r->body.len);
        buf_reset(&r->body);
    }
}

void http_reply_stream(struct http_req *r, int status, const char *type, struct http_stream *st)
{
    bool there = reply_begin(r, status);

    st->req = r;
    r->stream = st;
    if (!there) {
        stream_end(r);
        return;
    }
    r->raw = r->head.minor == 0;
    r->close = r->close || r->raw;
    head_write(r, status, type, r->raw ? LENGTH_NONE : LENGTH_CHUNKED);
    buf_reset(&r->body);
    if (!has_body(r, status)) {
        stream_end(r);
    }
}

/* Replaces what was answered, if anything was. */
void reply_error(struct http_req *r, int status, const char *detail)
{
    const struct http_route *route = r->decoded ? r->match.route : NULL;
    bool legacy = route && route->flags & ROUTE_LEGACY;
    const struct http_config *cfg = &r->c->s->cfg;
    const char *type = "text/plain";

    if (r->stream) {
        stream_end(r);
    }
    r->answered = r->waiting = false;
    r->not_stored = r->close = r->faulty = true;
    buf_reset(&r->extra);
    buf_reset(&r->body);
    if (status == 503) {
        http_add_header(r, "Retry-After", "1");
    }
    if (cfg->error_body) {
        type = legacy ? "application/json" : "application/problem+json";
        cfg->error_body(status, detail, legacy, &r->body);
    } else {
        buf_addf(&r->body, "%s\n", detail);
    }
    http_reply_buf(r, status, type);
}
