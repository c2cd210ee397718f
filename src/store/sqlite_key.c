/* Keys, what is counted for them, and the audit log in SQLite. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/sqlite.h"

/* ---- keys ---- */

int sqlite_key_put(struct store *s, const struct key *k)
{
    static const char put[] =
        "INSERT INTO api_key (id, name, hash, scopes, created_us, expires_us, revoked_us,"
        " last_used_us, max_waiting, jobs_per_day, addresses_per_day)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
        " revoked_us = excluded.revoked_us, last_used_us = excluded.last_used_us";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, put), 0};

    b_text(&b, k->id);
    b_text(&b, k->name);
    b_blob(&b, k->hash, sizeof k->hash);
    b_int(&b, k->scopes);
    b_int(&b, k->created_us);
    b_int(&b, k->expires_us);
    b_int(&b, k->revoked_us);
    b_int(&b, k->last_used_us);
    b_int(&b, k->quota.waiting);
    b_int(&b, k->quota.jobs_per_day);
    b_int(&b, k->quota.addresses_per_day);
    return sq_run(q, b.st, "store a key");
}

static void read_key(struct columns *c, struct key *k)
{
    *k = (struct key){0};
    snprintf(k->id, sizeof k->id, "%s", c_text(c));
    snprintf(k->name, sizeof k->name, "%s", c_text(c));
    c_bytes(c, k->hash, sizeof k->hash);
    k->scopes = (unsigned)c_int(c);
    k->created_us = c_int(c);
    k->expires_us = c_int(c);
    k->revoked_us = c_int(c);
    k->last_used_us = c_int(c);
    k->quota.waiting = (int32_t)c_int(c);
    k->quota.jobs_per_day = (int32_t)c_int(c);
    k->quota.addresses_per_day = c_int(c);
}

int sqlite_keys(struct store *s, key_fn fn, void *arg)
{
    static const char get[] =
        "SELECT id, name, hash, scopes, created_us, expires_us, revoked_us, last_used_us,"
        " max_waiting, jobs_per_day, addresses_per_day FROM api_key ORDER BY num";
    struct sqlite *q = sqlite_of(s);
    sqlite3_stmt *st = sq_stmt(q, get);
    int rc;

    while ((rc = sq_step(q, st, "list keys")) > 0) {
        struct columns c = {st, 0};
        struct key k;
        int stop;

        read_key(&c, &k);
        stop = fn(arg, &k, &s->err);
        if (stop != 0) {
            sqlite3_reset(st);
            return stop;
        }
    }
    return rc;
}

/* ---- what is counted for them ---- */

static int put_waiting(struct sqlite *q, const struct key_tally *t)
{
    static const char put[] = "INSERT OR REPLACE INTO key_waiting (n, key_id) VALUES (?, ?)";
    static const char drop[] = "DELETE FROM key_waiting WHERE key_id = ?";
    struct binder b = {sq_stmt(q, t->waiting > 0 ? put : drop), 0};

    if (t->waiting > 0) {
        b_int(&b, t->waiting);
    }
    b_text(&b, t->key);
    return sq_run(q, b.st, "count a key's jobs");
}

static int put_use(struct sqlite *q, const char *key, int slot, const struct key_use *u)
{
    struct binder b = {sq_stmt(q, "INSERT OR REPLACE INTO key_use VALUES (?, ?, ?, ?, ?)"), 0};

    b_text(&b, key);
    b_int(&b, slot);
    b_int(&b, u->hour);
    b_int(&b, u->jobs);
    b_int(&b, u->addresses);
    return sq_run(q, b.st, "count what a key uses");
}

int sqlite_key_tally_put(struct store *s, const struct key_tally *t)
{
    struct sqlite *q = sqlite_of(s);
    int rc = t->waiting != t->waiting_committed ? put_waiting(q, t) : 0;

    for (int i = 0; rc == 0 && i < USE_HOURS; i++) {
        if (memcmp(&t->use[i], &t->use_committed[i], sizeof t->use[i]) != 0) {
            rc = put_use(q, t->key, i, &t->use[i]);
        }
    }
    return rc;
}

int sqlite_key_use_drop(struct store *s, int64_t hour)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "DELETE FROM key_use WHERE hour <= ?"), 0};

    b_int(&b, hour);
    return sq_run(q, b.st, "forget what keys used");
}

int sqlite_key_tallies_load(struct sqlite *q)
{
    sqlite3_stmt *st = sq_stmt(q, "SELECT key_id, n FROM key_waiting");
    int rc;

    while ((rc = sq_step(q, st, "read the counts")) > 0) {
        struct columns c = {st, 0};
        struct key_tally *t = key_tally_of(&q->base, c_text(&c));

        t->waiting = t->waiting_committed = c_int(&c);
    }
    st = sq_stmt(q, "SELECT key_id, slot, hour, jobs, addresses FROM key_use");
    while (rc == 0 && (rc = sq_step(q, st, "read the counts")) > 0) {
        struct columns c = {st, 0};
        struct key_tally *t = key_tally_of(&q->base, c_text(&c));
        int64_t slot = c_int(&c); /* the schema sees to its bounds */
        struct key_use *u = &t->use[slot % USE_HOURS];

        u->hour = c_int(&c);
        u->jobs = c_int(&c);
        u->addresses = c_int(&c);
        t->use_committed[slot % USE_HOURS] = *u;
        rc = 0;
    }
    return rc;
}

/* ---- the audit log ---- */

int sqlite_audit_put(struct store *s, const struct audit *a)
{
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)"), 0};

    b_int(&b, a->seq);
    b_int(&b, a->at_us);
    b_text(&b, a->actor);
    b_text(&b, a->action);
    b_text(&b, a->object);
    b_text(&b, a->detail);
    b_blob(&b, a->hash, sizeof a->hash);
    return sq_run(q, b.st, "write the audit log");
}

int sqlite_audits(struct store *s, int64_t after, uint32_t limit, audit_fn fn, void *arg)
{
    static const char get[] = "SELECT seq, at_us, actor, action, object, detail, hash FROM audit"
                              " WHERE seq > ? ORDER BY seq LIMIT ?";
    struct sqlite *q = sqlite_of(s);
    struct binder b = {sq_stmt(q, get), 0};
    int rc;

    b_int(&b, after);
    b_int(&b, limit);
    while ((rc = sq_step(q, b.st, "read the audit log")) > 0) {
        struct columns c = {b.st, 0};
        struct audit a = {.seq = c_int(&c)};
        int stop;

        a.at_us = c_int(&c);
        a.actor = c_text(&c);
        a.action = c_text(&c);
        a.object = c_text(&c);
        a.detail = c_text(&c);
        c_bytes(&c, a.hash, sizeof a.hash);
        stop = fn(arg, &a, &s->err);
        if (stop != 0) {
            sqlite3_reset(b.st);
            return stop;
        }
    }
    return rc;
}
