/*
 * The API's life, and what holds for all its routes: errors of the server, unknown paths.
 */
#include "http/api.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "http/api_pump.h"
#include "http/api_submit.h"

int api_new(struct loop *l, struct store *st, struct sched *sc, const struct api_config *c,
            struct api **out, struct err *e)
{
    struct api *a = xcalloc(1, sizeof *a);
    int rc;

    a->loop = l;
    a->store = st;
    a->sched = sc;
    a->cfg = *c;
    rc = api_keys_load(a, e);
    if (rc < 0) {
        api_keys_free(a);
        free(a);
        return rc;
    }
    a->cache = view_cache_new(CACHE_BYTES);
    a->hub = sse_hub_new(a);
    *out = a;
    return 0;
}

void api_free(struct api *a)
{
    if (a) {
        api_submits_free(a);
        api_pumps_stop(a);
        api_imports_settle(a, false);
        sse_hub_free(a->hub);
        view_cache_free(a->cache);
        netset_done(&a->own);
        api_keys_free(a);
        free(a);
    }
}

void api_set_server(struct api *a, struct http_server *s)
{
    a->server = s;
}

void api_after_commit(struct api *a)
{
    api_imports_settle(a, true);
    sse_hub_wake(a->hub);
}

/* A segment matches itself, {name} any. */
static bool pattern_matches(const char *pattern, const char *path, size_t n)
{
    const char *end = path + n;

    while (*pattern && path < end) {
        if (*pattern == '{') {
            pattern += strcspn(pattern, "}") + 1;
            if (*path == '/') {
                return false;
            }
            while (path < end && *path != '/') {
                path++;
            }
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return !*pattern && path == end;
}

/* A decoded path as it may stand in a header and mean the same again. */
static char *path_escaped(const char *path, size_t n)
{
    struct buf b = {0};

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)path[i];

        if (c < 0x80 && (isalnum(c) || strchr("-._~/", c))) {
            buf_addc(&b, (char)c);
        } else {
            buf_addf(&b, "%%%02X", c);
        }
    }
    return buf_take(&b);
}

/* The old framework led /scans/ to /scans. */
static bool redirect(struct http_req *r)
{
    const char *path = http_path(r);
    size_t n = strlen(path);

    if (n < 2 || path[n - 1] != '/' || path[n - 2] == '/') {
        return false;
    }
    for (const struct http_route *route = api_routes; route->method; route++) {
        if (route->flags & ROUTE_LEGACY && pattern_matches(route->pattern, path, n - 1)) {
            auto_free char *to = path_escaped(path, n - 1);

            http_add_header(r, "Location", to);
            http_reply(r, 307, NULL, NULL, 0);
            return true;
        }
    }
    return false;
}

static void no_route(struct http_req *r, int status, const char *allow, void *app)
{
    http_not_stored(r);
    if (status == 405 && api_cors_preflight(app, r, allow)) {
        return;
    }
    (void)api_cors(app, r);
    if (status == 404 && redirect(r)) {
        return;
    }
    if (status == 405) {
        http_add_header(r, "Allow", allow);
        api_status(r, 405, api_old(r) ? "Method Not Allowed" : "this method is not known here",
                   NULL);
        return;
    }
    api_status(r, 404, api_old(r) ? "Not Found" : "there is nothing at this path",
               api_old(r) ? NULL : "GET /openapi.json lists all paths");
}

static void error_body(int status, const char *detail, bool legacy, struct buf *out)
{
    struct json j;

    if (!legacy) {
        problem_write(out, &(struct problem){.status = status, .detail = detail});
        return;
    }
    j = json_to(out);
    json_obj(&j);
    json_str(&j, "detail", detail);
    json_end(&j);
}

void api_http_config(struct api *a, struct http_config *c)
{
    c->routes = api_routes;
    c->app = a;
    c->authorize = api_authorize;
    c->upload = api_upload;
    c->no_route = no_route;
    c->error_body = error_body;
}
