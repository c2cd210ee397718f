/*
 * /api/v1/scans: submit, list, look, wait, cancel, retry, delete.
 */
#include "http/api_repo.h"
#include "http/api_submit.h"
#include "http/api_v1.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "model/queue.h"
#include "store/digest.h"

void v1_job_reply(struct http_req *r, int status, const struct job *job)
{
    struct json j = json_to(http_out(r));
    char id[ID_TEXT + 1];
    char etag[32];

    job_etag(job, etag);
    http_add_header(r, "ETag", etag);
    if (status == 202) {
        auto_free char *location = NULL;

        id_text(&job->id, id);
        location = str_fmt("/api/v1/scans/%s", id);
        http_add_header(r, "Location", location);
    }
    view_job(&j, NULL, job, true);
    api_json_reply(r, status);
}

/* ---- submit ---- */

/* The job that this key made before. True: answered. */
static bool replay(struct api *a, struct http_req *r, const char *idem, const uint8_t print[32])
{
    uint8_t before[32];
    struct err e = {0};
    struct job job;
    struct id id;
    bool found = false;

    if (store_idem_get(a->store, api_key(r)->id, idem, before, &id, &found, &e) < 0) {
        api_fail(r, &e);
        return true;
    }
    if (!found) {
        return false;
    }
    if (memcmp(before, print, sizeof before) != 0) {
        api_error(r, ERR_INVALID, "this Idempotency-Key was used with another body");
        return true;
    }
    job_init(&job);
    if (store_job_get(a->store, &id, &job, &e) == 0) {
        a->replayed++;
        http_add_header(r, "Idempotency-Replayed", "true");
        v1_job_reply(r, 202, &job);
    } else if (e.code == ERR_NOT_FOUND) {
        api_error(r, ERR_CONFLICT, "the job of this Idempotency-Key was deleted");
    } else {
        api_fail(r, &e);
    }
    job_done(&job);
    return true;
}

static void accepted(struct http_req *r, const struct job *job)
{
    v1_job_reply(r, 202, job);
}

static const struct submit_how submit_how = {.accepted = accepted, .unresolved = v1_unresolved};

/* True: this key made a job with it before, or does so now; it is answered, or will be. */
static bool known_key(struct api *a, struct http_req *r, const char *idem, uint8_t print[32])
{
    struct http_str text = http_body(r);

    if (!idem) {
        return false;
    }
    sha256_of(text.p ? text.p : "", text.n, print);
    return replay(a, r, idem, print) || api_follow(a, r, idem, v1_submit);
}

static bool submit_query(struct http_req *r, bool *dry)
{
    static const char *const known[] = {"dry_run", NULL};
    const char *value = http_query(r, "dry_run");
    struct problems p = {0};

    *dry = str_eq(value, "true");
    if (!api_query_known(r, known)) {
        return false;
    }
    if (value && !*dry && !str_eq(value, "false")) {
        problem_add(&p, "?dry_run", "must be true or false");
        problems_reply(r, &p);
        return false;
    }
    return true;
}

/* The request is right. `idem` is the key of the header; the older runtime had it in the body. */
static void submit(struct api *a, struct http_req *r, struct v1_request *q, const char *idem,
                   uint8_t print[32])
{
    if (!idem && q->task_id) {
        idem = q->task_id;
        if (known_key(a, r, idem, print)) {
            return;
        }
    }
    if (q->refused.code) {
        api_submit_refused(a, r, &q->scan, q->rule, &q->refused);
    } else {
        api_submit(a, r, &q->scan, &q->plan, &submit_how, idem, print, NULL);
    }
}

void v1_submit(struct http_req *r, void *app)
{
    struct api *a = app;
    struct v1_request q = {0};
    struct problems p = {0};
    uint8_t print[32] = {0};
    const char *idem;
    bool dry;
    json_t *body;

    if (!submit_query(r, &dry) || !v1_idempotency_key(r, &idem) ||
        (!dry && known_key(a, r, idem, print))) {
        return;
    }
    body = v1_body(r);
    if (!body) {
        return;
    }
    if (!v1_request_check(a, api_key(r), body, &q, &p)) {
        problems_reply(r, &p);
    } else if (dry) {
        v1_dry_run(a, r, &q);
    } else {
        submit(a, r, &q, idem, print);
    }
    v1_request_done(&q);
    json_decref(body);
}

/* ---- list ---- */

struct page {
    struct json j;
    int64_t last;
    uint32_t n;
};

static int list_row(void *arg, const struct job *job, struct err *e)
{
    struct page *pg = arg;

    view_job(&pg->j, NULL, job, false);
    pg->last = job->num;
    pg->n++;
    return 0;
}

