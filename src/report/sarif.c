/*
 * SARIF 2.1.0, as code scanning of GitHub and DefectDojo take it (docs/findings.md, "exports").
 *
 * Results are written as they come; what they used (rules, CWEs) is known at their end and stands
 * behind them, so that a file of any size takes the memory of one result. More results than GitHub
 * takes in a run go on in another one, with a category of its own.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/facts.h"
#include "report/finding_formats.h"
#include "report/sarif_inside.h"

static void *sarif_new(const struct job *job, const struct repo_scan *scan, struct buf *out)
{
    struct sarif *w = xcalloc(1, sizeof *w);

    w->job = job;
    w->scan = scan;
    w->out = out;
    w->record = facts_json(job->run_json);
    return w;
}

static void sarif_done(void *arg)
{
    struct sarif *w = arg;

    json_decref(w->record);
    buf_done(&w->scratch);
    free(w);
}

static void begin_run(struct sarif *w)
{
    w->part++;
    w->n_rules = w->n_cwes = 0;
    w->results = 0;
    json_obj(&w->j);
    json_arr_in(&w->j, "results");
}

/* Without its scheme it would be a place on this machine; only names that all can resolve. */
static bool is_url(const char *s)
{
    return str_starts(s, "https://") || str_starts(s, "ssh://");
}

static void add_origin(struct sarif *w)
{
    struct json *j = &w->j;
    const struct repo_scan *s = w->scan;

    json_obj_in(j, "originalUriBaseIds");
    json_obj_in(j, "%SRCROOT%");
    json_obj_in(j, "description");
    json_str(j, "text", "The root of the repository.");
    json_end(j);
    json_end(j);
    json_end(j);
    if (!is_url(s->url)) {
        return;
    }
    json_arr_in(j, "versionControlProvenance");
    json_obj(j);
    json_str(j, "repositoryUri", s->url);
    if (s->commit) {
        json_str(j, "revisionId", s->commit);
    }
    if (*s->branch) {
        json_str(j, "branch", s->branch);
    }
    json_obj_in(j, "mappedTo");
    json_str(j, "uriBaseId", "%SRCROOT%");
    json_end(j);
    json_end(j);
    json_end(j);
}

/* GitHub: category, a slash, the run. Parts and sub-directories are categories of their own, else
 * one would close the alerts of the other. */
static void add_automation(struct sarif *w)
{
    struct json *j = &w->j;
    char id[ID_TEXT + 1];

    id_text(&w->job->id, id);
    buf_reset(&w->scratch);
    buf_adds(&w->scratch, "scanpod");
    if (w->part > 1) {
        buf_addf(&w->scratch, "-%d", w->part);
    }
    if (*w->scan->subdir) {
        buf_addf(&w->scratch, "/%s", w->scan->subdir);
    }
    buf_addf(&w->scratch, "/%s", id);
    json_obj_in(j, "automationDetails");
    json_str(j, "id", w->scratch.data);
    json_end(j);
}

static void add_properties(struct sarif *w)
{
    struct json *j = &w->j;
    const char *assessment = json_string_value(json_object_get(w->record, "assessment"));

    json_obj_in(j, "properties");
    json_str(j, "assessment", assessment ? assessment : "failed");
    json_str(j, "riskLevel", w->scan->level);
    json_num(j, "riskScore", w->scan->score_x10 / 10.0, 1);
    json_int(j, "part", w->part);
    json_end(j);
}

static void end_run(struct sarif *w, bool last)
{
    json_end(&w->j);
    sarif_tool(w);
    sarif_taxonomies(w);
    sarif_invocations(w, last);
    add_automation(w);
    add_origin(w);
    json_str(&w->j, "columnKind", "unicodeCodePoints");
    add_properties(w);
    json_end(&w->j);
}

static int sarif_begin(void *arg, struct err *e)
{
    struct sarif *w = arg;

    (void)e;
    w->j = json_to(w->out);
    json_obj(&w->j);
    json_str(&w->j, "$schema", "https://json.schemastore.org/sarif-2.1.0.json");
    json_str(&w->j, "version", "2.1.0");
    json_arr_in(&w->j, "runs");
    begin_run(w);
    return 0;
}

static int sarif_row(void *arg, const struct finding_row *row, struct err *e)
{
    struct sarif *w = arg;

    (void)e;
    /* Whoever reads the file takes each result for one that is there. */
    if (row->life == LIFE_FIXED) {
        return 0;
    }
    if (w->results == SARIF_RESULTS && w->part == SARIF_RUNS) {
        w->left_out++;
        return 0;
    }
    if (w->results == SARIF_RESULTS) {
        end_run(w, false);
        begin_run(w);
    }
    w->results++;
    w->all++;
    buf_addc(w->out, '\n');
    sarif_result(w, row);
    return 0;
}

static int sarif_end(void *arg, struct err *e)
{
    struct sarif *w = arg;

    (void)e;
    end_run(w, true);
    json_end(&w->j);
    json_end(&w->j);
    buf_addc(w->out, '\n');
    return 0;
}

const struct findings_format findings_sarif = {
    .name = "sarif",
    .media_type = "application/sarif+json",
    .suffix = ".sarif",
    .help = "SARIF 2.1.0, for code scanning and dashboards",
    .new = sarif_new,
    .begin = sarif_begin,
    .row = sarif_row,
    .end = sarif_end,
    .done = sarif_done,
};
