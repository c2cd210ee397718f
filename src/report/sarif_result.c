/* One result. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "report/finding_facts.h"
#include "report/sarif_inside.h"

const char *sarif_level_word(enum severity s)
{
    return s >= SEVERITY_HIGH ? "error" : s == SEVERITY_MEDIUM ? "warning" : "note";
}

/* ---- places ---- */

/* A relative reference (RFC 3986): everything else would be read as a part of an URL. */
static void add_uri(struct buf *b, const char *path)
{
    static const char digits[] = "0123456789ABCDEF";

    for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
        bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= '0' && *p <= '9') || strchr("-._~/", *p);

        if (plain) {
            buf_addc(b, (char)*p);
        } else {
            buf_addc(b, '%');
            buf_addc(b, digits[*p >> 4]);
            buf_addc(b, digits[*p & 15]);
        }
    }
}

/* The last line that the region covers. */
static int32_t add_region(struct json *j, const struct finding_place *p)
{
    int32_t last = p->end_line > p->line ? p->end_line : 0;
    int32_t end_column = p->end_column;

    /* SARIF's end is the character behind. */
    if (p->column == 0 || (last == 0 && end_column < p->column) || end_column == INT32_MAX) {
        end_column = 0;
    }
    json_int(j, "startLine", p->line);
    if (p->column > 0) {
        json_int(j, "startColumn", p->column);
    }
    if (last > 0) {
        json_int(j, "endLine", last);
    }
    if (end_column > 0) {
        json_int(j, "endColumn", end_column + 1);
    }
    return MAX(p->line, last);
}

static void add_snippet(struct json *j, const char *text)
{
    json_obj_in(j, "snippet");
    json_str(j, "text", text);
    json_end(j);
}

static int32_t lines_of(const char *text)
{
    int32_t n = 0;

    for (; *text; text++) {
        n += *text == '\n' || text[1] == '\0';
    }
    return n;
}

/* Only where it says more than the region itself: that is a rule of SARIF. */
static void add_context(struct json *j, const struct finding *f, int32_t last)
{
    int64_t first = f->snippet_line, end = MAX(first + lines_of(f->snippet) - 1, last);

    json_obj_in(j, "contextRegion");
    json_int(j, "startLine", first);
    json_int(j, "endLine", end);
    add_snippet(j, f->snippet);
    json_end(j);
}

void sarif_location(struct sarif *w, const struct finding_place *p, const struct finding *f)
{
    struct json *j = &w->j;
    bool shown = f && f->snippet && *f->snippet && f->snippet_line > 0 && p->line > 0;
    bool alone = shown && p->column == 0 && f->snippet_line == p->line &&
                 lines_of(f->snippet) <= MAX(p->end_line - p->line, 0) + 1;
    int32_t last = p->line;

    buf_reset(&w->scratch);
    add_uri(&w->scratch, p->path);
    json_obj_in(j, "physicalLocation");
    json_obj_in(j, "artifactLocation");
    json_strn(j, "uri", w->scratch.data, w->scratch.len);
    json_str(j, "uriBaseId", "%SRCROOT%");
    json_end(j);
    json_obj_in(j, "region");
    if (p->line > 0) {
        last = add_region(j, p);
    } else {
        json_int(j, "startLine", 1); /* GitHub shows no result without a line */
    }
    if (alone) {
        add_snippet(j, f->snippet);
    }
    json_end(j);
    if (shown && !alone) {
        add_context(j, f, last);
    }
    json_end(j);
}

/* ---- text ---- */

/* "[text](target)" would be a link in a viewer: hostile text gets none. */
static void add_plain(struct buf *b, const char *s)
{
    for (;;) {
        const char *hit = strstr(s, "](");

        if (!hit) {
            buf_adds(b, s);
            return;
        }
        buf_add(b, s, (size_t)(hit - s) + 1);
        buf_addc(b, ' ');
        s = hit + 1;
    }
}

static void add_message(struct sarif *w, const struct finding *f)
{
    struct buf *b = &w->scratch;
    size_t n = strlen(f->title);

    buf_reset(b);
    if (!f->message || !*f->message) {
        add_plain(b, f->title);
    } else if (strncmp(f->message, f->title, n) == 0) {
        add_plain(b, f->message);
    } else {
        add_plain(b, f->title);
        buf_adds(b, n > 0 && f->title[n - 1] == '.' ? " " : ": ");
        add_plain(b, f->message);
    }
    json_obj_in(&w->j, "message");
    json_strn(&w->j, "text", b->data ? b->data : "", b->len);
    json_end(&w->j);
}

/* ---- the rest ---- */

static void add_locations(struct sarif *w, const struct finding *f)
{
    struct json *j = &w->j;

    json_arr_in(j, "locations");
    json_obj(j);
    sarif_location(w, &f->at, f);
    if (f->function) {
        json_arr_in(j, "logicalLocations");
        json_obj(j);
        json_str(j, "fullyQualifiedName", f->function);
        json_str(j, "kind", "function");
        json_end(j);
        json_end(j);
    }
    json_end(j);
    json_end(j);
    if (f->n_related == 0) {
        return;
    }
    json_arr_in(j, "relatedLocations");
    for (uint32_t i = 0; i < f->n_related; i++) {
        json_obj(j);
        json_int(j, "id", i + 1);
        sarif_location(w, &f->related[i], NULL);
        if (f->related[i].message) {
            buf_reset(&w->scratch);
            add_plain(&w->scratch, f->related[i].message);
            json_obj_in(j, "message");
            json_strn(j, "text", w->scratch.data ? w->scratch.data : "", w->scratch.len);
            json_end(j);
        }
        json_end(j);
    }
    json_end(j);
}

