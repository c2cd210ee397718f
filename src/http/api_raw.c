/*
 * The tool's own output: download, and results rebuilt from it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/api_priv.h"
#include "store/blob.h"

struct raw_stream {
    struct http_stream st;
    struct blob_reader *reader; /* owned */
};

static int raw_more(struct http_stream *st, struct buf *out)
{
    struct raw_stream *rs = container_of(st, struct raw_stream, st);
    char *room = buf_space(out, API_CHUNK);
    struct err e = {0};
    size_t n = 0;

    if (!room || blob_read(rs->reader, room, API_CHUNK, &n, &e) < 0) {
        log_error("raw_unreadable", KV("error", e.msg));
        return -1;
    }
    out->len += n;
    return n > 0;
}

static void raw_done(struct http_stream *st)
{
    struct raw_stream *rs = container_of(st, struct raw_stream, st);

    blob_reader_free(rs->reader);
    free(rs);
}

/* What each tool writes. A file that was handed in may be in another of its forms. */
static const char *media_type(const char *tool, const char **suffix)
{
    if (str_eq(tool, "nmap")) {
        *suffix = ".xml";
        return "application/xml";
    }
    *suffix = ".txt";
    return "text/plain; charset=utf-8";
}

/* task -1: the job's own. The reader is taken. */
static void raw_stream(struct http_req *r, const struct job *job, const char *tool, int64_t task,
                       struct blob_reader *reader)
{
    struct raw_stream *rs;
    char id[ID_TEXT + 1];
    char text[128];
    const char *suffix;
    const char *type = media_type(tool, &suffix);

    id_text(&job->id, id);
    if (task < 0) {
        snprintf(text, sizeof text, "attachment; filename=\"scanpod-%s%s\"", id, suffix);
    } else {
        snprintf(text, sizeof text, "attachment; filename=\"scanpod-%s-%lld%s\"", id,
                 (long long)task, suffix);
    }
    http_add_header(r, "Content-Disposition", text);
    if (job->raw_sha256 && task < 0) {
        snprintf(text, sizeof text, "\"%s\"", job->raw_sha256);
        http_add_header(r, "ETag", text);
    }
    http_add_header(r, "X-Content-Type-Options", "nosniff");
    rs = xcalloc(1, sizeof *rs);
    rs->st.more = raw_more;
    rs->st.done = raw_done;
    rs->reader = reader;
    http_reply_stream(r, 200, type, &rs->st);
}

/* ---- what was moved to object storage ---- */

struct raw_wait {
    struct api *api;
    struct http_req *req;
    struct id job;
    int64_t task;
    char *tool;   /* owned */
    void *handle; /* of the fetch */
};

static void raw_wait_free(struct raw_wait *rw)
{
    free(rw->tool);
    free(rw);
}

static void raw_aborted(struct http_req *r)
{
    struct raw_wait *rw = http_user(r);

    rw->api->cfg.depot->give_up(rw->api->cfg.depot->arg, rw->handle);
    raw_wait_free(rw);
}

static void raw_not_now(struct http_req *r, const char *why)
{
    auto_free char *detail = str_fmt("the raw output is in object storage: %s", why);

    http_add_header(r, "Retry-After", "10");
    api_status(r, 503, detail, "try again after the time in Retry-After");
}

static void raw_fetched(void *arg, int rc, int fd, const char *why)
{
    struct raw_wait *rw = arg;
    struct http_req *r = rw->req;
    struct err e = {0};
    struct job job;

    http_on_abort(r, NULL);
    job_init(&job);
    if (rc == ERR_NOT_FOUND) {
        api_error(r, ERR_NOT_FOUND, "the raw output is not to be had: %s", why);
    } else if (rc < 0) {
        raw_not_now(r, why);
    } else if (store_job_get(rw->api->store, &rw->job, &job, &e) < 0) {
        api_fail(r, &e); /* deleted in between */
    } else {
        raw_stream(r, &job, rw->tool, rw->task, blob_reader_new(take_fd(&fd)));
    }
    fd_close(&fd);
    job_done(&job);
    raw_wait_free(rw);
}

static void raw_wait(struct api *a, struct http_req *r, const struct raw_wait *is, int64_t job_num,
                     const char *path)
{
    const struct api_depot *d = a->cfg.depot;
    struct raw_wait *rw = xmalloc(sizeof *rw);

    *rw = *is;
    rw->handle = d->fetch(d->arg, job_num, (int32_t)MAX(rw->task, 0), path, raw_fetched, rw);
    http_set_user(r, rw);
    http_on_abort(r, raw_aborted);
}

/* task -1: the job's own. */
static void raw_reply(struct api *a, struct http_req *r, const struct job *job, const char *tool,
                      int64_t task, const char *path)
{
    struct blob_reader *reader;
    auto_free char *uri = NULL;
    struct err e = {0};
    int rc = blob_reader_open(a->cfg.blob_dir, path, &reader, &e);

    if (rc == 0) {
        raw_stream(r, job, tool, task, reader);
    } else if (rc == ERR_NOT_FOUND && a->cfg.depot) {
        raw_wait(a, r,
                 &(struct raw_wait){
                     .api = a, .req = r, .job = job->id, .task = task, .tool = xstrdup(tool)},
                 job->num, path);
    } else if (rc == ERR_NOT_FOUND &&
               store_blob_uri(a->store, job->num, (int32_t)MAX(task, 0), &uri, NULL) == 0 && uri) {
        raw_not_now(r, "this server is not set up for it (setting: blob)");
    } else {
        api_fail(r, &e);
    }
}

