/* Findings of a repository scan in the formats that people and other programs read. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "http/api_pump.h"
#include "http/api_repo.h"
#include "report/findings.h"

enum { BATCH = 200 };

struct export
{
    struct pump pump;
    const struct findings_format *format;
    struct job job;
    struct repo_scan scan;
    void *writer;
    struct finding_filter filter;
    uint32_t n; /* of this step */
    int64_t sent;
    bool begun;
};

static int take(void *arg, const struct finding_row *row, struct err *e)
{
    struct export *x = arg;

    x->n++;
    x->filter.after = row->seq;
    return x->format->row(x->writer, row, e);
}

static int64_t reported(const struct repo_scan *s)
{
    return s->life[LIFE_NEW] + s->life[LIFE_UNCHANGED] + s->life[LIFE_UPDATED] +
           s->life[LIFE_REOPENED];
}

/* 1: there is more. */
static int step(struct pump *p, struct err *e)
{
    struct export *x = container_of(p, struct export, pump);
    int rc = x->begun ? 0 : x->format->begin(x->writer, e);

    x->begun = true;
    x->n = 0;
    if (rc == 0) {
        rc = store_findings(p->api->store, x->job.num, &x->filter, take, x, e);
    }
    x->sent += x->n;
    if (rc != 0 || x->n == x->filter.limit) {
        return rc != 0 ? rc : 1;
    }
    if (x->sent != reported(&x->scan)) {
        return err_set(e, ERR_CONFLICT, "the result was removed while it was sent");
    }
    return x->format->end(x->writer, e);
}

static void export_free(struct pump *p)
{
    struct export *x = container_of(p, struct export, pump);

    x->format->done(x->writer);
    job_done(&x->job);
    repo_scan_done(&x->scan);
    free(x);
}

static const struct findings_format *format_of(struct http_req *r)
{
    const char *name = http_query(r, "format");
    const struct findings_format *f = findings_format_find(name ? name : "sarif");
    struct problems p = {0};
    auto_buf names = {0};

    if (f) {
        return f;
    }
    for (size_t i = 0; findings_formats[i]; i++) {
        buf_addf(&names, "%s%s", i ? ", " : "", findings_formats[i]->name);
    }
    problem_add(&p, "?format", "there is no such format: one of %s", names.data);
    problems_reply(r, &p);
    return NULL;
}

void v1_repo_export(struct http_req *r, void *app)
{
    static const char *const known[] = {"format", NULL};
    struct api *a = app;
    const struct findings_format *f;
    struct export *x;
    char id[ID_TEXT + 1];
    auto_free char *name = NULL;
    struct err e = {0};
    struct job job;

    if (!api_query_known(r, known) || !(f = format_of(r)) || !api_repo_job_of(a, r, &job)) {
        return;
    }
    x = xcalloc(1, sizeof *x);
    x->job = job;
    x->format = f;
    x->filter = (struct finding_filter){.triage = -1, .counts = -1, .open = -1, .limit = BATCH};
    if (!job_state_terminal(job.state)) {
        err_set(&e, ERR_CONFLICT, "the job is still %s: export it when it has ended",
                job_state_name(job.state));
    }
    if (e.code || store_repo_scan(a->store, job.num, &x->scan, &e) < 0) {
        api_fail(r, &e);
        job_done(&x->job);
        free(x);
        return;
    }
    id_text(&job.id, id);
    name = str_fmt("attachment; filename=\"scanpod-%s%s\"", id, f->suffix);
    http_add_header(r, "Content-Disposition", name);
    http_add_header(r, "X-Content-Type-Options", "nosniff");
    if (str_starts(f->media_type, "text/html")) {
        http_add_header(r, "Content-Security-Policy",
                        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox");
    }
    x->writer = f->new (&x->job, &x->scan, &x->pump.text);
    x->pump.step = step;
    x->pump.free = export_free;
    pump_reply(a, r, f->media_type, &x->pump);
}
