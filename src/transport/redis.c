/*
 * A connection's life:
 *
 *   waiting -> finding (an address) -> connecting -> shaking (TLS) -> greeting -> up
 *      ^--------------- any failure, after a wait that doubles ------------------'
 *
 * hiredis writes nothing and reads nothing here: its reader takes replies apart, the socket, the
 * queues and the limits are ours. Its own asynchronous half ends the process by an assertion when a
 * server sends a reply that nobody asked for, knows no largest reply, and writes in small steps.
 *
 * What is sent in one turn leaves in one write of the next one: the socket is watched for room from
 * the first command on, and told to the handler behind all hooks of the turn's end.
 */
#include "transport/redis.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/id.h"
#include "base/mem.h"
#include "base/netset.h"
#include "transport/redis_inside.h"

/* ---- who waits ---- */

void calls_push(struct calls *c, redis_fn fn, void *arg)
{
    if (c->n == c->size) {
        size_t size = c->size ? c->size * 2 : 64;
        struct call *v = xmalloc(size * sizeof *v);

        for (size_t i = 0; i < c->n; i++) {
            v[i] = c->v[(c->first + i) & (c->size - 1)];
        }
        free(c->v);
        c->v = v;
        c->first = 0;
        c->size = size;
    }
    c->v[(c->first + c->n++) & (c->size - 1)] = (struct call){fn, arg};
}

struct call calls_shift(struct calls *c)
{
    struct call call = c->v[c->first];

    assert(c->n > 0);
    c->first = (c->first + 1) & (c->size - 1);
    c->n--;
    return call;
}

/* Each is told that there is no answer. False: r is gone, and the rest is not told. */
static bool answer_none(struct redis *r, struct calls *from)
{
    struct calls c = *from;
    bool *outer = r->gone;
    bool gone = false;

    *from = (struct calls){0}; /* what is sent from inside waits for another time */
    r->gone = &gone;
    while (c.n > 0 && !gone) {
        struct call call = calls_shift(&c);

        if (call.fn) {
            call.fn(call.arg, NULL);
        }
    }
    free(c.v);
    if (!gone) {
        r->gone = outer;
    } else if (outer) {
        *outer = true;
    }
    return !gone;
}

/* ---- attempts ---- */

static uint32_t jittered(uint32_t ms)
{
    uint32_t r;

    random_bytes(&r, sizeof r);
    return ms / 2 + r % (ms / 2 + 1);
}

static void wait_for_next(struct redis *r)
{
    r->state = REDIS_WAITING;
    timer_arm(r->loop, &r->retry, jittered(r->backoff_ms));
    r->backoff_ms = MIN(r->backoff_ms * 2, (uint32_t)REDIS_BACKOFF_MAX_MS);
}

void redis_lost(struct redis *r, const char *why, const char *quoted)
{
    auto_buf text = {0};

    buf_adds(&text, why);
    if (quoted) {
        buf_adds(&text, ": ");
        buf_add_escaped(&text, quoted, strnlen(quoted, REDIS_QUOTED));
    }
    if (r->state == REDIS_UP) {
        if (loop_now_ms(r->loop) - r->up_ms >= REDIS_STEADY_MS) {
            r->backoff_ms = REDIS_BACKOFF_MIN_MS;
        }
        r->told[0] = '\0';
    }
    redis_dial_stop(r);
    redis_io_stop(r);
    timer_stop(&r->limit);
    timer_stop(&r->look);
    wait_for_next(r);
    if (!answer_none(r, &r->pending) || str_eq(r->told, text.data)) {
        return;
    }
    snprintf(r->told, sizeof r->told, "%s", text.data);
    if (r->ev.down) {
        r->ev.down(r->ev.arg, text.data);
    }
}

void redis_ready(struct redis *r)
{
    r->state = REDIS_UP;
    r->up_ms = loop_now_ms(r->loop);
    r->told[0] = '\0';
    timer_stop(&r->limit);
    if (r->ev.up) {
        r->ev.up(r->ev.arg);
    }
}

static void on_retry(struct timer *t)
{
    redis_dial(container_of(t, struct redis, retry));
}

static void on_limit(struct timer *t)
{
    struct redis *r = container_of(t, struct redis, limit);

    redis_lost(r,
               r->state == REDIS_FINDING      ? "no address was found for its name in time"
               : r->state == REDIS_CONNECTING ? "no connection within 5 s"
               : r->state == REDIS_SHAKING    ? "connected, but no TLS handshake within 5 s"
                                              : "connected, but no answer within 5 s",
               NULL);
}

