/*
 * What came through a queue and what is told to whom: origins of jobs, cursors of readers of the
 * event log, messages that were no requests, and what a server remembers about itself.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "store/internal.h"

enum { DEAD_KEPT = 10000, LIST_MAX = 1000 };

/* ---- origins ---- */

void origin_done(struct origin *o)
{
    free((void *)(uintptr_t)o->intake);
    free((void *)(uintptr_t)o->task_id);
    free((void *)(uintptr_t)o->reply_to);
    free((void *)(uintptr_t)o->correlation);
    *o = (struct origin){0};
}

static int origin_put(struct store *s, int64_t job_num, const struct origin *o)
{
    const struct origin whole = {o->intake ? o->intake : "", o->task_id ? o->task_id : "",
                                 o->reply_to ? o->reply_to : "",
                                 o->correlation ? o->correlation : "", o->form};
    struct job j = {0};
    int rc = store_whole(s);

    if (rc == 0) {
        rc = s->ops->job_find(s, NULL, job_num, &j);
    }
    if (rc == 0) {
        rc = store_begin(s);
    }
    if (rc == 0) {
        rc = s->ops->origin_put(s, job_num, &j.id, &whole);
    }
    job_done(&j);
    return rc;
}

int store_origin_put(struct store *s, int64_t job_num, const struct origin *o, struct err *e)
{
    return store_change_end(s, origin_put(s, job_num, o), e);
}

int store_origin_get(struct store *s, int64_t job_num, struct origin *out, bool *found,
                     struct err *e)
{
    return store_read_end(s, s->ops->origin_find(s, NULL, job_num, out, found), e);
}

int store_origin_of(struct store *s, const struct id *job, struct origin *out, bool *found,
                    struct err *e)
{
    return store_read_end(s, s->ops->origin_find(s, job, 0, out, found), e);
}

/* ---- cursors ---- */

int store_cursor_get(struct store *s, const char *name, int64_t *seq, struct err *e)
{
    return store_read_end(s, s->ops->cursor_get(s, name, seq), e);
}

int store_cursor_put(struct store *s, const char *name, int64_t seq, struct err *e)
{
    int rc = store_whole(s);

    if (rc == 0 && seq < 0) {
        rc = store_fail(s, ERR_INVALID, "there is no event %lld", (long long)seq);
    }
    if (rc == 0) {
        rc = store_begin(s);
    }
    if (rc == 0) {
        rc = s->ops->cursor_put(s, name, seq, store_now(s));
    }
    return store_change_end(s, rc, e);
}

/* ---- messages that were no requests: numbered without a gap ---- */

static int dead_add(struct store *s, const struct dead_letter *d)
{
    struct dead_letter whole = {.at_us = d->at_us,
                                .source = d->source ? d->source : "",
                                .task_id = d->task_id ? d->task_id : "",
                                .reason = d->reason ? d->reason : "",
                                .body = d->body ? d->body : ""};
    int64_t first = 0;
    int64_t last = 0;
    int rc = store_whole(s);

    if (rc == 0) {
        rc = s->ops->dead_bounds(s, &first, &last);
    }
    if (rc == 0) {
        rc = store_begin(s);
    }
    if (rc == 0) {
        whole.seq = last + 1;
        rc = s->ops->dead_put(s, &whole);
    }
    if (rc == 0 && first > 0 && whole.seq - first >= DEAD_KEPT) {
        rc = s->ops->dead_drop(s, whole.seq - DEAD_KEPT);
    }
    return rc;
}

int store_dead_add(struct store *s, const struct dead_letter *d, struct err *e)
{
    return store_change_end(s, dead_add(s, d), e);
}

int store_dead_list(struct store *s, int64_t after, uint32_t limit, dead_fn fn, void *arg,
                    struct err *e)
{
    if (limit == 0 || limit > LIST_MAX) {
        limit = LIST_MAX;
    }
    return store_read_end(s, s->ops->deads(s, after > 0 ? after : INT64_MAX, limit, fn, arg), e);
}

int64_t store_dead_count(struct store *s)
{
    int64_t first = 0;
    int64_t last = 0;

    return s->ops->dead_bounds(s, &first, &last) == 0 && first > 0 ? last - first + 1 : 0;
}

/* ---- what a server remembers about itself ---- */

int store_memo_put(struct store *s, const char *name, const char *value, struct err *e)
{
    int rc = store_whole(s);

    if (rc == 0) {
        rc = store_begin(s);
    }
    if (rc == 0) {
        rc = s->ops->memo_put(s, name, value);
    }
    return store_change_end(s, rc, e);
}

int store_memo_get(struct store *s, const char *name, char **value, struct err *e)
{
    return store_read_end(s, s->ops->memo_get(s, name, value), e);
}
