/*
 * The daemon's side of the runner. Messages and records come on different sockets; the order of
 * call-backs is made here: records are not read before STARTED (or ENDED, when the tool never
 * started), and ENDED waits until the records are read to their end.
 *
 * How much is read when decides how many commits a run costs. A few records stay in the socket for
 * a moment: mostly more of them or the run's end are on their way, and then all is one transaction.
 * When there are many, a turn takes as many as it can without making others wait.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/box.h"
#include "runner/lease.h"
#include "runner/proto.h"

enum {
    RECORDS_AT_ONCE = 64 << 10,
    RECORDS_A_TURN = 256 << 10, /* some milliseconds of work for the store */
    FEW_RECORDS = 32 << 10,     /* bytes; less is left in the socket */
    FEW_MS = 20,                /* for so long */
    RECORD_SOCKET = 1 << 20,    /* what the kernel may hold; it takes less if it has to */
};

struct launched {
    struct launched *next;
    struct runner *runner;
    uint64_t run;
    struct watch records; /* fd -1: read to its end */
    struct timer few;     /* runs while a few records wait for more */
    bool go, paused;
    uint32_t lease;   /* its slot, or NO_LEASE */
    struct buf ended; /* the body of ENDED, while records are being read */
};

struct runner {
    struct loop *loop;
    struct chan chan;
    struct runner_events ev;
    struct launched *runs;
    struct leases leases;
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
    timer_stop(&l->few);
    watch_del(&l->records);
    fd_close(&l->records.fd);
}

static void launched_free(struct launched *l)
{
    close_records(l);
    lease_give(&l->runner->leases, l->lease);
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
        watch_events(&l->records, l->go && !l->paused && !l->few.loop ? EPOLLIN : 0);
    }
}

static void records_over(struct launched *l)
{
    struct runner *r = l->runner;

    close_records(l);
    if (r->ev.records_end) {
        r->ev.records_end(r->ev.arg, l->run);
    }
    if (l->ended.len) {
        tell_end(l);
    }
}

static void read_records(struct runner *r, uint64_t run)
{
    struct launched *l = find(r, run);

    /* Whoever is told may pause the run, or end it with all others. */
    for (size_t got = 0; l && !l->paused && got < RECORDS_A_TURN; l = find(r, run)) {
        ssize_t n = recv(l->records.fd, r->chunk, RECORDS_AT_ONCE, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n <= 0) {
            records_over(l);
            return;
        }
        got += (size_t)n;
        if (r->ev.records) {
            r->ev.records(r->ev.arg, run, r->chunk, (size_t)n);
        }
    }
}

static bool only_few(const struct launched *l, uint32_t events)
{
    int n = 0;

    return !l->ended.len && !(events & (EPOLLHUP | EPOLLERR)) &&
           ioctl(l->records.fd, FIONREAD, &n) == 0 && n < FEW_RECORDS;
}

static void on_records(struct watch *w, uint32_t events)
{
    struct launched *l = container_of(w, struct launched, records);

    if (only_few(l, events)) {
        timer_arm(l->runner->loop, &l->few, FEW_MS);
        update_records(l);
    } else {
        read_records(l->runner, l->run);
    }
}

