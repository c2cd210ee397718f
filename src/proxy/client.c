/* The runner's side of the proxy. */
#include "base/mem.h"
#include "proxy/proto.h"

struct proxy {
    struct chan chan;
    struct proxy_events ev;
    bool ready, gone;
};

static void broken(struct proxy *p)
{
    p->gone = true;
    chan_done(&p->chan);
    if (p->ev.gone) {
        p->ev.gone(p->ev.arg);
    }
}

static void on_message(struct chan *c, uint16_t type, const void *body, size_t n, int *fds,
                       unsigned n_fds)
{
    struct proxy *p = container_of(c, struct proxy, chan);
    struct wire w = {.p = body, .end = (const uint8_t *)body + n};
    struct proxy_counts counts;
    uint64_t run;

    (void)fds;
    if (type == PROXY_READY && !p->ready && n == 0 && n_fds == 0) {
        p->ready = true;
        if (p->ev.ready) {
            p->ev.ready(p->ev.arg);
        }
    } else if (type == PROXY_COUNTS && p->ready && n_fds == 0 && tally_get(&w, &run, &counts)) {
        if (p->ev.counts) {
            p->ev.counts(p->ev.arg, run, &counts);
        }
    } else {
        broken(p);
    }
}

static void on_close(struct chan *c)
{
    broken(container_of(c, struct proxy, chan));
}

int proxy_connect(struct loop *l, int fd, const struct proxy_events *ev, struct proxy **out,
                  struct err *e)
{
    struct proxy *p = xcalloc(1, sizeof *p);
    int rc;

    p->ev = *ev;
    p->chan.on_message = on_message;
    p->chan.on_close = on_close;
    rc = chan_start(&p->chan, l, fd, e);
    if (rc != 0) {
        free(p);
        return rc;
    }
    *out = p;
    return 0;
}

int proxy_open(struct proxy *p, const struct proxy_ask *ask, struct err *e)
{
    auto_buf body = {0};
    int rc = open_put(&body, ask, e);

    if (rc == 0 && p->gone) {
        rc = err_set(e, ERR_IO, "the proxy has ended");
    }
    return rc ? rc : chan_send(&p->chan, PROXY_OPEN, body.data, body.len, &ask->listen_fd, 1, e);
}

void proxy_close(struct proxy *p, uint64_t run)
{
    auto_buf body = {0};

    wire_u64(&body, run);
    if (!p->gone) { /* what cannot be sent is told by the channel's end */
        (void)chan_send(&p->chan, PROXY_CLOSE, body.data, body.len, NULL, 0, NULL);
    }
}

void proxy_free(struct proxy *p)
{
    if (p) {
        chan_done(&p->chan);
        free(p);
    }
}
