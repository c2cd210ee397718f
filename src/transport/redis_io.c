/* The socket of a connection: bytes become replies, commands become bytes. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "transport/redis_inside.h"

enum {
    READ_SIZE = 128 << 10,
    READS_PER_TURN = 16, /* others of the loop have their turn, too */
    /* The reader moves what it has not read yet every kilobyte. */
    FEED_SIZE = 8 << 10,
    OUT_KEPT = 1 << 20,
};

/* ---- hiredis' reader, with a limit on arrays ---- */

#if HIREDIS_MAJOR >= 1
typedef size_t elements_count;
#else
typedef int elements_count;
#endif

static redisReplyObjectFunctions limited; /* theirs, but for arrays */
static void *(*their_array)(const redisReadTask *task, elements_count n);

static void *limited_array(const redisReadTask *task, elements_count n)
{
    struct redis *r = task->privdata;

    if (n > 0 && (size_t)n > REDIS_ELEMENTS_MAX - r->elements) {
        r->elements = REDIS_ELEMENTS_MAX + 1;
        return NULL;
    }
    r->elements += n > 0 ? (size_t)n : 0;
    return their_array(task, n);
}

bool redis_io_start(struct redis *r)
{
    r->reader = redisReaderCreate();
    if (!r->reader) {
        return false;
    }
    if (!their_array) {
        limited = *r->reader->fn;
        their_array = limited.createArray;
        limited.createArray = limited_array;
    }
    r->reader->fn = &limited;
    r->reader->privdata = r;
    r->fed = r->elements = 0;
    return true;
}

void redis_io_stop(struct redis *r)
{
    watch_del(&r->watch);
    if (r->tls) {
        redis_tls_stop(r->tls);
    }
    fd_close(&r->watch.fd);
    if (r->reader) {
        redisReaderFree(r->reader);
        r->reader = NULL;
    }
    /* Passwords went through it. */
    if (r->out.data) {
        secure_zero(r->out.data, r->out.size);
    }
    buf_done(&r->out);
    r->sent = 0;
}

/* ---- reading ---- */

static void broken(struct redis *r)
{
    char why[sizeof r->reader->errstr];

    if (r->elements > REDIS_ELEMENTS_MAX) {
        redis_lost(r, "it sent a reply of too many elements", NULL);
        return;
    }
    snprintf(why, sizeof why, "%s", r->reader->errstr);
    redis_lost(r,
               r->state == REDIS_UP ? "it sent what is no reply"
                                    : "what answers there is no Redis server",
               why);
}

/* To whoever waits for it. False: the connection is lost, or r is gone. */
static bool deliver(struct redis *r, redisReply *reply)
{
    bool *outer = r->gone;
    bool gone = false;
    struct call call;

    if (r->pending.n == 0) {
        redis_lost(r, "it sent a reply that nobody asked for",
                   reply->type == REDIS_REPLY_ERROR ? reply->str : NULL);
        freeReplyObject(reply);
        return false;
    }
    call = calls_shift(&r->pending);
    if (call.fn) {
        r->gone = &gone;
        call.fn(call.arg, reply);
        if (!gone) {
            r->gone = outer;
        }
    }
    freeReplyObject(reply);
    return !gone && r->reader; /* the greeting may have ended it */
}

/* All replies that are complete. False: as deliver(). */
static bool take_replies(struct redis *r)
{
    for (;;) {
        void *reply = NULL;

        if (redisReaderGetReply(r->reader, &reply) != REDIS_OK) {
            broken(r);
            return false;
        }
        if (!reply) {
            return true;
        }
        r->fed = r->elements = 0;
        if (!deliver(r, reply)) {
            return false;
        }
    }
}

static bool feed(struct redis *r, const char *p, size_t n)
{
    for (size_t at = 0; at < n; at += FEED_SIZE) {
        size_t some = MIN((size_t)FEED_SIZE, n - at);

        r->fed += some;
        if (r->fed > r->fed_max) {
            redis_lost(r, "it sent a reply that is too large", NULL);
            return false;
        }
        if (redisReaderFeed(r->reader, p + at, some) != REDIS_OK) {
            broken(r);
            return false;
        }
        if (!take_replies(r)) {
            return false;
        }
    }
    return true;
}

static const char *failure(const struct redis *r)
{
    return r->tls && errno == EPROTO ? redis_tls_why(r->tls) : strerror(errno);
}

static void read_some(struct redis *r)
{
    static char in[READ_SIZE]; /* one thread; feed() copies */

    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t n = r->tls ? redis_tls_recv(r->tls, in, sizeof in)
                           : recv(r->watch.fd, in, sizeof in, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n < 0) {
            redis_lost(r, "read", failure(r));
            return;
        }
        if (n == 0) {
            redis_lost(r, "the server closed the connection", NULL);
            return;
        }
        r->moved_ms = loop_now_ms(r->loop);
        if (!feed(r, in, (size_t)n)) {
            return;
        }
        if (!r->tls && (size_t)n < sizeof in) { /* of TLS a piece is a record */
            return;
        }
    }
}

/* ---- writing ---- */

/* Memory of what has left is used again, also while it never ends. */
static void shrink(struct redis *r)
{
    if (r->sent < r->out.len) {
        if (r->sent > OUT_KEPT && r->sent > r->out.len / 2) {
            buf_drop(&r->out, r->sent);
            r->sent = 0;
        }
        return;
    }
    r->sent = 0;
    if (r->out.size > OUT_KEPT) {
        buf_done(&r->out);
    } else {
        buf_reset(&r->out);
    }
    watch_events(&r->watch, EPOLLIN);
}

/* False: the connection is lost, or r is gone. */
static bool write_some(struct redis *r)
{
    while (r->sent < r->out.len) {
        const char *p = r->out.data + r->sent;
        size_t left = r->out.len - r->sent;
        ssize_t n = r->tls ? redis_tls_send(r->tls, p, left)
                           : send(r->watch.fd, p, left, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            break;
        }
        if (n < 0) {
            redis_lost(r, "write", failure(r));
            return false;
        }
        r->sent += (size_t)n;
        r->moved_ms = loop_now_ms(r->loop);
    }
    shrink(r);
    return true;
}

void redis_io_ready(struct watch *w, uint32_t events)
{
    struct redis *r = container_of(w, struct redis, watch);

    /* What was queued in the turns before leaves first: replies may queue more, and that is for the
     * end of this turn. */
    if ((events & EPOLLOUT) && !write_some(r)) {
        return;
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        read_some(r);
    }
}