/* DefectDojo takes the first of `fingerprints`; where there are none, all of the partial ones. */
static void add_fingerprints(struct json *j, const struct finding_identity *id)
{
    if (id->primary[0]) {
        json_obj_in(j, "fingerprints");
        json_str(j, "scanpodFinding/v1", id->primary);
        json_end(j);
    }
    if (!id->github[0] && !id->around[0]) {
        return;
    }
    json_obj_in(j, "partialFingerprints");
    if (id->github[0]) {
        json_str(j, "primaryLocationLineHash", id->github);
    }
    if (id->around[0]) {
        json_str(j, "scanpodContext/v1", id->around);
    }
    json_end(j);
}

static const char *baseline_of(enum finding_life l)
{
    switch (l) {
    case LIFE_UNCHANGED:
    case LIFE_UNKNOWN: /* nobody looked: it is not gone */
        return "unchanged";
    case LIFE_UPDATED:
        return "updated";
    case LIFE_FIXED:
        return "absent";
    default:
        return "new";
    }
}

/*
 * Only what people set aside. Marks in the source are told as a property: readers take any
 * suppression, whatever its status, for a decision, and the repository must not decide.
 */
static void add_suppressions(struct sarif *w, const struct finding_row *row)
{
    struct json *j = &w->j;

    buf_reset(&w->scratch);
    finding_triage_text(row, &w->scratch);
    if (w->scratch.len == 0) {
        return;
    }
    json_arr_in(j, "suppressions");
    json_obj(j);
    json_str(j, "kind", "external");
    json_str(j, "status", "accepted");
    json_strn(j, "justification", w->scratch.data, w->scratch.len);
    json_end(j);
    json_end(j);
}

static void add_taxa(struct sarif *w, const struct finding *f)
{
    struct json *j = &w->j;
    char id[16];

    if (f->n_cwe == 0) {
        return;
    }
    json_arr_in(j, "taxa");
    /* DefectDojo keeps the last one: the class's own. */
    for (uint32_t i = f->n_cwe; i-- > 0;) {
        sarif_cwe_use(w, f->cwe[i]);
        snprintf(id, sizeof id, "CWE-%" PRId32, f->cwe[i]);
        json_obj(j);
        json_str(j, "id", id);
        json_obj_in(j, "toolComponent");
        json_str(j, "name", "CWE");
        json_int(j, "index", 0);
        json_end(j);
        json_end(j);
    }
    json_end(j);
}

static void add_engines(struct json *j, const struct finding *f)
{
    json_arr_in(j, "engines");
    for (uint32_t i = 0; i < f->n_engines; i++) {
        const struct finding_engine *en = &f->engines[i];

        json_obj(j);
        json_str(j, "name", en->name);
        if (en->rule) {
            json_str(j, "rule", en->rule);
        }
        if (en->severity) {
            json_str(j, "severity", en->severity);
        }
        json_num(j, "confidence", en->confidence_x100 / 100.0, 2);
        json_end(j);
    }
    json_end(j);
}

static void put_text(struct json *j, const char *key, const char *s)
{
    if (s && *s) {
        json_str(j, key, s);
    }
}

static void add_properties(struct sarif *w, const struct finding_row *row)
{
    const struct finding *f = row->f;
    struct json *j = &w->j;
    char text[32];

    json_obj_in(j, "properties");
    json_str(j, "severity", severity_name(f->severity));
    json_num(j, "confidence", f->confidence_x100 / 100.0, 2);
    json_str(j, "state", finding_life_name(row->life));
    json_bool(j, "verified", f->verified);
    if (f->n_cwe > 0) {
        snprintf(text, sizeof text, "CWE-%" PRId32, f->cwe[0]);
        json_str(j, "cwe", text);
    }
    if (!id_is_zero(&row->issue)) {
        char id[ID_TEXT + 1];

        id_text(&row->issue, id);
        json_str(j, "issue", id);
    }
    add_engines(j, f);
    put_text(j, "recommendation", f->recommendation);
    put_text(j, "marked", f->marked);
    put_text(j, "secret", f->secret);
    if (row->triage.state != TRIAGE_NONE) {
        json_str(j, "triage", triage_name(row->triage.state));
    }
    json_end(j);
}

void sarif_result(struct sarif *w, const struct finding_row *row)
{
    const struct finding *f = row->f;
    struct json *j = &w->j;
    int rule = sarif_rule_use(w, f);

    json_obj(j);
    json_str(j, "ruleId", w->rules[rule].name);
    json_int(j, "ruleIndex", rule);
    json_str(j, "kind", "fail");
    json_str(j, "level", sarif_level_word(f->severity));
    add_message(w, f);
    add_locations(w, f);
    add_fingerprints(j, &f->identity);
    json_str(j, "baselineState", baseline_of(row->life));
    json_num(j, "rank", f->confidence_x100, 1);
    add_suppressions(w, row);
    add_taxa(w, f);
    add_properties(w, row);
    json_end(j);
}
