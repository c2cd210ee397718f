/*
 * The flush: one send per answer; when the kernel takes no more, EPOLLOUT tells when it does, and
 * the rest goes in the flush of that turn. Streams are asked for more here too, after the commit,
 * so that they show nothing that is not on disk.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/mem.h"
#include "http/conn.h"

enum { RECORD = 16384, FILL = 16384, MORE_CALLS = 64 };

void stream_end(struct http_req *r)
{
    struct http_stream *st = r->stream;

    r->stream = NULL;
    if (st && st->done) {
        st->done(st);
    }
}

void stream_last(struct http_req *r)
{
    buf_adds(&r->out, r->raw ? "" : "0\r\n\r\n");
    stream_end(r);
}

static size_t unsent(const struct http_req *r)
{
    return r->out.len + r->body.len - r->sent;
}

static void chunk_write(struct http_req *r, const struct buf *data)
{
    if (!data->len) {
        return;
    }
    if (r->raw) {
        buf_add(&r->out, data->data, data->len);
        return;
    }
    buf_addf(&r->out, "%zx\r\n", data->len);
    buf_add(&r->out, data->data, data->len);
    buf_add(&r->out, "\r\n", 2);
}

/* False: the stream wants the connection broken off. */
static bool stream_fill(struct http_req *r)
{
    struct buf *chunk = &r->c->s->scratch;
    int rc = 1;

    if (r->sent && !r->body.len) {
        buf_drop(&r->out, r->sent);
        r->sent = 0;
    }
    for (unsigned i = 0; rc == 1 && !r->waiting && unsent(r) < FILL && i < MORE_CALLS; i++) {
        buf_reset(chunk);
        rc = r->stream->more(r->stream, chunk);
        if (rc < 0) {
            return false;
        }
        chunk_write(r, chunk);
        r->waiting = rc == 2;
    }
    if (chunk->size > STREAM_HIGH) {
        buf_done(chunk);
    }
    if (rc == 0) {
        stream_last(r);
    }
    return true;
}

static ssize_t send_plain(struct conn *c, struct iovec *v, int n)
{
    struct msghdr m = {.msg_iov = v, .msg_iovlen = (size_t)n};
    ssize_t rc;

    do {
        rc = n == 1 ? send(c->w.fd, v[0].iov_base, v[0].iov_len, MSG_NOSIGNAL)
                    : sendmsg(c->w.fd, &m, MSG_NOSIGNAL);
    } while (rc < 0 && errno == EINTR);
    if (rc < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK ? TLS_AGAIN : TLS_FAILED;
    }
    return rc;
}

/* One record: head and body together, if they are short. */
static ssize_t send_tls(struct conn *c, const struct iovec *v, int n)
{
    char record[RECORD];
    size_t len = 0;

    if (n == 1 || v[0].iov_len >= RECORD) {
        return tls_write(c->tls, v[0].iov_base, MIN(v[0].iov_len, RECORD));
    }
    for (int i = 0; i < n; i++) {
        size_t k = MIN(v[i].iov_len, RECORD - len);

        memcpy(record + len, v[i].iov_base, k);
        len += k;
    }
    return tls_write(c->tls, record, len);
}

static ssize_t conn_send(struct conn *c)
{
    struct http_req *r = c->req;
    struct iovec v[2];
    int n = 0;
    ssize_t rc;

    if (r->sent < r->out.len) {
        v[n++] = (struct iovec){r->out.data + r->sent, r->out.len - r->sent};
    }
    if (r->body.len) {
        size_t from = r->sent > r->out.len ? r->sent - r->out.len : 0;

        v[n++] = (struct iovec){r->body.data + from, r->body.len - from};
    }
    assert(n > 0);
    rc = c->tls ? send_tls(c, v, n) : send_plain(c, v, n);
    if (rc > 0) {
        r->sent += (size_t)rc;
        if (unsent(r) == 0) {
            buf_reset(&r->out);
            buf_reset(&r->body);
            r->sent = 0;
        }
    }
    return rc;
}

/* Everything was sent and the stream has nothing now: hold as little as possible. */
static void stream_rest(struct conn *c)
{
    conn_want(c, EPOLLOUT, false);
    conn_deadline(c, 0);
    buf_done(&c->req->out);
    buf_done(&c->req->body);
    if (c->eof && req_is_events(c->req)) {
        conn_close(c);
    }
}

void conn_flush(struct conn *c)
{
    struct http_req *r = c->req;
    size_t budget = STREAM_PER_TURN;

    if ((c->phase != PH_BUSY && c->phase != PH_WRITE) || !r->answered) {
        return;
    }
    c->phase = PH_WRITE;
    r->leaving = true;
    for (;;) {
        ssize_t n;

        if (r->stream && !stream_fill(r)) {
            conn_close(c);
            return;
        }
        if (unsent(r) == 0 && !r->stream) {
            conn_next(c);
            return;
        }
        if (unsent(r) == 0 && r->waiting) {
            stream_rest(c);
            return;
        }
        n = unsent(r) ? conn_send(c) : 0;
        if (n == TLS_FAILED) {
            conn_close(c);
            return;
        }
        if (n > 0) {
            budget -= MIN(budget, (size_t)n);
        }
        if (n <= 0 || (r->stream && budget == 0)) {
            conn_want(c, EPOLLOUT, true);
            conn_deadline(c, c->s->cfg.write_timeout_ms);
            return;
        }
    }
}

void http_stream_wake(struct http_stream *st)
{
    st->req->waiting = false;
    conn_pend(st->req->c);
}

size_t http_stream_backlog(const struct http_stream *st)
{
    return unsent(st->req);
}
