/*
 * The routes of the old repository scanner. Shapes, statuses and texts are a contract with its
 * clients (reference: seed-interfaces 4.2): states pending, in_progress, completed, failed; times
 * without a zone, in UTC; severities high, medium, low. What it got wrong is right: the queue is
 * first in, first out, a cancelled job does not run, a list is filtered before it is cut, and an
 * engine that failed is no clean scan.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/agent.h"
#include "http/api_repo.h"
#include "http/api_v1.h"

enum { LIST_DEFAULT = 50, TIME_LEN = 26 };

/* ---- words ---- */

static const char *state_word(const struct job *job)
{
    switch (job->state) {
    case JOB_RUNNING:
        return "in_progress";
    case JOB_COMPLETED:
        return "completed";
    case JOB_FAILED:
    case JOB_CANCELLED:
    case JOB_TIMED_OUT:
        return "failed";
    default:
        return "pending";
    }
}

/* Later versions wrote them in capitals. 0: there is no such state. */
static uint32_t states_of(const char *word)
{
    static const struct {
        const char *word;
        uint32_t states;
    } rows[] = {
        {"pending", 1u << JOB_SCHEDULED | 1u << JOB_QUEUED | 1u << JOB_WAITING},
        {"in_progress", 1u << JOB_RUNNING},
        {"completed", 1u << JOB_COMPLETED},
        {"failed", 1u << JOB_FAILED | 1u << JOB_CANCELLED | 1u << JOB_TIMED_OUT},
        {"cancelled", 1u << JOB_CANCELLED},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcasecmp(rows[i].word, word) == 0) {
            return rows[i].states;
        }
    }
    return 0;
}

/* "2026-11-22T13:00:00.000001": without a zone, as that service's isoformat(). */
static void put_time(struct json *j, const char *key, int64_t us)
{
    char text[RFC3339_LEN + 1];

    if (us == 0) {
        json_nil(j, key);
        return;
    }
    rfc3339_us(us, text);
    json_strn(j, key, text, TIME_LEN);
}

/* ---- the request ---- */

static void detail(struct http_req *r, const char *type, const char *field, const char *msg,
                   const json_t *input)
{
    struct json j = json_to(http_out(r));

    json_obj(&j);
    json_arr_in(&j, "detail");
    json_obj(&j);
    json_str(&j, "type", type);
    json_arr_in(&j, "loc");
    json_str(&j, NULL, "body");
    if (field) {
        json_str(&j, NULL, field);
    }
    json_end(&j);
    json_str(&j, "msg", msg);
    if (input) {
        api_json_write(&j, "input", input);
    } else {
        json_nil(&j, "input");
    }
    json_end(&j);
    json_end(&j);
    json_str(&j, "message", "Request validation failed");
    json_end(&j);
    http_not_stored(r);
    api_json_reply(r, 422);
}

static void tell(struct http_req *r, const struct old_repo_fault *f)
{
    bool value = str_eq(f->type, "value_error");
    auto_free char *msg = str_fmt("%s%s", value ? "Value error, " : "", f->err.msg);

    detail(r, f->type, f->field, msg, f->input);
}

static bool wrong(struct old_repo_fault *f, const char *type, const char *field, const char *msg,
                  const json_t *input)
{
    f->type = type;
    f->field = field;
    f->input = input;
    err_set(&f->err, ERR_INVALID, "%s", msg);
    return false;
}

/* f->err is filled. */
static bool value_wrong(struct old_repo_fault *f, const char *field, const json_t *body)
{
    f->type = "value_error";
    f->field = field;
    f->input = json_object_get(body, field);
    return false;
}

static bool text_of(const json_t *body, const char *name, const char **out,
                    struct old_repo_fault *f)
{
    const json_t *v = json_object_get(body, name);

    *out = json_string_value(v);
    return !v || json_is_null(v) || *out ||
           wrong(f, "string_type", name, "Input should be a valid string", v);
}

/* What `claude_cli_args` asks for; owned by the request afterwards. */
static bool read_args(const json_t *body, struct repo_request *q, struct old_repo_fault *f)
{
    struct arena *arena = arena_new();
    struct agent_ask ask = {0};
    const char *args;
    bool good = text_of(body, "claude_cli_args", &args, f);

    if (good && args && agent_args_parse(args, &ask, arena, &f->err) < 0) {
        good = value_wrong(f, "claude_cli_args", body);
    }
    q->agent.model = ask.model ? xstrdup(ask.model) : NULL;
    q->agent.effort = ask.effort ? xstrdup(ask.effort) : NULL;
    q->agent.max_turns = ask.max_turns;
    q->agent.max_budget_cents = ask.max_budget_cents;
    arena_free(arena);
    return good;
}

