/*
 * http_toy - a toy application behind the real server, and a client, in one process and one loop.
 * For the tests of the server: nothing happens but in a turn that the test runs.
 */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "event/loop.h"
#include "http/http.h"
#include "tap.h"

/* ---- the application ---- */

struct app {
    struct loop *loop;
    struct http_server *server;
    struct turn_hook hook;
    int fd; /* of the listener, the server's */
    struct sockaddr_in addr;
    struct http_req *held;
    int aborted, handled, fail_status, authorized;
    struct http_stream st;
    size_t stream_left;
    bool stream_waits, stream_breaks;
    int more_calls, done_calls;
    int64_t metric_n;
    struct http_sink sink;
    struct buf uploaded;
    size_t pieces_max;
    int sinks, drops, take_status;
};

static struct app app;

static inline void hello(struct http_req *r, void *arg)
{
    app.handled++;
    http_reply(r, 200, "text/plain", "hello", 5);
}

static inline void buffered(struct http_req *r, void *arg)
{
    buf_adds(http_out(r), "from a buffer");
    http_add_header(r, "X-Extra", "1");
    http_add_header(r, "X-Split", "a\r\nSet-Cookie: b");
    http_reply_buf(r, 200, "text/plain");
}

static inline void echo(struct http_req *r, void *arg)
{
    struct http_str b = http_body(r);

    app.handled++;
    http_reply(r, 200, NULL, b.p, b.n);
}

static inline void item(struct http_req *r, void *arg)
{
    const char *q = http_query(r, "q"), *h = http_header(r, "x-test");
    struct buf *out = http_out(r);

    buf_addf(out, "%s|%s|%s|%s|%s", http_method(r), http_path(r), http_param(r, "id"), q ? q : "-",
             h ? h : "-");
    http_reply_buf(r, 200, "text/plain");
}

static inline void peer(struct http_req *r, void *arg)
{
    http_reply(r, 200, "text/plain", http_peer(r), strlen(http_peer(r)));
}

static inline void gone(struct http_req *r)
{
    app.aborted++;
    app.held = NULL;
}

static inline void hold(struct http_req *r, void *arg)
{
    app.handled++;
    app.held = r;
    http_on_abort(r, gone);
}

static inline void hold_without_abort(struct http_req *r, void *arg)
{
    app.held = r;
}

static inline int more(struct http_stream *st, struct buf *out)
{
    size_t n = MIN(app.stream_left, 5000);

    app.more_calls++;
    if (app.stream_breaks) {
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        buf_addc(out, 's');
    }
    app.stream_left -= n;
    return app.stream_left ? 1 : app.stream_waits ? 2 : 0;
}

static inline void done(struct http_stream *st)
{
    app.done_calls++;
}

static inline void streamed(struct http_req *r, void *arg)
{
    app.st = (struct http_stream){.more = more, .done = done};
    http_reply_stream(r, 200, "text/plain", &app.st);
}

static inline void local_answer(struct http_req *r, void *arg)
{
    http_not_stored(r);
    http_reply(r, 200, "text/plain", "local", 5);
}

static inline int take(struct http_sink *k, const char *p, size_t n, const char **why)
{
    buf_add(&app.uploaded, p, n);
    app.pieces_max = MAX(app.pieces_max, n);
    *why = "no space";
    return app.take_status;
}

static inline void drop(struct http_sink *k)
{
    app.drops++;
}

static inline struct http_sink *upload(struct http_req *r, const struct http_route *route,
                                       void *arg)
{
    if (http_query(r, "bad")) {
        http_reply(r, 422, "text/plain", "bad", 3);
        return NULL;
    }
    app.sinks++;
    app.sink = (struct http_sink){.take = take, .drop = drop, .max = 1000000};
    return &app.sink;
}

static inline void uploaded(struct http_req *r, void *arg)
{
    CHECK(http_take_sink(r) == &app.sink);
    app.handled++;
    buf_addf(http_out(r), "%zu", app.uploaded.len);
    http_reply_buf(r, 200, "text/plain");
}

static inline bool authorize(struct http_req *r, const struct http_route *route, void *arg)
{
    if (route->flags & ROUTE_OPEN || str_eq(http_header(r, "x-api-key"), "k")) {
        app.authorized++;
        return true;
    }
    http_reply(r, 401, "text/plain", "no", 2);
    return false;
}

static inline void error_body(int status, const char *detail, bool legacy, struct buf *out)
{
    buf_addf(out, "%d %s %s", status, legacy ? "legacy" : "v1", detail);
}

