/* The runner's side of netd. What netd says is checked as strictly as what it is told: a message
 * that does not fit means that it is broken, and every way with it. */
#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "netd/proto.h"

struct asked {
    struct asked *next;
    uint64_t run;
    bool answered, down;
};

struct netd {
    struct loop *loop;
    struct chan chan;
    struct netd_events ev;
    struct asked *list;
    bool ready, gone;
};

static struct asked *find(const struct netd *n, uint64_t run)
{
    struct asked *a = n->list;

    while (a && a->run != run) {
        a = a->next;
    }
    return a;
}

static void forget(struct netd *n, struct asked *a)
{
    struct asked **at = &n->list;

    while (*at != a) {
        at = &(*at)->next;
    }
    *at = a->next;
    free(a);
}

static void netd_gone(struct netd *n)
{
    if (n->gone) {
        return;
    }
    n->gone = true;
    chan_done(&n->chan);
    if (n->ev.gone) {
        n->ev.gone(n->ev.arg);
    }
}

static bool on_ready(struct netd *n, struct wire *w)
{
    struct netd_ready r;

    if (n->ready || !netd_ready_get(w, &r)) {
        return false;
    }
    n->ready = true;
    if (n->ev.ready) {
        n->ev.ready(n->ev.arg, r.usable, r.why, r.forward_v4, r.forward_v6, r.dedicated_v4,
                    r.dedicated_v6);
    }
    return true;
}

static bool on_up_done(struct netd *n, struct wire *w)
{
    struct up_answer a;
    struct asked *asked = answer_get(w, &a) ? find(n, a.run) : NULL;

    if (!asked || asked->answered) {
        return false;
    }
    asked->answered = true;
    if (n->ev.up && !asked->down) {
        n->ev.up(n->ev.arg, a.run, a.code, a.why, &a.address, a.dedicated);
    }
    return true;
}

static bool on_counts(struct netd *n, struct wire *w, bool known)
{
    struct egress_counts c;
    uint64_t run;
    bool ok = true;
    struct asked *asked;

    if (known) {
        ok = counts_get(w, &run, &c);
    } else {
        run = wire_get_u64(w);
        ok = wire_end(w);
    }
    asked = ok ? find(n, run) : NULL;
    if (!asked || !asked->down) {
        return false;
    }
    forget(n, asked);
    if (n->ev.counts) {
        n->ev.counts(n->ev.arg, run, known ? &c : NULL);
    }
    return true;
}

static void on_message(struct chan *c, uint16_t type, const void *body, size_t n_body, int *fds,
                       unsigned n_fds)
{
    struct netd *n = container_of(c, struct netd, chan);
    struct wire w = {.p = body, .end = (const uint8_t *)body + n_body};
    bool ok = false;

    (void)fds;
    if (n_fds == 0 && (n->ready || type == NETD_READY)) {
        switch (type) {
        case NETD_READY:
            ok = on_ready(n, &w);
            break;
        case NETD_UP_DONE:
            ok = on_up_done(n, &w);
            break;
        case NETD_COUNTS:
        case NETD_LOST:
            ok = on_counts(n, &w, type == NETD_COUNTS);
            break;
        default:
            break;
        }
    }
    if (!ok) {
        netd_gone(n);
    }
}

static void on_close(struct chan *c)
{
    netd_gone(container_of(c, struct netd, chan));
}

int netd_connect(struct loop *l, int fd, const struct netd_events *ev, struct netd **out,
                 struct err *e)
{
    struct netd *n = xcalloc(1, sizeof *n);
    int rc;

    n->loop = l;
    n->ev = *ev;
    n->chan.on_message = on_message;
    n->chan.on_close = on_close;
    rc = chan_start(&n->chan, l, fd, e);
    if (rc != 0) {
        free(n);
        return rc;
    }
    *out = n;
    return 0;
}

static int send_ranges(struct netd *n, const struct netd_ask *ask, struct err *e)
{
    int rc = 0;

    for (size_t from = 0; rc == 0 && from < ask->targets->n;) {
        auto_buf body = {0};

        from = ranges_put(&body, ask, from);
        rc = chan_send(&n->chan, NETD_RANGES, body.data, body.len, NULL, 0, e);
    }
    return rc;
}

int netd_up(struct netd *n, const struct netd_ask *ask, struct err *e)
{
    auto_buf body = {0};
    struct asked *a;
    int rc;

    assert(!find(n, ask->run));
    if (n->gone) {
        return err_set(e, ERR_SANDBOX, "netd is gone");
    }
    if (ask->targets->n == 0 || ask->targets->n > NETD_RANGES_MAX) {
        return err_set(e, ERR_LIMIT, "%zu ranges of targets; netd takes 1 to %d", ask->targets->n,
                       NETD_RANGES_MAX);
    }
    up_put(&body, ask);
    rc = chan_send(&n->chan, NETD_UP, body.data, body.len, &ask->netns_fd, 1, e);
    if (rc == 0) {
        rc = send_ranges(n, ask, e);
        if (rc != 0) { /* half a question: the other side cannot go on */
            chan_done(&n->chan);
            n->gone = true;
        }
    }
    if (rc != 0) {
        return rc;
    }
    a = xcalloc(1, sizeof *a);
    a->run = ask->run;
    a->next = n->list;
    n->list = a;
    return 0;
}

void netd_down(struct netd *n, uint64_t run)
{
    struct asked *a = find(n, run);
    auto_buf body = {0};

    if (!a || a->down || n->gone) {
        return;
    }
    a->down = true;
    wire_u64(&body, run);
    (void)chan_send(&n->chan, NETD_DOWN, body.data, body.len, NULL, 0, NULL);
}

void netd_free(struct netd *n)
{
    if (!n) {
        return;
    }
    chan_done(&n->chan);
    while (n->list) {
        forget(n, n->list);
    }
    free(n);
}