static bool read_places(const json_t *body, struct repo_request *q, struct old_repo_fault *f)
{
    const char *url, *branch;

    if (!json_object_get(body, "repo_url")) {
        return wrong(f, "missing", "repo_url", "Field required", body);
    }
    if (!text_of(body, "repo_url", &url, f) || !text_of(body, "branch", &branch, f)) {
        return false;
    }
    if (!url) {
        return wrong(f, "string_type", "repo_url", "Input should be a valid string", NULL);
    }
    if (repo_url_check(url, &q->url, &f->err) < 0) {
        return value_wrong(f, "repo_url", body);
    }
    q->branch = xstrdup(branch ? branch : "main");
    return repo_ref_check(q->branch, &f->err) == 0 || value_wrong(f, "branch", body);
}

bool old_repo_request(const struct api *a, const json_t *body, struct repo_request *q,
                      struct old_repo_fault *f)
{
    const json_t *options = json_object_get(body, "scan_options");

    if (!json_is_object(body)) {
        return wrong(f, "model_attributes_type", NULL,
                     "Input should be a valid dictionary or object to extract fields from", body);
    }
    if (options && !json_is_object(options)) {
        return wrong(f, "dict_type", "scan_options", "Input should be a valid dictionary", options);
    }
    /* The agent was all of that service; here it runs beside the engines, where there is a key. */
    q->agent_wanted = a->cfg.agent_ready;
    return read_places(body, q, f) && read_args(body, q, f);
}

static void submitted(struct http_req *r, const struct job *job, const json_t *url)
{
    struct json j = json_to(http_out(r));
    auto_free char *message =
        str_fmt("Scan job created for repository: %s", json_string_value(url));
    char id[ID_TEXT + 1];

    id_text(&job->id, id);
    json_obj(&j);
    json_str(&j, "job_id", id);
    json_str(&j, "status", "pending");
    put_time(&j, "created_at", job->created_us);
    json_str(&j, "message", message);
    json_end(&j);
    api_json_reply(r, 200);
}

static void submit(struct http_req *r, struct repo_submit *s, const json_t *body)
{
    struct job job;
    const char *rule = NULL;
    int32_t retry_s = 0;
    struct err e = {0};
    int rc = api_repo_submit(s, &job, &rule, &retry_s, &e);

    s->api->submitted[SURFACE_OLD] += rc == 0;
    s->api->refused[SURFACE_OLD] += rc != 0;
    if (rc == 0) {
        submitted(r, &job, json_object_get(body, "repo_url"));
    } else if (rc == ERR_SCOPE) {
        api_refuse(r, rule, &e);
    } else if (rc == ERR_BUSY) {
        api_busy(r, &e, retry_s);
    } else if (rc == ERR_INVALID) {
        struct old_repo_fault f = {.err = e};

        (void)value_wrong(&f, "claude_cli_args", body);
        tell(r, &f);
    } else {
        api_fail(r, &e);
    }
    job_done(&job);
}

void old_repo_submit(struct http_req *r, void *app)
{
    struct api *a = app;
    struct repo_submit s = {.api = a,
                            .key = api_key(r),
                            .from = "peer",
                            .by = http_peer(r),
                            .timeout_s = INT64_MIN,
                            .priority = INT64_MIN,
                            .retries = INT64_MIN,
                            .queue_timeout_s = INT64_MIN,
                            .old = true};
    struct http_str text = http_body(r);
    struct old_repo_fault wrong_at = {0};
    struct json_fault f;
    json_t *body = api_json_load(text.p ? text.p : "", text.n, &f);

    if (!body) {
        detail(r, text.n ? "json_invalid" : "missing", NULL,
               text.n ? "JSON decode error" : "Field required", NULL);
        return;
    }
    if (old_repo_request(a, body, &s.q, &wrong_at)) {
        submit(r, &s, body);
    } else {
        tell(r, &wrong_at);
    }
    repo_submit_done(&s);
    json_decref(body);
}

/* ---- what came of it ---- */

