/*
 * The API keys over REST. A key makes no key that may do more than itself.
 */
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/api_v1.h"
#include "store/secret.h"

static void put_scopes(struct json *j, unsigned scopes)
{
    json_arr_in(j, "scopes");
    for (const struct key_scope_row *row = key_scopes; row->name; row++) {
        if (scopes & row->bit) {
            json_str(j, NULL, row->name);
        }
    }
    json_end(j);
}

static void put_quota(struct json *j, const struct key_quota *q)
{
    json_obj_in(j, "quota");
    view_known(j, "waiting", q->waiting, 0);
    view_known(j, "jobs_per_day", q->jobs_per_day, 0);
    view_known(j, "addresses_per_day", q->addresses_per_day, 0);
    json_end(j);
}

static int put_key(void *arg, const struct key *k, struct err *e)
{
    struct json *j = arg;

    json_obj(j);
    json_str(j, "id", k->id);
    json_str(j, "name", k->name);
    put_scopes(j, k->scopes);
    put_quota(j, &k->quota);
    json_time(j, "created_at", k->created_us);
    json_time(j, "expires_at", k->expires_us);
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

/* ---- the request ---- */

struct key_request {
    const char *name; /* borrowed from the body */
    unsigned scopes;
    int64_t expires_us;
    struct key_quota quota;
};

/* A letter, then letters, digits, '.', '_' or '-': at most 64. */
static bool key_name_ok(const char *s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t n = strlen(s);

    return n >= 1 && n <= 64 && strchr(letters, s[0]) &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

static void read_scopes(struct problems *p, const json_t *v, unsigned *out)
{
    const json_t *item;
    unsigned bits = 0;
    size_t i;

    if (!v || json_is_null(v)) {
        return;
    }
    if (!json_is_array(v) || json_array_size(v) == 0) {
        problem_add(p, "/scopes", "must be an array of at least one scope");
        return;
    }
    json_array_foreach(v, i, item)
    {
        auto_free char *pointer = str_fmt("/scopes/%zu", i);
        const char *word = json_string_value(item);
        unsigned bit = 0;
        struct err e = {0};

        if (!word || !*word || strchr(word, ',')) {
            problem_add(p, pointer, "must be the name of a scope");
        } else if (key_scopes_parse(word, &bit, &e) < 0) {
            problem_add(p, pointer, "%s", e.msg);
        }
        bits |= bit;
    }
    *out = bits;
}

static void read_expiry(struct problems *p, const json_t *v, int64_t *out)
{
    if (!v || json_is_null(v)) {
        return;
    }
    if (!json_is_string(v) || !rfc3339_parse(json_string_value(v), out)) {
        problem_add(p, "/expires_at", "must be a date or an RFC 3339 time");
    } else if (*out <= wall_us()) {
        problem_add(p, "/expires_at", "must be in the future");
    }
}

static int64_t quota_member(struct problems *p, const json_t *quota, const char *name, int64_t max)
{
    const json_t *v = json_object_get(quota, name);
    auto_free char *pointer = str_fmt("/quota/%s", name);

    if (!v || json_is_null(v)) {
        return 0;
    }
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > max) {
        problem_add(p, pointer, "must be an integer from 0 (no limit) to %" PRId64, max);
        return 0;
    }
    return json_integer_value(v);
}

static void read_quota(struct problems *p, json_t *v, struct key_quota *q)
{
    static const char *const members[] = {"waiting", "jobs_per_day", "addresses_per_day", NULL};
    const char *name;
    json_t *item;

    if (!v || json_is_null(v)) {
        return;
    }
    if (!json_is_object(v)) {
        problem_add(p, "/quota", "must be an object");
        return;
    }
    json_object_foreach(v, name, item)
    {
        if (!str_eq(name, members[0]) && !str_eq(name, members[1]) && !str_eq(name, members[2])) {
            problem_add(p, "/quota", "there is no quota \"%.32s\"", name);
        }
    }
    q->waiting = (int32_t)quota_member(p, v, members[0], INT32_MAX);
    q->jobs_per_day = (int32_t)quota_member(p, v, members[1], INT32_MAX);
    q->addresses_per_day = quota_member(p, v, members[2], INT64_MAX);
}

static bool key_request(struct http_req *r, json_t *body, struct key_request *q)
{
    static const char *const members[] = {"name", "scopes", "expires_at", "quota", NULL};
    struct problems p = {0};

    *q = (struct key_request){.scopes = key_scopes_held(api_key(r))};
    if (!json_is_object(body)) {
        problem_add(&p, "", "must be an object");
    } else {
        v1_refuse_unknown(&p, body, members);
        q->name = json_string_value(json_object_get(body, "name"));
        if (!q->name || !key_name_ok(q->name)) {
            problem_add(&p, "/name",
                        "must be a letter, then at most 63 letters, digits, '.', '_' or '-'");
        }
        read_scopes(&p, json_object_get(body, "scopes"), &q->scopes);
        read_expiry(&p, json_object_get(body, "expires_at"), &q->expires_us);
        read_quota(&p, json_object_get(body, "quota"), &q->quota);
    }
    if (p.n) {
        problems_reply(r, &p);
        return false;
    }
    return true;
}

/* ---- make and revoke ---- */

static void note_key(struct api *a, struct http_req *r, const struct key *k)
{
    struct audit_note n;

    log_info("key_created", KV("key", k->id), KV("name", k->name), KV("peer", http_peer(r)));
    audit_begin(&n, r);
    json_str(&n.j, "name", k->name);
    put_scopes(&n.j, k->scopes);
    json_time(&n.j, "expires_at", k->expires_us);
    audit_add(a, api_key(r), "key.create", k->id, &n);
}

static void key_reply(struct http_req *r, const struct key *k, const char *secret)
{
    struct json j = json_to(http_out(r));

    json_obj(&j);
    json_str(&j, "id", k->id);
    json_str(&j, "name", k->name);
    json_str(&j, "key", secret);
    put_scopes(&j, k->scopes);
    put_quota(&j, &k->quota);
    json_time(&j, "created_at", k->created_us);
    json_time(&j, "expires_at", k->expires_us);
    json_end(&j);
    http_add_header(r, "Cache-Control", "no-store");
    api_json_reply(r, 201);
}

static void key_create(struct api *a, struct http_req *r, const struct key_request *q)
{
    unsigned missing = q->scopes & ~key_scopes_held(api_key(r));
    char secret[SECRET_TEXT + 1];
    struct key k;
    struct err e = {0};

    if (missing) {
        key_scope_fault(missing, &e);
        api_refuse(r, "key.scope", &e);
        return;
    }
    key_make(q->name, secret, &k);
    k.scopes = q->scopes;
    k.expires_us = q->expires_us;
    k.quota = q->quota;
    if (store_key_add(a->store, &k, &e) < 0 || api_keys_load(a, &e) < 0) {
        api_fail(r, &e);
    } else {
        note_key(a, r, &k);
        key_reply(r, &k, secret);
    }
    secure_zero(secret, sizeof secret);
}

void v1_key_create(struct http_req *r, void *app)
{
    json_t *body = v1_body(r);
    struct key_request q;

    if (!body) {
        return;
    }
    if (key_request(r, body, &q)) {
        key_create(app, r, &q);
    }
    json_decref(body);
}

void v1_key_revoke(struct http_req *r, void *app)
{
    const char *id = http_param(r, "id");
    struct audit_note n;
    struct api *a = app;
    struct err e = {0};

    if (store_key_revoke(a->store, id, wall_us(), &e) < 0 || api_keys_load(a, &e) < 0) {
        api_fail(r, &e);
        return;
    }
    log_info("key_revoked", KV("key", id), KV("peer", http_peer(r)));
    audit_begin(&n, r);
    audit_add(a, api_key(r), "key.revoke", id, &n);
    http_reply(r, 204, NULL, NULL, 0);
}
