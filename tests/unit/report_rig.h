/* Hosts into a format, and files of nmap through our parser into one. */
#pragma once

#include "model/host.h"
#include "parse/parse.h"
#include "report/report.h"
#include "tap.h"

static inline void report_host(const struct report_format *f, void *w, int64_t seq,
                               const struct host *h)
{
    struct host head = *h;

    head.ports = NULL;
    head.n_ports = 0;
    CHECK_OK(f->sink.host(w, seq, &head, ERR));
    for (size_t i = 0; i < h->n_ports; i++) {
        CHECK_OK(f->sink.port(w, &h->ports[i], ERR));
    }
    CHECK_OK(f->sink.host_end(w, ERR));
}

/* All of it; the caller buf_done()s *out. */
static inline void report_hosts(const char *format, const struct job *j, const struct host *v,
                                size_t n, struct buf *out)
{
    const struct report_format *f = report_find(format);
    void *w;

    CHECK(f);
    w = f->new (j, out);
    CHECK_OK(f->begin(w, ERR));
    for (size_t i = 0; i < n; i++) {
        report_host(f, w, (int64_t)i + 1, &v[i]);
    }
    CHECK_OK(f->end(w, ERR));
    f->done(w);
}

/* ---- from nmap's files ---- */

struct report_run {
    const struct report_format *format;
    void *w;
    int64_t seq;
    struct job *job; /* gets what the run says of itself */
};

static inline int rig_host(void *arg, const struct host *h, struct err *e)
{
    struct report_run *r = arg;

    (void)e;
    report_host(r->format, r->w, ++r->seq, h);
    return 0;
}

static inline int rig_run(void *arg, const struct run_info *i, struct err *e)
{
    struct report_run *r = arg;

    (void)e;
    free(r->job->run_json);
    free(r->job->command_line);
    free(r->job->tool_version);
    r->job->run_json = xstrdup(i->json);
    r->job->command_line = xstrdup(i->args);
    r->job->tool_version = xstrdup(i->version);
    r->job->partial = !i->complete;
    r->job->started_us = i->start_s * 1000000;
    return 0;
}

static inline void rig_feed(const struct parser *parser, const struct parse_sink *sink,
                            const char *text, size_t n)
{
    void *p = parser->new (sink);
    struct err e = {0};

    parser->feed(p, text, n, &e);
    parser->finish(p, &e);
    parser->free(p);
}

/* A finished job of that file, as far as the writers look at it; job_done() it. */
static inline struct job rig_job(const struct parser *parser, const char *text, size_t n)
{
    struct job j;
    struct report_run r = {.job = &j};
    const struct parse_sink sink = {.run = rig_run, .arg = &r};

    job_init(&j);
    j.tool = xstrdup(parser->name[0] == 'n' ? "nmap" : parser->name);
    j.targets = xstrdup("192.0.2.0/24");
    j.ports = xstrdup("22,80-90,U:53"); /* told where the tool kept no record of its own */
    j.state = JOB_COMPLETED;
    rig_feed(parser, &sink, text, n);
    return j;
}

static inline void rig_export(const char *format, const struct parser *parser, const char *text,
                              size_t n, struct buf *out)
{
    struct job j = rig_job(parser, text, n);
    struct report_run r = {.format = report_find(format), .job = &j};
    const struct parse_sink sink = {.host = rig_host, .arg = &r};

    CHECK(r.format);
    r.w = r.format->new (&j, out);
    CHECK_OK(r.format->begin(r.w, ERR));
    rig_feed(parser, &sink, text, n);
    CHECK_OK(r.format->end(r.w, ERR));
    r.format->done(r.w);
    job_done(&j);
}
