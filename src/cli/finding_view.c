#include "cli/finding_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/view.h"

enum { GATE_NAMED = 5, COLUMNS = 7 };

static double real(const json_t *o, const char *name)
{
    return json_number_value(json_object_get(o, name));
}

static enum severity severity_of(const json_t *f)
{
    enum severity s = SEVERITY_INFO;

    (void)severity_parse(json_text(f, "severity"), &s);
    return s;
}

/* ---- the gate ---- */

static bool is_known(const json_t *f)
{
    const char *state = json_text(f, "state");

    return str_eq(state, "unchanged") || str_eq(state, "updated");
}

void finding_gate_take(struct finding_gate *g, const json_t *f)
{
    const char *state = json_text(f, "state");

    if (!g->on || severity_of(f) < g->at || !json_is_true(json_object_get(f, "counts")) ||
        str_eq(state, "fixed") || str_eq(state, "unknown")) {
        return;
    }
    if (is_known(f) && !g->all) {
        g->known++;
        return;
    }
    if (g->n++ < GATE_NAMED) {
        buf_addf(&g->first, "%s%s:%" PRId64, g->n > 1 ? ", " : "", json_text(f, "path"),
                 json_number(f, "line", 0));
    }
}

/* ---- rows ---- */

static const char *const head[COLUMNS] = {"SEVERITY", "STATE", "RULE", "PLACE",
                                          "ENGINES",  "CONF",  "TITLE"};

static void engines_of(const json_t *f, struct buf *out)
{
    const json_t *list = json_object_get(f, "engines"), *en;
    size_t i;

    json_array_foreach(list, i, en)
    {
        buf_addf(out, "%s%s", i ? "," : "", json_text(en, "name"));
    }
}

static void put_row(struct finding_writer *w, const json_t *f)
{
    auto_buf place = {0};
    auto_buf engines = {0};
    auto_free char *confidence = str_fmt("%.2f", real(f, "confidence"));
    const char *cells[COLUMNS];

    buf_addf(&place, "%s:%" PRId64, json_text(f, "path"), json_number(f, "line", 0));
    engines_of(f, &engines);
    cells[0] = json_text(f, "severity");
    cells[1] = json_text(f, "state");
    cells[2] = json_text(f, "rule");
    cells[3] = place.data;
    cells[4] = engines.data;
    cells[5] = confidence;
    cells[6] = json_text(f, "title");
    table_row(&w->table, cells);
}

void finding_writer_init(struct finding_writer *w, struct cli *c)
{
    w->c = c;
    w->table = (struct table){.head = head,
                              .n = COLUMNS,
                              .width = c->term.width,
                              .right = 1u << 5,
                              .color = c->term.out_color,
                              .sink = out_sink};
}

static void put_json(struct finding_writer *w, const json_t *f)
{
    auto_free char *text = json_dumps(f, JSON_COMPACT | JSON_REAL_PRECISION(6));

    if (w->c->format == FORMAT_JSON) {
        buf_adds(&w->out, w->begun ? ",\n" : "\n");
        w->begun = true;
    }
    buf_adds(&w->out, text ? text : "{}");
    if (w->c->format == FORMAT_NDJSON) {
        buf_addc(&w->out, '\n');
    }
    out_buf(&w->out);
}

void finding_writer_take(struct finding_writer *w, const json_t *f)
{
    w->n++;
    w->by[severity_of(f)]++;
    finding_gate_take(&w->gate, f);
    if (w->c->format == FORMAT_TABLE) {
        put_row(w, f);
    } else {
        put_json(w, f);
    }
}

void finding_writer_end(struct finding_writer *w)
{
    if (w->c->format == FORMAT_TABLE && w->n) {
        table_end(&w->table);
    }
    buf_done(&w->out);
}

/* ---- remarks ---- */

static void add_counts(const json_t *counts, struct buf *out)
{
    bool any = false;

    for (int i = SEVERITIES - 1; i >= 0; i--) {
        int64_t n = json_number(counts, severity_name((enum severity)i), 0);

        if (n) {
            buf_addf(out, "%s%" PRId64 " %s", any ? ", " : "", n, severity_name((enum severity)i));
            any = true;
        }
    }
    if (!any) {
        buf_adds(out, "no findings");
    }
}

