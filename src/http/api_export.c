/*
 * A result in the formats that people and other programs read.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "http/api_pump.h"
#include "report/report.h"
#include "store/place.h"

enum { BATCH = 256, PORTS_MAX = 2048 }; /* of one step; a host is never cut in two */

struct export
{
    struct pump pump;
    const struct report_format *format;
    struct job job;
    void *writer; /* the format's */
    struct host_sink sink;
    struct host_filter filter;
    uint8_t key[HOST_KEY]; /* filter.after_key points to it */
    uint32_t hosts, ports; /* of this step */
    int64_t sent;
    bool begun, full;
};

static int on_host(void *arg, int64_t seq, const struct host *head, struct err *e)
{
    struct export *x = arg;

    if (x->hosts > 0 && (x->ports > PORTS_MAX || x->pump.text.len > API_CHUNK)) {
        x->full = true;
        return 1;
    }
    x->hosts++;
    place_of(head, x->key);
    x->filter.after = seq;
    return x->sink.host ? x->sink.host(x->writer, seq, head, e) : 0;
}

static int on_port(void *arg, const struct port *p, struct err *e)
{
    struct export *x = arg;

    x->ports++;
    return x->sink.port ? x->sink.port(x->writer, p, e) : 0;
}

static int on_host_end(void *arg, struct err *e)
{
    struct export *x = arg;

    return x->sink.host_end ? x->sink.host_end(x->writer, e) : 0;
}

static int export_step(struct pump *p, struct err *e)
{
    struct export *x = container_of(p, struct export, pump);
    const struct host_sink sink = {
        .host = on_host, .port = on_port, .host_end = on_host_end, .arg = x};
    int rc = 0;

    if (!x->begun) {
        x->begun = true;
        rc = x->format->begin(x->writer, e);
    }
    x->hosts = x->ports = 0;
    x->full = false;
    if (rc == 0) {
        rc = store_hosts(p->api->store, x->job.num, &x->filter, &sink, e);
    }
    if (rc < 0) {
        return rc;
    }
    x->filter.after_key = x->key;
    x->sent += x->hosts;
    if (x->full || x->hosts == x->filter.limit) {
        return 1;
    }
    if (x->sent != x->job.hosts) {
        return err_set(e, ERR_CONFLICT, "the result was removed while it was sent");
    }
    return x->format->end(x->writer, e);
}

static void export_free(struct pump *p)
{
    struct export *x = container_of(p, struct export, pump);

    x->format->done(x->writer);
    job_done(&x->job);
    free(x);
}

/* Takes the job. */
static void export_reply(struct api *a, struct http_req *r, const struct report_format *f,
                         struct job *job)
{
    struct export *x = xcalloc(1, sizeof *x);
    char id[ID_TEXT + 1];
    char text[128];

    id_text(&job->id, id);
    snprintf(text, sizeof text, "attachment; filename=\"scanpod-%s%s\"", id, f->suffix);
    http_add_header(r, "Content-Disposition", text);
    http_add_header(r, "X-Content-Type-Options", "nosniff");
    if (str_starts(f->media_type, "text/html")) {
        http_add_header(r, "Content-Security-Policy",
                        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox");
    }
    *x = (struct export){.pump = {.step = export_step, .free = export_free},
                         .format = f,
                         .job = *job,
                         .filter = {.limit = BATCH, .by_address = true}};
    *job = (struct job){0};
    x->writer = f->new (&x->job, &x->pump.text);
    x->sink = f->sink;
    pump_reply(a, r, f->media_type, &x->pump);
}

static const struct report_format *format_of(struct http_req *r)
{
    static const char *const known[] = {"format", NULL};
    const char *name = http_query(r, "format");
    const struct report_format *f = name ? report_find(name) : NULL;
    struct problems p = {0};
    auto_buf names = {0};

    if (!api_query_known(r, known) || f) {
        return f;
    }
    for (const struct report_format *const *at = report_formats; *at; at++) {
        buf_addf(&names, "%s%s", names.len ? ", " : "", (*at)->name);
    }
    problem_add(&p, "?format", "%s: %s", name ? "must be one of" : "is required, one of",
                names.len ? names.data : "none");
    problems_reply(r, &p);
    return NULL;
}

void v1_export(struct http_req *r, void *app)
{
    const struct report_format *f = format_of(r);
    struct api *a = app;
    struct job job;

    if (!f || !api_job_of(a, r, &job)) {
        return;
    }
    if (job.repo) {
        api_error(r, ERR_CONFLICT,
                  "this job is a scan of a repository, which has no hosts: see "
                  "/api/v1/repo-scans/{id}/export");
    } else if (!job_state_terminal(job.state)) {
        api_error(r, ERR_CONFLICT, "the job is still %s: export it when it has ended",
                  job_state_name(job.state));
    } else {
        auto_free char *etag = str_fmt("\"r%llu-%s\"", (unsigned long long)job.rev, f->name);

        http_add_header(r, "ETag", etag);
        if (etag_matches(http_header(r, "If-None-Match"), etag)) {
            http_reply(r, 304, NULL, NULL, 0);
        } else {
            export_reply(a, r, f, &job);
        }
    }
    job_done(&job);
}
