/* The server as a whole: listeners, the flush, and the end of connections. */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "base/mem.h"
#include "http/conn.h"

enum { ACCEPTS_PER_TURN = 64, ACCEPT_PAUSE_MS = 100 };

/* ---- what connections ask of the server ---- */

void server_conn_gone(struct http_server *s, struct conn *c)
{
    if (c->prev) {
        c->prev->next = c->next;
    } else {
        s->conns = c->next;
    }
    if (c->next) {
        c->next->prev = c->prev;
    }
    c->prev = NULL;
    c->next = s->dead;
    s->dead = c;
    peer_drop(s, c->peer);
    c->peer = NULL;
    if (s->flushed) {
        loop_again(s->loop);
    }
}

const char *server_date(struct http_server *s)
{
    time_t now = time(NULL);

    if (now != s->date_s) {
        struct tm tm;

        s->date_s = now;
        gmtime_r(&now, &tm);
        strftime(s->date, sizeof s->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    }
    return s->date;
}

/*
 * Against DNS rebinding: a page of another site can make a browser connect here under its own
 * name, but not under an address. A unix socket is out of a browser's reach.
 */
bool server_host_allowed(const struct http_server *s, const struct conn *c, const char *host,
                         size_t n)
{
    char name[256];
    struct in_addr a;

    if (c->local || host[0] == '[') {
        return true;
    }
    memcpy(name, host, n);
    name[n] = '\0';
    if (strcasecmp(name, "localhost") == 0 || inet_pton(AF_INET, name, &a) == 1) {
        return true;
    }
    for (const char *const *h = s->cfg.hosts; h && *h; h++) {
        if (strcasecmp(name, *h) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- accepting ---- */

/* One answer without reading, then gone: what is full must not take work. */
static void refuse(struct http_server *s, int fd, bool plain)
{
    static const char full[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                               "Retry-After: 1\r\nConnection: close\r\n\r\n";

    s->stats.rejected++;
    if (plain && send(fd, full, sizeof full - 1, MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
        shutdown(fd, SHUT_WR);
    }
    close(fd);
}

static void admit(struct listener *ln, int fd, const struct sockaddr_storage *ss)
{
    struct http_server *s = ln->s;
    const struct sockaddr *sa = (const void *)ss;
    struct peer *peer = NULL;
    bool plain = !s->tls || ln->local;

    if (s->cfg.max_conns && s->stats.conns >= s->cfg.max_conns) {
        refuse(s, fd, plain);
        return;
    }
    if (!ln->local) {
        peer = peer_take(s, sa, s->cfg.max_conns_per_address);
        if (!peer) {
            refuse(s, fd, plain);
            return;
        }
    }
    s->stats.accepted++;
    conn_new(s, fd, ln->local, sa, peer);
}

static void listener_event(struct watch *w, uint32_t events)
{
    struct listener *ln = container_of(w, struct listener, w);
    struct http_server *s = ln->s;

    s->flushed = false;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage ss = {0};
        socklen_t len = sizeof ss;
        int fd = accept4(w->fd, (void *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            admit(ln, fd, &ss);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            watch_events(w, 0); /* the event would come again at once, for nothing */
            timer_arm(s->loop, &s->accept_timer, ACCEPT_PAUSE_MS);
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

static void accept_again(struct timer *t)
{
    struct http_server *s = container_of(t, struct http_server, accept_timer);

    for (struct listener *ln = s->listeners; ln; ln = ln->next) {
        watch_events(&ln->w, EPOLLIN);
    }
}

int http_server_listen(struct http_server *s, int fd, struct err *e)
{
    struct listener *ln = xcalloc(1, sizeof *ln);
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof ss;
    int rc;

    ln->s = s;
    ln->w = (struct watch){.fd = fd, .events = EPOLLIN, .fn = listener_event};
    ln->local = getsockname(fd, (void *)&ss, &len) == 0 && ss.ss_family == AF_UNIX;
    rc = watch_add(s->loop, &ln->w, e);
    if (rc < 0) {
        close(fd);
        free(ln);
        return rc;
    }
    ln->next = s->listeners;
    s->listeners = ln;
    return 0;
}

static void listeners_close(struct http_server *s)
{
    while (s->listeners) {
        struct listener *ln = s->listeners;

        s->listeners = ln->next;
        watch_del(&ln->w);
        fd_close(&ln->w.fd);
        free(ln);
    }
    timer_stop(&s->accept_timer);
}

/* ---- turns ---- */

static void run_ready(struct timer *t)
{
    struct http_server *s = container_of(t, struct http_server, ready_timer);
    struct conn *c = s->ready, *next;

    s->flushed = false;
    s->ready = NULL;
    s->ready_tail = &s->ready;
    for (; c; c = next) {
        next = c->next_ready;
        c->ready = false;
        conn_run_ready(c);
    }
}

static void bury(struct http_server *s)
{
    struct conn **at = &s->dead;

    while (*at) {
        struct conn *c = *at;

        if (c->pending || c->ready) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        if (c->req) {
            req_put(s, c->req);
        }
        free(c);
    }
}

void http_server_flush(struct http_server *s)
{
    struct conn *c = s->pending, *next;

    s->flushed = true;
    s->pending = NULL;
    s->pending_tail = &s->pending;
    for (; c; c = next) {
        next = c->next_pending;
        c->pending = false;
        conn_flush(c);
    }
    bury(s);
}

void http_fail_turn(struct http_server *s, int status, const char *detail)
{
    for (struct conn *c = s->pending; c; c = c->next_pending) {
        struct http_req *r = c->req;

        if (c->phase == PH_BUSY && r->answered && !r->leaving && !r->not_stored) {
            reply_error(r, status, detail);
        }
    }
}

bool http_server_drain(struct http_server *s)
{
    struct conn *next;

    s->draining = true;
    listeners_close(s);
    for (struct conn *c = s->conns; c; c = next) {
        struct http_req *r = c->req;

        next = c->next;
        if (c->phase <= PH_IDLE && !c->ready) {
            conn_close(c);
        } else if (c->phase == PH_WRITE && req_is_events(r)) {
            r->close = true;
            stream_last(r);
            conn_pend(c);
        }
    }
    return s->stats.conns == 0;
}

/* ---- life ---- */

int http_server_new(struct loop *l, const struct http_config *c, struct http_server **out,
                    struct err *e)
{
    struct http_server *s = xcalloc(1, sizeof *s);
    int rc = router_new(c->routes, &s->router, e);

    if (rc == 0 && c->tls_cert) {
        rc = tls_ctx_new(c->tls_cert, c->tls_key, &s->tls, e);
    }
    if (rc < 0) {
        router_free(s->router);
        free(s);
        return rc;
    }
    s->loop = l;
    s->cfg = *c;
    s->cfg.header_timeout_ms = c->header_timeout_ms ? c->header_timeout_ms : 10000;
    s->cfg.idle_timeout_ms = c->idle_timeout_ms ? c->idle_timeout_ms : 75000;
    s->cfg.body_timeout_ms = c->body_timeout_ms ? c->body_timeout_ms : 60000;
    s->cfg.write_timeout_ms = c->write_timeout_ms ? c->write_timeout_ms : 30000;
    s->metrics = metrics_new(c->routes, router_count(s->router));
    s->pending_tail = &s->pending;
    s->ready_tail = &s->ready;
    s->ready_timer.fn = run_ready;
    s->accept_timer.fn = accept_again;
    *out = s;
    return 0;
}

void http_server_free(struct http_server *s)
{
    if (!s) {
        return;
    }
    listeners_close(s);
    while (s->conns) {
        struct conn *c = s->conns;

        conn_close(c);
        if (c->orphan) {
            c->orphan = false;
            server_conn_gone(s, c);
        }
    }
    for (struct conn *c = s->dead; c; c = c->next) {
        c->pending = c->ready = false;
    }
    bury(s);
    while (s->spare) {
        struct http_req *r = s->spare;

        s->spare = r->next_spare;
        req_free(r);
    }
    timer_stop(&s->ready_timer);
    router_free(s->router);
    tls_ctx_free(s->tls);
    metrics_free(s->metrics);
    buf_done(&s->scratch);
    free(s);
}

void http_stats(const struct http_server *s, struct http_stats *out)
{
    *out = s->stats;
}

void http_metrics(const struct http_server *s, http_metric_fn fn, void *arg)
{
    metrics_each(s->metrics, fn, arg);
}
