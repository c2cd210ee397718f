/*
 * Input: from bytes to the handler.
 *
 * One read and one request per event: fairness comes from epoll's order. The request's buffer does
 * not move once the handler has it; bytes sent ahead are read into what room is left there, and
 * reading stops when there is none.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/conn.h"

/* > 0: bytes; 0: the peer will send no more; TLS_AGAIN; TLS_FAILED. */
ssize_t conn_recv(struct conn *c, void *p, size_t n)
{
    ssize_t got;

    if (c->tls) {
        return tls_read(c->tls, p, n);
    }
    do {
        got = recv(c->w.fd, p, n, 0);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK ? TLS_AGAIN : TLS_FAILED;
    }
    return got;
}

void conn_fail(struct conn *c, int status, const char *why)
{
    struct http_req *r = c->req;

    c->phase = PH_BUSY;
    conn_deadline(c, 0);
    req_drop_sink(r);
    reply_error(r, status, why);
}

static bool is_upload(const struct http_req *r)
{
    return r->match.route && r->match.route->flags & ROUTE_UPLOAD;
}

/* The head is whole: whose host, which path, which route? False: failed. */
static bool conn_head_done(struct conn *c)
{
    struct http_req *r = c->req;
    struct http_head *h = &r->head;
    const struct http_route *route;
    size_t name_len = 0;
    const char *why;

    r->started_us = boot_us();
    if (h->host.len && http_host_valid(r->in + h->host.at, h->host.len, &name_len) &&
        !server_host_allowed(c->s, c, r->in + h->host.at, name_len)) {
        conn_fail(c, 421, "Host is not a name of this server");
        return false;
    }
    why = target_decode(r->in, h->target.at, h->target.len, &r->target);
    if (why) {
        conn_fail(c, 400, why);
        return false;
    }
    for (unsigned i = 0; i < h->n; i++) {
        r->in[h->f[i].name.at + h->f[i].name.len] = '\0';
        r->in[h->f[i].value.at + h->f[i].value.len] = '\0';
    }
    router_find(c->s->router, h->method, r->in + r->target.path, &r->match);
    r->decoded = true;
    for (unsigned i = 0; i < r->match.n; i++) {
        buf_add(&r->params, r->match.value[i].p, r->match.value[i].n);
        buf_addc(&r->params, '\0');
    }
    route = r->match.route;
    r->chunked = (struct http_chunked){.max = route && route->body_max ? route->body_max : 1048576};
    r->close = h->close || c->s->draining;
    if (!is_upload(r) && h->content_length > r->chunked.max) {
        conn_fail(c, 413, "body too large");
        return false;
    }
    return true;
}

/*
 * Small bodies are read before it is asked who sends them, so that the answer does not depend on
 * how the bytes arrive. Before a large one, or one that the client offers, it is asked, and a
 * refusal ends the connection. False: answered.
 */
static bool conn_authorize(struct conn *c, bool early)
{
    struct http_req *r = c->req;
    const struct http_route *route = r->match.route;
    bool close = r->close;

    if (r->authorized || !route || !c->s->cfg.authorize) {
        return true;
    }
    r->close = close || early;
    r->faulty = early;
    r->authorized = c->s->cfg.authorize(r, route, c->s->cfg.app);
    assert(r->authorized || r->answered);
    if (r->authorized) {
        r->close = close;
        r->faulty = false;
    }
    return r->authorized;
}

/* Asks for the sink of an upload. False: answered, and the connection ends: its body is unread. */
static bool conn_upload(struct conn *c)
{
    struct http_req *r = c->req;
    const struct http_head *h = &r->head;
    bool close = r->close;

    if (!conn_authorize(c, true)) {
        c->s->stats.requests++;
        c->phase = PH_BUSY;
        return false;
    }
    r->close = r->faulty = true;
    r->sink = c->s->cfg.upload(r, r->match.route, c->s->cfg.app);
    assert(r->sink || r->answered);
    if (!r->sink) {
        c->s->stats.requests++;
        c->phase = PH_BUSY;
        return false;
    }
    r->close = close;
    r->faulty = false;
    r->chunked.max = r->sink->max;
    if (h->content_length > r->sink->max) {
        auto_free char *why = str_fmt("body too large: at most %" PRIu64 " bytes", r->sink->max);

        conn_fail(c, 413, why);
        return false;
    }
    if (r->in_size < h->len + READ_AHEAD) {
        r->in_size = h->len + READ_AHEAD;
        r->in = xrealloc(r->in, r->in_size);
    }
    return true;
}

