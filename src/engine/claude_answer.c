/* The model's document, checked member by member: whatever the CLI says of it. */
#include <math.h>
#include <string.h>

#include "assess/classes.h"
#include "base/mem.h"
#include "engine/claude.h"

enum {
    FINDINGS_MAX = 2000,
    TYPE_MAX = 64,
    CONFIDENCE_DEFAULT = 50,
    CONFIDENCE_MAX = 90,
    QUOTE_MIN = 4
};

const char claude_schema[] =
    "{\"type\":\"object\",\"additionalProperties\":false,"
    "\"required\":[\"findings\",\"summary\",\"risk_level\"],\"properties\":{"
    "\"summary\":{\"type\":\"string\"},"
    "\"risk_level\":{\"type\":\"string\","
    "\"enum\":[\"critical\",\"high\",\"medium\",\"low\",\"none\"]},"
    "\"findings\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
    "\"additionalProperties\":false,\"required\":[\"type\",\"severity\",\"file\",\"line\","
    "\"quote\",\"description\",\"recommendation\"],\"properties\":{"
    "\"type\":{\"type\":\"string\"},"
    "\"title\":{\"type\":\"string\"},"
    "\"cwe\":{\"type\":\"string\"},"
    "\"severity\":{\"type\":\"string\","
    "\"enum\":[\"critical\",\"high\",\"medium\",\"low\",\"info\"]},"
    "\"confidence\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1},"
    "\"file\":{\"type\":\"string\"},"
    "\"line\":{\"type\":\"integer\",\"minimum\":1},"
    "\"end_line\":{\"type\":\"integer\",\"minimum\":1},"
    "\"quote\":{\"type\":\"string\",\"minLength\":4},"
    "\"description\":{\"type\":\"string\"},"
    "\"recommendation\":{\"type\":\"string\"}}}}}}";

/* "SQL Injection", "sql_injection": as classes are called. */
static void class_word(const char *s, char out[TYPE_MAX + 1])
{
    size_t n = 0;

    for (; *s && n < TYPE_MAX; s++) {
        char c = *s >= 'A' && *s <= 'Z' ? (char)(*s + 32) : *s;

        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
            out[n++] = c;
        } else if (n > 0 && out[n - 1] != '-') {
            out[n++] = '-';
        }
    }
    while (n > 0 && out[n - 1] == '-') {
        n--;
    }
    out[n] = '\0';
}

/* "CWE-78", "78", 78, "CWE-78: OS Command Injection". 0: none that could be. */
static int32_t cwe_of(const json_t *v)
{
    const char *s = json_string_value(v);
    char digits[8] = "";
    uint64_t n = 0;

    if (json_is_integer(v)) {
        n = json_integer_value(v) > 0 ? (uint64_t)json_integer_value(v) : 0;
    } else if (s) {
        s += strspn(s, " ");
        s += strncasecmp(s, "CWE", 3) == 0 ? 3 : 0;
        s += strspn(s, "-: ");
        memcpy(digits, s, MIN(strspn(s, "0123456789"), sizeof digits - 1));
        n = str_to_u64(digits, 1, 99999, &n) ? n : 0;
    }
    return n <= 99999 ? (int32_t)n : 0;
}

/* The class by its name, else by the CWE, whose name has to be in our table. */
static void classify(struct finding *f, const json_t *item)
{
    char word[TYPE_MAX + 1];
    const struct weakness *w;
    int32_t cwe = cwe_of(json_object_get(item, "cwe"));

    class_word(json_string_value(json_object_get(item, "type")), word);
    w = weakness_find(word);
    cwe = cwe && (cwe_name(cwe) || cwe_family(cwe)) ? cwe : 0;
    if (!w) {
        w = weakness_of_cwe(cwe);
    }
    f->rule = w->name;
    f->title = w->title;
    if (cwe) {
        hit_cwe(f, cwe);
    } else if (w->cwe) {
        hit_cwe(f, w->cwe);
    }
}