static void on_few(struct timer *t)
{
    struct launched *l = container_of(t, struct launched, few);

    update_records(l);
    if (!l->paused) {
        read_records(l->runner, l->run);
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
    leases_done(&r->leases);
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
    timer_stop(&l->few);
    if (l->records.fd < 0) {
        tell_end(l);
        return true;
    }
    update_records(l);
    if (!l->paused) { /* the parser is gone: what is left goes into the same turn as the end */
        read_records(r, l->run);
    }
    return true;
}

static bool on_ready(struct runner *r, struct wire *w)
{
    struct sandbox_caps caps;

    if (!caps_get(w, &caps)) {
        return false;
    }
    if (r->ev.ready) {
        r->ev.ready(r->ev.arg, &caps);
    }
    return true;
}

static bool on_answer(struct runner *r, struct wire *w)
{
    uint64_t ask = wire_get_u64(w);
    size_t n = (size_t)(w->end - w->p);

    if (w->bad || n > ANSWER_MAX) {
        return false;
    }
    if (r->ev.answer) {
        r->ev.answer(r->ev.arg, ask, (const char *)w->p, n);
    }
    return true;
}

static bool on_status(struct runner *r, struct wire *w)
{
    uint64_t run = wire_get_u64(w);
    const char *line;
    size_t n;

    if (!wire_get_str(w, &line, &n) || !line || n > STATUS_MAX || !wire_end(w)) {
        return false;
    }
    if (r->ev.status && find(r, run)) {
        r->ev.status(r->ev.arg, run, line);
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
        case MSG_ANSWER:
            ok = on_answer(r, &w);
            break;
        case MSG_STATUS:
            ok = on_status(r, &w);
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

/* A socket for its records, watched from now on; *peer is the runner's end. */
static struct launched *launched_new(struct runner *r, uint64_t run, int *peer, struct err *e)
{
    const int room = RECORD_SOCKET;
    struct launched *l;
    int records[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, records) < 0) {
        err_errno(e, "make a record socket");
        return NULL;
    }
    (void)setsockopt(records[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    l = xcalloc(1, sizeof *l);
    l->runner = r;
    l->run = run;
    l->lease = NO_LEASE;
    l->records = (struct watch){.fd = records[0], .fn = on_records};
    l->few.fn = on_few;
    l->next = r->runs;
    r->runs = l;
    *peer = records[1];
    if (watch_add(r->loop, &l->records, e) != 0) {
        fd_close(peer);
        forget(l);
        return NULL;
    }
    return l;
}

/* The first one makes the memory for all, which the runner gets before it hears of the run. */
static int take_lease(struct runner *r, struct launched *l, int64_t until_ms, struct err *e)
{
    auto_fd int fd = -1;
    int rc;

    if (until_ms == 0) {
        return 0;
    }
    if (!r->leases.page) {
        rc = leases_make(&r->leases, &fd, e);
        if (rc != 0) {
            return rc;
        }
        rc = chan_send(&r->chan, MSG_LEASES, "", 0, &fd, 1, e);
        if (rc != 0) {
            leases_done(&r->leases);
            return rc;
        }
    }
    return lease_take(&r->leases, until_ms, &l->lease, e);
}

static unsigned add_fd(int *fds, unsigned n, bool there, int fd)
{
    fds[n] = there ? fd : -1;
    return n + there;
}

int runner_launch(struct runner *r, const struct runner_launch *spec, struct err *e)
{
    auto_buf body = {0};
    struct launch_fds brought = {-1, -1};
    auto_fd int peer = -1;
    int fds[LAUNCH_FDS_MAX + 1];
    unsigned n = 0;
    struct launched *l;
    int rc;

    assert(!find(r, spec->run));
    l = launched_new(r, spec->run, &peer, e);
    if (!l) {
        return ERR_IO;
    }
    rc = take_lease(r, l, spec->lease_until_ms, e);
    if (rc == 0) {
        wire_u32(&body, l->lease);
        rc = launch_put(&body, &brought, spec, e);
    }
    fds[n++] = peer;
    n = add_fd(fds, n, spec->blob_fd >= 0, spec->blob_fd);
    n = add_fd(fds, n, spec->input_fd >= 0, spec->input_fd);
    n = add_fd(fds, n, spec->stdin_fd > 0, spec->stdin_fd);
    n = add_fd(fds, n, brought.more >= 0, brought.more);
    n = add_fd(fds, n, brought.texts >= 0, brought.texts);
    if (rc == 0) {
        rc = chan_send(&r->chan, MSG_LAUNCH, body.data, body.len, fds, n, e);
    }
    if (rc != 0) {
        forget(l);
    }
    fd_close(&brought.more);
    fd_close(&brought.texts);
    return rc;
}

int runner_ask(struct runner *r, uint64_t ask, const struct strvec *argv, struct err *e)
{
    auto_buf body = {0};
    int rc = ask_put(&body, ask, argv, e);

    return rc != 0 ? rc : chan_send(&r->chan, MSG_ASK, body.data, body.len, NULL, 0, e);
}

void runner_stop(struct runner *r, uint64_t run)
{
    auto_buf body = {0};

    if (!r->gone && find(r, run)) {
        wire_u64(&body, run);
        (void)chan_send(&r->chan, MSG_STOP, body.data, body.len, NULL, 0, NULL);
    }
}

void runner_extend(struct runner *r, uint64_t run, int64_t until_ms)
{
    struct launched *l = find(r, run);

    if (l) {
        lease_move(&r->leases, l->lease, until_ms);
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
    leases_done(&r->leases);
    free(r->chunk);
    free(r);
}
