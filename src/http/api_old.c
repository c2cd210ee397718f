/*
 * The old service's routes. Shapes, statuses and texts are a contract with its clients.
 */
#include "http/api_old.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/api_submit.h"

enum { CANCEL_WAIT_MS = 10000 };

void old_health(struct http_req *r, void *app)
{
    static const char body[] = "{\"status\":\"ok\"}";
    static const char other[] = "{\"status\":\"healthy\",\"service\":\"scan-orchestrator\"}";
    const struct api *a = app;
    bool repo = a->cfg.scan_orchestrator;

    http_not_stored(r);
    http_reply(r, 200, "application/json", repo ? other : body,
               repo ? sizeof other - 1 : sizeof body - 1);
}

static void submitted(struct http_req *r, const struct job *job)
{
    struct json j = json_to(http_out(r));
    char id[ID_TEXT + 1];

    id_text(&job->id, id);
    json_obj(&j);
    json_strn(&j, "job_id", id, ID_TEXT);
    json_str(&j, "status", job_state_legacy(job->state));
    json_time(&j, "created_at", job->created_us);
    json_end(&j);
    api_json_reply(r, 202);
}

static void unresolved(struct http_req *r, const char *targets, const char *why)
{
    old_request_targets(http_out(r), targets, why);
    api_json_reply(r, 422);
}

static void submit_json(struct api *a, struct http_req *r, const json_t *body)
{
    static const struct submit_how how = {.accepted = submitted, .unresolved = unresolved};
    struct scan_request q;
    struct scan_faults f;
    auto_plan plan = {0};

    if (!old_request_check(a, api_key(r), body, &q, &plan, &f, http_out(r))) {
        http_not_stored(r);
        api_json_reply(r, 422);
    } else if (f.refused.code) {
        api_submit_refused(a, r, &q, f.rule, &f.refused);
    } else {
        api_submit(a, r, &q, &plan, &how, NULL, NULL, NULL);
    }
}

void old_submit(struct http_req *r, void *app)
{
    struct api *a = app;
    struct http_str text = http_body(r);
    struct json_fault f;
    json_t *body;

    if (text.n == 0) {
        old_request_missing(http_out(r));
        api_json_reply(r, 422);
        return;
    }
    if (!old_request_reads_json(http_header(r, "Content-Type"))) {
        body = json_stringn(text.p, text.n);
        f = (struct json_fault){.encoding = true};
    } else {
        body = api_json_load(text.p, text.n, &f);
    }
    if (body) {
        submit_json(a, r, body);
        json_decref(body);
    } else if (f.encoding) {
        api_status(r, 400, "There was an error parsing the body", NULL);
    } else {
        old_request_not_json(http_out(r), &f);
        api_json_reply(r, 422);
    }
}

/* ---- the list ---- */

struct old_list {
    struct http_stream st;
    struct api *api;
    struct job_filter filter;
    struct json j;
    uint32_t n;
};

static int list_row(void *arg, int64_t num, const struct id *id, enum job_state state)
{
    struct old_list *l = arg;
    char text[ID_TEXT + 1];

    id_text(id, text);
    json_obj(&l->j);
    json_strn(&l->j, "job_id", text, ID_TEXT);
    json_str(&l->j, "status", job_state_legacy(state));
    json_end(&l->j);
    l->filter.after = num;
    l->n++;
    return 0;
}

/* One page more. 1: there may be another one, 0: the list is complete, negative: error. */
static int list_page(struct old_list *l, struct buf *out, struct err *e)
{
    int rc;

    l->j.b = out;
    l->n = 0;
    rc = store_job_heads(l->api->store, &l->filter, list_row, l, e);
    if (rc < 0) {
        return rc;
    }
    if (l->n == l->filter.limit) {
        return 1;
    }
    json_end(&l->j);
    return 0;
}

