/* Finished jobs with results and cells, for comparing them. Use with store_rig.h. */
#pragma once

#include "parse/parse.h"
#include "report/diff.h"
#include "store_rig.h"
#include "tool/tool.h"

/* A result that is being written. */
struct writing {
    struct store *s;
    struct id id;
    struct lease l;
    char *run_json; /* owned */
};

static inline struct writing write_as(struct store *s, const char *tool, const char *profile)
{
    struct job j = new_job();
    struct writing w = {.s = s, .id = j.id};

    free(j.tool);
    j.tool = xstrdup(tool);
    j.profile = xstrdup(profile);
    CHECK_OK(store_job_add(s, &j, ERR));
    w.l = claim(s);
    job_done(&j);
    return w;
}

static inline int write_host(void *arg, const struct host *h, struct err *e)
{
    struct writing *w = arg;
    struct host head = *h;
    int64_t seq;

    (void)e;
    head.ports = NULL;
    head.n_ports = 0;
    CHECK_OK(store_host_begin(w->s, &w->l, &head, &seq, ERR));
    for (size_t i = 0; i < h->n_ports; i++) {
        CHECK_OK(store_host_port(w->s, &h->ports[i], ERR));
    }
    CHECK_OK(store_host_end(w->s, ERR));
    return 0;
}

/* Ends it; returns the job's number. */
static inline int64_t write_end(struct writing *w, const struct coverage_cell *cells, size_t n)
{
    struct outcome o = {.state = JOB_COMPLETED,
                        .exit_status = 0,
                        .run_json = w->run_json,
                        .cells = cells,
                        .n_cells = n};

    CHECK_OK(store_task_finish(w->s, &w->l, &o, 0, NULL, ERR));
    CHECK_OK(store_commit(w->s, ERR));
    free(w->run_json);
    return num_of(w->s, &w->id);
}

static inline int keep_run(void *arg, const struct run_info *r, struct err *e)
{
    struct writing *w = arg;

    (void)e;
    w->run_json = xstrdup(r->json);
    return 0;
}

/* A file of nmap as the result of a scan of those addresses; NULL: it covers nothing. */
static inline int64_t nmap_result(struct store *s, const char *fixture, const char *addresses)
{
    static const char *const protocols[4] = {"tcp", "udp", "sctp", "ip"};
    static const struct tool_plan plain;
    struct coverage_cell cells[5];
    struct writing w = write_as(s, "nmap", NULL);
    const struct parse_sink sink = {.host = write_host, .run = keep_run, .arg = &w};
    struct tool_cover c = {0};
    size_t size, n = 0;
    auto_free char *text = test_fixture(fixture, &size);
    void *p = parser_nmap_xml.new(&sink);
    int64_t num;

    CHECK_OK(parser_nmap_xml.feed(p, text, size, ERR));
    CHECK_OK(parser_nmap_xml.finish(p, ERR));
    parser_nmap_xml.free(p);
    if (addresses) {
        tool_nmap.covers(&plain, w.run_json, &c);
        cells[n++] = (struct coverage_cell){.addresses = addresses, .protocol = "host"};
        for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
            if (c.ports[i]) {
                cells[n++] = (struct coverage_cell){.addresses = addresses,
                                                    .protocol = protocols[i],
                                                    .ports = c.ports[i],
                                                    .up_only = c.up_only};
            }
        }
    }
    num = write_end(&w, cells, n);
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
        free(c.ports[i]);
    }
    return num;
}

static inline int add_text(void *arg, const struct diff_item *it, struct err *e)
{
    (void)e;
    diff_item_text(it, arg);
    return 0;
}

/* All differences as text; steps of `rows`. */
static inline void diff_text(struct store *s, int64_t a, int64_t b, uint32_t rows, struct buf *out,
                             struct diff_counts *counts)
{
    struct diff *d;
    bool more = true;

    CHECK_OK(diff_new(s, a, b, &d, ERR));
    while (more) {
        CHECK_OK(diff_step(d, rows, add_text, out, &more, ERR));
    }
    if (counts) {
        *counts = *diff_counts(d);
    }
    diff_free(d);
    buf_add(out, "", 0);
}