/* ---- one task of a planned job ---- */

static int take_tool(void *arg, const struct task_info *t, struct err *e)
{
    struct plan_spec spec = {0};
    char **tool = arg;
    int rc = plan_spec_read(t->spec, &spec, e);

    if (rc == 0) {
        *tool = xstrdup(spec.tool);
    }
    plan_spec_done(&spec);
    return rc;
}

static void task_raw(struct api *a, struct http_req *r, const struct job *job, int64_t idx)
{
    auto_free char *path = NULL;
    auto_free char *tool = NULL;
    struct err e = {0};
    int rc = store_task_raw_path(a->store, job->num, (int32_t)idx, &path, &e);

    if (rc == 0 && path) {
        rc = store_tasks(a->store, job->num, (int32_t)idx - 1, 1, take_tool, &tool, &e);
    }
    if (rc < 0 && rc != ERR_NOT_FOUND) {
        api_fail(r, &e);
    } else if (rc < 0 || !path) {
        api_error(r, ERR_NOT_FOUND, "the job has no raw output of that task");
    } else {
        raw_reply(a, r, job, tool ? tool : job->tool, idx, path);
    }
}

void v1_raw(struct http_req *r, void *app)
{
    static const char *const known[] = {"task", NULL};
    struct api *a = app;
    auto_free char *path = NULL;
    struct err e = {0};
    struct job job;
    int64_t task = -1;

    if (!api_query_known(r, known) || !api_query_int(r, "task", 0, TASKS_MAX - 1, &task) ||
        !api_job_of(a, r, &job)) {
        return;
    }
    if (job.plan && task >= 0) {
        task_raw(a, r, &job, task);
        job_done(&job);
        return;
    }
    if (task > 0) {
        api_error(r, ERR_NOT_FOUND, "the job has one task, number 0");
        job_done(&job);
        return;
    }
    if (job.raw_sha256) {
        auto_free char *etag = str_fmt("\"%s\"", job.raw_sha256);

        if (etag_matches(http_header(r, "If-None-Match"), etag)) {
            http_add_header(r, "ETag", etag);
            http_reply(r, 304, NULL, NULL, 0);
            job_done(&job);
            return;
        }
    }
    if (store_raw_path(a->store, job.num, &path, &e) < 0) {
        api_fail(r, &e);
    } else if (!path) {
        api_error(r, ERR_NOT_FOUND, "%s",
                  job.plan ? "each task has raw output of its own: ask with ?task=N"
                           : "the job has no raw output");
    } else {
        raw_reply(a, r, &job, job.tool, -1, path);
    }
    job_done(&job);
}

/* ---- reparse: answered when somebody else has done it ---- */

struct reparse {
    struct api *api;
    struct http_req *req; /* NULL: the client has gone */
    struct id job;
};

static void reparse_aborted(struct http_req *r)
{
    struct reparse *rp = http_user(r);

    rp->req = NULL;
}

static void reparsed(void *arg, int rc, const char *message)
{
    struct reparse *rp = arg;
    struct http_req *r = rp->req;
    struct err fault = {0};
    struct job job;

    if (r) {
        http_on_abort(r, NULL);
        job_init(&job);
        if (store_job_get(rp->api->store, &rp->job, &job, &fault) < 0) {
            api_fail(r, &fault); /* deleted in between */
        } else if (rc < 0) {
            api_error(r, rc, "%s", message);
        } else {
            struct json j = json_to(http_out(r));

            api_view_job(rp->api, &j, &job);
            api_json_reply(r, 200);
        }
        job_done(&job);
    }
    free(rp);
}

void v1_reparse(struct http_req *r, void *app)
{
    struct api *a = app;
    struct reparse *rp;
    struct err e = {0};
    struct job job;

    if (!api_job_of(a, r, &job)) {
        return;
    }
    if (!job_state_terminal(job.state)) {
        api_error(r, ERR_CONFLICT, "the job is still %s", job_state_name(job.state));
    } else if (job.repo) {
        api_error(r, ERR_CONFLICT,
                  "findings of a repository scan are not rebuilt: later scans "
                  "were compared with them");
    } else if (!job.raw_sha256) {
        api_error(r, ERR_NOT_FOUND, "the job has no raw output");
    } else if (!a->cfg.reparse) {
        api_status(r, 503, "results cannot be rebuilt while the server runs like this",
                   "use `scanpod reparse`");
    } else {
        rp = xcalloc(1, sizeof *rp);
        *rp = (struct reparse){.api = a, .req = r, .job = job.id};
        http_set_user(r, rp);
        http_on_abort(r, reparse_aborted);
        if (a->cfg.reparse(a->cfg.reparse_arg, &job.id, reparsed, rp, &e) < 0) {
            http_on_abort(r, NULL);
            free(rp);
            api_fail(r, &e);
        }
    }
    job_done(&job);
}
