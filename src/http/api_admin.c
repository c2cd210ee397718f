/*
 * What the server can do, and its keys.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/api_v1.h"
#include "store/secret.h"
#include "tool/tool.h"

void v1_version(struct http_req *r, void *app)
{
    const struct api *a = app;
    struct json j = json_to(http_out(r));

    http_not_stored(r);
    json_obj(&j);
    json_str(&j, "name", "scanpod");
    json_str(&j, "version", a->cfg.version);
    json_end(&j);
    api_json_reply(r, 200);
}

static void put_limits(struct json *j, const struct api *a)
{
    json_obj_in(j, "limits");
    json_int(j, "timeout_min", JOB_TIMEOUT_MIN_S);
    json_int(j, "timeout_max", JOB_TIMEOUT_MAX_S);
    json_int(j, "timeout_default", a->cfg.scan_timeout_s);
    json_int(j, "queue_timeout_default", a->cfg.queue_timeout_s);
    json_int(j, "priority_max", JOB_PRIORITY_MAX);
    json_int(j, "priority_default", JOB_PRIORITY_DEFAULT);
    json_int(j, "retries_max", JOB_RETRIES_MAX);
    json_int(j, "retries_default", a->cfg.retries);
    json_int(j, "page_max", API_PAGE_MAX);
    json_int(j, "wait_max", API_WAIT_MAX_S);
    json_int(j, "body_bytes_max", 1 << 20);
    json_end(j);
}

void v1_capabilities(struct http_req *r, void *app)
{
    const struct api *a = app;
    struct json j = json_to(http_out(r));
    struct sched_stats ss = {0};

    http_not_stored(r);
    sched_stats(a->sched, &ss);
    json_obj(&j);
    json_str(&j, "version", a->cfg.version);
    json_arr_in(&j, "tools");
    for (const struct tool *const *t = tool_all(); *t; t++) {
        json_str(&j, NULL, (*t)->name);
    }
    json_end(&j);
    json_str(&j, "confinement", a->cfg.confinement);
    json_bool(&j, "unsafe_arguments", a->cfg.allow_unsafe_args);
    json_bool(&j, "reparse", a->cfg.reparse != NULL);
    json_int(&j, "slots", ss.slots);
    put_limits(&j, a);
    json_end(&j);
    api_json_reply(r, 200);
}

static void put_option(struct json *j, const struct tool_option *o)
{
    static const char *const kinds[] = {
        [TOOL_FLAG] = "flag", [TOOL_COUNT] = "count", [TOOL_TIME] = "time", [TOOL_RATE] = "rate"};

    json_obj(j);
    json_str(j, "name", o->name);
    json_str(j, "value", kinds[o->value]);
    if (o->value != TOOL_FLAG) {
        json_int(j, "min", o->min);
        json_int(j, "max", o->max);
    }
    json_bool(j, "needs_raw_sockets", o->needs_raw);
    json_end(j);
}

void v1_tools(struct http_req *r, void *app)
{
    const struct api *a = app;
    struct json j = json_to(http_out(r));

    http_not_stored(r);
    json_obj(&j);
    json_arr_in(&j, "items");
    for (const struct tool *const *t = tool_all(); *t; t++) {
        const char *version = NULL;
        bool usable =
            str_eq((*t)->name, "nmap") && a->cfg.nmap && !a->cfg.nmap(a->cfg.nmap_arg, &version);

        json_obj(&j);
        json_str(&j, "name", (*t)->name);
        json_str(&j, "summary", (*t)->summary);
        json_str(&j, "version", version);
        json_bool(&j, "available", usable);
        json_arr_in(&j, "options");
        for (const struct tool_option *o = (*t)->options; o && o->name; o++) {
            put_option(&j, o);
        }
        json_end(&j);
        json_end(&j);
    }
    json_end(&j);
    json_end(&j);
    api_json_reply(r, 200);
}

/* ---- keys ---- */

static int put_key(void *arg, const struct key *k, struct err *e)
{
    struct json *j = arg;

    json_obj(j);
    json_str(j, "id", k->id);
    json_str(j, "name", k->name);
    json_time(j, "created_at", k->created_us);
    json_time(j, "last_used_at", k->last_used_us);
    json_time(j, "revoked_at", k->revoked_us);
    json_end(j);
    return 0;
}

void v1_keys(struct http_req *r, void *app)
{
    struct api *a = app;
    struct json j = json_to(http_out(r));
    struct err e = {0};

    json_obj(&j);
    json_arr_in(&j, "items");
    if (store_keys(a->store, put_key, &j, &e) < 0) {
        buf_reset(j.b);
        api_fail(r, &e);
        return;
    }
    json_end(&j);
    json_end(&j);
    api_json_reply(r, 200);
}

/* A letter, then letters, digits, '.', '_' or '-': at most 64. */
static bool key_name_ok(const char *s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t n = strlen(s);

    return n >= 1 && n <= 64 && strchr(letters, s[0]) &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

static bool key_request(struct http_req *r, json_t *body, const char **name)
{
    static const char *const members[] = {"name", NULL};
    struct problems p = {0};

    *name = NULL;
    if (!json_is_object(body)) {
        problem_add(&p, "", "must be an object");
    } else {
        v1_refuse_unknown(&p, body, members);
        *name = json_string_value(json_object_get(body, "name"));
        if (!*name || !key_name_ok(*name)) {
            problem_add(&p, "/name",
                        "must be a letter, then at most 63 letters, digits, '.', '_' or '-'");
        }
    }
    if (p.n) {
        problems_reply(r, &p);
        return false;
    }
    return true;
}

static void key_create(struct api *a, struct http_req *r, const char *name)
{
    char secret[SECRET_TEXT + 1];
    struct key k;
    struct err e = {0};
    struct json j;

    key_make(name, secret, &k);
    if (store_key_add(a->store, &k, &e) < 0 || api_keys_load(a, &e) < 0) {
        api_fail(r, &e);
    } else {
        log_info("key_created", KV("key", k.id), KV("name", k.name), KV("peer", http_peer(r)));
        j = json_to(http_out(r));
        json_obj(&j);
        json_str(&j, "id", k.id);
        json_str(&j, "name", k.name);
        json_str(&j, "key", secret);
        json_time(&j, "created_at", k.created_us);
        json_end(&j);
        http_add_header(r, "Cache-Control", "no-store");
        api_json_reply(r, 201);
    }
    secure_zero(secret, sizeof secret);
}

void v1_key_create(struct http_req *r, void *app)
{
    json_t *body = v1_body(r);
    const char *name;

    if (!body) {
        return;
    }
    if (key_request(r, body, &name)) {
        key_create(app, r, name);
    }
    json_decref(body);
}

void v1_key_revoke(struct http_req *r, void *app)
{
    const char *id = http_param(r, "id");
    struct api *a = app;
    struct err e = {0};

    if (store_key_revoke(a->store, id, wall_us(), &e) < 0 || api_keys_load(a, &e) < 0) {
        api_fail(r, &e);
        return;
    }
    log_info("key_revoked", KV("key", id), KV("peer", http_peer(r)));
    http_reply(r, 204, NULL, NULL, 0);
}
