/*
 * /api/v1/repo-scans: submit, list, one scan with its summary; what the scan found is in
 * api_findings.c. Cancel, retry, delete, events and the raw record are those of /api/v1/scans: it
 * is a job like any other.
 */
#include "http/api_repo.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "http/api_v1.h"
#include "model/queue.h"
#include "store/digest.h"

/* ---- what a scan amounts to ---- */

static void put_counts(struct json *j, const struct repo_scan *s)
{
    json_obj_in(j, "counts");
    for (int i = SEVERITIES - 1; i >= 0; i--) {
        json_int(j, severity_name((enum severity)i), s->counts[i]);
    }
    json_end(j);
    json_obj_in(j, "states");
    for (int i = 0; i < LIFES; i++) {
        json_int(j, finding_life_name((enum finding_life)i), s->life[i]);
    }
    json_end(j);
}

static void put_new(struct json *j, const struct repo_scan *s)
{
    json_obj_in(j, "new");
    for (int i = SEVERITIES - 1; i >= 0; i--) {
        json_int(j, severity_name((enum severity)i),
                 s->by_life[i][LIFE_NEW] + s->by_life[i][LIFE_REOPENED]);
    }
    json_end(j);
}

void view_repo_scan(struct json *j, const struct repo_scan *s)
{
    static const struct id nothing;
    char id[ID_TEXT + 1];

    json_str(j, "repository", s->url);
    json_str(j, "branch", s->branch);
    json_str(j, "subdir", s->subdir);
    json_str(j, "commit", s->commit);
    if (id_cmp(&s->baseline, &nothing) != 0) {
        id_text(&s->baseline, id);
        json_str(j, "baseline", id);
    } else {
        json_nil(j, "baseline");
    }
    json_bool(j, "complete", s->complete);
    json_str(j, "risk_level", s->level);
    json_num(j, "risk_score", s->score_x10 / 10.0, 1);
    put_counts(j, s);
    put_new(j, s);
    json_int(j, "triaged", s->triaged);
}

/* The job with what is known of the scan; members of the run's record are in job.run. */
static void put_scan(struct store *st, struct json *j, const struct job *job, bool full)
{
    struct repo_scan scan = {0};

    json_obj(j);
    view_job(j, "job", job, full);
    if (store_repo_scan(st, job->num, &scan, NULL) == 0) {
        view_repo_scan(j, &scan);
    } else {
        json_str(j, "repository", job->targets);
    }
    if (full && job->repo) {
        json_raw(j, "request", job->repo);
    }
    json_end(j);
    repo_scan_done(&scan);
}

void api_repo_scan_json(struct store *st, const struct job *job, struct buf *out)
{
    struct json j = json_to(out);

    put_scan(st, &j, job, true);
}

static void scan_reply(struct api *a, struct http_req *r, int status, const struct job *job)
{
    struct json j = json_to(http_out(r));
    char id[ID_TEXT + 1];
    char etag[32];

    job_etag(job, etag);
    http_add_header(r, "ETag", etag);
    if (status == 202) {
        auto_free char *location = NULL;

        id_text(&job->id, id);
        location = str_fmt("/api/v1/repo-scans/%s", id);
        http_add_header(r, "Location", location);
    }
    put_scan(a->store, &j, job, true);
    api_json_reply(r, status);
}

/* ---- submit ---- */

struct idem {
    struct api *api;
    const char *key_id, *key;
    uint8_t print[32];
};

static int remember(void *arg, const struct job *job, struct err *e)
{
    const struct idem *x = arg;

    return store_idem_put(x->api->store, x->key_id, x->key, x->print, &job->id, job->created_us, e);
}

/* True: answered by the job that this key made before. */
static bool replay(struct http_req *r, const struct idem *x)
{
    uint8_t before[32];
    struct err e = {0};
    struct job job;
    struct id id;
    bool found = false;

    if (store_idem_get(x->api->store, x->key_id, x->key, before, &id, &found, &e) < 0) {
        api_fail(r, &e);
        return true;
    }
    if (!found) {
        return false;
    }
    if (memcmp(before, x->print, sizeof before) != 0) {
        api_error(r, ERR_INVALID, "this Idempotency-Key was used with another body");
        return true;
    }
    job_init(&job);
    if (store_job_get(x->api->store, &id, &job, &e) == 0) {
        x->api->replayed++;
        http_add_header(r, "Idempotency-Replayed", "true");
        scan_reply(x->api, r, 202, &job);
    } else if (e.code == ERR_NOT_FOUND) {
        api_error(r, ERR_CONFLICT, "the job of this Idempotency-Key was deleted");
    } else {
        api_fail(r, &e);
    }
    job_done(&job);
    return true;
}

