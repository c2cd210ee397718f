/*
 * What a result means: its CWEs, its class, how severe and how sure it is. Tools say that in many
 * places, or not at all.
 */
#include <ctype.h>
#include <string.h>

#include "assess/classes.h"
#include "base/mem.h"
#include "parse/sarif.h"

static void add_cwe(struct finding *f, int32_t cwe)
{
    for (uint32_t i = 0; i < f->n_cwe; i++) {
        if (f->cwe[i] == cwe) {
            return;
        }
    }
    if (cwe >= 1 && cwe <= 99999 && f->n_cwe < FINDING_CWES) {
        f->cwe[f->n_cwe++] = cwe;
    }
}

static int32_t number_at(const char *s)
{
    int32_t n = 0;

    for (; *s >= '0' && *s <= '9' && n < 100000; s++) {
        n = n * 10 + (*s - '0');
    }
    return n;
}

/* "CWE-79", "cwe_79", "external/cwe/cwe-079", "CWE: 79" anywhere in it. */
static void cwes_in_text(struct finding *f, const char *s)
{
    const char *at = s ? strcasestr(s, "cwe") : NULL;

    while (at) {
        at += 3;
        at += strspn(at, "-_ :");
        add_cwe(f, number_at(at));
        at = strcasestr(at, "cwe");
    }
}

/* Text, a number, or a list of them. */
static void cwes_in(struct finding *f, const json_t *v, bool bare_numbers)
{
    const char *s = json_string_value(v);
    size_t i;
    const json_t *one;

    cwes_in_text(f, s);
    if (bare_numbers && s && *s && strspn(s, "0123456789") == strlen(s)) {
        add_cwe(f, number_at(s));
    }
    if (bare_numbers && json_is_integer(v) && json_integer_value(v) <= 99999) {
        add_cwe(f, (int32_t)json_integer_value(v));
    }
    json_array_foreach(v, i, one)
    {
        if (!json_is_array(one)) {
            cwes_in(f, one, bare_numbers);
        }
    }
}

static bool of_cwe(const json_t *component)
{
    const char *name = sarif_string(component, "name");

    return name && strcasestr(name, "cwe");
}

/* A reference to a taxon: "CWE-401", or "401" of the taxonomy CWE, or its place there. */
static void cwe_of_taxon(const struct sarif_run *r, const json_t *reference, struct finding *f)
{
    const json_t *component = sarif_object(reference, "toolComponent");
    const char *id = sarif_string(reference, "id");
    int32_t taxonomy = sarif_number(component, "index");
    int32_t index = sarif_number(reference, "index");
    const json_t *of = taxonomy >= 0 ? json_array_get(r->taxonomies, (size_t)taxonomy) : NULL;

    if (!id && index >= 0) {
        id = sarif_string(json_array_get(sarif_array(of, "taxa"), (size_t)index), "id");
    }
    if (!id) {
        return;
    }
    if (isdigit((unsigned char)*id) && (of_cwe(component) || of_cwe(of))) {
        add_cwe(f, number_at(id));
    } else {
        cwes_in_text(f, id);
    }
}

static void cwes_of_properties(struct finding *f, const json_t *o)
{
    json_t *bag = json_object_get(o, "properties");
    const char *name;
    json_t *v;

    cwes_in(f, sarif_array(bag, "tags"), false);
    json_object_foreach(bag, name, v)
    {
        if (strncasecmp(name, "cwe", 3) == 0) {
            cwes_in(f, v, true);
        }
    }
}

void sarif_cwes(const struct sarif_run *r, const json_t *result, const json_t *rule,
                struct finding *f)
{
    size_t i;
    const json_t *o;

    json_array_foreach(sarif_array(result, "taxa"), i, o)
    {
        cwe_of_taxon(r, o, f);
    }
    json_array_foreach(sarif_array(rule, "relationships"), i, o)
    {
        cwe_of_taxon(r, sarif_object(o, "target"), f);
    }
    cwes_of_properties(f, result);
    cwes_of_properties(f, rule);
    if (f->n_cwe == 0) {
        cwes_in_text(f, sarif_rule_id(result, rule));
        cwes_in_text(f, sarif_text(rule, "shortDescription"));
        cwes_in_text(f, f->message);
    }
}