static const struct http_route routes[] = {
    {"GET", "/hello", hello, ROUTE_OPEN, 0, "hello"},
    {"GET", "/buffered", buffered, ROUTE_OPEN, 0, "buffered"},
    {"POST", "/echo", echo, ROUTE_OPEN | ROUTE_LEGACY, 100000, "echo"},
    {"POST", "/small", echo, ROUTE_OPEN | ROUTE_LEGACY, 10, "small"},
    {"POST", "/locked", echo, 0, 0, "locked"},
    {"GET", "/items/{id}", item, ROUTE_OPEN, 0, "item"},
    {"DELETE", "/items/{id}", item, ROUTE_OPEN, 0, "item_delete"},
    {"GET", "/items/all", hello, ROUTE_OPEN, 0, "items_all"},
    {"GET", "/hold", hold, ROUTE_OPEN, 0, "hold"},
    {"GET", "/forget", hold_without_abort, ROUTE_OPEN, 0, "forget"},
    {"GET", "/stream", streamed, ROUTE_OPEN, 0, "stream"},
    {"GET", "/events", streamed, ROUTE_OPEN | ROUTE_STREAM, 0, "events"},
    {"POST", "/upload", uploaded, ROUTE_UPLOAD, 0, "upload"},
    {"GET", "/peer", peer, ROUTE_OPEN, 0, "peer"},
    {"GET", "/local", local_answer, ROUTE_OPEN, 0, "local"},
    {0},
};

static inline void turn_end(struct turn_hook *h)
{
    if (app.fail_status) {
        http_fail_turn(app.server, app.fail_status, "disk full");
        app.fail_status = 0;
    }
    http_server_flush(app.server);
}

static inline void stop(void)
{
    http_server_free(app.server);
    loop_free(app.loop);
    buf_done(&app.uploaded);
    app = (struct app){0};
}

static inline void start_with(struct http_config *c)
{
    socklen_t len = sizeof app.addr;

    stop(); /* a test that failed leaves its server */
    c->routes = routes;
    c->authorize = authorize;
    c->upload = upload;
    c->error_body = error_body;
    CHECK_OK(loop_new(&app.loop, ERR));
    CHECK_OK(http_server_new(app.loop, c, &app.server, ERR));
    CHECK_OK(http_listen("127.0.0.1:0", &app.fd, ERR));
    CHECK(getsockname(app.fd, (void *)&app.addr, &len) == 0);
    CHECK_OK(http_server_listen(app.server, app.fd, ERR));
    app.hook.fn = turn_end;
    loop_at_turn_end(app.loop, &app.hook);
}

static inline void start(void)
{
    struct http_config c = {0};

    start_with(&c);
}

/* ---- the client ---- */

static inline int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0 && connect(fd, (void *)&app.addr, sizeof app.addr) == 0);
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    return fd;
}

static inline void say(int fd, const char *text)
{
    CHECK_INT(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static inline void turn(void)
{
    CHECK_OK(loop_turn(app.loop, 0, ERR));
}

static inline void turns(int n)
{
    while (n--) {
        turn();
    }
}

static inline void turns_until(int64_t ms)
{
    for (int64_t end = boot_ms() + ms; boot_ms() < end;) {
        CHECK_OK(loop_turn(app.loop, 5, ERR));
    }
}

/* Turns until the server closes or nothing has come for a while. True: closed. */
static inline bool hear(int fd, struct buf *out)
{
    char part[65536];
    int quiet = 0;

    while (quiet < 20) {
        ssize_t n;

        CHECK_OK(loop_turn(app.loop, 1, ERR));
        n = recv(fd, part, sizeof part, 0);
        if (n == 0 || (n < 0 && errno == ECONNRESET)) {
            return true;
        }
        quiet = n < 0 ? quiet + 1 : 0;
        buf_add(out, part, n > 0 ? (size_t)n : 0);
    }
    return false;
}

static inline int count(const struct buf *b, const char *what)
{
    int n = 0;

    for (const char *p = b->data; p && (p = strstr(p, what)); p++) {
        n++;
    }
    return n;
}

static inline const char *body_of(const struct buf *b)
{
    const char *p = b->data ? strstr(b->data, "\r\n\r\n") : NULL;

    return p ? p + 4 : "(none)";
}

/* One request on a connection of its own. */
static inline bool ask(const char *text, struct buf *out)
{
    auto_fd int fd = dial();

    buf_reset(out);
    say(fd, text);
    return hear(fd, out);
}

#define HOST "Host: 127.0.0.1\r\n"
#define GET(path)               \
    "GET " path " HTTP/1.1\r\n" \
    "Host: 127.0.0.1\r\n\r\n"

static inline void check_status(const struct buf *b, int status)
{
    char want[32];

    snprintf(want, sizeof want, "HTTP/1.1 %d ", status);
    if (!b->data || !str_starts(b->data, want)) {
        tap_fail(__FILE__, __LINE__, "not %d: %.80s", status, b->data ? b->data : "(nothing)");
    }
}
