/*
 * Cross-origin requests of pages whose origin the setting cors-origins names. Keys travel in
 * headers that a page has to set itself: no credentials of the browser are asked for.
 */
#include <string.h>

#include "base/mem.h"
#include "http/api_priv.h"

/* Exactly one of the list: neither several at once, nor "*", nor "null" and the like. */
static bool is_allowed(const struct api *a, const char *origin)
{
    size_t n = strpbrk(origin, ", *") ? 0 : strlen(origin);

    for (const char *p = a->cfg.cors_origins; p && n; p = strchr(p, ',')) {
        p += strspn(p, ", ");
        if (strncmp(p, origin, n) == 0 && (p[n] == '\0' || p[n] == ',' || p[n] == ' ')) {
            return true;
        }
    }
    return false;
}

bool api_cors(const struct api *a, struct http_req *r)
{
    const char *origin = http_header(r, "Origin");

    if (!a->cfg.cors_origins) {
        return false;
    }
    http_add_header(r, "Vary", "Origin");
    if (!origin || !is_allowed(a, origin)) {
        return false;
    }
    http_add_header(r, "Access-Control-Allow-Origin", origin);
    http_add_header(r, "Access-Control-Expose-Headers",
                    "ETag, Link, Location, Retry-After, X-Request-Id, Idempotency-Replayed");
    return true;
}

bool api_cors_preflight(const struct api *a, struct http_req *r, const char *allow)
{
    if (!str_eq(http_method(r), "OPTIONS") || !http_header(r, "Access-Control-Request-Method") ||
        !api_cors(a, r)) {
        return false;
    }
    http_add_header(r, "Access-Control-Allow-Methods", allow);
    http_add_header(r, "Access-Control-Allow-Headers",
                    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, "
                    "Last-Event-ID, X-API-Key");
    http_add_header(r, "Access-Control-Max-Age", "600");
    http_reply(r, 204, NULL, NULL, 0);
    return true;
}
