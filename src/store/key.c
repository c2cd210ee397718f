/* API keys: what they may do, and the table of them. Their usage is in key_tally.c. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/internal.h"

/* ---- scopes ---- */

const struct key_scope_row key_scopes[] = {
    {"read", KEY_READ, "look at jobs, results and events"},
    {"submit:network", KEY_SUBMIT_NETWORK, "submit network scans"},
    {"submit:repo", KEY_SUBMIT_REPO, "submit repository scans, decide about findings"},
    {"cancel", KEY_CANCEL, "cancel and retry jobs"},
    {"admin", KEY_ADMIN, "keys, policy, audit log, deleting jobs; and everything above"},
    {"raw", KEY_RAW, "scans that need raw sockets"},
    {"aggressive", KEY_AGGRESSIVE, "what the policy allows beyond safe scripts and options"},
    {NULL, 0, NULL},
};

static const struct key_scope_row *scope_find(const char *word, size_t n)
{
    for (const struct key_scope_row *r = key_scopes; r->name; r++) {
        if (strlen(r->name) == n && memcmp(r->name, word, n) == 0) {
            return r;
        }
    }
    return NULL;
}

int key_scopes_parse(const char *s, unsigned *out, struct err *e)
{
    unsigned bits = 0;

    for (;;) {
        size_t n = strcspn(s, ",");
        const struct key_scope_row *r = scope_find(s, n);

        if (!r) {
            auto_buf known = {0};

            key_scopes_text(KEY_ALL, &known);
            return err_set(e, ERR_INVALID, "'%.*s' is no scope of a key: they are %s",
                           (int)MIN(n, 64u), s, known.data);
        }
        bits |= r->bit;
        if (s[n] == '\0') {
            *out = bits;
            return 0;
        }
        s += n + 1;
    }
}

void key_scopes_text(unsigned scopes, struct buf *out)
{
    const char *comma = "";

    for (const struct key_scope_row *r = key_scopes; r->name; r++) {
        if (scopes & r->bit) {
            buf_addf(out, "%s%s", comma, r->name);
            comma = ",";
        }
    }
}

/* ---- keys: a handful, so they are looked through ---- */

struct key_search {
    const char *id, *name;
    struct key by_id, active, revoked; /* the newest of each */
    bool has_id, has_active, has_revoked;
};

static int look_at_key(void *arg, const struct key *k, struct err *e)
{
    struct key_search *q = arg;

    (void)e;
    if (q->id && strcmp(k->id, q->id) == 0) {
        q->by_id = *k;
        q->has_id = true;
    }
    if (q->name && strcmp(k->name, q->name) == 0) {
        if (k->revoked_us) {
            q->revoked = *k;
            q->has_revoked = true;
        } else {
            q->active = *k;
            q->has_active = true;
        }
    }
    return 0;
}

static int key_check(struct store *s, const struct key *k)
{
    if (k->scopes & ~(unsigned)KEY_ALL) {
        return store_fail(s, ERR_INVALID, "key '%s': there are no such scopes: %#x", k->name,
                          k->scopes);
    }
    if (k->expires_us < 0 || k->quota.waiting < 0 || k->quota.jobs_per_day < 0 ||
        k->quota.addresses_per_day < 0) {
        return store_fail(s, ERR_INVALID, "key '%s': a quota and an expiry are not negative",
                          k->name);
    }
    return 0;
}

int store_key_add(struct store *s, const struct key *k, struct err *e)
{
    struct key_search q = {.id = k->id, .name = k->name};
    int rc = store_whole(s);

    if (rc == 0) {
        rc = key_check(s, k);
    }
    if (rc == 0) {
        rc = s->ops->keys(s, look_at_key, &q);
    }
    if (rc == 0 && (q.has_id || q.has_active)) {
        rc = store_fail(s, ERR_CONFLICT, "there is a key %s '%s' already",
                        q.has_active ? "named" : "with the id", q.has_active ? k->name : k->id);
    }
    if (rc == 0) {
        rc = store_begin(s);
    }
    if (rc == 0) {
        rc = s->ops->key_put(s, k);
    }
    return store_change_end(s, rc, e);
}

int store_key_revoke(struct store *s, const char *id_or_name, int64_t now_us, struct err *e)
{
    struct key_search q = {.id = id_or_name, .name = id_or_name};
    struct key *k;
    int rc = store_whole(s);

    if (rc == 0) {
        rc = s->ops->keys(s, look_at_key, &q);
    }
    k = q.has_id ? &q.by_id : q.has_active ? &q.active : &q.revoked;
    if (rc == 0 && !q.has_id && !q.has_active && !q.has_revoked) {
        rc = store_fail(s, ERR_NOT_FOUND, "there is no key '%s'", id_or_name);
    }
    if (rc == 0 && k->revoked_us == 0) {
        k->revoked_us = now_us > 0 ? now_us : 1;
        rc = store_begin(s);
        if (rc == 0) {
            rc = s->ops->key_put(s, k);
        }
    }
    return store_change_end(s, rc, e);
}

int store_key_used(struct store *s, const char *id, int64_t now_us, struct err *e)
{
    struct key_search q = {.id = id};
    int rc = store_whole(s);

    if (rc == 0) {
        rc = s->ops->keys(s, look_at_key, &q);
    }
    if (rc == 0 && !q.has_id) {
        rc = store_fail(s, ERR_NOT_FOUND, "there is no key '%s'", id);
    }
    if (rc == 0) {
        q.by_id.last_used_us = now_us;
        rc = store_begin(s);
    }
    if (rc == 0) {
        rc = s->ops->key_put(s, &q.by_id);
    }
    return store_change_end(s, rc, e);
}

int store_keys(struct store *s, key_fn fn, void *arg, struct err *e)
{
    return store_read_end(s, s->ops->keys(s, fn, arg), e);
}
