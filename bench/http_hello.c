/*
 * http_hello PORT [CERT KEY] - the HTTP front alone, for benchmarks and probes on loopback.
 *
 * GET /body: 2.7 KB. GET /health, POST /scans (echoes), GET /later: answered by a timer.
 * GET /events: a stream that waits. GET /big: 64 MiB in chunks.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/http.h"

static char text[2700];

static void body(struct http_req *r, void *app)
{
    http_reply(r, 200, "application/json", text, sizeof text);
}

static void health(struct http_req *r, void *app)
{
    buf_adds(http_out(r), "{\"status\":\"ok\"}");
    http_reply_buf(r, 200, "application/json");
}

static void echo(struct http_req *r, void *app)
{
    struct http_str b = http_body(r);

    http_reply(r, 202, "application/json", b.p, b.n);
}

struct later {
    struct timer t;
    struct http_req *r;
};

static void later_due(struct timer *t)
{
    struct later *l = container_of(t, struct later, t);

    http_reply(l->r, 200, "text/plain", "late\n", 5);
    free(l);
}

static void later_gone(struct http_req *r)
{
    struct later *l = http_user(r);

    timer_stop(&l->t);
    free(l);
}

static void later(struct http_req *r, void *app)
{
    struct later *l = xcalloc(1, sizeof *l);

    l->r = r;
    l->t.fn = later_due;
    http_set_user(r, l);
    http_on_abort(r, later_gone);
    timer_arm(app, &l->t, 200);
}

struct source {
    struct http_stream st;
    size_t left;
};

static int source_more(struct http_stream *st, struct buf *out)
{
    struct source *s = container_of(st, struct source, st);

    if (!s->left) {
        buf_adds(out, ": hello\n\n");
        return 2;
    }
    for (int i = 0; i < 4; i++) {
        buf_add(out, text, 2048);
    }
    s->left -= 8192;
    return s->left ? 1 : 0;
}

static void source_done(struct http_stream *st)
{
    free(container_of(st, struct source, st));
}

static void stream(struct http_req *r, size_t n, const char *type)
{
    struct source *s = xcalloc(1, sizeof *s);

    s->left = n;
    s->st.more = source_more;
    s->st.done = source_done;
    http_reply_stream(r, 200, type, &s->st);
}

static void events(struct http_req *r, void *app)
{
    stream(r, 0, "text/event-stream");
}

static void big(struct http_req *r, void *app)
{
    stream(r, 64 << 20, "application/octet-stream");
}

static const struct http_route routes[] = {
    {"GET", "/body", body, ROUTE_OPEN, 0, "body"},
    {"GET", "/health", health, ROUTE_OPEN | ROUTE_LEGACY, 0, "health"},
    {"POST", "/scans", echo, ROUTE_LEGACY, 0, "scan"},
    {"GET", "/later", later, ROUTE_OPEN, 0, "later"},
    {"GET", "/events", events, ROUTE_OPEN | ROUTE_STREAM, 0, "events"},
    {"GET", "/big", big, ROUTE_OPEN, 0, "big"},
    {0},
};

static struct http_server *server;

static void flush(struct turn_hook *h)
{
    http_server_flush(server);
}

static void stop(int signo, void *arg)
{
    loop_stop(arg);
}

int main(int argc, char **argv)
{
    struct turn_hook hook = {.fn = flush};
    struct http_config cfg = {.routes = routes, .max_conns = 10000};
    struct loop *loop;
    struct err e = {0};
    int fd;

    if (argc < 2 || loop_new(&loop, &e) < 0) {
        fprintf(stderr, "usage: http_hello PORT [CERT KEY]\n");
        return 2;
    }
    memset(text, 'x', sizeof text);
    cfg.app = loop;
    if (argc > 3) {
        cfg.tls_cert = argv[2];
        cfg.tls_key = argv[3];
    }
    auto_free char *where = str_fmt("127.0.0.1:%s", argv[1]);

    if (http_server_new(loop, &cfg, &server, &e) < 0 || http_listen(where, &fd, &e) < 0 ||
        http_server_listen(server, fd, &e) < 0 || loop_signal(loop, SIGTERM, stop, loop, &e) < 0) {
        fprintf(stderr, "http_hello: %s\n", e.msg);
        return 1;
    }
    loop_at_turn_end(loop, &hook);
    loop_run(loop, &e);
    http_server_free(server);
    loop_free(loop);
    return 0;
}
