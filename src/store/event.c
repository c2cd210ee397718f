/* The event log and remembered requests. */
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "store/internal.h"

enum { EVENTS_MAX = 1000 };

/* ---- events ---- */

static const char *const types[] = {"job.created",  "job.state",     "job.progress",
                                    "job.hosts",    "job.deleted",   "job.task",
                                    "job.findings", "repo.findings", "finding.triage"};

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
    if (j->run_at_us != 0) {
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

static void task_members(struct json *o, const struct task *t)
{
    json_int(o, "task", t->idx);
    json_int(o, "stage", t->stage);
    json_str(o, "task_state", job_state_name(t->state));
}

int event_append(struct store *s, const char *type, const struct id *job, const char *data)
{
    const struct event ev = {.seq = s->now.next_event++,
                             .at_us = store_now(s),
                             .type = type,
                             .job_id = *job,
                             .data = data};

    return s->ops->event_put(s, &ev);
}

int event_add(struct store *s, const struct work *w, const char *type, const char *task)
{
    auto_buf text = {0};
    struct json o = json_to(&text);
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
    } else if (num == 5) {
        task_members(&o, &w->row.task);
    } else if (num == 6) {
        json_int(&o, "findings", intake_of(s, w->job.num, 0)->scan->findings);
    }
    json_end(&o);
    return event_append(s, type, &w->job.id, text.data);
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
    int64_t since = store_now(s) - CURSOR_KEEP_DAYS * INT64_C(86400000000);
    int64_t upto = INT64_MAX;
    int64_t last = 0;
    int64_t count = 0;
    int rc = store_whole(s);

    if (rc == 0) {
        rc = s->ops->cursor_least(s, since, &upto);
    }
    if (rc == 0) {
        rc = s->ops->event_older(s, before_us, upto, limit, &last, &count);
    }
    if (rc == 0 && count > 0) {
        rc = store_begin(s);
        if (rc == 0) {
            rc = s->ops->event_drop(s, last);
        }
        if (rc == 0) {
            rc = s->ops->origin_drop(s, last);
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
