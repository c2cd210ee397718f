/* The daemon's side of the depot. */
#include "edge/depot.h"

#include <stdlib.h>

#include "base/mem.h"
#include "edge/depot_item.h"

struct depot {
    struct chan chan;
    struct depot_events ev;
    bool gone;
};

static void broken(struct depot *d)
{
    d->gone = true;
    chan_done(&d->chan);
    d->ev.gone(d->ev.arg);
}

/* With every good answer to a fetch comes its file, and with nothing else. */
static bool fits(uint16_t type, int rc, unsigned n_fds)
{
    return n_fds == (type == DEPOT_FETCH && rc == 0 ? 1U : 0U);
}

static void on_message(struct chan *c, uint16_t type, const void *body, size_t n, int *fds,
                       unsigned n_fds)
{
    struct depot *d = container_of(c, struct depot, chan);
    struct wire w = {.p = body, .end = (const uint8_t *)body + n};
    uint64_t id = wire_get_u64(&w);
    int32_t rc = wire_get_i32(&w);
    const char *why = NULL;

    if (!wire_get_str(&w, &why, NULL) || !why || !wire_end(&w) || rc > 0 ||
        !fits(type, rc, n_fds)) {
        broken(d);
        return;
    }
    switch (type) {
    case DEPOT_STORE:
        d->ev.stored(d->ev.arg, id, rc, why);
        break;
    case DEPOT_FETCH:
        d->ev.fetched(d->ev.arg, id, rc, rc == 0 ? take_fd(&fds[0]) : -1, why);
        break;
    case DEPOT_REMOVE:
        d->ev.removed(d->ev.arg, id, rc, why);
        break;
    default:
        broken(d);
    }
}

static void on_close(struct chan *c)
{
    broken(container_of(c, struct depot, chan));
}

int depot_connect(struct loop *l, int fd, const struct depot_events *ev, struct depot **out,
                  struct err *e)
{
    struct depot *d = xcalloc(1, sizeof *d);
    int rc;

    d->ev = *ev;
    d->chan.on_message = on_message;
    d->chan.on_close = on_close;
    rc = chan_start(&d->chan, l, fd, e);
    if (rc != 0) {
        free(d);
        return rc;
    }
    *out = d;
    return 0;
}

void depot_free(struct depot *d)
{
    if (d) {
        chan_done(&d->chan);
        free(d);
    }
}

static int ask(struct depot *d, uint16_t what, uint64_t id, const char *name, struct err *e)
{
    auto_buf body = {0};

    if (!depot_name_valid(name)) {
        return err_set(e, ERR_INVALID, "'%s' names no object", name);
    }
    if (d->gone) {
        return err_set(e, ERR_IO, "the process that talks to the storage has ended");
    }
    wire_u64(&body, id);
    wire_str(&body, name);
    return chan_send(&d->chan, what, body.data, body.len, NULL, 0, e);
}

int depot_store(struct depot *d, uint64_t id, const char *name, struct err *e)
{
    return ask(d, DEPOT_STORE, id, name, e);
}

int depot_fetch(struct depot *d, uint64_t id, const char *name, struct err *e)
{
    return ask(d, DEPOT_FETCH, id, name, e);
}

int depot_remove(struct depot *d, uint64_t id, const char *name, struct err *e)
{
    return ask(d, DEPOT_REMOVE, id, name, e);
}
