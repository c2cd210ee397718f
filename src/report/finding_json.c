/* One document, or one line a finding, with the members that the API has. */
#include <stdlib.h>

#include "base/mem.h"
#include "report/finding_facts.h"
#include "report/finding_formats.h"

struct writer {
    const struct job *job;
    const struct repo_scan *scan;
    struct buf *out;
    struct json j;
};

static void *writer_new(const struct job *job, const struct repo_scan *scan, struct buf *out)
{
    struct writer *w = xcalloc(1, sizeof *w);

    *w = (struct writer){.job = job, .scan = scan, .out = out};
    return w;
}

static int begin(void *arg, struct err *e)
{
    struct writer *w = arg;

    (void)e;
    w->j = json_to(w->out);
    json_obj(&w->j);
    json_obj_in(&w->j, "scan");
    finding_scan_members(w->job, w->scan, true, &w->j);
    json_end(&w->j);
    json_arr_in(&w->j, "findings");
    return 0;
}

static int add_row(void *arg, const struct finding_row *row, struct err *e)
{
    struct writer *w = arg;

    (void)e;
    buf_addc(w->out, '\n');
    json_obj(&w->j);
    finding_row_members(row, &w->j);
    json_end(&w->j);
    return 0;
}

static int end(void *arg, struct err *e)
{
    struct writer *w = arg;

    (void)e;
    json_end(&w->j);
    json_end(&w->j);
    buf_addc(w->out, '\n');
    return 0;
}

const struct findings_format findings_json = {
    .name = "json",
    .media_type = "application/json",
    .suffix = ".json",
    .help = "one document: the scan with its record, and its findings",
    .new = writer_new,
    .begin = begin,
    .row = add_row,
    .end = end,
    .done = free,
};

/* ---- lines ---- */

static int nothing(void *arg, struct err *e)
{
    (void)arg;
    (void)e;
    return 0;
}

static int add_line(void *arg, const struct finding_row *row, struct err *e)
{
    struct writer *w = arg;

    (void)e;
    w->j = json_to(w->out);
    json_obj(&w->j);
    finding_row_members(row, &w->j);
    json_end(&w->j);
    buf_addc(w->out, '\n');
    return 0;
}

const struct findings_format findings_ndjson = {
    .name = "ndjson",
    .media_type = "application/x-ndjson",
    .suffix = ".ndjson",
    .help = "one JSON object a line and finding",
    .new = writer_new,
    .begin = nothing,
    .row = add_line,
    .end = nothing,
    .done = free,
};
