/*
 * The daemon's side of the runner. Messages and records come on different sockets; the order of
 * call-backs is made here: records are not read before STARTED (or ENDED, when the tool never
 * started), and ENDED waits until the records are read to their end.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/box.h"
#include "runner/proto.h"

enum { RECORDS_AT_ONCE = 64 << 10 };

struct launched {
    struct launched *next;
    struct runner *runner;
    uint64_t run;
    struct watch records; /* fd -1: read to its end */
    bool go, paused;
    struct buf ended; /* the body of ENDED, while records are being read */
};

struct runner {
    struct loop *loop;
    struct chan chan;
    struct runner_events ev;
    struct launched *runs;
    bool gone;
    char *chunk; /* owned; RECORDS_AT_ONCE */
};

static struct launched *find(const struct runner *r, uint64_t run)
{
    struct launched *l = r->runs;

    while (l && l->run != run) {
        l = l->next;
    }
    return l;
}

static void close_records(struct launched *l)
{
    watch_del(&l->records);
    fd_close(&l->records.fd);
}

static void launched_free(struct launched *l)
{
    close_records(l);
    buf_done(&l->ended);
    free(l);
}

static void forget(struct launched *l)
{
    struct launched **at = &l->runner->runs;

    while (*at != l) {
        at = &(*at)->next;
    }
    *at = l->next;
    launched_free(l);
}

static void forget_all(struct runner *r)
{
    while (r->runs) {
        struct launched *l = r->runs;

        r->runs = l->next;
        launched_free(l);
    }
}

static void tell_end(struct launched *l)
{
    struct runner *r = l->runner;
    struct wire w = {.p = (const uint8_t *)l->ended.data,
                     .end = (const uint8_t *)l->ended.data + l->ended.len};
    struct buf body = l->ended;
    struct runner_end end;
    bool ok = end_get(&w, &end);

    assert(ok); /* it was checked when it came */
    (void)ok;
    l->ended = (struct buf){0};
    forget(l);
    if (r->ev.ended) {
        r->ev.ended(r->ev.arg, &end);
    }
    buf_done(&body);
}

static void update_records(struct launched *l)
{
    if (l->records.fd >= 0) {
        watch_events(&l->records, l->go && !l->paused ? EPOLLIN : 0);
    }
}

static void on_records(struct watch *w, uint32_t events)
{
    struct launched *l = container_of(w, struct launched, records);
    struct runner *r = l->runner;
    ssize_t n = recv(w->fd, r->chunk, RECORDS_AT_ONCE, MSG_DONTWAIT);

    (void)events;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n > 0) {
        if (r->ev.records) {
            r->ev.records(r->ev.arg, l->run, r->chunk, (size_t)n);
        }
        return;
    }
    close_records(l);
    if (r->ev.records_end) {
        r->ev.records_end(r->ev.arg, l->run);
    }
    if (l->ended.len) {
        tell_end(l);
    }
}

static void runner_broken(struct runner *r)
{
    if (r->gone) {
        return;
    }
    r->gone = true;
    chan_done(&r->chan);
    forget_all(r);
    if (r->ev.gone) {
        r->ev.gone(r->ev.arg);
    }
}

static bool on_started(struct runner *r, struct wire *w)
{
    struct launched *l = find(r, wire_get_u64(w));

    if (!wire_end(w) || !l || l->go) {
        return false;
    }
    l->go = true;
    update_records(l);
    if (r->ev.started) {
        r->ev.started(r->ev.arg, l->run);
    }
    return true;
}

static bool on_ended(struct runner *r, struct wire w)
{
    struct runner_end end;
    const uint8_t *body = w.p;
    struct launched *l = end_get(&w, &end) ? find(r, end.run) : NULL;

    if (!l || l->ended.len) {
        return false;
    }
    buf_add(&l->ended, body, (size_t)(w.end - body));
    l->go = true;
    if (l->records.fd < 0) {
        tell_end(l);
    } else {
        update_records(l);
    }
    return true;
}

static bool on_ready(struct runner *r, struct wire *w)
{
    uint8_t level = wire_get_u8(w);
    bool raw = wire_get_u8(w) != 0;

    if (!wire_end(w) || level > BOX_SUBREAPER) {
        return false;
    }
    if (r->ev.ready) {
        r->ev.ready(r->ev.arg, box_level_name((enum box_level)level), raw);
    }
    return true;
}

static void on_message(struct chan *c, uint16_t type, const void *body, size_t n, int *fds,
                       unsigned n_fds)
{
    struct runner *r = container_of(c, struct runner, chan);
    struct wire w = {.p = body, .end = (const uint8_t *)body + n};
    bool ok = false;

    (void)fds;
    if (n_fds == 0) {
        switch (type) {
        case MSG_READY:
            ok = on_ready(r, &w);
            break;
        case MSG_STARTED:
            ok = on_started(r, &w);
            break;
        case MSG_ENDED:
            ok = on_ended(r, w);
            break;
        default:
            break;
        }
    }
    if (!ok) {
        runner_broken(r); /* not ours any more: its end is the safe answer */
    }
}

static void on_close(struct chan *c)
{
    runner_broken(container_of(c, struct runner, chan));
}

int runner_connect(struct loop *l, int fd, const struct runner_events *ev, struct runner **out,
                   struct err *e)
{
    struct runner *r = xcalloc(1, sizeof *r);
    int rc;

    r->loop = l;
    r->ev = *ev;
    r->chunk = xmalloc(RECORDS_AT_ONCE);
    r->chan.on_message = on_message;
    r->chan.on_close = on_close;
    rc = chan_start(&r->chan, l, fd, e);
    if (rc != 0) {
        free(r->chunk);
        free(r);
        return rc;
    }
    *out = r;
    return 0;
}

int runner_launch(struct runner *r, const struct runner_launch *spec, struct err *e)
{
    auto_buf body = {0};
    int records[2];
    int fds[2];
    struct launched *l;
    int rc = launch_put(&body, spec, e);

    assert(spec->argv->n > 0 && spec->argv->v[0][0] == '/' && !find(r, spec->run));
    if (rc != 0) {
        return rc;
    }
    if (!parser_find(spec->parser)) {
        return err_set(e, ERR_INVALID, "there is no parser '%s'", spec->parser);
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, records) < 0) {
        return err_errno(e, "make a record socket");
    }
    fds[0] = records[1];
    fds[1] = spec->blob_fd;
    l = xcalloc(1, sizeof *l);
    l->runner = r;
    l->run = spec->run;
    l->records = (struct watch){.fd = records[0], .fn = on_records};
    l->next = r->runs;
    r->runs = l;
    rc = watch_add(r->loop, &l->records, e);
    if (rc == 0) {
        rc = chan_send(&r->chan, MSG_LAUNCH, body.data, body.len, fds, spec->blob_fd >= 0 ? 2 : 1,
                       e);
    }
    close(records[1]);
    if (rc != 0) {
        forget(l);
    }
    return rc;
}

void runner_stop(struct runner *r, uint64_t run)
{
    auto_buf body = {0};

    if (!r->gone && find(r, run)) {
        wire_u64(&body, run);
        (void)chan_send(&r->chan, MSG_STOP, body.data, body.len, NULL, 0, NULL);
    }
}

void runner_pause(struct runner *r, uint64_t run, bool pause)
{
    struct launched *l = find(r, run);

    if (l) {
        l->paused = pause;
        update_records(l);
    }
}

void runner_free(struct runner *r)
{
    if (!r) {
        return;
    }
    chan_done(&r->chan);
    forget_all(r);
    free(r->chunk);
    free(r);
}
