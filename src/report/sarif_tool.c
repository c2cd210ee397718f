/* What a run used: rules, which are our classes, engines as extensions, CWEs as a taxonomy. */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "report/finding_facts.h"
#include "report/sarif_inside.h"
#include "version.h"

/* ---- what results use ---- */

static int rule_at(struct sarif *w, const char *name)
{
    for (int i = 0; i < w->n_rules; i++) {
        if (str_eq(w->rules[i].name, name)) {
            return i;
        }
    }
    /* The last row is kept for "other". */
    if (w->n_rules == SARIF_RULES || (w->n_rules == SARIF_RULES - 1 && !str_eq(name, "other")) ||
        strlen(name) >= sizeof w->rules[0].name) {
        return rule_at(w, "other");
    }
    w->rules[w->n_rules] = (struct sarif_rule){.worst = SEVERITY_INFO};
    memcpy(w->rules[w->n_rules].name, name, strlen(name) + 1);
    return w->n_rules++;
}

int sarif_rule_use(struct sarif *w, const struct finding *f)
{
    int i = rule_at(w, f->rule);
    struct sarif_rule *r = &w->rules[i];

    r->worst = MAX(r->worst, f->severity);
    r->results++;
    r->confidence_x100 += f->confidence_x100;
    return i;
}

void sarif_cwe_use(struct sarif *w, int32_t cwe)
{
    int at = 0;

    while (at < w->n_cwes && w->cwes[at] < cwe) {
        at++;
    }
    if ((at < w->n_cwes && w->cwes[at] == cwe) || w->n_cwes == SARIF_CWES) {
        return;
    }
    memmove(&w->cwes[at + 1], &w->cwes[at], (size_t)(w->n_cwes - at) * sizeof w->cwes[0]);
    w->cwes[at] = cwe;
    w->n_cwes++;
}

/* ---- rules ---- */

static void put_text(struct json *j, const char *key, const char *text)
{
    json_obj_in(j, key);
    json_str(j, "text", text);
    json_end(j);
}

/* "command-injection" is CommandInjection. */
static void put_name(struct json *j, const char *name, struct buf *scratch)
{
    bool up = true;

    buf_reset(scratch);
    for (; *name; name++) {
        if (*name != '-') {
            buf_addc(scratch, (char)(up ? toupper((unsigned char)*name) : *name));
        }
        up = *name == '-';
    }
    json_strn(j, "name", scratch->data, scratch->len);
}

static void put_relationships(struct json *j, int32_t cwe)
{
    char id[16];

    if (cwe == 0) {
        return;
    }
    snprintf(id, sizeof id, "CWE-%" PRId32, cwe);
    json_arr_in(j, "relationships");
    json_obj(j);
    json_obj_in(j, "target");
    json_str(j, "id", id);
    json_obj_in(j, "toolComponent");
    json_str(j, "name", "CWE");
    json_int(j, "index", 0);
    json_end(j);
    json_end(j);
    json_arr_in(j, "kinds");
    json_str(j, NULL, "superset");
    json_end(j);
    json_end(j);
    json_end(j);
}

static const char *precision_of(const struct sarif_rule *r)
{
    int64_t mean = r->results ? r->confidence_x100 / r->results : 0;

    return mean >= 90 ? "very-high" : mean >= 70 ? "high" : mean >= 40 ? "medium" : "low";
}

/* GitHub and DefectDojo take a result's severity from its rule: the worst of them, so that none is
 * shown as less than it is. Nothing for info: then the level counts. */
static void put_rule_properties(struct json *j, const struct sarif_rule *r,
                                const struct weakness *c)
{
    static const char *const scores[SEVERITIES] = {NULL, "2.5", "5.5", "8.0", "9.5"};
    char tag[32];

    json_obj_in(j, "properties");
    json_arr_in(j, "tags");
    json_str(j, NULL, "security");
    if (c->cwe) {
        snprintf(tag, sizeof tag, "external/cwe/cwe-%03" PRId32, c->cwe);
        json_str(j, NULL, tag);
    }
    json_end(j);
    json_str(j, "precision", precision_of(r));
    if (scores[r->worst]) {
        json_str(j, "security-severity", scores[r->worst]);
    }
    json_str(j, "category", c->category);
    json_end(j);
}

