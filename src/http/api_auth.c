/*
 * Keys. What a client presents is hashed, and the hash is compared in constant time with those of
 * all keys in force: the table is small, and no lookup tells how much of a guess was right. Rows
 * stay in memory for as long as the API: a request that was let in keeps its row.
 */
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/api_priv.h"
#include "store/digest.h"

struct api_key_row {
    struct key key;
    bool used;        /* since it was last told to the store */
    int64_t noted_us; /* when that was */
    struct api_key_row *next;
};

enum { NOTE_AFTER_MS = 1000, NOTE_EACH_US = 60 * 1000000 };

static struct api_key_row *row_of(struct api *a, const char *id)
{
    for (struct api_key_row *row = a->keys; row; row = row->next) {
        if (str_eq(row->key.id, id)) {
            return row;
        }
    }
    return NULL;
}

static int load_row(void *arg, const struct key *k, struct err *e)
{
    struct api *a = arg;
    struct api_key_row *row = row_of(a, k->id);

    if (!row) {
        row = xcalloc(1, sizeof *row);
        row->next = a->keys;
        a->keys = row;
    }
    row->key = *k;
    return 0;
}

/*
 * Last uses go to the store a moment later, from a turn of their own: a request that only reads
 * does not fail because the disk is full.
 */
static void on_note(struct timer *t)
{
    struct api *a = container_of(t, struct api, key_timer);

    for (struct api_key_row *row = a->keys; row; row = row->next) {
        if (row->used) {
            row->used = false;
            row->noted_us = wall_us();
            store_key_used(a->store, row->key.id, row->noted_us, NULL);
        }
    }
}

static void note_use(struct api *a, struct api_key_row *row)
{
    if (!row->used && wall_us() - row->noted_us >= NOTE_EACH_US) {
        row->used = true;
        if (!a->key_timer.loop) {
            timer_arm(a->loop, &a->key_timer, NOTE_AFTER_MS);
        }
    }
}

int api_keys_load(struct api *a, struct err *e)
{
    a->key_timer.fn = on_note;
    a->config_key = (struct key){.scopes = KEY_ALL};
    if (a->cfg.legacy_key) {
        sha256_of(a->cfg.legacy_key, strlen(a->cfg.legacy_key), a->config_key.hash);
    }
    return store_keys(a->store, load_row, a, e);
}

void api_turn_undone(struct api *a)
{
    struct err e = {0};

    api_imports_settle(a, false);
    for (struct api_key_row *row = a->keys; row; row = row->next) {
        row->key.revoked_us = 1; /* a key that was made in that turn is in no row of the store */
    }
    if (api_keys_load(a, &e) < 0) {
        log_error("keys_not_read", KV("error", e.msg));
    }
}

void api_keys_free(struct api *a)
{
    timer_stop(&a->key_timer);
    while (a->keys) {
        struct api_key_row *row = a->keys;

        a->keys = row->next;
        secure_zero(row, sizeof *row);
        free(row);
    }
}

const struct key *api_key(const struct http_req *r)
{
    return http_user(r);
}

/* Of several of one name at most one is in force. */
const struct key *api_key_named(struct api *a, const char *name)
{
    struct api_key_row *found = NULL;

    if (!name) {
        return a->cfg.legacy_key ? &a->config_key : NULL;
    }
    for (struct api_key_row *row = a->keys; row; row = row->next) {
        if ((str_eq(row->key.id, name) || str_eq(row->key.name, name)) &&
            (!found || !key_in_force(&found->key))) {
            found = row;
        }
    }
    if (found && key_in_force(&found->key)) {
        note_use(a, found);
    }
    return found ? &found->key : NULL;
}

unsigned key_scopes_held(const struct key *k)
{
    static const unsigned all_but_flags =
        KEY_READ | KEY_SUBMIT_NETWORK | KEY_SUBMIT_REPO | KEY_CANCEL | KEY_ADMIN;

    return k->scopes & KEY_ADMIN ? k->scopes | all_but_flags : k->scopes;
}

static bool expired(const struct key *k)
{
    return k->expires_us && k->expires_us <= wall_us();
}

bool key_in_force(const struct key *k)
{
    return !k->revoked_us && !expired(k);
}

void key_scope_fault(unsigned missing, struct err *e)
{
    auto_buf names = {0};

    key_scopes_text(missing, &names);
    err_set(e, ERR_SCOPE, "this key lacks the scope '%s'", names.data ? names.data : "");
}

