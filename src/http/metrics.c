/* Requests by route, method and status. A few rows a route: a list is enough. */
#include "base/mem.h"
#include "http/conn.h"

struct row {
    enum http_method method;
    int status;
    int64_t n, us;
};

struct rows {
    const char *route;
    struct row *v; /* owned */
    unsigned n, size;
};

struct metrics {
    unsigned n; /* routes; then "none" (404, 405) and "invalid" (never understood) */
    struct rows rows[];
};

struct metrics *metrics_new(const struct http_route *routes, unsigned n)
{
    struct metrics *m = xcalloc(1, sizeof *m + (n + 2) * sizeof m->rows[0]);

    m->n = n;
    for (unsigned i = 0; i < n; i++) {
        m->rows[i].route = routes[i].id ? routes[i].id : routes[i].pattern;
    }
    m->rows[n].route = "none";
    m->rows[n + 1].route = "invalid";
    return m;
}

void metrics_free(struct metrics *m)
{
    if (!m) {
        return;
    }
    for (unsigned i = 0; i < m->n + 2; i++) {
        free(m->rows[i].v);
    }
    free(m);
}

void metrics_count(struct metrics *m, const struct http_req *r, int64_t us)
{
    struct rows *rows = &m->rows[!r->decoded ? m->n + 1 : r->match.route ? r->match.index : m->n];
    struct row *row = NULL;

    for (unsigned i = 0; i < rows->n && !row; i++) {
        if (rows->v[i].status == r->status && rows->v[i].method == r->head.method) {
            row = &rows->v[i];
        }
    }
    if (!row) {
        if (rows->n == rows->size) {
            rows->size = rows->size ? rows->size * 2 : 2;
            rows->v = xrealloc(rows->v, rows->size * sizeof *rows->v);
        }
        row = &rows->v[rows->n++];
        *row = (struct row){.method = r->head.method, .status = r->status};
    }
    row->n++;
    row->us += us;
}

void metrics_each(const struct metrics *m, http_metric_fn fn, void *arg)
{
    for (unsigned i = 0; i < m->n + 2; i++) {
        const struct rows *rows = &m->rows[i];

        for (unsigned k = 0; k < rows->n; k++) {
            const struct row *w = &rows->v[k];

            fn(arg, rows->route, http_method_names[w->method], w->status, w->n, w->us);
        }
    }
}
