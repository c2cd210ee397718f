#include "http/router.h"

#include <string.h>

#include "base/mem.h"

enum { SEGMENTS_MAX = 16 };

struct segment {
    const char *p; /* in the pattern; of {name} the name */
    size_t n;
    bool param;
};

struct row {
    const struct http_route *route;
    enum http_method method;
    unsigned n;
    unsigned literal; /* a bit per segment, the leftmost the highest */
    struct segment seg[SEGMENTS_MAX];
};

struct router {
    unsigned n;
    struct row row[];
};

/* "/a/b" is a, b; "/" is one empty segment; "/a/" is a and an empty one. */
static unsigned split(const char *path, struct http_str *seg)
{
    unsigned n = 0;

    while (*path == '/' && n < SEGMENTS_MAX) {
        size_t len = strcspn(path + 1, "/");

        seg[n++] = (struct http_str){path + 1, len};
        path += 1 + len;
    }
    return *path ? 0 : n;
}

static int row_init(struct row *w, const struct http_route *r, struct err *e)
{
    struct http_str seg[SEGMENTS_MAX];
    unsigned m = 0, params = 0;

    while (m < HTTP_METHODS && !str_eq(http_method_names[m], r->method)) {
        m++;
    }
    w->route = r;
    w->method = m;
    w->n = split(r->pattern, seg);
    if (m == HTTP_METHODS || w->n == 0) {
        return err_set(e, ERR_INVALID, "route '%s %s' is malformed", r->method, r->pattern);
    }
    for (unsigned i = 0; i < w->n; i++) {
        const struct http_str *s = &seg[i];
        bool param = s->n > 2 && s->p[0] == '{' && s->p[s->n - 1] == '}';

        w->seg[i] = param ? (struct segment){s->p + 1, s->n - 2, true}
                          : (struct segment){s->p, s->n, false};
        params += param;
        w->literal |= param ? 0 : 1u << (SEGMENTS_MAX - i);
    }
    if (params > ROUTE_PARAMS_MAX) {
        return err_set(e, ERR_INVALID, "route '%s' has too many parameters", r->pattern);
    }
    return 0;
}

int router_new(const struct http_route *routes, struct router **out, struct err *e)
{
    struct router *r;
    unsigned n = 0;

    while (routes[n].method) {
        n++;
    }
    r = xcalloc(1, sizeof *r + n * sizeof r->row[0]);
    r->n = n;
    for (unsigned i = 0; i < n; i++) {
        int rc = row_init(&r->row[i], &routes[i], e);

        if (rc < 0) {
            free(r);
            return rc;
        }
    }
    *out = r;
    return 0;
}

void router_free(struct router *r)
{
    free(r);
}

unsigned router_count(const struct router *r)
{
    return r->n;
}

static bool row_fits(const struct row *w, const struct http_str *seg, unsigned n)
{
    if (w->n != n) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        const struct segment *s = &w->seg[i];

        if (s->param ? seg[i].n == 0 : s->n != seg[i].n || memcmp(s->p, seg[i].p, s->n) != 0) {
            return false;
        }
    }
    return true;
}

static void allow_add(struct route_match *m, const char *method)
{
    size_t len = strlen(m->allow);

    if (!strstr(m->allow, method) && len + strlen(method) + 3 < sizeof m->allow) {
        memcpy(m->allow + len, ", ", len ? 2 : 0);
        len += len ? 2 : 0;
        memcpy(m->allow + len, method, strlen(method) + 1);
    }
}

void router_find(const struct router *r, enum http_method m, const char *path,
                 struct route_match *out)
{
    struct http_str seg[SEGMENTS_MAX];
    unsigned n = split(path, seg);
    enum http_method as = m == HTTP_HEAD ? HTTP_GET : m;
    const struct row *best = NULL;

    out->route = NULL;
    out->status = 404;
    out->allow[0] = '\0';
    out->n = 0;
    for (unsigned i = 0; i < r->n && n; i++) {
        const struct row *w = &r->row[i];

        if (!row_fits(w, seg, n)) {
            continue;
        }
        if (w->method == as || w->method == m) {
            best = !best || w->literal > best->literal ? w : best;
        } else {
            out->status = 405;
            allow_add(out, http_method_names[w->method]);
            if (w->method == HTTP_GET) {
                allow_add(out, "HEAD");
            }
        }
    }
    if (!best) {
        return;
    }
    out->route = best->route;
    out->index = (unsigned)(best - r->row);
    for (unsigned i = 0; i < n; i++) {
        if (best->seg[i].param) {
            out->name[out->n] = (struct http_str){best->seg[i].p, best->seg[i].n};
            out->value[out->n++] = seg[i];
        }
    }
}
