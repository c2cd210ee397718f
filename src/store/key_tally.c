/*
 * What is counted for each key: jobs that wait, and what was asked for in each of the last hours.
 * Kept in memory as the truth of this turn and written once per commit, as the tally is: a submit
 * costs no statement of its own.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/internal.h"

enum { HOUR_S = 3600, SOON_S = 10 };

/* ---- the tallies, by key ---- */

static const char *name_of(const char *key)
{
    return key ? key : "";
}

/* Where it is, or belongs. */
static size_t place_of(const struct store *s, const char *key, bool *found)
{
    size_t lo = 0;
    size_t hi = s->n_keys;

    *found = false;
    while (lo < hi && !*found) {
        size_t mid = lo + (hi - lo) / 2;
        int cmp = strcmp(s->keys[mid]->key, key);

        if (cmp < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
            if (cmp == 0) {
                lo = mid;
                *found = true;
            }
        }
    }
    return lo;
}

struct key_tally *key_tally_of(struct store *s, const char *key)
{
    bool found;
    size_t at = place_of(s, name_of(key), &found);
    struct key_tally *t;

    if (found) {
        return s->keys[at];
    }
    if (s->n_keys == s->size_keys) {
        s->size_keys = MAX(2 * s->size_keys, 8);
        s->keys = xrealloc(s->keys, s->size_keys * sizeof(*s->keys));
    }
    t = xcalloc(1, sizeof *t);
    t->key = xstrdup(name_of(key));
    memmove(s->keys + at + 1, s->keys + at, (s->n_keys - at) * sizeof(*s->keys));
    s->keys[at] = t;
    s->n_keys++;
    return t;
}

static void changed(struct store *s, struct key_tally *t)
{
    t->changed = true;
    s->keys_changed = true;
}

bool job_state_waits(enum job_state st)
{
    return st == JOB_SCHEDULED || st == JOB_QUEUED || st == JOB_WAITING;
}

void key_waiting_add(struct store *s, const char *key, int n)
{
    struct key_tally *t = key_tally_of(s, key);

    t->waiting += n;
    assert(t->waiting >= 0);
    changed(s, t);
}

