/* One result becomes one finding: the first location is its place, the others are related. */
#include <string.h>

#include "base/mem.h"
#include "parse/sarif.h"

enum { TITLE_MAX = 255, FLOWS_MAX = 64 };

/* ---- places ---- */

static int32_t positive(const json_t *o, const char *name)
{
    int32_t n = sarif_number(o, name);

    return n > 0 ? n : 0;
}

/* SARIF's end column is the first behind; ours the last one inside. */
static void region(const json_t *o, struct finding_place *at)
{
    int32_t end = positive(o, "endColumn");

    at->line = positive(o, "startLine");
    if (at->line == 0) {
        return; /* of bytes, or of characters: without the file that is no line */
    }
    at->column = positive(o, "startColumn");
    at->end_line = positive(o, "endLine");
    if (at->end_line < at->line) {
        at->end_line = at->end_line == 0 && end > at->column ? at->line : 0;
    }
    if (at->end_line && end > 1) {
        at->end_column = at->end_line > at->line || end > at->column ? end - 1 : 0;
    }
}

/* at->path NULL: it is in no file. False: not in the tree. */
static bool place(const struct sarif_run *r, const json_t *location, struct finding_place *at)
{
    const json_t *physical = sarif_object(location, "physicalLocation");
    bool inside = false;

    *at = (struct finding_place){0};
    at->path = sarif_path(r, sarif_object(physical, "artifactLocation"), &inside);
    if (at->path) {
        region(sarif_object(physical, "region"), at);
    }
    return at->path && inside;
}

static void add_related(const struct sarif_run *r, const json_t *location, struct finding *f)
{
    struct finding_place at;

    if (f->n_related == FINDING_RELATED) {
        return;
    }
    place(r, location, &at);
    if (at.path) {
        at.message = sarif_message(r, sarif_object(location, "message"), NULL, FINDING_TEXT_MAX);
        f->related[f->n_related++] = at;
    }
}

/* What led there, step by step. */
static void add_flows(const struct sarif_run *r, const json_t *result, struct finding *f)
{
    size_t i, k, m;
    const json_t *flow, *thread, *step;

    json_array_foreach(sarif_array(result, "codeFlows"), i, flow)
    {
        json_array_foreach(sarif_array(flow, "threadFlows"), k, thread)
        {
            json_array_foreach(sarif_array(thread, "locations"), m, step)
            {
                if (f->n_related == FINDING_RELATED || i + k + m > FLOWS_MAX) {
                    return;
                }
                add_related(r, sarif_object(step, "location"), f);
            }
        }
    }
}

static void places(const struct sarif_run *r, const json_t *result, struct finding *f)
{
    const json_t *locations = sarif_array(result, "locations");
    const json_t *logical;
    size_t i;
    const json_t *o;

    f->verified = place(r, json_array_get(locations, 0), &f->at);
    if (!f->at.path) {
        f->at.path = sarif_path(r, sarif_object(result, "analysisTarget"), &f->verified);
    }
    if (!f->at.path) {
        f->at = (struct finding_place){.path = SARIF_NO_PATH};
        f->verified = false;
    }
    logical = json_array_get(sarif_array(json_array_get(locations, 0), "logicalLocations"), 0);
    f->function = sarif_string(logical, "fullyQualifiedName");
    f->function =
        sarif_cut(r->arena, f->function ? f->function : sarif_string(logical, "name"), 512, true);
    for (i = 1; i < json_array_size(locations); i++) {
        add_related(r, json_array_get(locations, i), f);
    }
    json_array_foreach(sarif_array(result, "relatedLocations"), i, o)
    {
        add_related(r, o, f);
    }
    add_flows(r, result, f);
}

/* ---- text ---- */