static void submit(struct http_req *r, struct repo_submit *s)
{
    struct job job;
    const char *rule = NULL;
    int32_t retry_s = 0;
    struct err e = {0};
    int rc = api_repo_submit(s, &job, &rule, &retry_s, &e);

    s->api->submitted[SURFACE_V1] += rc == 0;
    s->api->refused[SURFACE_V1] += rc != 0;
    if (rc == 0) {
        scan_reply(s->api, r, 202, &job);
    } else if (rc == ERR_SCOPE) {
        api_refuse(r, rule, &e);
    } else if (rc == ERR_BUSY) {
        api_busy(r, &e, retry_s);
    } else if (rc == ERR_INVALID) {
        struct problems p = {0};

        api_repo_problem(&p, &e);
        problems_reply(r, &p);
    } else {
        api_fail(r, &e);
    }
    job_done(&job);
}

void v1_repo_submit(struct http_req *r, void *app)
{
    static const char *const known[] = {NULL};
    struct api *a = app;
    struct repo_submit s = {.api = a, .key = api_key(r), .from = "peer", .by = http_peer(r)};
    struct idem idem = {.api = a, .key_id = api_key(r)->id};
    struct http_str text = http_body(r);
    struct problems p = {0};
    auto_buf limits = {0};
    json_t *body;

    if (!api_query_known(r, known) || !v1_idempotency_key(r, &idem.key)) {
        return;
    }
    if (idem.key) {
        sha256_of(text.p ? text.p : "", text.n, idem.print);
        if (replay(r, &idem)) {
            return;
        }
        s.stored = remember;
        s.arg = &idem;
    }
    body = v1_body(r);
    if (!body) {
        return;
    }
    if (api_repo_read(&s, body, &limits, &p)) {
        submit(r, &s);
    } else {
        problems_reply(r, &p);
    }
    repo_submit_done(&s);
    json_decref(body);
}

/* The same request anew: the rules may have become stricter since. */
void api_repo_retry(struct api *a, struct http_req *r, const struct job *job)
{
    struct repo_submit s = {.api = a,
                            .key = api_key(r),
                            .from = "peer",
                            .by = http_peer(r),
                            .timeout_s = job->timeout_s,
                            .priority = job->priority,
                            .retries = job->max_attempts - 1,
                            .queue_timeout_s = job->queue_timeout_s,
                            .limits = job->limits};
    enum queue_kind kind;
    char zone[ZONE_MAX] = "";
    struct err e = {0};

    if (job->queue && queue_parse(job->queue, &kind, zone, NULL) == 0 && *zone) {
        s.zone = zone;
    }
    if (repo_request_read(job->repo, &s.q, &e) < 0) {
        api_fail(r, &e);
    } else {
        submit(r, &s);
    }
    repo_submit_done(&s);
}

/* ---- list ---- */

struct page {
    struct api *api;
    struct json j;
    struct job *jobs; /* owned: a callback of the store may not ask it for more */
    uint32_t n;
};

static int keep_row(void *arg, const struct job *job, struct err *e)
{
    struct page *pg = arg;

    (void)e;
    job_init(&pg->jobs[pg->n]);
    pg->jobs[pg->n++].id = job->id;
    return 0;
}

static void put_page(struct page *pg, int64_t *last)
{
    for (uint32_t i = 0; i < pg->n; i++) {
        struct id id = pg->jobs[i].id;
        struct job *job = &pg->jobs[i];

        if (store_job_get(pg->api->store, &id, job, NULL) == 0) {
            put_scan(pg->api->store, &pg->j, job, false);
            *last = job->num;
        }
        job_done(job);
    }
}

void v1_repo_list(struct http_req *r, void *app)
{
    static const char *const known[] = {"limit", "cursor", NULL};
    struct api *a = app;
    const char *cursor = http_query(r, "cursor");
    struct job_filter f = {.tool = tool_repo.name};
    int64_t limit = API_PAGE_DEFAULT, last = 0;
    struct page pg = {.api = a};
    struct problems p = {0};
    struct err e = {0};

    if (!api_query_known(r, known) || !api_query_int(r, "limit", 1, API_PAGE_MAX, &limit)) {
        return;
    }
    if (cursor && !cursor_read(cursor, 'j', &f.after)) {
        problem_add(&p, "?cursor", "is not a cursor of this list");
        problems_reply(r, &p);
        return;
    }
    f.limit = (uint32_t)limit;
    api_sweep(a);
    pg.jobs = xcalloc((size_t)limit, sizeof *pg.jobs);
    pg.j = json_to(http_out(r));
    json_obj(&pg.j);
    json_arr_in(&pg.j, "items");
    if (store_job_list(a->store, &f, keep_row, &pg, &e) < 0) {
        buf_reset(pg.j.b);
        api_fail(r, &e);
    } else {
        put_page(&pg, &last);
        api_page_end(r, &pg.j, 'j', last, pg.n == f.limit);
        api_json_reply(r, 200);
    }
    free(pg.jobs);
}