/* One result object as it is written, page by page. */
struct results {
    struct json *j;
    int64_t last, n, by[SEVERITIES];
};

static const char *three_words(enum severity s)
{
    return s >= SEVERITY_HIGH ? "high" : s == SEVERITY_MEDIUM ? "medium" : "low";
}

static int put_vulnerability(void *arg, const struct finding_row *row, struct err *e)
{
    struct results *x = arg;
    const struct finding *f = row->f;

    (void)e;
    x->last = row->seq;
    x->n++;
    x->by[f->severity]++;
    json_obj(x->j);
    json_str(x->j, "type", f->rule);
    json_str(x->j, "severity", three_words(f->severity));
    json_str(x->j, "file", f->at.path);
    json_int(x->j, "line", f->at.line);
    json_str(x->j, "description", f->message ? f->message : f->title);
    json_str(x->j, "recommendation", f->recommendation ? f->recommendation : "");
    json_str(x->j, "title", f->title);
    json_num(x->j, "confidence", f->confidence_x100 / 100.0, 2);
    json_bool(x->j, "verified", f->verified);
    json_end(x->j);
    return 0;
}

static int put_vulnerabilities(struct api *a, struct results *x, const struct job *job,
                               struct err *e)
{
    struct finding_filter f = {.triage = -1, .counts = 1, .open = -1, .limit = API_PAGE_MAX};
    int64_t before;
    int rc;

    json_arr_in(x->j, "vulnerabilities");
    do {
        before = x->n;
        f.after = x->last;
        rc = store_findings(a->store, job->num, &f, put_vulnerability, x, e);
    } while (rc == 0 && x->n - before == API_PAGE_MAX);
    json_end(x->j);
    return rc;
}

static const char *old_risk(const char *level)
{
    if (str_eq(level, "critical") || str_eq(level, "high")) {
        return "high";
    }
    return str_eq(level, "medium") || str_eq(level, "unknown") ? level : "low";
}

static void put_summary(struct json *j, const struct results *x, const struct repo_scan *scan)
{
    auto_buf text = {0};

    buf_addf(&text, "Found %lld vulnerabilities", (long long)x->n);
    if (x->n) {
        buf_addf(&text, " (%lld high, %lld medium, %lld low)",
                 (long long)x->by[SEVERITY_CRITICAL] + x->by[SEVERITY_HIGH],
                 (long long)x->by[SEVERITY_MEDIUM],
                 (long long)x->by[SEVERITY_LOW] + x->by[SEVERITY_INFO]);
    }
    if (!scan->complete) {
        buf_adds(&text, "; the scan was not complete: see /api/v1/repo-scans");
    }
    json_str(j, "summary", text.data);
    json_str(j, "risk_level", old_risk(scan->level));
    json_int(j, "vulnerability_count", x->n);
}

static int put_result(struct api *a, struct json *j, const struct job *job, struct err *e)
{
    struct repo_scan scan = {0};
    struct results x = {.j = j};
    int rc = store_repo_scan(a->store, job->num, &scan, e);

    if (rc < 0) {
        return rc;
    }
    json_obj_in(j, "result");
    put_time(j, "scan_completed_at", job->completed_us);
    json_str(j, "repository", scan.url);
    json_str(j, "branch", scan.branch);
    json_str(j, "commit", scan.commit);
    json_obj_in(j, "results");
    rc = put_vulnerabilities(a, &x, job, e);
    put_summary(j, &x, &scan);
    json_end(j);
    json_end(j);
    repo_scan_done(&scan);
    return rc;
}

static const char *old_error(const struct job *job)
{
    return job->state == JOB_CANCELLED ? "Job cancelled by user" : job->error;
}

static int put_job(struct api *a, struct json *j, const struct job *job, struct err *e)
{
    char id[ID_TEXT + 1];
    int64_t updated = job->completed_us ? job->completed_us
                      : job->started_us ? job->started_us
                                        : job->created_us;
    int rc = 0;

    id_text(&job->id, id);
    json_obj(j);
    json_str(j, "job_id", id);
    json_str(j, "status", state_word(job));
    json_str(j, "type", "scan_repo");
    put_time(j, "created_at", job->created_us);
    put_time(j, "updated_at", updated);
    put_time(j, "started_at", job->started_us);
    put_time(j, "finished_at", job->completed_us);
    if (job->state == JOB_COMPLETED) {
        rc = put_result(a, j, job, e);
    } else {
        json_nil(j, "result");
    }
    json_str(j, "error", old_error(job));
    json_end(j);
    return rc;
}

