#include "model/finding.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

static const char *const severities[SEVERITIES] = {"info", "low", "medium", "high", "critical"};
static const char *const lives[LIFES] = {"new",      "unchanged", "updated",
                                         "reopened", "fixed",     "unknown"};
static const char *const triages[TRIAGES] = {"open", "acknowledged", "false_positive",
                                             "accepted_risk"};

static int word_at(const char *const *words, int n, const char *s)
{
    for (int i = 0; i < n; i++) {
        if (str_eq(words[i], s)) {
            return i;
        }
    }
    return -1;
}

const char *severity_name(enum severity s)
{
    return severities[s];
}

bool severity_parse(const char *s, enum severity *out)
{
    int i = word_at(severities, SEVERITIES, s);

    if (i >= 0) {
        *out = (enum severity)i;
    }
    return i >= 0;
}

const char *finding_life_name(enum finding_life l)
{
    return lives[l];
}

bool finding_life_parse(const char *s, enum finding_life *out)
{
    int i = word_at(lives, LIFES, s);

    if (i >= 0) {
        *out = (enum finding_life)i;
    }
    return i >= 0;
}

const char *triage_name(enum triage t)
{
    return triages[t];
}

bool triage_parse(const char *s, enum triage *out)
{
    int i = word_at(triages, TRIAGES, s);

    if (i >= 0) {
        *out = (enum triage)i;
    }
    return i >= 0;
}

/* ---- what a finding may be ---- */

static bool part_ok(const char *part, size_t n)
{
    return n > 0 && !(n == 1 && part[0] == '.') && !(n == 2 && part[0] == '.' && part[1] == '.');
}

bool finding_path_ok(const char *path)
{
    size_t n = strlen(path);

    if (n == 0 || n > FINDING_PATH_MAX || !utf8_valid(path, n)) {
        return false;
    }
    for (const char *p = path; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            return false;
        }
    }
    for (const char *p = path;; p++) {
        size_t len = strcspn(p, "/");

        if (!part_ok(p, len)) {
            return false;
        }
        p += len;
        if (!*p) {
            return true;
        }
    }
}

static int check_text(const char *name, const char *s, size_t max, struct err *e)
{
    size_t n = s ? strlen(s) : 0;

    if (n > max) {
        return err_set(e, ERR_INVALID, "%s of a finding is longer than %zu bytes", name, max);
    }
    return s && !utf8_valid(s, n) ? err_set(e, ERR_INVALID, "%s of a finding is not UTF-8", name)
                                  : 0;
}

static int check_place(const char *name, const struct finding_place *p, struct err *e)
{
    if (!p->path || !finding_path_ok(p->path)) {
        return err_set(e, ERR_INVALID, "%s of a finding has no path inside of the tree", name);
    }
    if (p->line < 0 || p->column < 0 || p->end_line < 0 || p->end_column < 0 ||
        (p->end_line && p->end_line < p->line)) {
        return err_set(e, ERR_INVALID, "%s of a finding has no lines that can be", name);
    }
    return check_text("message", p->message, FINDING_TEXT_MAX, e);
}

static bool is_class(const char *s)
{
    size_t n = s ? strlen(s) : 0;

    return n > 0 && n <= 64 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == n;
}

static int check_texts(const struct finding *f, struct err *e)
{
    const struct {
        const char *name, *text;
        size_t max;
    } texts[] = {
        {"title", f->title, 255},
        {"message", f->message, FINDING_TEXT_MAX},
        {"recommendation", f->recommendation, FINDING_TEXT_MAX},
        {"function", f->function, 512},
        {"line", f->line, FINDING_LINE_MAX},
        {"snippet", f->snippet, FINDING_SNIPPET_MAX},
        {"quote", f->quote, FINDING_SNIPPET_MAX},
        {"marked", f->marked, 128},
        {"secret", f->secret, 255},
    };
    int rc = 0;

    for (size_t i = 0; i < ARRAY_LEN(texts) && rc == 0; i++) {
        rc = check_text(texts[i].name, texts[i].text, texts[i].max, e);
    }
    return rc;
}

static int check_lists(const struct finding *f, struct err *e)
{
    int rc = 0;

    if (f->n_cwe > FINDING_CWES || f->n_engines > FINDING_ENGINES ||
        f->n_related > FINDING_RELATED) {
        return err_set(e, ERR_INVALID, "a list of a finding is too long");
    }
    for (uint32_t i = 0; i < f->n_cwe; i++) {
        if (f->cwe[i] < 1 || f->cwe[i] > 99999) {
            return err_set(e, ERR_INVALID, "CWE-%d of a finding is none", f->cwe[i]);
        }
    }
    for (uint32_t i = 0; i < f->n_related && rc == 0; i++) {
        rc = check_place("a related place", &f->related[i], e);
    }
    for (uint32_t i = 0; i < f->n_engines && rc == 0; i++) {
        const struct finding_engine *en = &f->engines[i];

        if (!en->name || en->confidence_x100 < 0 || en->confidence_x100 > 100) {
            return err_set(e, ERR_INVALID, "an engine of a finding is not complete");
        }
        rc = check_text("engine", en->name, 64, e);
        rc = rc ? rc : check_text("engine version", en->version, 128, e);
        rc = rc ? rc : check_text("engine rule", en->rule, 255, e);
        rc = rc ? rc : check_text("engine severity", en->severity, 64, e);
    }
    return rc;
}

int finding_check(const struct finding *f, struct err *e)
{
    int rc;

    if (!is_class(f->rule) || !f->title || !*f->title) {
        return err_set(e, ERR_INVALID, "a finding has no class or no title");
    }
    if (f->severity < 0 || f->severity >= SEVERITIES || f->confidence_x100 < 0 ||
        f->confidence_x100 > 100 || f->snippet_line < 0) {
        return err_set(e, ERR_INVALID, "a number of a finding is out of range");
    }
    rc = check_place("the place", &f->at, e);
    rc = rc ? rc : check_texts(f, e);
    return rc ? rc : check_lists(f, e);
}
