/*
 * One self-contained file: no scripts, nothing loaded from elsewhere (its own policy forbids it),
 * light or dark as the reader's system is. Findings are written as they come, each with the lines
 * around it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/escape.h"
#include "report/facts.h"
#include "report/finding_facts.h"
#include "report/finding_formats.h"

struct html {
    const struct job *job;
    const struct repo_scan *scan;
    struct buf *out;
    struct buf scratch;
    uint64_t n;
};

static const char style[] =
    ":root{color-scheme:light dark;--b:#fff;--t:#1b1f24;--m:#57606a;--l:#d0d7de;--a:#0b5cad;"
    "--h:#f6f8fa;--r:#a40e26;--o:#8a4600;--y:#6b5300;--k:#fff1c2}\n"
    "@media(prefers-color-scheme:dark){:root{--b:#0d1117;--t:#e6edf3;--m:#9aa4af;--l:#30363d;"
    "--a:#6cb2ff;--h:#161b22;--r:#ff8b94;--o:#ffb26b;--y:#e3c341;--k:#3a2f0b}}\n"
    "body{margin:0 auto;max-width:70rem;padding:1rem;font:16px/1.5 system-ui,sans-serif;"
    "background:var(--b);color:var(--t)}\n"
    "a{color:var(--a)}\n"
    "h1,h2,h3{line-height:1.25;overflow-wrap:anywhere}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:.5rem 0}\n"
    "dt{color:var(--m)}dd{margin:0;overflow-wrap:anywhere}\n"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0}\n"
    "caption{text-align:left;color:var(--m)}\n"
    "th,td{border-bottom:1px solid var(--l);padding:.25rem .5rem;text-align:left;"
    "vertical-align:top;overflow-wrap:anywhere}\n"
    "thead th{background:var(--h)}\n"
    "pre{background:var(--h);padding:.5rem;overflow:auto;max-height:30rem;margin:.25rem 0}\n"
    "pre span{color:var(--m);user-select:none}pre mark{background:var(--k);color:inherit}\n"
    ".finding{border-top:1px solid var(--l);content-visibility:auto;contain-intrinsic-size:auto "
    "20rem}\n"
    ".critical,.high{color:var(--r)}.medium{color:var(--o)}.low{color:var(--y)}\n"
    ".text{white-space:pre-wrap}.aside h3{text-decoration:line-through}\n"
    "@media print{.finding{content-visibility:visible}pre{max-height:none}}\n";

static void *html_new(const struct job *job, const struct repo_scan *scan, struct buf *out)
{
    struct html *w = xcalloc(1, sizeof *w);

    *w = (struct html){.job = job, .scan = scan, .out = out};
    return w;
}

static void html_done(void *arg)
{
    struct html *w = arg;

    buf_done(&w->scratch);
    free(w);
}

static void cell(struct buf *b, const char *text)
{
    buf_adds(b, "<td>");
    html_add(b, text);
    buf_adds(b, "</td>");
}

static void add_engine(struct buf *b, const json_t *record)
{
    struct finding_engine_run r;

    finding_engine_run(record, &r);
    buf_adds(b, "<tr><th scope=\"row\">");
    html_add(b, r.name);
    buf_adds(b, "</th>");
    cell(b, r.version);
    cell(b, r.status);
    buf_addf(b, "<td>%" PRId64 "</td><td>%" PRId64 "</td><td>%" PRId64 "</td>", r.findings, r.files,
             r.missed);
    cell(b, r.reason);
    buf_adds(b, "</tr>\n");
}

static void add_record(struct html *w)
{
    json_t *run = facts_json(w->job->run_json);
    const json_t *engines = json_object_get(run, "engines"), *notes = json_object_get(run, "notes");
    const json_t *v;
    size_t i;

    if (json_array_size(engines) > 0) {
        buf_adds(w->out,
                 "<table><caption>Engines</caption>\n<thead><tr><th scope=\"col\">Engine</th>"
                 "<th scope=\"col\">Version</th><th scope=\"col\">Status</th>"
                 "<th scope=\"col\">Findings</th><th scope=\"col\">Files</th>"
                 "<th scope=\"col\">Missed</th><th scope=\"col\">Reason</th></tr></thead>\n"
                 "<tbody>\n");
    }
    json_array_foreach(engines, i, v)
    {
        add_engine(w->out, v);
    }
    buf_adds(w->out, json_array_size(engines) > 0 ? "</tbody></table>\n" : "");
    json_array_foreach(notes, i, v)
    {
        buf_adds(w->out, i ? "<li>" : "<h2>Notes</h2>\n<ul>\n<li>");
        html_add(w->out, json_string_value(v));
        buf_adds(w->out, i + 1 < json_array_size(notes) ? "</li>\n" : "</li>\n</ul>\n");
    }
    json_decref(run);
}

static int html_begin(void *arg, struct err *e)
{
    struct html *w = arg;
    auto_strvec rows = {0};

    (void)e;
    finding_scan_rows(w->job, w->scan, &rows);
    buf_adds(w->out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                     "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                     "style-src 'unsafe-inline'\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                     "<meta name=\"referrer\" content=\"no-referrer\">\n<title>Scan of ");
    html_add(w->out, w->scan->url);
    buf_adds(w->out, "</title>\n<style>\n");
    buf_adds(w->out, style);
    buf_adds(w->out, "</style>\n</head>\n<body>\n<header>\n<h1>Repository scan</h1>\n<dl>\n");
    for (size_t i = 0; i + 1 < rows.n; i += 2) {
        buf_addf(w->out, "<dt>%s</dt><dd>", rows.v[i]);
        html_add(w->out, rows.v[i + 1]);
        buf_adds(w->out, "</dd>\n");
    }
    buf_adds(w->out, "</dl>\n");
    add_record(w);
    buf_adds(w->out, "</header>\n<main>\n<h2 id=\"findings\">Findings</h2>\n");
    return 0;
}

static void item(struct buf *b, const char *label, const char *value)
{
    if (value && *value) {
        buf_addf(b, "<dt>%s</dt><dd>", label);
        html_add(b, value);
        buf_adds(b, "</dd>\n");
    }
}

static void paragraph(struct buf *b, const char *label, const char *value)
{
    if (value && *value) {
        buf_addf(b, "<dt>%s</dt><dd class=\"text\">", label);
        html_add_lines(b, value, strlen(value));
        buf_adds(b, "</dd>\n");
    }
}

static void add_lists(struct html *w, const struct finding *f)
{
    struct buf *s = &w->scratch;

    buf_reset(s);
    for (uint32_t i = 0; i < f->n_cwe; i++) {
        buf_addf(s, "%sCWE-%d", i ? ", " : "", f->cwe[i]);
    }
    item(w->out, "CWE", s->len ? s->data : NULL);
    buf_reset(s);
    for (uint32_t i = 0; i < f->n_engines; i++) {
        buf_addf(s, "%s%s%s%s", i ? ", " : "", f->engines[i].name, f->engines[i].rule ? " " : "",
                 f->engines[i].rule ? f->engines[i].rule : "");
    }
    item(w->out, "Engines", s->len ? s->data : NULL);
}

static void add_facts(struct html *w, const struct finding_row *row)
{
    const struct finding *f = row->f;
    struct buf *b = w->out, *s = &w->scratch;

    buf_addf(b, "<dl>\n<dt>Severity</dt><dd class=\"%s\">%s</dd>\n", severity_name(f->severity),
             severity_name(f->severity));
    buf_addf(b, "<dt>Confidence</dt><dd>%.2f%s</dd>\n", f->confidence_x100 / 100.0,
             f->verified ? "" : "; the place was not found in the tree");
    item(b, "State", finding_life_name(row->life));
    item(b, "Class", f->rule);
    item(b, "Function", f->function);
    add_lists(w, f);
    item(b, "Secret", f->secret);
    item(b, "Marked in the source", f->marked);
    buf_reset(s);
    finding_triage_text(row, s);
    item(b, "Set aside", s->len ? s->data : NULL);
    paragraph(b, "Message", f->message);
    paragraph(b, "Recommendation", f->recommendation);
    for (uint32_t i = 0; i < f->n_related; i++) {
        buf_reset(s);
        finding_place_text(&f->related[i], s);
        buf_addf(s, "%s%s", f->related[i].message ? ": " : "",
                 f->related[i].message ? f->related[i].message : "");
        item(b, "See also", s->data);
    }
    buf_adds(b, "</dl>\n");
}

/* With numbers; the lines of the finding are marked. */
static void add_snippet(struct buf *b, const struct finding *f)
{
    int64_t line = f->snippet_line, last = f->at.end_line ? f->at.end_line : f->at.line;

    buf_adds(b, "<pre>");
    for (const char *p = f->snippet; *p; line++) {
        size_t n = strcspn(p, "\n");
        bool mark = line >= f->at.line && line <= last;

        buf_addf(b, "<span>%5" PRId64 " </span>%s", line, mark ? "<mark>" : "");
        html_add_lines(b, p, n);
        buf_adds(b, mark ? "</mark>\n" : "\n");
        p += n + (p[n] == '\n');
    }
    buf_adds(b, "</pre>\n");
}

