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
    bool in_force;
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
    row->in_force = k->revoked_us == 0;
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
    if (a->cfg.legacy_key) {
        sha256_of(a->cfg.legacy_key, strlen(a->cfg.legacy_key), a->legacy_hash);
    }
    return store_keys(a->store, load_row, a, e);
}

void api_turn_undone(struct api *a)
{
    struct err e = {0};

    for (struct api_key_row *row = a->keys; row; row = row->next) {
        row->in_force = false; /* a key that was made in that turn is in no row of the store */
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

const char *api_key_id(const struct http_req *r)
{
    const struct api_key_row *row = http_user(r);

    return row ? row->key.id : "";
}

/* True if it lets in. *row is NULL for the configured key. */
static bool find_key(const struct api *a, const char *secret, struct api_key_row **row)
{
    struct api_key_row *found = NULL;
    bool known = false;
    uint8_t hash[32];

    sha256_of(secret, strlen(secret), hash);
    for (struct api_key_row *k = a->keys; k; k = k->next) {
        if (equal_secret(k->key.hash, hash, sizeof hash) && k->in_force) {
            found = k;
            known = true;
        }
    }
    if (a->cfg.legacy_key && equal_secret(a->legacy_hash, hash, sizeof hash)) {
        known = true;
    }
    *row = found;
    return known;
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

bool api_authorize(struct http_req *r, const struct http_route *route, void *app)
{
    struct api *a = app;
    const char *header = http_header(r, "X-API-Key");
    const char *authorization = http_header(r, "Authorization");
    const char *token = authorization ? bearer(authorization) : NULL;
    const char *secret = header ? header : token;
    struct api_key_row *row;

    if (route->flags & ROUTE_OPEN) {
        return true;
    }
    if (!secret) {
        return refuse(r, "Not authenticated", "a key is needed");
    }
    if (header && token && strcmp(header, token) != 0) {
        return ambiguous(r);
    }
    if (!find_key(a, secret, &row)) {
        return refuse(r, "Invalid API key", "the key is not known or was revoked");
    }
    if (row) {
        note_use(a, row);
    }
    http_set_user(r, row);
    return true;
}
