/* The daemon's side of the process. */
#include <string.h>

#include "base/mem.h"
#include "edge/edge_name.h"
#include "edge/edge_wire.h"

enum { AT_ONCE = 256 };

struct edge {
    struct chan chan;
    struct edge_events ev;
    uint64_t sending[AT_ONCE]; /* results whose `sent` is owed */
    size_t n_sending;
    bool gone;
    bool *freed; /* tells broken() that a handler freed it */
};

/* Everything that is owed is said first. */
static void broken(struct edge *d)
{
    bool freed = false;

    if (d->gone) {
        return;
    }
    d->gone = true;
    d->freed = &freed;
    chan_done(&d->chan);
    while (!freed && d->n_sending > 0) {
        d->ev.sent(d->ev.arg, d->sending[--d->n_sending], ERR_IO, "the edge process has ended");
    }
    if (!freed && d->ev.gone) {
        d->ev.gone(d->ev.arg);
    }
    if (!freed) {
        d->freed = NULL;
    }
}

static bool was_sending(struct edge *d, uint64_t id)
{
    for (size_t i = 0; i < d->n_sending; i++) {
        if (d->sending[i] == id) {
            d->sending[i] = d->sending[--d->n_sending];
            return true;
        }
    }
    return false;
}

static bool on_note(struct edge *d, uint16_t type, struct wire *w)
{
    struct edge_note n;

    if (!edge_note_get(w, &n)) {
        return false;
    }
    if (type == EDGE_STATE) {
        d->ev.state(d->ev.arg, n.code == 0, n.why);
        return true;
    }
    if (!was_sending(d, n.id)) {
        return false;
    }
    d->ev.sent(d->ev.arg, n.id, n.code, n.why);
    return true;
}

static void on_message(struct chan *c, uint16_t type, const void *body, size_t n, int *fds,
                       unsigned n_fds)
{
    struct edge *d = container_of(c, struct edge, chan);
    struct wire w = {.p = body, .end = (const uint8_t *)body + n};
    struct edge_message m;

    (void)fds;
    if (n_fds != 0) {
        broken(d);
    } else if (type == EDGE_MESSAGE && edge_message_get(&w, &m)) {
        d->ev.message(d->ev.arg, &m);
    } else if ((type != EDGE_SENT && type != EDGE_STATE) || !on_note(d, type, &w)) {
        broken(d);
    }
}

static void on_close(struct chan *c)
{
    broken(container_of(c, struct edge, chan));
}

int edge_connect(struct loop *l, int fd, const struct edge_events *ev, struct edge **out,
                 struct err *e)
{
    struct edge *d = xcalloc(1, sizeof *d);
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

void edge_free(struct edge *d)
{
    if (!d) {
        return;
    }
    if (d->freed) {
        *d->freed = true;
    }
    chan_done(&d->chan);
    free(d);
}

void edge_verdict(struct edge *d, uint64_t id, enum edge_verdict v, uint32_t after_ms,
                  const char *reason)
{
    const struct edge_verdict_in in = {
        .id = id, .verdict = v, .after_ms = after_ms, .reason = reason};
    auto_buf body = {0};

    edge_verdict_put(&body, &in);
    if (!d->gone) { /* what cannot be sent is told by the channel's end */
        (void)chan_send(&d->chan, EDGE_VERDICT, body.data, body.len, NULL, 0, NULL);
    }
}

static bool fits(const char *s, size_t most)
{
    return !s || strlen(s) <= most;
}

int edge_result(struct edge *d, const struct edge_result *r, struct err *e)
{
    auto_buf body = {0};
    int rc;

    if (d->gone) {
        return err_set(e, ERR_IO, "the edge process has ended");
    }
    if (d->n_sending == AT_ONCE) {
        return err_set(e, ERR_FULL, "%d results are under way", AT_ONCE);
    }
    if (!fits(r->event_id, EDGE_TEXT_MAX) || !fits(r->task_id, EDGE_TEXT_MAX) ||
        !fits(r->reply_to, EDGE_TEXT_MAX) || !fits(r->correlation, EDGE_TEXT_MAX) ||
        !fits(r->body, EDGE_RESULT_MAX)) {
        return err_set(e, ERR_INVALID, "the result is too large to be sent");
    }
    edge_result_put(&body, r);
    rc = chan_send(&d->chan, EDGE_RESULT, body.data, body.len, NULL, 0, e);
    if (rc == ERR_LIMIT) {
        return err_set(e, ERR_FULL, "the edge process does not read");
    }
    if (rc == 0) {
        d->sending[d->n_sending++] = r->id;
    }
    return rc;
}
