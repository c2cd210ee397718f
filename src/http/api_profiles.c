/*
 * The profiles that a submit may name.
 */
#include "http/api_priv.h"

void v1_profiles(struct http_req *r, void *app)
{
    const struct api *a = app;
    struct buf *out = http_out(r);
    const struct profile *p;

    http_not_stored(r);
    buf_adds(out, "{\"items\":[");
    for (size_t i = 0; a->cfg.profiles && (p = profiles_at(a->cfg.profiles, i)) != NULL; i++) {
        buf_adds(out, i ? "," : "");
        profile_json(p, out);
    }
    buf_adds(out, "]}");
    api_json_reply(r, 200);
}

void v1_profile(struct http_req *r, void *app)
{
    const struct api *a = app;
    const struct profile *p = NULL;
    struct err e = {0};

    http_not_stored(r);
    if (a->cfg.profiles) {
        p = profiles_find(a->cfg.profiles, http_param(r, "name"), &e);
    }
    if (!p) {
        api_error(r, ERR_NOT_FOUND, "%s", e.code ? e.msg : "this server has no profiles");
        return;
    }
    profile_json(p, http_out(r));
    api_json_reply(r, 200);
}