static void put_rule(struct sarif *w, const struct sarif_rule *r)
{
    const struct weakness *c = weakness_find(r->name);
    struct json *j = &w->j;

    c = c ? c : weakness_find("other");
    if (c->cwe) {
        sarif_cwe_use(w, c->cwe);
    }
    buf_addc(w->out, '\n');
    json_obj(j);
    json_str(j, "id", r->name);
    put_name(j, r->name, &w->scratch);
    put_text(j, "shortDescription", c->title);
    put_text(j, "fullDescription", c->description);
    put_text(j, "help", c->help);
    json_obj_in(j, "defaultConfiguration");
    json_str(j, "level", sarif_level_word(r->worst));
    json_end(j);
    put_relationships(j, c->cwe);
    put_rule_properties(j, r, c);
    json_end(j);
}

/* ---- the tool ---- */

static void put_notifications(struct json *j)
{
    static const struct {
        const char *id, *text;
    } kinds[] = {
        {"scan-failed", "The scan ended before its time."},
        {"engine-failed", "An engine failed, or was stopped at its limit: what it found counts, "
                          "what it did not find says nothing."},
        {"engine-skipped", "An engine did not run."},
        {"files-missed", "An engine could not read files that it should have looked at."},
        {"files-skipped", "Files were left out of the scan."},
        {"results-split", "There are more results than a run may have."},
        {"note", "Something else about the scan."},
    };

    json_arr_in(j, "notifications");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        json_obj(j);
        json_str(j, "id", kinds[i].id);
        put_text(j, "shortDescription", kinds[i].text);
        json_end(j);
    }
    json_end(j);
}

static void put_extensions(struct json *j, const json_t *engines)
{
    const json_t *v;
    size_t i;

    if (json_array_size(engines) == 0) {
        return;
    }
    json_arr_in(j, "extensions");
    json_array_foreach(engines, i, v)
    {
        struct finding_engine_run r;

        if (i == 100) { /* GitHub takes no more */
            break;
        }
        finding_engine_run(v, &r);
        json_obj(j);
        json_str(j, "name", r.name);
        if (r.version && *r.version) {
            json_str(j, "version", r.version);
        }
        json_obj_in(j, "properties");
        json_str(j, "status", r.status);
        json_int(j, "findings", r.findings);
        json_int(j, "files", r.files);
        json_int(j, "missed", r.missed);
        json_end(j);
        json_end(j);
    }
    json_end(j);
}

void sarif_tool(struct sarif *w)
{
    struct json *j = &w->j;

    json_obj_in(j, "tool");
    json_obj_in(j, "driver");
    json_str(j, "name", "ScanPod");
    json_str(j, "version", SCANPOD_VERSION);
    json_str(j, "semanticVersion", SCANPOD_VERSION);
    json_arr_in(j, "rules");
    for (int i = 0; i < w->n_rules; i++) {
        put_rule(w, &w->rules[i]);
    }
    json_end(j);
    put_notifications(j);
    json_arr_in(j, "supportedTaxonomies");
    json_obj(j);
    json_str(j, "name", "CWE");
    json_int(j, "index", 0);
    json_end(j);
    json_end(j);
    json_end(j);
    put_extensions(j, json_object_get(w->record, "engines"));
    json_end(j);
}

void sarif_taxonomies(struct sarif *w)
{
    struct json *j = &w->j;
    char id[16];

    json_arr_in(j, "taxonomies");
    json_obj(j);
    json_str(j, "name", "CWE");
    json_str(j, "organization", "MITRE");
    put_text(j, "shortDescription", "The MITRE Common Weakness Enumeration");
    json_str(j, "informationUri", "https://cwe.mitre.org/");
    json_bool(j, "isComprehensive", false);
    json_arr_in(j, "taxa");
    for (int i = 0; i < w->n_cwes; i++) {
        const char *name = cwe_name(w->cwes[i]);

        snprintf(id, sizeof id, "CWE-%" PRId32, w->cwes[i]);
        json_obj(j);
        json_str(j, "id", id);
        if (name) {
            put_text(j, "shortDescription", name);
        }
        json_end(j);
    }
    json_end(j);
    json_end(j);
    json_end(j);
}