static int html_row(void *arg, const struct finding_row *row, struct err *e)
{
    struct html *w = arg;
    const struct finding *f = row->f;

    (void)e;
    w->n++;
    buf_addf(w->out, "<section class=\"finding%s\" id=\"f%" PRIu64 "\">\n<h3>",
             row->counts ? "" : " aside", w->n);
    html_add(w->out, f->title);
    buf_adds(w->out, "<br><small>");
    buf_reset(&w->scratch);
    finding_place_text(&f->at, &w->scratch);
    html_add(w->out, w->scratch.data);
    buf_adds(w->out, "</small></h3>\n");
    add_facts(w, row);
    if (f->snippet && *f->snippet) {
        add_snippet(w->out, f);
    }
    buf_adds(w->out, "</section>\n");
    return 0;
}

static int html_end(void *arg, struct err *e)
{
    struct html *w = arg;

    (void)e;
    if (w->n == 0) {
        buf_adds(w->out,
                 w->scan->complete
                     ? "<p>None.</p>\n"
                     : "<p>None; but the scan was not complete, so that says little.</p>\n");
    }
    buf_adds(w->out, "</main>\n</body>\n</html>\n");
    return 0;
}

const struct findings_format findings_html = {
    .name = "html",
    .media_type = "text/html; charset=utf-8",
    .suffix = ".html",
    .help = "one page with excerpts of the code, without scripts",
    .new = html_new,
    .begin = html_begin,
    .row = html_row,
    .end = html_end,
    .done = html_done,
};