/* As conn_body(), but what was read goes on to the sink at once. */
static int conn_take(struct conn *c)
{
    struct http_req *r = c->req;
    char *at = r->in + r->head.len;
    size_t have = r->in_len - r->head.len;
    size_t used, out;
    const char *why = NULL;
    int rc, status;

    if (r->head.chunked) {
        rc = http_chunked_feed(&r->chunked, at, have, &used, &out);
    } else {
        used = out = (size_t)MIN((uint64_t)have, r->head.content_length - r->taken);
        rc = r->taken + out == r->head.content_length ? HTTP_DONE : HTTP_MORE;
    }
    status = out ? r->sink->take(r->sink, at, out, &why) : 0;
    memmove(at, at + used, have - used);
    r->in_len -= (uint32_t)used;
    r->taken += out;
    if (status) {
        r->chunked.why = why;
    }
    return status ? status : rc;
}

/* HTTP_MORE, HTTP_DONE or a status. Bytes behind the body move up to its end. */
static int conn_body(struct conn *c)
{
    struct http_req *r = c->req;
    uint32_t have = r->in_len - r->head.len;
    uint32_t end = r->head.len + r->body_len;
    size_t used, out;
    int rc;

    if (!r->head.chunked) {
        r->body_len = (uint32_t)MIN(have, r->head.content_length);
        return r->body_len == r->head.content_length ? HTTP_DONE : HTTP_MORE;
    }
    rc = http_chunked_feed(&r->chunked, r->in + end, r->in_len - end, &used, &out);
    memmove(r->in + end + out, r->in + end + used, r->in_len - end - used);
    r->in_len -= (uint32_t)(used - out);
    r->body_len += (uint32_t)out;
    return rc;
}

static void conn_continue(struct conn *c)
{
    static const char go[] = "HTTP/1.1 100 Continue\r\n\r\n";
    ssize_t n;

    if (!c->req->head.expect || c->req->in_len > c->req->head.len) {
        return;
    }
    c->req->head.expect = false;
    n = c->tls ? tls_write(c->tls, go, sizeof go - 1)
               : send(c->w.fd, go, sizeof go - 1, MSG_NOSIGNAL);
    if (n != (ssize_t)(sizeof go - 1)) {
        conn_close(c);
    }
}

static void conn_dispatch(struct conn *c)
{
    struct http_req *r = c->req;
    const struct route_match *m = &r->match;

    c->phase = PH_BUSY;
    conn_deadline(c, 0);
    c->s->stats.requests++;
    if (!conn_authorize(c, false)) {
        return;
    }
    if (m->route) {
        m->route->fn(r, c->s->cfg.app);
    } else if (c->s->cfg.no_route) {
        c->s->cfg.no_route(r, m->status, m->allow, c->s->cfg.app);
    } else {
        if (m->status == 405) {
            http_add_header(r, "Allow", m->allow);
        }
        http_reply(r, m->status, "text/plain",
                   m->status == 405 ? "no such method\n" : "not found\n",
                   m->status == 405 ? 15 : 10);
    }
}

/* More of the body is to come: from somebody who may send it? */
static void conn_want_body(struct conn *c)
{
    struct http_req *r = c->req;

    if ((r->head.expect || r->head.content_length > BODY_UNSIGNED || r->body_len > BODY_UNSIGNED) &&
        !conn_authorize(c, true)) {
        c->s->stats.requests++;
        c->phase = PH_BUSY;
        conn_deadline(c, 0);
        return;
    }
    if (!c->since_ms) {
        c->since_ms = loop_now_ms(c->s->loop);
        conn_deadline(c, MIN(BODY_GRACE_MS, c->s->cfg.body_timeout_ms));
        conn_continue(c);
    }
}

