/* The event log, remembered requests and keys. */
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "store/internal.h"

enum { EVENTS_MAX = 1000 };

/* ---- events ---- */

static const char *const types[] = {"job.created", "job.state", "job.progress", "job.hosts",
                                    "job.deleted"};

const char *event_type_name(int type)
{
    return type >= 0 && type < (int)ARRAY_LEN(types) ? types[type] : "unknown";
}

int event_type_num(const char *name)
{
    for (int i = 0; i < (int)ARRAY_LEN(types); i++) {
        if (strcmp(types[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

static void progress_members(struct json *o, const struct job *j, const char *task)
{
    json_str(o, "task", task);
    if (j->percent_x100 >= 0) {
        json_num(o, "percent", j->percent_x100 / 100.0, 2);
    } else {
        json_nil(o, "percent");
    }
    if (j->remaining_s >= 0) {
        json_int(o, "remaining_s", j->remaining_s);
    } else {
        json_nil(o, "remaining_s");
    }
}

static void state_members(struct json *o, const struct job *j)
{
    json_int(o, "attempts", j->attempts);
    if (j->cancel_requested) {
        json_bool(o, "cancel_requested", true);
    }
    if (j->state == JOB_SCHEDULED) {
        json_time(o, "run_at", j->run_at_us);
    }
    if (job_state_terminal(j->state)) {
        json_str(o, "reason", j->reason == REASON_NONE ? NULL : job_reason_name(j->reason));
        json_bool(o, "partial", j->partial);
    }
}

static void host_members(struct json *o, const struct job *j)
{
    json_int(o, "hosts", j->hosts);
    json_int(o, "hosts_up", j->hosts_up);
    json_int(o, "ports_open", j->ports_open);
}

int event_add(struct store *s, const struct work *w, const char *type, const char *task)
{
    auto_buf text = {0};
    struct json o = json_to(&text);
    struct event ev = {.type = type, .job_id = w->job.id};
    int num = event_type_num(type);

    json_obj(&o);
    json_str(&o, "state", job_state_name(w->job.state));
    json_int(&o, "rev", (int64_t)w->job.rev);
    if (num == 0) {
        json_str(&o, "tool", w->job.tool);
    } else if (num == 1) {
        state_members(&o, &w->job);
        if (job_state_terminal(w->job.state)) {
            host_members(&o, &w->job);
        }
    } else if (num == 2) {
        progress_members(&o, &w->job, task);
    } else if (num == 3) {
        host_members(&o, &w->job);
    }
    json_end(&o);
    ev.seq = s->now.next_event++;
    ev.at_us = store_now(s);
    ev.data = text.data;
    return s->ops->event_put(s, &ev);
}

int store_events(struct store *s, int64_t after, uint32_t limit, event_fn fn, void *arg,
                 struct err *e)
{
    int64_t last = store_event_last(s);
    int rc = 0;

    if (limit == 0 || limit > EVENTS_MAX) {
        limit = EVENTS_MAX;
    }
    if (after < last) {
        rc = s->ops->events(s, after, last, limit, fn, arg);
    }
    return store_read_end(s, rc, e);
}

int64_t store_event_last(const struct store *s)
{
    return s->committed.next_event - 1;
}

int64_t store_event_first(struct store *s)
{
    int64_t first = s->ops->event_first(s);

    return first <= store_event_last(s) ? first : 0;
}

int store_event_expire(struct store *s, int64_t before_us, uint32_t limit, int64_t *n,
                       struct err *e)
{
    int64_t last = 0;
    int64_t count = 0;
    int rc = store_whole(s);

    if (rc == 0) {
        rc = s->ops->event_older(s, before_us, limit, &last, &count);
    }
    if (rc == 0 && count > 0) {
        rc = store_begin(s);
        if (rc == 0) {
            rc = s->ops->event_drop(s, last);
        }
    }
    if (rc == 0 && n) {
        *n = count;
    }
    return store_change_end(s, rc, e);
}

/* ---- remembered requests ---- */

int store_idem_get(struct store *s, const char *key_id, const char *idem, uint8_t fingerprint[32],
                   struct id *job, bool *found, struct err *e)
{
    return store_read_end(s, s->ops->idem_find(s, key_id, idem, fingerprint, job, found), e);
}

int store_idem_put(struct store *s, const char *key_id, const char *idem,
                   const uint8_t fingerprint[32], const struct id *job, int64_t now_us,
                   struct err *e)
{
    uint8_t old[32];
    struct id old_job;
    bool found = false;
    int rc = store_whole(s);

    if (rc == 0) {
        rc = s->ops->idem_find(s, key_id, idem, old, &old_job, &found);
    }
    if (rc == 0 && found) {
        rc = store_fail(s, ERR_CONFLICT, "this idempotency key is remembered already");
    }
    if (rc == 0) {
        rc = store_begin(s);
    }
    if (rc == 0) {
        rc = s->ops->idem_put(s, key_id, idem, fingerprint, job, now_us);
    }
    return store_change_end(s, rc, e);
}

int store_idem_expire(struct store *s, int64_t before_us, struct err *e)
{
    int rc = store_whole(s);

    if (rc == 0 && s->ops->idem_older(s, before_us)) {
        rc = store_begin(s);
        if (rc == 0) {
            rc = s->ops->idem_drop(s, before_us);
        }
    }
    return store_change_end(s, rc, e);
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

int store_key_add(struct store *s, const struct key *k, struct err *e)
{
    struct key_search q = {.id = k->id, .name = k->name};
    int rc = store_whole(s);

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
