/* The life of a connection: birth, events, deadlines, the step from one request to the next. */
#include "http/conn.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/mem.h"

static void conn_event(struct watch *w, uint32_t events);
static void conn_timer(struct timer *t);

static void peer_name(const struct sockaddr *sa, char out[INET6_ADDRSTRLEN])
{
    const struct sockaddr_in *in = (const void *)sa;
    const struct sockaddr_in6 *in6 = (const void *)sa;

    if (sa->sa_family == AF_INET) {
        inet_ntop(AF_INET, &in->sin_addr, out, INET6_ADDRSTRLEN);
    } else if (sa->sa_family != AF_INET6) {
        memcpy(out, "unix", sizeof "unix");
    } else if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], out, INET6_ADDRSTRLEN);
    } else {
        inet_ntop(AF_INET6, &in6->sin6_addr, out, INET6_ADDRSTRLEN);
    }
}

void conn_new(struct http_server *s, int fd, bool local, const struct sockaddr *sa,
              struct peer *peer)
{
    struct conn *c = xcalloc(1, sizeof *c);

    c->s = s;
    c->peer = peer;
    c->local = local;
    c->wants = EPOLLIN;
    c->w = (struct watch){.fd = fd, .events = EPOLLIN, .fn = conn_event};
    c->t.fn = conn_timer;
    peer_name(sa, c->peer_text);
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
    if (r) {
        req_drop_sink(r);
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

/*
 * Who wants neither to read nor to write is still told, once, that the peer hung up: also when
 * bytes lie before the end that nobody will read.
 */
void conn_want(struct conn *c, uint32_t events, bool on)
{
    c->wants = on ? c->wants | events : c->wants & ~events;
    watch_events(&c->w, c->wants ? c->wants : EPOLLRDHUP | EPOLLET);
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

static void conn_shake(struct conn *c)
{
    int rc = tls_handshake(c->tls);

    if (rc == 0) {
        c->phase = PH_IDLE;
        conn_want(c, EPOLLOUT, false);
        conn_want(c, EPOLLIN, true);
        conn_deadline(c, c->s->cfg.idle_timeout_ms);
    } else if (rc == TLS_AGAIN) {
        conn_want(c, EPOLLOUT, tls_wants_write(c->tls));
        conn_want(c, EPOLLIN, !tls_wants_write(c->tls));
    } else {
        conn_close(c);
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
    if (events & EPOLLRDHUP && req_is_events(c->req) && c->req->waiting) {
        conn_close(c); /* what was sent ahead of the hang-up will never be asked */
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

static int64_t body_deadline(const struct conn *c)
{
    const struct http_req *r = c->req;
    int64_t rate_ms = BODY_GRACE_MS + (int64_t)r->body_len * 1000 / 1024;

    if (r->sink) {
        return c->since_ms + BODY_GRACE_MS + (int64_t)(r->taken / (UPLOAD_RATE / 1000));
    }
    return c->since_ms + MIN(rate_ms, (int64_t)c->s->cfg.body_timeout_ms);
}

static void conn_timer(struct timer *t)
{
    struct conn *c = container_of(t, struct conn, t);
    int64_t now = loop_now_ms(c->s->loop);

    c->s->flushed = false;
    if (c->deadline_ms == 0) {
        return;
    }
    if (c->phase == PH_BODY) { /* what has come since moves the deadline, to a limit */
        c->deadline_ms = body_deadline(c);
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
    conn_want(c, EPOLLOUT, false);
    conn_want(c, EPOLLIN, true);
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
    conn_want(c, EPOLLOUT, false);
    conn_want(c, EPOLLIN, !c->eof);
}