static void warn_engine(const json_t *en, const struct term *t)
{
    const char *status = json_text(en, "status"), *reason = json_text(en, "reason");
    size_t missed = json_array_size(json_object_get(en, "missed"));
    int64_t n = (int64_t)missed + json_number(en, "missed_more", 0);
    bool whole = str_eq(status, "ok");
    auto_buf text = {0};

    if (whole && missed == 0) {
        return;
    }
    if (str_eq(status, "skipped") && str_eq(reason, "no files")) {
        return;
    }
    buf_addf(&text, "%s: %s", json_text(en, "name"), whole ? "" : status);
    if (*reason) {
        buf_addf(&text, " (%s)", reason);
    }
    if (missed) {
        buf_addf(&text, "%s%" PRId64 " file%s not seen, the first %s", whole ? "" : ", ", n,
                 n == 1 ? "" : "s",
                 json_text(json_array_get(json_object_get(en, "missed"), 0), "path"));
    }
    say_warning(t, text.data);
}

void repo_scan_remark(const json_t *scan, const struct term *t)
{
    const json_t *run = json_object_get(json_object_get(scan, "job"), "run");
    const json_t *engines = json_object_get(run, "engines"), *en;
    const json_t *states = json_object_get(scan, "states");
    auto_buf text = {0};
    size_t i;

    json_array_foreach(engines, i, en)
    {
        warn_engine(en, t);
    }
    add_counts(json_object_get(scan, "counts"), &text);
    buf_addf(&text, "; %" PRId64 " new, %" PRId64 " fixed; risk %s (%.1f)",
             json_number(states, "new", 0), json_number(states, "fixed", 0),
             json_text(scan, "risk_level"), real(scan, "risk_score"));
    if (!json_is_true(json_object_get(scan, "complete"))) {
        buf_adds(&text, "; not complete");
    }
    say(t, "%s", text.data);
}

static void fact(struct buf *out, bool color, const char *name, const json_t *o, const char *member)
{
    const char *text = json_text(o, member);

    if (*text) {
        job_view_fact(out, color, name, text);
    }
}

/* The lines around the place, escaped, with their numbers. */
static void add_snippet(const json_t *f, struct buf *out)
{
    const char *text = json_text(f, "snippet");
    int64_t line = json_number(f, "snippet_line", 0), hit = json_number(f, "line", 0);

    if (!*text) {
        return;
    }
    buf_addc(out, '\n');
    while (*text) {
        size_t n = strcspn(text, "\n");

        buf_addf(out, "%c %5" PRId64 "  ", line == hit ? '>' : ' ', line);
        buf_add_escaped(out, text, n);
        buf_addc(out, '\n');
        text += n + (text[n] == '\n');
        line++;
    }
}

void finding_facts(const json_t *f, bool color, struct buf *out)
{
    const json_t *triage = json_object_get(f, "triage");
    auto_buf place = {0};
    auto_buf engines = {0};

    buf_addf(&place, "%s:%" PRId64, json_text(f, "path"), json_number(f, "line", 0));
    engines_of(f, &engines);
    fact(out, color, "id", f, "id");
    fact(out, color, "title", f, "title");
    fact(out, color, "severity", f, "severity");
    fact(out, color, "rule", f, "rule");
    job_view_fact(out, color, "place", place.data);
    fact(out, color, "function", f, "function");
    fact(out, color, "repository", f, "repository");
    fact(out, color, "branch", f, "branch");
    fact(out, color, "state", f, "state");
    fact(out, color, "first seen", f, "first_seen_at");
    fact(out, color, "last seen", f, "last_seen_at");
    job_view_fact(out, color, "engines", engines.data ? engines.data : "");
    fact(out, color, "triage", triage, "state");
    fact(out, color, "reason", triage, "reason");
    fact(out, color, "until", triage, "until");
    fact(out, color, "message", f, "message");
    fact(out, color, "what to do", f, "recommendation");
    fact(out, color, "secret", f, "secret");
    add_snippet(f, out);
}
