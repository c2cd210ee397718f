/*
 * A connection from the first byte to the handler, and from the answer to the next request.
 *
 * One read and one request per event: fairness comes from epoll's order. The request's buffer does
 * not move once the handler has it; bytes sent ahead are read into what room is left there, and
 * reading stops when there is none.
 */
#include "http/conn.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"

static void conn_event(struct watch *w, uint32_t events);
static void conn_timer(struct timer *t);

void conn_new(struct http_server *s, int fd, bool local, const struct sockaddr *sa,
              struct peer *peer)
{
    struct conn *c = xcalloc(1, sizeof *c);

    c->s = s;
    c->peer = peer;
    c->local = local;
    c->w = (struct watch){.fd = fd, .events = EPOLLIN, .fn = conn_event};
    c->t.fn = conn_timer;
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;

        inet_ntop(AF_INET, &in->sin_addr, c->peer_text, sizeof c->peer_text);
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)sa;

        inet_ntop(AF_INET6, &in6->sin6_addr, c->peer_text, sizeof c->peer_text);
    }
    c->next = s->conns;
    if (s->conns) {
        s->conns->prev = c;
    }
    s->conns = c;
    s->stats.conns++;
    c->tls = s->tls && !local ? tls_new(s->tls, fd) : NULL;
    if ((s->tls && !local && !c->tls) || watch_add(s->loop, &c->w, NULL) < 0) {
        conn_close(c);
        return;
    }
    c->phase = c->tls ? PH_HANDSHAKE : PH_IDLE;
    conn_deadline(c, c->tls ? HANDSHAKE_MS : s->cfg.idle_timeout_ms);
}

void conn_close(struct conn *c)
{
    struct http_req *r = c->req;
    bool held = c->phase == PH_BUSY && r && !r->answered;

    if (c->phase == PH_DEAD) {
        return;
    }
    c->phase = PH_DEAD;
    c->s->stats.conns--;
    watch_del(&c->w);
    timer_stop(&c->t);
    if (r && r->stream) {
        stream_end(r);
    }
    tls_free(c->tls);
    c->tls = NULL;
    fd_close(&c->w.fd);
    if (held && !r->on_abort) { /* the handler does not know: the answer, when it comes, ends it */
        c->orphan = true;
        return;
    }
    if (held) {
        r->on_abort(r);
    }
    server_conn_gone(c->s, c);
}

/* A deadline that moves back costs nothing: the timer finds out when it fires. */
void conn_deadline(struct conn *c, int64_t in_ms)
{
    if (in_ms == 0) {
        c->deadline_ms = 0;
        return;
    }
    c->deadline_ms = loop_now_ms(c->s->loop) + in_ms;
    if (!c->t.loop || c->t.at_ms > c->deadline_ms) {
        timer_arm(c->s->loop, &c->t, in_ms);
    }
}

void conn_pend(struct conn *c)
{
    struct http_server *s = c->s;

    if (!c->pending) {
        c->pending = true;
        c->next_pending = NULL;
        *s->pending_tail = c;
        s->pending_tail = &c->next_pending;
    }
    if (s->flushed) {
        loop_again(s->loop);
    }
}

void conn_make_ready(struct conn *c)
{
    struct http_server *s = c->s;

    if (!c->ready) {
        c->ready = true;
        c->next_ready = NULL;
        *s->ready_tail = c;
        s->ready_tail = &c->next_ready;
    }
    if (!s->ready_timer.loop) {
        timer_arm(s->loop, &s->ready_timer, 0);
    }
}

/* ---- input ---- */

/* > 0: bytes; 0: the peer will send no more; TLS_AGAIN; TLS_FAILED. */
static ssize_t conn_recv(struct conn *c, void *p, size_t n)
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