static const char *title(const struct sarif_run *r, const json_t *rule, const char *message)
{
    const char *s = sarif_text(rule, "shortDescription");
    size_t n;

    s = s ? s : sarif_string(rule, "name");
    if (s) {
        return sarif_fold(r->arena, s, strlen(s), TITLE_MAX);
    }
    if (!message) {
        return NULL;
    }
    n = strcspn(message, "\n");
    for (const char *dot = message; (dot = memmem(dot, n - (size_t)(dot - message), ". ", 2));
         dot++) {
        if (dot - message > 20) { /* the first sentence, but no "e. g. " */
            n = (size_t)(dot - message);
            break;
        }
    }
    return sarif_fold(r->arena, message, n, TITLE_MAX);
}

static const char *recommendation(const struct sarif_run *r, const json_t *result,
                                  const json_t *rule)
{
    const json_t *fix = json_array_get(sarif_array(result, "fixes"), 0);
    const char *text = sarif_message(r, sarif_object(fix, "description"), rule, FINDING_TEXT_MAX);

    return text ? text : sarif_cut(r->arena, sarif_text(rule, "help"), FINDING_TEXT_MAX, false);
}

/* What stands there. Of a secret nothing is kept. */
static void excerpts(const struct sarif_run *r, const json_t *result, struct finding *f)
{
    const json_t *physical =
        sarif_object(json_array_get(sarif_array(result, "locations"), 0), "physicalLocation");
    const json_t *context = sarif_object(physical, "contextRegion");
    const char *own = sarif_text(sarif_object(physical, "region"), "snippet");
    const char *around = sarif_text(context, "snippet");

    if (str_eq(f->rule, "hardcoded-secret")) {
        f->secret = f->engines[0].rule ? f->engines[0].rule : "secret";
        return;
    }
    if (own && f->at.line) {
        size_t n = strcspn(own, "\r\n");

        f->line = sarif_fold(r->arena, own, n, FINDING_LINE_MAX);
        f->quote = strlen(own) <= FINDING_SNIPPET_MAX ? own : NULL;
    }
    f->snippet = sarif_cut(r->arena, around ? around : own, FINDING_SNIPPET_MAX, false);
    if (f->snippet) {
        f->snippet_line = around ? positive(context, "startLine") : f->at.line;
    }
}

/* ---- state ---- */

/* Suppressed where at least one suppression is in force. */
static const char *marked(const struct sarif_run *r, const json_t *result)
{
    size_t i;
    const json_t *o;

    json_array_foreach(sarif_array(result, "suppressions"), i, o)
    {
        const char *status = sarif_string(o, "status");
        const char *reason = sarif_string(o, "justification");
        auto_free char *text = NULL;

        if (status && !str_eq(status, "accepted")) {
            continue;
        }
        text = str_fmt("%s%s%s",
                       str_eq(sarif_string(o, "kind"), "inSource") ? "suppressed in source"
                                                                   : "suppressed",
                       reason ? ": " : "", reason ? reason : "");
        return sarif_cut(r->arena, text, 128, true);
    }
    return NULL;
}

static bool counts(const json_t *result)
{
    const char *kind = sarif_string(result, "kind");

    return (!kind || str_eq(kind, "fail")) &&
           !str_eq(sarif_string(result, "baselineState"), "absent");
}

static void github_hash(const json_t *result, struct finding *f)
{
    const char *s =
        sarif_string(sarif_object(result, "partialFingerprints"), "primaryLocationLineHash");
    size_t n = s ? strlen(s) : 0;

    if (n > 0 && n < sizeof f->identity.github && strspn(s, "0123456789abcdef:") == n) {
        memcpy(f->identity.github, s, n + 1);
    }
}

bool sarif_finding(const struct sarif_run *r, const json_t *result, struct finding *out)
{
    const json_t *rule = sarif_rule(r, result);
    struct finding f = {0};

    if (!counts(result)) {
        return false;
    }
    f.message = sarif_message(r, sarif_object(result, "message"), rule, FINDING_TEXT_MAX);
    f.title = title(r, rule, f.message);
    f.recommendation = recommendation(r, result, rule);
    places(r, result, &f);
    sarif_cwes(r, result, rule, &f);
    sarif_classify(r, result, rule, &f);
    f.marked = marked(r, result);
    excerpts(r, result, &f);
    github_hash(result, &f);
    *out = f;
    return true;
}