/* ---- class ---- */

/* Parts of rules' names, letters and digits only, most telling first. */
static const struct {
    const char *part, *class_;
} words[] = {
    {"sqlinject", "sql-injection"},
    {"sqli", "sql-injection"},
    {"commandinject", "command-injection"},
    {"commandline", "command-injection"},
    {"shellinject", "command-injection"},
    {"oscommand", "command-injection"},
    {"codeinject", "code-injection"},
    {"crosssitescripting", "cross-site-scripting"},
    {"xss", "cross-site-scripting"},
    {"crosssiterequest", "csrf"},
    {"csrf", "csrf"},
    {"pathtraversal", "path-traversal"},
    {"pathinject", "path-traversal"},
    {"taintedpath", "path-traversal"},
    {"zipslip", "path-traversal"},
    {"serversiderequest", "ssrf"},
    {"requestforgery", "ssrf"},
    {"ssrf", "ssrf"},
    {"openredirect", "open-redirect"},
    {"urlredirect", "open-redirect"},
    {"xmlexternal", "xxe"},
    {"xxe", "xxe"},
    {"deseriali", "unsafe-deserialization"},
    {"pickle", "unsafe-deserialization"},
    {"outofbounds", "out-of-bounds"},
    {"bufferover", "buffer-overflow"},
    {"formatstring", "format-string"},
    {"integeroverflow", "integer-overflow"},
    {"useafterfree", "use-after-free"},
    {"doublefree", "double-free"},
    {"nullpointer", "null-dereference"},
    {"nullderef", "null-dereference"},
    {"memoryleak", "memory-leak"},
    {"resourceleak", "memory-leak"},
    {"uninitiali", "uninitialized-memory"},
    {"racecondition", "race-condition"},
    {"toctou", "race-condition"},
    {"tempfile", "insecure-temporary-file"},
    {"temporaryfile", "insecure-temporary-file"},
    {"hardcoded", "hardcoded-secret"},
    {"privatekey", "hardcoded-secret"},
    {"apikey", "hardcoded-secret"},
    {"accesskey", "hardcoded-secret"},
    {"accesstoken", "hardcoded-secret"},
    {"secret", "hardcoded-secret"},
    {"password", "hardcoded-secret"},
    {"insecurerandom", "weak-random"},
    {"weakrandom", "weak-random"},
    {"weakhash", "weak-hash"},
    {"md5", "weak-hash"},
    {"sha1", "weak-hash"},
    {"certificate", "certificate-validation"},
    {"cleartext", "cleartext-transmission"},
    {"crypto", "weak-cryptography"},
    {"cipher", "weak-cryptography"},
    {"permission", "insecure-permissions"},
    {"eval", "code-injection"},
    {"redos", "resource-exhaustion"},
    {"denialofservice", "resource-exhaustion"},
    {"informationexposure", "information-exposure"},
    {"stacktrace", "information-exposure"},
    {"dockerfile", "container-misconfiguration"},
    {"cisdi", "container-misconfiguration"},
};

static void bare(const char *s, struct buf *out)
{
    for (; s && *s && out->len < 256; s++) {
        if (isalnum((unsigned char)*s)) {
            buf_addc(out, (char)tolower((unsigned char)*s));
        }
    }
    buf_addc(out, ' ');
}

static const char *class_by_words(const char *id, const char *name)
{
    auto_buf b = {0};

    bare(id, &b);
    bare(name, &b);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strstr(b.data, words[i].part)) {
            return words[i].class_;
        }
    }
    return NULL;
}

/* Somebody else's weakness, in what this depends on. */
static bool is_advisory(const char *id)
{
    static const char *const begins[] = {"CVE-",   "GHSA-", "BDSA-", "RUSTSEC-",
                                         "PYSEC-", "GO-",   "DSA-",  "SNYK-"};

    for (size_t i = 0; id && i < ARRAY_LEN(begins); i++) {
        if (strncasecmp(id, begins[i], strlen(begins[i])) == 0 &&
            strpbrk(id + strlen(begins[i]), "0123456789")) {
            return true;
        }
    }
    return false;
}