static void conn_fail(struct conn *c, int status, const char *why)
{
    struct http_req *r = c->req;

    c->phase = PH_BUSY;
    conn_deadline(c, 0);
    reply_error(r, status, why);
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
    if (h->content_length > r->chunked.max) {
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
static void conn_process(struct conn *c)
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
    }
    rc = conn_body(c);
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

static void conn_pause(struct conn *c)
{
    watch_events(&c->w, c->w.events & ~(uint32_t)EPOLLIN);
}

static void conn_at_eof(struct conn *c)
{
    struct http_req *r = c->req;

    c->eof = true;
    conn_pause(c);
    if (c->phase < PH_BUSY) {
        conn_close(c); /* between requests, or within one that will never be whole */
    } else if (r && r->stream && r->waiting && (r->match.route->flags & ROUTE_STREAM)) {
        conn_close(c); /* nobody half-closes an event stream: the listener has left */
    }
}

static void conn_drain(struct conn *c)
{
    char junk[16384];
    ssize_t n = conn_recv(c, junk, sizeof junk);

    if (n > 0) {
        c->drained += (uint32_t)n;
    }
    if (n == 0 || n == TLS_FAILED || c->drained > LINGER_BYTES) {
        conn_close(c);
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
        conn_pause(c);
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

static void conn_shake(struct conn *c)
{
    int rc = tls_handshake(c->tls);

    if (rc == 0) {
        c->phase = PH_IDLE;
        watch_events(&c->w, EPOLLIN);
        conn_deadline(c, c->s->cfg.idle_timeout_ms);
    } else if (rc == TLS_AGAIN) {
        watch_events(&c->w, tls_wants_write(c->tls) ? EPOLLOUT : EPOLLIN);
    } else {
        conn_close(c);
    }
}

/* Reads on while TLS holds bytes back that no event will announce. */
static void conn_readable(struct conn *c)
{
    do {
        conn_read(c);
    } while (c->phase < PH_BUSY && c->tls && tls_pending(c->tls));
    if (c->req && c->req->in_len == 0 && c->phase == PH_IDLE) {
        req_put(c->s, c->req);
        c->req = NULL;
    }
}

static void conn_event(struct watch *w, uint32_t events)
{
    struct conn *c = container_of(w, struct conn, w);

    c->s->flushed = false;
    if (c->phase == PH_HANDSHAKE) {
        conn_shake(c);
        if (c->phase == PH_IDLE && tls_pending(c->tls)) {
            conn_readable(c);
        }
        return;
    }
    if (events & (EPOLLERR | EPOLLHUP) && !(events & EPOLLIN && c->phase < PH_BUSY)) {
        conn_close(c);
        return;
    }
    if (events & EPOLLOUT) {
        conn_pend(c);
    }
    if (events & EPOLLIN) {
        if (c->phase == PH_LINGER) {
            conn_drain(c);
        } else {
            conn_readable(c);
        }
    }
}

void conn_run_ready(struct conn *c)
{
    if (c->phase >= PH_BUSY) {
        return;
    }
    if (c->req && c->req->in_len) {
        conn_process(c);
    }
    if (c->phase < PH_BUSY && c->eof) {
        conn_close(c);
    } else if (c->phase < PH_BUSY && c->tls && tls_pending(c->tls)) {
        conn_readable(c);
    }
}

/* ---- time ---- */

static void conn_timer(struct timer *t)
{
    struct conn *c = container_of(t, struct conn, t);
    int64_t now = loop_now_ms(c->s->loop), rate_ms;

    c->s->flushed = false;
    if (c->deadline_ms == 0) {
        return;
    }
    if (c->phase == PH_BODY) { /* what has come since moves the deadline, to a limit */
        rate_ms = BODY_GRACE_MS + (int64_t)c->req->body_len * 1000 / 1024;
        c->deadline_ms = c->since_ms + MIN(rate_ms, (int64_t)c->s->cfg.body_timeout_ms);
    }
    if (now < c->deadline_ms) {
        timer_arm(c->s->loop, t, c->deadline_ms - now);
        return;
    }
    if (c->phase != PH_IDLE) {
        c->s->stats.deadline_closed++;
    }
    if (c->phase == PH_HEAD) {
        conn_fail(c, 408, "header not complete in time");
    } else if (c->phase == PH_BODY) {
        conn_fail(c, 408, "body not complete in time");
    } else {
        conn_close(c);
    }
}

/* ---- between two requests ---- */

static void conn_linger(struct conn *c)
{
    c->phase = PH_LINGER;
    c->drained = 0;
    req_put(c->s, c->req);
    c->req = NULL;
    if (c->tls) {
        tls_bye(c->tls);
    }
    shutdown(c->w.fd, SHUT_WR);
    if (c->eof) {
        conn_close(c);
        return;
    }
    watch_events(&c->w, EPOLLIN);
    conn_deadline(c, LINGER_MS);
}

void conn_next(struct conn *c)
{
    struct http_req *r = c->req;
    bool close = r->close || c->s->draining, linger = r->faulty;
    uint32_t used = r->decoded ? r->head.len + r->body_len : r->in_len;

    metrics_count(c->s->metrics, r, r->started_us ? boot_us() - r->started_us : 0);
    memmove(r->in, r->in + used, r->in_len - used);
    r->in_len -= used;
    linger = linger || (close && r->in_len);
    req_reset(r);
    if (close) {
        if (linger) {
            conn_linger(c);
        } else {
            if (c->tls) {
                tls_bye(c->tls);
            }
            conn_close(c);
        }
        return;
    }
    c->phase = PH_IDLE;
    conn_deadline(c, c->s->cfg.idle_timeout_ms);
    if (r->in_len) {
        conn_make_ready(c);
    } else {
        req_put(c->s, r);
        c->req = NULL;
        if (c->eof) {
            conn_close(c);
            return;
        }
        if (c->tls && tls_pending(c->tls)) {
            conn_make_ready(c);
        }
    }
    if (!c->eof) {
        watch_events(&c->w, EPOLLIN);
    }
}
