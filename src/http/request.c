/* What a handler may ask of its request, and the store of requests that nobody uses. */
#include <assert.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "http/conn.h"

struct http_req *req_get(struct http_server *s, struct conn *c)
{
    struct http_req *r = s->spare;

    if (r) {
        s->spare = r->next_spare;
        s->n_spare--;
    } else {
        r = xcalloc(1, sizeof *r);
        r->in = xmalloc(IN_SMALL);
        r->in_size = IN_SMALL;
    }
    r->c = c;
    return r;
}

bool req_is_events(const struct http_req *r)
{
    return r && r->stream && r->match.route && r->match.route->flags & ROUTE_STREAM;
}

void req_drop_sink(struct http_req *r)
{
    struct http_sink *k = r->sink;

    r->sink = NULL;
    if (k) {
        k->drop(k);
    }
}

static void buf_shrink(struct buf *b)
{
    if (b->size > OUT_KEPT) {
        buf_done(b);
    } else {
        buf_reset(b);
    }
}

void req_reset(struct http_req *r)
{
    struct http_head *h = &r->head;

    memset(h, 0, offsetof(struct http_head, f));
    h->line = h->scan = h->block = h->seen = 0;
    h->state = 0;
    r->target.n = 0;
    r->match.n = 0;
    r->match.route = NULL;
    buf_shrink(&r->params);
    buf_shrink(&r->extra);
    buf_shrink(&r->out);
    buf_shrink(&r->body);
    r->body_len = 0;
    r->taken = 0;
    r->sent = 0;
    r->stream = NULL;
    r->decoded = r->waiting = r->raw = r->authorized = r->answered = r->leaving = false;
    r->not_stored = r->close = r->faulty = false;
    r->status = 0;
    r->started_us = 0;
    r->user = NULL;
    r->on_abort = NULL;
}

void req_free(struct http_req *r)
{
    buf_done(&r->params);
    buf_done(&r->extra);
    buf_done(&r->out);
    buf_done(&r->body);
    free(r->in);
    free(r);
}

void req_put(struct http_server *s, struct http_req *r)
{
    if (s->n_spare == SPARE_REQS) {
        req_free(r);
        return;
    }
    req_reset(r);
    r->in_len = 0;
    if (r->in_size > IN_SMALL) {
        r->in = xrealloc(r->in, IN_SMALL);
        r->in_size = IN_SMALL;
    }
    r->c = NULL;
    r->next_spare = s->spare;
    s->spare = r;
    s->n_spare++;
}

const char *http_method(const struct http_req *r)
{
    return http_method_names[r->head.method];
}

const char *http_path(const struct http_req *r)
{
    return r->in + r->target.path;
}

const char *http_param(const struct http_req *r, const char *name)
{
    const char *value = r->params.data;
    size_t n = strlen(name);

    for (unsigned i = 0; i < r->match.n; i++) {
        if (r->match.name[i].n == n && memcmp(r->match.name[i].p, name, n) == 0) {
            return value;
        }
        value += r->match.value[i].n + 1;
    }
    return NULL;
}

const char *http_query(const struct http_req *r, const char *name)
{
    for (unsigned i = 0; i < r->target.n; i++) {
        if (strcmp(r->in + r->target.q[i].name, name) == 0) {
            return r->in + r->target.q[i].value;
        }
    }
    return NULL;
}

const char *http_query_name(const struct http_req *r, unsigned i)
{
    return i < r->target.n ? r->in + r->target.q[i].name : NULL;
}

const char *http_header(const struct http_req *r, const char *name)
{
    size_t n = strlen(name);

    for (unsigned i = 0; i < r->head.n; i++) {
        const struct http_field *f = &r->head.f[i];

        if (f->name.len == n && strncasecmp(r->in + f->name.at, name, n) == 0) {
            return r->in + f->value.at;
        }
    }
    return NULL;
}

struct http_str http_body(const struct http_req *r)
{
    return (struct http_str){r->in + r->head.len, r->body_len};
}

struct http_sink *http_take_sink(struct http_req *r)
{
    struct http_sink *k = r->sink;

    r->sink = NULL;
    return k;
}

const char *http_peer(const struct http_req *r)
{
    return r->c->peer_text;
}

const struct http_route *http_req_route(const struct http_req *r)
{
    return r->match.route;
}

void http_set_user(struct http_req *r, void *user)
{
    r->user = user;
}

void *http_user(const struct http_req *r)
{
    return r->user;
}

void http_on_abort(struct http_req *r, void (*fn)(struct http_req *r))
{
    r->on_abort = fn;
}