bool key_blocked(const struct strvec *blocked, const char *key)
{
    for (size_t i = 0; blocked && i < blocked->n; i++) {
        if (strcmp(blocked->v[i], name_of(key)) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- turns ---- */

/* An hour that a key is charged in for the first time: what has long stopped counting may go. */
static int64_t first_charge(const struct key_tally *t)
{
    for (int i = 0; i < USE_HOURS; i++) {
        if (t->use[i].hour > t->use_committed[i].hour) {
            return t->use[i].hour;
        }
    }
    return 0;
}

int key_tallies_flush(struct store *s)
{
    int64_t hour = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && s->keys_changed && i < s->n_keys; i++) {
        if (s->keys[i]->changed) {
            hour = MAX(hour, first_charge(s->keys[i]));
            rc = s->ops->key_tally_put(s, s->keys[i]);
        }
    }
    /* Not at once: after the clock was set back, the last hours of another key count again. */
    return rc == 0 && hour > 0 ? s->ops->key_use_drop(s, hour - (int64_t)2 * USE_HOURS) : rc;
}

static bool is_empty(const struct key_tally *t)
{
    return t->waiting == 0 && t->use[0].hour == 0 &&
           memcmp(t->use, t->use + 1, sizeof t->use - sizeof t->use[0]) == 0;
}

static void tally_free(struct key_tally *t)
{
    free(t->key);
    free(t);
}

/* Takes over what changed, in one direction or the other, and drops those that count nothing. */
static void settle(struct store *s, bool committed)
{
    size_t kept = 0;

    for (size_t i = 0; s->keys_changed && i < s->n_keys; i++) {
        struct key_tally *t = s->keys[i];

        if (t->changed && committed) {
            t->waiting_committed = t->waiting;
            memcpy(t->use_committed, t->use, sizeof t->use);
        } else if (t->changed) {
            t->waiting = t->waiting_committed;
            memcpy(t->use, t->use_committed, sizeof t->use);
        }
        if (t->changed && is_empty(t)) {
            tally_free(t);
        } else {
            t->changed = false;
            s->keys[kept++] = t;
        }
    }
    if (s->keys_changed) {
        s->n_keys = kept;
    }
    s->keys_changed = false;
}

void key_tallies_committed(struct store *s)
{
    settle(s, true);
}

void key_tallies_rollback(struct store *s)
{
    settle(s, false);
}

void key_tallies_done(struct store *s)
{
    for (size_t i = 0; i < s->n_keys; i++) {
        tally_free(s->keys[i]);
    }
    free(s->keys);
    s->keys = NULL;
    s->n_keys = s->size_keys = 0;
}

/* ---- quotas ---- */

/* Hours that count now. One ahead, too: the clock may have been set back a little. */
static bool counts(const struct key_use *u, int64_t hour)
{
    return u->hour > hour - USE_HOURS && u->hour <= hour + 1;
}

static int64_t add(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

static int64_t jobs_of(const struct key_use *u)
{
    return u->jobs;
}

static int64_t addresses_of(const struct key_use *u)
{
    return u->addresses;
}

typedef int64_t (*use_fn)(const struct key_use *u);

/* What the hours from `from` on that count now have used. */
static int64_t used_since(const struct key_tally *t, int64_t from, int64_t hour, use_fn of)
{
    int64_t sum = 0;

    for (int i = 0; i < USE_HOURS; i++) {
        if (t->use[i].hour >= from && counts(&t->use[i], hour)) {
            sum = add(sum, of(&t->use[i]));
        }
    }
    return sum;
}

/* Seconds until `want` more fit below `max`; 0: now. */
static int64_t room_in(const struct key_tally *t, use_fn of, int64_t want, int64_t max,
                       int64_t now_us)
{
    int64_t now_s = now_us / 1000000;
    int64_t hour = now_s / HOUR_S;
    int64_t from = hour - USE_HOURS + 1;

    while (from <= hour + 1 && add(used_since(t, from, hour, of), want) > max) {
        from++;
    }
    return from == hour - USE_HOURS + 1 ? 0 : (from + USE_HOURS - 1) * HOUR_S - now_s;
}

static int refuse_day(struct store *s, const struct key *k, const char *what, int64_t want,
                      int64_t max, int64_t wait_s)
{
    if (want > max) {
        return store_fail(s, ERR_BUSY,
                          "key '%s' may ask for %lld %s in 24 hours, and this request alone asks "
                          "for %lld: ask for less, or for a key with a larger quota",
                          k->name, (long long)max, what, (long long)want);
    }
    return store_fail(s, ERR_BUSY,
                      "key '%s' has used up its quota of %lld %s in 24 hours: try again in %lld "
                      "minutes",
                      k->name, (long long)max, what, (long long)((wait_s + 59) / 60));
}

static int check_quota(struct store *s, const struct key *k, const struct key_tally *t,
                       int64_t addresses, int64_t now_us, int64_t *wait_s)
{
    const struct key_quota *q = &k->quota;

    if (q->waiting > 0 && t->waiting >= q->waiting) {
        *wait_s = SOON_S;
        return store_fail(s, ERR_BUSY,
                          "key '%s' has %lld jobs waiting, which is its quota: try again when some "
                          "of them have run, or cancel some",
                          k->name, (long long)t->waiting);
    }
    if (q->jobs_per_day > 0) {
        *wait_s = room_in(t, jobs_of, 1, q->jobs_per_day, now_us);
        if (*wait_s > 0) {
            return refuse_day(s, k, "jobs", 1, q->jobs_per_day, *wait_s);
        }
    }
    if (q->addresses_per_day > 0) {
        *wait_s = room_in(t, addresses_of, addresses, q->addresses_per_day, now_us);
        if (*wait_s > 0) {
            int64_t wait = *wait_s;

            *wait_s = addresses > q->addresses_per_day ? 0 : wait;
            return refuse_day(s, k, "addresses", addresses, q->addresses_per_day, wait);
        }
    }
    return 0;
}

static void charge(struct store *s, struct key_tally *t, int64_t addresses, int64_t now_us)
{
    int64_t hour = now_us / 1000000 / HOUR_S;
    struct key_use *u = &t->use[hour % USE_HOURS];

    if (u->hour != hour) {
        *u = (struct key_use){.hour = hour};
    }
    u->jobs = add(u->jobs, 1);
    u->addresses = add(u->addresses, addresses);
    changed(s, t);
}

static int key_charge(struct store *s, const struct key *k, int64_t addresses, int64_t now_us,
                      int64_t *wait_s)
{
    struct key_tally *t;
    int rc = store_whole(s);

    *wait_s = SOON_S;
    if (rc == 0 && (addresses < 0 || now_us < 0)) {
        rc = store_fail(s, ERR_INVALID, "a request cannot ask for %lld addresses",
                        (long long)addresses);
    }
    if (rc == 0) {
        rc = store_room(s);
    }
    if (rc != 0) {
        return rc;
    }
    t = key_tally_of(s, k->id);
    changed(s, t); /* so that one that stays empty goes with the turn */
    rc = check_quota(s, k, t, addresses, now_us, wait_s);
    if (rc == 0) {
        rc = store_begin(s);
    }
    if (rc == 0) {
        charge(s, t, addresses, now_us);
    }
    return rc;
}

int store_key_charge(struct store *s, const struct key *k, int64_t addresses, int64_t now_us,
                     int32_t *retry_s, struct err *e)
{
    int64_t wait_s = 0;
    int rc = key_charge(s, k, addresses, now_us, &wait_s);

    if (rc == ERR_BUSY && retry_s) {
        *retry_s = (int32_t)wait_s;
    }
    return store_change_end(s, rc, e);
}