/* "queued,running" */
static bool states_read(const char *s, uint32_t *set)
{
    char word[16];

    while (*s) {
        size_t n = strcspn(s, ",");
        enum job_state state;

        if (n == 0 || n >= sizeof word) {
            return false;
        }
        memcpy(word, s, n);
        word[n] = '\0';
        if (!job_state_parse(word, &state)) {
            return false;
        }
        *set |= 1u << state;
        s += n + (s[n] == ',');
    }
    return *set != 0;
}

static bool list_query(struct http_req *r, struct job_filter *f)
{
    static const char *const known[] = {"limit", "cursor", "state", "tool", "since", NULL};
    const char *cursor = http_query(r, "cursor");
    const char *state = http_query(r, "state");
    const char *since = http_query(r, "since");
    int64_t limit = API_PAGE_DEFAULT;
    struct problems p = {0};

    if (!api_query_known(r, known) || !api_query_int(r, "limit", 1, API_PAGE_MAX, &limit)) {
        return false;
    }
    f->limit = (uint32_t)limit;
    f->tool = http_query(r, "tool");
    if (cursor && !cursor_read(cursor, 'j', &f->after)) {
        problem_add(&p, "?cursor", "is not a cursor of this list");
    }
    if (state && !states_read(state, &f->states)) {
        problem_add(&p, "?state", "must be states separated by commas");
    }
    if (since && !rfc3339_parse(since, &f->since_us)) {
        problem_add(&p, "?since", "must be a date or an RFC 3339 time");
    }
    if (p.n) {
        problems_reply(r, &p);
        return false;
    }
    return true;
}

void v1_list(struct http_req *r, void *app)
{
    struct api *a = app;
    struct job_filter f = {0};
    struct page pg = {0};
    struct err e = {0};

    if (!list_query(r, &f)) {
        return;
    }
    api_sweep(a);
    pg.j = json_to(http_out(r));
    json_obj(&pg.j);
    json_arr_in(&pg.j, "items");
    if (store_job_list(a->store, &f, list_row, &pg, &e) < 0) {
        buf_reset(pg.j.b);
        api_fail(r, &e);
        return;
    }
    api_page_end(r, &pg.j, 'j', pg.last, pg.n == f.limit);
    api_json_reply(r, 200);
}

/* ---- one job ---- */

static void not_modified(struct http_req *r, const char *etag)
{
    http_add_header(r, "ETag", etag);
    http_reply(r, 304, NULL, NULL, 0);
}

static void full_reply(struct api *a, struct http_req *r, const struct job *job)
{
    struct json j = json_to(http_out(r));
    char etag[32];

    job_etag(job, etag);
    http_add_header(r, "ETag", etag);
    api_view_job(a, &j, job);
    api_cache_body(a, job, SURFACE_V1, j.b);
    api_json_reply(r, 200);
}

static void waited(struct api *a, struct http_req *r, struct job *job, bool timed_out)
{
    char etag[32];

    job_etag(job, etag);
    if (etag_matches(http_header(r, "If-None-Match"), etag)) {
        not_modified(r, etag);
    } else {
        full_reply(a, r, job);
    }
}

static bool from_cache(struct api *a, struct http_req *r)
{
    struct cached *c;
    struct job rev = {0};
    struct id id;
    char etag[32];

    if (!id_parse(http_param(r, "id"), &id) || !(c = api_cached(a, &id, SURFACE_V1))) {
        return false;
    }
    rev.rev = c->rev;
    job_etag(&rev, etag);
    if (etag_matches(http_header(r, "If-None-Match"), etag)) {
        not_modified(r, etag);
        return true;
    }
    http_add_header(r, "ETag", etag);
    http_reply(r, 200, "application/json", c->body, c->n);
    return true;
}

void v1_get(struct http_req *r, void *app)
{
    static const char *const known[] = {"wait", NULL};
    const char *match = http_header(r, "If-None-Match");
    struct api *a = app;
    int64_t wait_s = 0;
    struct job job;
    char etag[32];

    if (!api_query_known(r, known) || !api_query_int(r, "wait", 0, API_WAIT_MAX_S, &wait_s) ||
        from_cache(a, r) || !api_job_of(a, r, &job)) {
        return;
    }
    job_etag(&job, etag);
    if (wait_s > 0 && !job_state_terminal(job.state) && (!match || etag_matches(match, etag))) {
        api_wait(a, r, &job.id,
                 &(struct job_wait_spec){.rev = job.rev, .ms = wait_s * 1000, .reply = waited});
    } else {
        waited(a, r, &job, false);
    }
    job_done(&job);
}

/* ---- cancel, retry, delete ---- */

static void cancel_reply(struct api *a, struct http_req *r, struct job *job, bool timed_out)
{
    if (job_state_terminal(job->state)) {
        full_reply(a, r, job);
    } else {
        v1_job_reply(r, 202, job);
    }
}