/* 404 in that service's words for other kinds of jobs, too. */
static bool job_of(struct api *a, struct http_req *r, struct job *out)
{
    struct id id;

    job_init(out);
    if (!id_parse(http_param(r, "id"), &id) || store_job_get(a->store, &id, out, NULL) < 0 ||
        !out->repo) {
        api_status(r, 404, "Job not found", NULL);
        job_done(out);
        return false;
    }
    return true;
}

void old_repo_get(struct http_req *r, void *app)
{
    struct api *a = app;
    struct json j = json_to(http_out(r));
    struct err e = {0};
    struct job job;

    if (!job_of(a, r, &job)) {
        return;
    }
    if (put_job(a, &j, &job, &e) < 0) {
        buf_reset(j.b);
        api_fail(r, &e);
    } else {
        api_json_reply(r, 200);
    }
    job_done(&job);
}

/* ---- the list ---- */

struct list {
    struct id *v; /* owned: a callback of the store may not ask it for more */
    uint32_t n;
};

static int keep_id(void *arg, const struct job *job, struct err *e)
{
    struct list *l = arg;

    (void)e;
    l->v[l->n++] = job->id;
    return 0;
}

static bool list_query(struct http_req *r, struct job_filter *f)
{
    const char *status = http_query(r, "status"), *limit = http_query(r, "limit");
    uint64_t n = LIST_DEFAULT;

    if (limit && !str_to_u64(limit, 1, API_PAGE_MAX, &n)) {
        struct err e = {0};

        err_set(&e, ERR_INVALID, "limit must be a number from 1 to %d", API_PAGE_MAX);
        api_status(r, 422, e.msg, NULL);
        return false;
    }
    f->limit = (uint32_t)n;
    f->states = status ? states_of(status) : 0;
    if (status && !f->states) {
        auto_free char *why = str_fmt("Invalid status: %.100s", status);

        api_status(r, 400, why, NULL);
        return false;
    }
    return true;
}

void old_repo_list(struct http_req *r, void *app)
{
    struct api *a = app;
    struct job_filter f = {.tool = tool_repo.name};
    struct json j = json_to(http_out(r));
    struct list l = {0};
    struct err e = {0};
    int rc;

    if (!list_query(r, &f)) {
        return;
    }
    api_sweep(a);
    l.v = xcalloc(f.limit, sizeof *l.v);
    rc = store_job_list(a->store, &f, keep_id, &l, &e);
    json_arr(&j);
    for (uint32_t i = 0; i < l.n && rc == 0; i++) {
        struct job job;

        job_init(&job);
        if (store_job_get(a->store, &l.v[i], &job, NULL) == 0) {
            rc = put_job(a, &j, &job, &e);
        }
        job_done(&job);
    }
    json_end(&j);
    free(l.v);
    if (rc < 0) {
        buf_reset(j.b);
        api_fail(r, &e);
    } else {
        api_json_reply(r, 200);
    }
}

/* ---- cancel ---- */

static void cancel(struct api *a, struct http_req *r, bool later_version)
{
    struct err e = {0};
    enum job_state now;
    struct job job;

    if (!job_of(a, r, &job)) {
        return;
    }
    if (sched_cancel(a->sched, &job.id, &now, &e) < 0) {
        auto_free char *why = str_fmt("Cannot cancel job in %s status", state_word(&job));

        api_status(r, e.code == ERR_CONFLICT ? 400 : 500, why, NULL);
    } else {
        struct json j = json_to(http_out(r));
        char id[ID_TEXT + 1];
        auto_free char *message = NULL;

        audit_job(a, r, "scan.cancel", &job.id);
        id_text(&job.id, id);
        message = str_fmt("Job %s cancelled", id);
        json_obj(&j);
        json_str(&j, "message", message);
        if (later_version) {
            json_str(&j, "job_id", id);
            json_str(&j, "status", "CANCELLED");
        }
        json_end(&j);
        api_json_reply(r, 200);
    }
    job_done(&job);
}

void old_repo_delete(struct http_req *r, void *app)
{
    cancel(app, r, false);
}

void old_repo_cancel(struct http_req *r, void *app)
{
    cancel(app, r, true);
}