/* Is it still there? Whoever waits for an answer asks that already. */
static void on_look(struct timer *t)
{
    struct redis *r = container_of(t, struct redis, look);
    const char *ping = "PING";
    int64_t still_ms = loop_now_ms(r->loop) - r->moved_ms;

    if (r->pending.n > 0 && still_ms >= REDIS_DEAD_MS) {
        redis_lost(r, "no answer for 10 s", NULL);
        return;
    }
    if (r->pending.n == 0 && still_ms >= REDIS_IDLE_MS) {
        redis_push(r, NULL, NULL, 1, &ping, NULL);
        still_ms = 0;
    }
    timer_arm(r->loop, t, (r->pending.n > 0 ? REDIS_DEAD_MS : REDIS_IDLE_MS) - still_ms);
}

static void on_refuse(struct timer *t)
{
    struct redis *r = container_of(t, struct redis, refuse);

    answer_none(r, &r->refused);
}

/* ---- commands ---- */

/* Something was appended to `out`. */
static void queued(struct redis *r, redis_fn fn, void *arg)
{
    if (r->pending.n == 0) {
        r->moved_ms = loop_now_ms(r->loop);
    }
    calls_push(&r->pending, fn, arg);
    watch_events(&r->watch, EPOLLIN | EPOLLOUT);
}

void redis_push(struct redis *r, redis_fn fn, void *arg, int argc, const char **argv,
                const size_t *lens)
{
    buf_addc(&r->out, '*');
    buf_addu(&r->out, (uint64_t)argc);
    for (int i = 0; i < argc; i++) {
        size_t n = lens ? lens[i] : strlen(argv[i]);

        buf_adds(&r->out, "\r\n$");
        buf_addu(&r->out, n);
        buf_adds(&r->out, "\r\n");
        buf_add(&r->out, argv[i], n);
    }
    buf_adds(&r->out, "\r\n");
    queued(r, fn, arg);
}

static void refuse(struct redis *r, redis_fn fn, void *arg)
{
    if (fn) {
        calls_push(&r->refused, fn, arg);
        timer_arm(r->loop, &r->refuse, 0);
    }
}

void redis_command(struct redis *r, redis_fn fn, void *arg, int argc, const char **argv,
                   const size_t *lens)
{
    assert(argc > 0);
    if (r->state == REDIS_UP) {
        redis_push(r, fn, arg, argc, argv, lens);
    } else {
        refuse(r, fn, arg);
    }
}

void redis_cmd(struct redis *r, redis_fn fn, void *arg, const char *format, ...)
{
    char *text = NULL;
    va_list ap;
    int n;

    if (r->state != REDIS_UP) {
        refuse(r, fn, arg);
        return;
    }
    va_start(ap, format);
    n = redisvFormatCommand(&text, format, ap);
    va_end(ap);
    assert(n > 0);
    buf_add(&r->out, text, (size_t)n);
    redisFreeCommand(text);
    queued(r, fn, arg);
}

size_t redis_queued(const struct redis *r)
{
    return r->out.len - r->sent;
}

bool redis_is_up(const struct redis *r)
{
    return r->state == REDIS_UP;
}

const struct redis_server *redis_server(const struct redis *r)
{
    return &r->server;
}

/* ---- making and ending ---- */

int redis_new(struct loop *l, const struct redis_url *url, const struct redis_events *ev,
              struct redis **out, struct err *e)
{
    struct redis_tls *tls = NULL;
    struct net_ip ip;
    struct redis *r;
    int rc;

    if (url->host && !ev->resolve && !net_ip_parse(url->host, &ip)) {
        return err_set(e, ERR_INVALID, "the Redis server '%s' has to be given by its address here",
                       url->host);
    }
    rc = url->tls ? redis_tls_new(url, &tls, e) : 0;
    if (rc < 0) {
        return err_prefix(e, rc, "Redis server %s", url->host);
    }
    r = xcalloc(1, sizeof *r);
    r->loop = l;
    r->tls = tls;
    r->ev = *ev;
    r->watch.fd = -1;
    r->watch.fn = redis_io_ready;
    r->retry.fn = on_retry;
    r->limit.fn = on_limit;
    r->look.fn = on_look;
    r->refuse.fn = on_refuse;
    r->backoff_ms = REDIS_BACKOFF_MIN_MS;
    r->fed_max = REDIS_REPLY_MAX;
    redis_url_copy(url, &r->url);
    timer_arm(l, &r->retry, 0);
    *out = r;
    return 0;
}

void redis_free(struct redis *r)
{
    if (!r) {
        return;
    }
    if (r->gone) {
        *r->gone = true;
    }
    redis_dial_stop(r);
    redis_io_stop(r);
    timer_stop(&r->retry);
    timer_stop(&r->limit);
    timer_stop(&r->look);
    timer_stop(&r->refuse);
    free(r->pending.v);
    free(r->refused.v);
    redis_url_done(&r->url);
    redis_tls_free(r->tls);
    free(r);
}