/* As it is now, after this turn's change. */
static void reply_now(struct api *a, struct http_req *r, const struct id *id)
{
    struct err e = {0};
    struct job job;

    job_init(&job);
    if (store_job_get(a->store, id, &job, &e) < 0) {
        api_fail(r, &e);
    } else {
        cancel_reply(a, r, &job, false);
    }
    job_done(&job);
}

void v1_cancel(struct http_req *r, void *app)
{
    static const char *const known[] = {"wait", NULL};
    struct api *a = app;
    int64_t wait_s = 0;
    struct err e = {0};
    enum job_state now;
    struct job job;

    if (!api_query_known(r, known) || !api_query_int(r, "wait", 0, API_WAIT_MAX_S, &wait_s) ||
        !api_job_of(a, r, &job)) {
        return;
    }
    if (sched_cancel(a->sched, &job.id, &now, &e) < 0) {
        if (e.code == ERR_CONFLICT) {
            err_set(&e, ERR_CONFLICT, "the job is %s already", job_state_name(job.state));
        }
        api_fail(r, &e);
        job_done(&job);
        return;
    }
    audit_job(a, r, "scan.cancel", &job.id);
    if (wait_s > 0 && !job_state_terminal(now)) {
        api_wait(
            a, r, &job.id,
            &(struct job_wait_spec){.terminal = true, .ms = wait_s * 1000, .reply = cancel_reply});
    } else {
        reply_now(a, r, &job.id);
    }
    job_done(&job);
}

/* The rules may have become stricter since the job was accepted, and names are looked up anew. */
static void retry(struct api *a, struct http_req *r, const struct job *job)
{
    enum queue_kind kind;
    char zone[ZONE_MAX] = "";
    const struct scan_request q = {.tool = tool_find(job->tool) ? job->tool : NULL,
                                   .targets = job->targets,
                                   .ports = job->ports,
                                   .arguments = job->arguments,
                                   .limits = job->limits,
                                   .timeout_s = job->timeout_s,
                                   .priority = job->priority,
                                   .retries = job->max_attempts - 1,
                                   .queue_timeout_s = job->queue_timeout_s,
                                   .clip = job->clip,
                                   .old = job->old_route,
                                   .profile_name = job->profile,
                                   .planned = job->plan,
                                   .zone = zone,
                                   .tool_given = true};
    auto_plan plan = {0};
    struct problems p = {0};
    struct scan_faults f;

    if (job->queue) {
        (void)queue_parse(job->queue, &kind, zone, NULL);
    }
    if (!q.tool) {
        problem_add(&p, "/tool", "there is no such tool");
    }
    api_plan(a, api_key(r), &q, &plan, &f);
    v1_faults(&p, &f);
    if (p.n) {
        problems_reply(r, &p);
    } else if (f.refused.code) {
        api_submit_refused(a, r, &q, f.rule, &f.refused);
    } else {
        api_submit(a, r, &q, &plan, &submit_how, NULL, NULL, &job->id);
    }
}

void v1_retry(struct http_req *r, void *app)
{
    static const char *const known[] = {NULL};
    struct api *a = app;
    struct job job;

    if (!api_query_known(r, known) || !api_job_of(a, r, &job)) {
        return;
    }
    if (!job.repo && !(key_scopes_held(api_key(r)) & KEY_SUBMIT_NETWORK)) {
        struct err e = {0};

        key_scope_fault(KEY_SUBMIT_NETWORK, &e);
        api_refuse(r, "key.scope", &e);
    } else if (job.repo && !job.import_path && job_state_terminal(job.state)) {
        api_repo_retry(a, r, &job);
    } else if (job.import_path) {
        api_error(r, ERR_CONFLICT, "the job is an import: hand the file in again");
    } else if (job_state_terminal(job.state)) {
        retry(a, r, &job);
    } else {
        api_error(r, ERR_CONFLICT, "the job is still %s", job_state_name(job.state));
    }
    job_done(&job);
}

void v1_delete(struct http_req *r, void *app)
{
    struct api *a = app;
    struct err e = {0};
    struct job job;

    if (!api_job_of(a, r, &job)) {
        return;
    }
    if (store_job_delete(a->store, &job.id, &e) == 0) {
        view_cache_drop(a->cache, &job.id);
        audit_job(a, r, "scan.delete", &job.id);
        http_reply(r, 204, NULL, NULL, 0);
    } else {
        if (e.code == ERR_CONFLICT) {
            err_set(&e, ERR_CONFLICT, "the job is %s: cancel it first", job_state_name(job.state));
        }
        api_fail(r, &e);
    }
    job_done(&job);
}