/* Goes as far as the buffered bytes allow. */
void conn_process(struct conn *c)
{
    struct http_req *r = c->req;
    int rc;

    if (c->phase == PH_IDLE) {
        c->phase = PH_HEAD;
        c->since_ms = 0;
    }
    if (c->phase == PH_HEAD) {
        rc = http_head_parse(&r->head, r->in, r->in_len);
        if (rc == HTTP_MORE) {
            if (!c->since_ms) {
                c->since_ms = loop_now_ms(c->s->loop);
                conn_deadline(c, c->s->cfg.header_timeout_ms);
            }
            return;
        }
        if (rc != HTTP_DONE) {
            conn_fail(c, rc, r->head.why);
            return;
        }
        if (!conn_head_done(c)) {
            return;
        }
        c->phase = PH_BODY;
        c->since_ms = 0;
        if (is_upload(r) && !conn_upload(c)) {
            return;
        }
    }
    rc = r->sink ? conn_take(c) : conn_body(c);
    if (rc == HTTP_DONE) {
        conn_dispatch(c);
    } else if (rc != HTTP_MORE) {
        conn_fail(c, rc, r->chunked.why);
    } else {
        conn_want_body(c);
    }
}

/* Room for the next read; false: as much is buffered as may be. Only before the handler has it. */
static bool conn_room(struct conn *c)
{
    struct http_req *r = c->req;
    uint64_t max = READ_AHEAD, want;

    if (r->in_len < r->in_size) {
        return true;
    }
    if (r->sink) {
        return false; /* what is read is given away at once: there is always room */
    }
    if (c->phase == PH_BODY) {
        max = r->head.len + r->chunked.max + READ_AHEAD;
    }
    want = MIN((uint64_t)r->in_size * 2, max);
    if (c->phase == PH_BODY && !r->head.chunked) {
        uint64_t all = r->head.len + r->head.content_length;

        want = MIN(MAX(want, READ_AHEAD), MAX(all, r->in_len + 1u));
    }
    if (want <= r->in_size) {
        return false;
    }
    r->in = xrealloc(r->in, want);
    r->in_size = (uint32_t)want;
    return true;
}

static void conn_at_eof(struct conn *c)
{
    const struct http_req *r = c->req;

    if (c->phase < PH_BUSY) {
        conn_close(c); /* between requests, or within one that will never be whole */
    } else if (req_is_events(r) && r->waiting) {
        conn_close(c); /* nobody half-closes an event stream: the listener has left */
    } else {
        c->eof = true;
        conn_want(c, EPOLLIN, false);
    }
}

static void conn_read(struct conn *c)
{
    struct http_req *r = c->req;
    ssize_t n;

    if (!r) {
        r = c->req = req_get(c->s, c);
    }
    if (c->phase >= PH_BUSY ? r->in_len >= r->in_size : !conn_room(c)) {
        conn_want(c, EPOLLIN, false);
        return;
    }
    n = conn_recv(c, r->in + r->in_len, MIN(r->in_size - r->in_len, READ_AHEAD));
    if (n == TLS_AGAIN) {
        return;
    }
    if (n == TLS_FAILED) {
        conn_close(c);
    } else if (n == 0) {
        conn_at_eof(c);
    } else {
        r->in_len += (uint32_t)n;
        if (c->phase < PH_BUSY) {
            conn_process(c);
        }
    }
}

/* Reads on while TLS holds bytes back that no event will announce. */
void conn_readable(struct conn *c)
{
    do {
        conn_read(c);
    } while (c->phase < PH_BUSY && c->tls && tls_pending(c->tls));
    if (c->req && c->req->in_len == 0 && c->phase == PH_IDLE) {
        req_put(c->s, c->req);
        c->req = NULL;
    }
}