static const struct weakness *class_of(const struct finding *f, const char *id, const char *name)
{
    const struct weakness *w = id ? weakness_find(id) : NULL;
    const char *by_words;

    if (w) {
        return w;
    }
    if (is_advisory(id)) {
        return weakness_find("dependency-risk");
    }
    for (uint32_t i = 0; i < f->n_cwe; i++) {
        w = weakness_of_cwe(f->cwe[i]);
        if (!str_eq(w->name, "other")) {
            return w;
        }
    }
    by_words = class_by_words(id, name);
    w = by_words ? weakness_find(by_words) : NULL;
    return w ? w : weakness_find("other");
}

/* ---- severity and confidence ---- */

/* "8.8", or 8.8; -1: not said. */
static double score(const json_t *o)
{
    const json_t *v = json_object_get(sarif_object(o, "properties"), "security-severity");
    const char *s = json_string_value(v);
    char *end = NULL;
    double d = s ? strtod(s, &end) : json_is_number(v) ? json_number_value(v) : -1;

    return (s && (end == s || *end)) || !(d >= 0 && d <= 10) ? -1 : d;
}

static enum severity severity_of(const char *level, double d)
{
    if (d >= 0) {
        return d >= 9   ? SEVERITY_CRITICAL
               : d >= 7 ? SEVERITY_HIGH
               : d >= 4 ? SEVERITY_MEDIUM
               : d > 0  ? SEVERITY_LOW
                        : SEVERITY_INFO;
    }
    return str_eq(level, "error")     ? SEVERITY_HIGH
           : str_eq(level, "warning") ? SEVERITY_MEDIUM
           : str_eq(level, "note")    ? SEVERITY_LOW
                                      : SEVERITY_INFO;
}

static int32_t confidence_of(const json_t *rule)
{
    const char *precision = sarif_string(sarif_object(rule, "properties"), "precision");

    return str_eq(precision, "very-high") ? 90
           : str_eq(precision, "high")    ? 80
           : str_eq(precision, "medium")  ? 60
           : str_eq(precision, "low")     ? 30
                                          : 50;
}

/*
 * A result may say more than its rule: GitHub's rules carry one score for all results. Those of our
 * own export do ("severity", "confidence": docs/findings.md).
 */
static void by_result(const json_t *result, struct finding *f)
{
    const json_t *own = sarif_object(result, "properties");
    const char *severity = sarif_string(own, "severity");
    const json_t *confidence = json_object_get(own, "confidence");
    double sure = json_is_number(confidence) ? json_number_value(confidence) : -1;

    if (score(result) < 0 && severity) {
        (void)severity_parse(severity, &f->severity); /* else a word of another's */
    }
    if (sure >= 0.01 && sure <= 1) {
        f->confidence_x100 = (int32_t)(sure * 100 + 0.5);
    }
}

void sarif_classify(const struct sarif_run *r, const json_t *result, const json_t *rule,
                    struct finding *f)
{
    const char *id = sarif_rule_id(result, rule);
    const char *level = sarif_level(r, result, rule);
    double d = score(result);
    const struct weakness *w = class_of(f, id, sarif_string(rule, "name"));

    d = d >= 0 ? d : score(rule);
    f->rule = w->name;
    f->title = f->title ? f->title : w->title;
    if (f->n_cwe == 0) {
        add_cwe(f, w->cwe);
    }
    f->severity = severity_of(level, d);
    f->confidence_x100 = confidence_of(rule);
    by_result(result, f);
    f->engines[0] = (struct finding_engine){.name = r->name,
                                            .version = r->version,
                                            .rule = sarif_cut(r->arena, id, 255, true),
                                            .severity = sarif_cut(r->arena, level, 64, true),
                                            .confidence_x100 = f->confidence_x100};
    f->n_engines = 1;
}
