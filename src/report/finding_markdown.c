/* A report to paste into an issue or a wiki: all text of engines and files stands in code spans or
 * blocks. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/escape.h"
#include "report/facts.h"
#include "report/finding_facts.h"
#include "report/finding_formats.h"

struct markdown {
    const struct job *job;
    const struct repo_scan *scan;
    struct buf *out;
    struct buf scratch;
    uint64_t n;
};

static void *markdown_new(const struct job *job, const struct repo_scan *scan, struct buf *out)
{
    struct markdown *w = xcalloc(1, sizeof *w);

    *w = (struct markdown){.job = job, .scan = scan, .out = out};
    return w;
}

static void markdown_done(void *arg)
{
    struct markdown *w = arg;

    buf_done(&w->scratch);
    free(w);
}

static void add_engine(struct buf *b, const json_t *record)
{
    struct finding_engine_run r;

    finding_engine_run(record, &r);
    buf_adds(b, "| ");
    markdown_add(b, r.name);
    buf_adds(b, " | ");
    markdown_add(b, r.version);
    buf_adds(b, " | ");
    markdown_add(b, r.status);
    buf_addf(b, " | %" PRId64 " | %" PRId64 " | %" PRId64 " | ", r.findings, r.files, r.missed);
    markdown_add(b, r.reason);
    buf_adds(b, " |\n");
}

static void add_record(struct markdown *w)
{
    json_t *run = facts_json(w->job->run_json);
    const json_t *engines = json_object_get(run, "engines"), *notes = json_object_get(run, "notes");
    const json_t *v;
    size_t i;

    if (json_array_size(engines) > 0) {
        buf_adds(w->out,
                 "\n## Engines\n\n| Engine | Version | Status | Findings | Files | Missed | "
                 "Reason |\n| --- | --- | --- | ---: | ---: | ---: | --- |\n");
    }
    json_array_foreach(engines, i, v)
    {
        add_engine(w->out, v);
    }
    if (json_array_size(notes) > 0) {
        buf_adds(w->out, "\n## Notes\n\n");
    }
    json_array_foreach(notes, i, v)
    {
        buf_adds(w->out, "- ");
        markdown_add(w->out, json_string_value(v));
        buf_addc(w->out, '\n');
    }
    json_decref(run);
}

static int markdown_begin(void *arg, struct err *e)
{
    struct markdown *w = arg;
    auto_strvec rows = {0};

    (void)e;
    finding_scan_rows(w->job, w->scan, &rows);
    buf_adds(w->out, "# Repository scan\n\n");
    for (size_t i = 0; i + 1 < rows.n; i += 2) {
        buf_addf(w->out, "- %s: ", rows.v[i]);
        markdown_add(w->out, rows.v[i + 1]);
        buf_addc(w->out, '\n');
    }
    add_record(w);
    buf_adds(w->out, "\n## Findings\n");
    return 0;
}

static void item(struct buf *b, const char *label, const char *value)
{
    if (value && *value) {
        buf_addf(b, "- %s: ", label);
        markdown_add(b, value);
        buf_addc(b, '\n');
    }
}

/* Lines of a text in one. */
static void item_folded(struct markdown *w, const char *label, const char *value)
{
    buf_reset(&w->scratch);
    for (; value && *value; value++) {
        buf_addc(&w->scratch, *value == '\n' || *value == '\r' || *value == '\t' ? ' ' : *value);
    }
    item(w->out, label, w->scratch.len ? w->scratch.data : NULL);
}

static void add_facts(struct markdown *w, const struct finding_row *row)
{
    const struct finding *f = row->f;
    struct buf *b = w->out, *s = &w->scratch;

    buf_addf(b, "- Severity: %s, confidence %.2f, %s%s\n", severity_name(f->severity),
             f->confidence_x100 / 100.0, finding_life_name(row->life),
             f->verified ? "" : ", place not found in the tree");
    item(b, "Class", f->rule);
    buf_reset(s);
    for (uint32_t i = 0; i < f->n_cwe; i++) {
        buf_addf(s, "%sCWE-%d", i ? ", " : "", f->cwe[i]);
    }
    item(b, "CWE", s->len ? s->data : NULL);
    item(b, "Function", f->function);
    buf_reset(s);
    for (uint32_t i = 0; i < f->n_engines; i++) {
        buf_addf(s, "%s%s%s%s", i ? ", " : "", f->engines[i].name, f->engines[i].rule ? " " : "",
                 f->engines[i].rule ? f->engines[i].rule : "");
    }
    item(b, "Engines", s->len ? s->data : NULL);
    item(b, "Secret", f->secret);
    item(b, "Marked in the source", f->marked);
    buf_reset(s);
    finding_triage_text(row, s);
    item(b, "Set aside", s->len ? s->data : NULL);
    item_folded(w, "Message", f->message);
    item_folded(w, "Recommendation", f->recommendation);
    for (uint32_t i = 0; i < f->n_related; i++) {
        buf_reset(s);
        finding_place_text(&f->related[i], s);
        buf_addf(s, "%s%s", f->related[i].message ? " " : "",
                 f->related[i].message ? f->related[i].message : "");
        item(b, "See also", s->data);
    }
}

/* A code block begins and ends with a line that has text. */
static void add_snippet(struct buf *b, const struct finding *f)
{
    const char *text = f->snippet ? f->snippet : "";
    size_t skip = strspn(text, "\n"), n = strlen(text);

    while (n > skip && text[n - 1] == '\n') {
        n--;
    }
    if (n > skip) {
        buf_addf(b, "\nFrom line %zu:\n\n", (size_t)f->snippet_line + skip);
        markdown_add_lines(b, text + skip, n - skip);
    }
}

static int markdown_row(void *arg, const struct finding_row *row, struct err *e)
{
    struct markdown *w = arg;
    const struct finding *f = row->f;

    (void)e;
    w->n++;
    buf_addf(w->out, "\n### %" PRIu64 ". ", w->n);
    markdown_add(w->out, f->title);
    buf_adds(w->out, " in ");
    buf_reset(&w->scratch);
    finding_place_text(&f->at, &w->scratch);
    markdown_add(w->out, w->scratch.data);
    buf_adds(w->out, "\n\n");
    add_facts(w, row);
    add_snippet(w->out, f);
    return 0;
}

static int markdown_end(void *arg, struct err *e)
{
    struct markdown *w = arg;

    (void)e;
    buf_adds(w->out, w->n ? "" : "\nNone.\n");
    if (w->n == 0 && !w->scan->complete) {
        buf_adds(w->out, "\nThe scan was not complete: that none were found says little.\n");
    }
    return 0;
}

const struct findings_format findings_markdown = {
    .name = "markdown",
    .media_type = "text/markdown; charset=utf-8",
    .suffix = ".md",
    .help = "a text to paste into an issue or a wiki",
    .new = markdown_new,
    .begin = markdown_begin,
    .row = markdown_row,
    .end = markdown_end,
    .done = markdown_done,
};