static int list_more(struct http_stream *st, struct buf *out)
{
    struct old_list *l = container_of(st, struct old_list, st);
    struct err e = {0};
    int rc;

    if (l->filter.after == 0) {
        l->j = json_to(out);
        json_arr(&l->j);
    }
    rc = list_page(l, out, &e);
    if (rc < 0) {
        log_error("list_unreadable", KV("error", e.msg));
        return -1;
    }
    return rc;
}

static void list_done(struct http_stream *st)
{
    free(container_of(st, struct old_list, st));
}

void old_list(struct http_req *r, void *app)
{
    struct api *a = app;
    struct old_list *l = xcalloc(1, sizeof *l);

    api_sweep(a);
    l->st.more = list_more;
    l->st.done = list_done;
    l->api = a;
    l->filter = (struct job_filter){.oldest_first = true, .limit = API_PAGE_MAX};
    http_reply_stream(r, 200, "application/json", &l->st);
}

/* ---- one job ---- */

void old_get(struct http_req *r, void *app)
{
    struct api *a = app;
    struct cached *c;
    struct job job;
    struct id id;

    if (id_parse(http_param(r, "id"), &id) && (c = api_cached(a, &id, SURFACE_OLD)) != NULL) {
        http_reply(r, 200, "application/json", c->body, c->n);
        return;
    }
    if (!api_job_of(a, r, &job)) {
        return;
    }
    old_job_reply(a, r, &job);
    job_done(&job);
}

static void no_cancel(struct http_req *r, const struct job *job)
{
    api_error(r, ERR_CONFLICT,
              "Job cannot be cancelled in status '%s' \xe2\x80\x94 it has already finished",
              job_state_legacy(job->state));
}

/* The tool is gone, or was not in time. A run that ended by itself first was not cancelled. */
static void cancelled(struct api *a, struct http_req *r, struct job *job, bool timed_out)
{
    if (job_state_terminal(job->state) && job->state != JOB_CANCELLED) {
        no_cancel(r, job);
    } else if (timed_out && !job->cancel_requested) {
        api_error(r, ERR_IO, "the cancel could not be made durable");
    } else {
        old_job_reply(a, r, job);
    }
}

void old_cancel(struct http_req *r, void *app)
{
    static const struct job_wait_spec until_dead = {
        .terminal = true, .ms = CANCEL_WAIT_MS, .reply = cancelled};
    struct api *a = app;
    struct err e = {0};
    enum job_state now;
    struct job job;

    if (!api_job_of(a, r, &job)) {
        return;
    }
    if (sched_cancel(a->sched, &job.id, &now, &e) < 0) {
        if (e.code == ERR_CONFLICT) {
            no_cancel(r, &job);
        } else {
            api_fail(r, &e);
        }
        job_done(&job);
        return;
    }
    audit_job(a, r, "scan.cancel", &job.id);
    if (job_state_terminal(now)) {
        struct id id = job.id;

        job_done(&job);
        job_init(&job);
        if (store_job_get(a->store, &id, &job, &e) < 0) {
            api_fail(r, &e);
        } else {
            old_job_reply(a, r, &job);
        }
    } else {
        api_wait(a, r, &job.id, &until_dead);
    }
    job_done(&job);
}

void old_delete(struct http_req *r, void *app)
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
    } else if (e.code == ERR_CONFLICT) {
        api_error(r, ERR_CONFLICT,
                  "Job cannot be deleted in status '%s' \xe2\x80\x94 cancel it first",
                  job_state_legacy(job.state));
    } else {
        api_fail(r, &e);
    }
    job_done(&job);
}

void old_purge(struct http_req *r, void *app)
{
    struct api *a = app;
    struct audit_note note;
    struct err e = {0};
    struct json j;
    int64_t n = 0;

    if (store_job_delete_finished(a->store, &n, &e) < 0) {
        api_fail(r, &e);
        return;
    }
    view_cache_clear(a->cache);
    audit_begin(&note, r);
    json_int(&note.j, "deleted", n);
    audit_add(a, api_key(r), "scan.purge", "", &note);
    j = json_to(http_out(r));
    json_obj(&j);
    json_int(&j, "deleted", n);
    json_end(&j);
    api_json_reply(r, 200);
}