/* ---- one ---- */

static void waited(struct api *a, struct http_req *r, struct job *job, bool timed_out)
{
    char etag[32];

    (void)timed_out;
    job_etag(job, etag);
    if (etag_matches(http_header(r, "If-None-Match"), etag)) {
        http_add_header(r, "ETag", etag);
        http_reply(r, 304, NULL, NULL, 0);
    } else {
        scan_reply(a, r, 200, job);
    }
}

bool api_repo_job_of(struct api *a, struct http_req *r, struct job *out)
{
    if (!api_job_of(a, r, out)) {
        return false;
    }
    if (!out->repo) {
        api_error(r, ERR_NOT_FOUND, "this job is no repository scan: see /api/v1/scans");
        job_done(out);
        return false;
    }
    return true;
}

void v1_repo_get(struct http_req *r, void *app)
{
    static const char *const known[] = {"wait", NULL};
    struct api *a = app;
    int64_t wait_s = 0;
    struct job job;

    if (!api_query_known(r, known) || !api_query_int(r, "wait", 0, API_WAIT_MAX_S, &wait_s) ||
        !api_repo_job_of(a, r, &job)) {
        return;
    }
    if (wait_s > 0 && !job_state_terminal(job.state)) {
        api_wait(a, r, &job.id,
                 &(struct job_wait_spec){.terminal = true, .ms = wait_s * 1000, .reply = waited});
    } else {
        waited(a, r, &job, false);
    }
    job_done(&job);
}

/* ---- repositories ---- */

struct repo_page {
    struct json j;
    struct buf last; /* cursor of the last row: the store's in hex, as it may have any byte */
    uint32_t n;
};

static void write_cursor(const char *key, struct buf *out)
{
    buf_reset(out);
    for (; *key; key++) {
        buf_addf(out, "%02x", (unsigned char)*key);
    }
}

/* Owned; NULL: it is none. */
static char *read_cursor(const char *s)
{
    auto_buf key = {0};

    for (; *s; s += 2) {
        char digits[3] = {s[0], s[1], '\0'};
        char byte = (char)strtoul(digits, NULL, 16);

        if (strspn(digits, "0123456789abcdef") < 2 || !byte) {
            return NULL;
        }
        buf_addc(&key, byte);
    }
    return buf_take(&key);
}

static int put_repo(void *arg, const struct repo_row *row, struct err *e)
{
    struct repo_page *pg = arg;
    struct json *j = &pg->j;
    char id[ID_TEXT + 1];

    (void)e;
    pg->n++;
    write_cursor(row->cursor, &pg->last);
    json_obj(j);
    json_str(j, "repository", row->url);
    json_str(j, "branch", row->branch);
    json_str(j, "subdir", row->subdir);
    json_int(j, "open", row->open);
    json_int(j, "open_counting", row->open_counting);
    json_str(j, "risk_level", row->level);
    id_text(&row->last_job, id);
    json_str(j, "last_scan", id);
    json_time(j, "last_scanned_at", row->last_us);
    json_end(j);
    return 0;
}

void v1_repositories(struct http_req *r, void *app)
{
    static const char *const known[] = {"limit", "cursor", NULL};
    struct api *a = app;
    const char *cursor = http_query(r, "cursor");
    auto_free char *after = cursor ? read_cursor(cursor) : NULL;
    struct repo_page pg = {.j = json_to(http_out(r))};
    int64_t limit = API_PAGE_DEFAULT;
    struct problems p = {0};
    struct err e = {0};

    if (!api_query_known(r, known) || !api_query_int(r, "limit", 1, API_PAGE_MAX, &limit)) {
        return;
    }
    if (cursor && !after) {
        problem_add(&p, "?cursor", "is not a cursor of this list");
        problems_reply(r, &p);
        return;
    }
    json_obj(&pg.j);
    json_arr_in(&pg.j, "items");
    if (store_repos(a->store, after, (uint32_t)limit, put_repo, &pg, &e) < 0) {
        buf_reset(pg.j.b);
        api_fail(r, &e);
    } else {
        api_page_end_at(r, &pg.j, pg.n == limit ? pg.last.data : NULL);
        api_json_reply(r, 200);
    }
    buf_done(&pg.last);
}