/* The key that the secret is of, also an expired one; NULL: unknown or revoked. */
static struct key *find_key(struct api *a, const char *secret)
{
    struct key *found = NULL;
    uint8_t hash[32];

    sha256_of(secret, strlen(secret), hash);
    for (struct api_key_row *k = a->keys; k; k = k->next) {
        if (equal_secret(k->key.hash, hash, sizeof hash) && !k->key.revoked_us) {
            found = &k->key;
        }
    }
    if (a->cfg.legacy_key && equal_secret(a->config_key.hash, hash, sizeof hash)) {
        found = &a->config_key;
    }
    return found;
}

/* "Bearer KEY"; NULL if it is another scheme. */
static const char *bearer(const char *authorization)
{
    if (strncasecmp(authorization, "Bearer ", 7) != 0) {
        return NULL;
    }
    authorization += 7;
    return authorization + strspn(authorization, " ");
}

static bool refuse(struct http_req *r, const char *old_detail, const char *detail)
{
    log_warn("unauthorized", KV("peer", http_peer(r)), KV("method", http_method(r)),
             KV("path", http_path(r)));
    http_not_stored(r);
    if (api_old(r)) {
        http_add_header(r, "WWW-Authenticate", "APIKey");
        api_status(r, 401, old_detail, NULL);
    } else {
        http_add_header(r, "WWW-Authenticate", "Bearer realm=\"scanpod\"");
        api_status(r, 401, detail, "send X-API-Key or Authorization: Bearer");
    }
    return false;
}

/* A proxy may have checked the one and we the other: nothing more is read from this connection. */
static bool ambiguous(struct http_req *r)
{
    log_warn("ambiguous_credentials", KV("peer", http_peer(r)), KV("path", http_path(r)));
    http_not_stored(r);
    http_close_after(r);
    api_status(r, 400, "two different keys were sent", "send X-API-Key or Authorization, not both");
    return false;
}

/* A route that needs nothing is closed to all: its row was forgotten, not opened. */
static bool may(struct http_req *r, const struct http_route *route, const struct key *k)
{
    unsigned held = key_scopes_held(k);
    bool either = route->flags & ROUTE_EITHER && held & KEY_SUBMIT_REPO;
    unsigned missing = route->needs & ~(held | (either ? KEY_SUBMIT_NETWORK : 0));
    struct err e = {0};

    if (route->needs && !missing) {
        return true;
    }
    key_scope_fault(missing, &e);
    log_warn("forbidden", KV("key", *k->id ? k->id : "config"), KV("peer", http_peer(r)),
             KV("method", http_method(r)), KV("path", http_path(r)));
    http_not_stored(r);
    api_refuse(r, "key.scope", &e);
    return false;
}

/* Clients of the old repository scanner send no key: they have the rights of the one that the
 * administrator named, if any. */
static bool anonymous(struct api *a, struct http_req *r, const struct http_route *route)
{
    const struct key *k = api_key_named(a, a->cfg.anonymous_repo_key);

    if (!k || !key_in_force(k)) {
        return refuse(r, "Not authenticated", "a key is needed");
    }
    if (!may(r, route, k)) {
        return false;
    }
    http_set_user(r, (void *)(uintptr_t)k);
    return true;
}

bool api_authorize(struct http_req *r, const struct http_route *route, void *app)
{
    struct api *a = app;
    const char *header = http_header(r, "X-API-Key");
    const char *authorization = http_header(r, "Authorization");
    const char *token = authorization ? bearer(authorization) : NULL;
    const char *secret = header ? header : token;
    struct key *k;

    (void)api_cors(a, r);
    if (route->flags & ROUTE_OPEN) {
        return true;
    }
    if (!secret && route->flags & ROUTE_OLD_REPO && a->cfg.anonymous_repo_key) {
        return anonymous(a, r, route);
    }
    if (!secret) {
        return refuse(r, "Not authenticated", "a key is needed");
    }
    if (header && token && strcmp(header, token) != 0) {
        return ambiguous(r);
    }
    k = find_key(a, secret);
    if (!k) {
        return refuse(r, "Invalid API key", "the key is not known or was revoked");
    }
    if (!key_in_force(k)) {
        return refuse(r, "API key has expired", "the key has expired");
    }
    if (*k->id) {
        note_use(a, container_of(k, struct api_key_row, key));
    }
    if (!may(r, route, k)) {
        return false;
    }
    http_set_user(r, k);
    return true;
}