static const char *text_of(struct arena *a, const json_t *item, const char *name, size_t max,
                           bool one_line)
{
    const json_t *v = json_object_get(item, name);
    size_t n = json_string_length(v);

    return n ? hit_text(a, json_string_value(v), n, max, one_line) : NULL;
}

static bool number_of(const json_t *item, const char *name, int32_t *out)
{
    const json_t *v = json_object_get(item, name);
    json_int_t i = json_integer_value(v);

    *out = json_is_integer(v) && i > 0 && i <= INT32_MAX ? (int32_t)i : 0;
    return *out > 0;
}

static bool confidence_of(const json_t *item, int32_t *out)
{
    const json_t *v = json_object_get(item, "confidence");
    double c = json_number_value(v);

    *out = CONFIDENCE_DEFAULT;
    if (!v || json_is_null(v)) {
        return true;
    }
    if (!json_is_number(v) || !(c >= 0 && c <= 1)) {
        return false;
    }
    *out = MAX(MIN((int32_t)lround(c * 100), (int32_t)CONFIDENCE_MAX), 1);
    return true;
}

/* A quote that every line has, or none, would prove nothing. */
static bool quote_says_something(const json_t *v)
{
    const char *s = json_string_value(v);
    size_t n = 0;

    for (; s && *s && n < QUOTE_MIN; s++) {
        n += (unsigned char)*s > ' ';
    }
    return n == QUOTE_MIN;
}

/* False: it does not keep to the schema, or its place is none. */
static bool read_item(struct hits *h, const json_t *item, struct finding *f)
{
    const json_t *file = json_object_get(item, "file");
    const char *type;

    if (!json_is_object(item) || !json_is_string(json_object_get(item, "type")) ||
        !severity_parse(json_string_value(json_object_get(item, "severity")), &f->severity) ||
        !json_is_string(file) || !quote_says_something(json_object_get(item, "quote")) ||
        !json_is_string(json_object_get(item, "description")) ||
        !json_is_string(json_object_get(item, "recommendation")) ||
        !number_of(item, "line", &f->at.line) || !confidence_of(item, &f->confidence_x100)) {
        return false;
    }
    f->at.path = hit_path(h->arena, json_string_value(file), json_string_length(file));
    if (!f->at.path) {
        return false;
    }
    if (number_of(item, "end_line", &f->at.end_line) && f->at.end_line < f->at.line) {
        f->at.end_line = 0;
    }
    classify(f, item);
    if (text_of(h->arena, item, "title", 200, true)) {
        f->title = text_of(h->arena, item, "title", 200, true);
    }
    f->message = text_of(h->arena, item, "description", FINDING_TEXT_MAX, false);
    f->recommendation = text_of(h->arena, item, "recommendation", FINDING_TEXT_MAX, false);
    f->quote = text_of(h->arena, item, "quote", FINDING_LINE_MAX, false);
    type = text_of(h->arena, item, "type", 200, true);
    f->engines[0] = (struct finding_engine){
        .name = "claude",
        .rule = type ? type : f->rule,
        .severity = json_string_value(json_object_get(item, "severity")),
        .confidence_x100 = f->confidence_x100,
    };
    f->n_engines = 1;
    return true;
}

int claude_read_answer(struct hits *h, const json_t *doc, struct err *e)
{
    const json_t *list = json_object_get(doc, "findings"), *item;
    size_t bad = 0;
    size_t i;

    if (!json_is_object(doc) || !json_is_array(list) ||
        !json_is_string(json_object_get(doc, "summary")) || json_array_size(list) > FINDINGS_MAX) {
        return hit_failure(h->notes, e,
                           "the model's answer is not the document that was asked for");
    }
    json_array_foreach(list, i, item)
    {
        struct finding f = {0};
        int rc;

        if (!read_item(h, item, &f)) {
            bad++;
            continue;
        }
        rc = hits_add(h, &f, e);
        if (rc != 0) {
            return rc;
        }
    }
    return bad ? hit_failure(h->notes, e,
                             "%zu of the model's %zu findings are not of the form "
                             "that was asked for",
                             bad, json_array_size(list))
               : 0;
}
