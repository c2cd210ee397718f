#include "parse/finding_json.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"

/* ---- there ---- */

static void put_text(struct json *j, const char *key, const char *s)
{
    if (s) {
        json_str(j, key, s);
    }
}

static void put_number(struct json *j, const char *key, int32_t n)
{
    if (n > 0) {
        json_int(j, key, n);
    }
}

static void put_place(struct json *j, const struct finding_place *p)
{
    json_str(j, "path", p->path);
    put_number(j, "line", p->line);
    put_number(j, "column", p->column);
    put_number(j, "end_line", p->end_line);
    put_number(j, "end_column", p->end_column);
}

static void put_engines(struct json *j, const struct finding *f)
{
    json_arr_in(j, "engines");
    for (uint32_t i = 0; i < f->n_engines; i++) {
        const struct finding_engine *en = &f->engines[i];

        json_obj(j);
        json_str(j, "name", en->name);
        put_text(j, "version", en->version);
        put_text(j, "rule", en->rule);
        put_text(j, "severity", en->severity);
        json_num(j, "confidence", en->confidence_x100 / 100.0, 2);
        json_end(j);
    }
    json_end(j);
}

static void put_related(struct json *j, const struct finding *f)
{
    json_arr_in(j, "related");
    for (uint32_t i = 0; i < f->n_related; i++) {
        json_obj(j);
        put_place(j, &f->related[i]);
        put_text(j, "message", f->related[i].message);
        json_end(j);
    }
    json_end(j);
}

static void put_identity(struct json *j, const struct finding_identity *id)
{
    if (!id->primary[0] && !id->moved[0] && !id->around[0] && !id->github[0]) {
        return;
    }
    json_obj_in(j, "fingerprints");
    put_text(j, "primary", id->primary[0] ? id->primary : NULL);
    put_text(j, "moved", id->moved[0] ? id->moved : NULL);
    put_text(j, "around", id->around[0] ? id->around : NULL);
    put_text(j, "github", id->github[0] ? id->github : NULL);
    json_end(j);
}

void finding_json_members(const struct finding *f, struct json *j)
{
    json_str(j, "rule", f->rule);
    json_str(j, "title", f->title);
    put_text(j, "message", f->message);
    put_text(j, "recommendation", f->recommendation);
    if (f->n_cwe) {
        json_arr_in(j, "cwe");
        for (uint32_t i = 0; i < f->n_cwe; i++) {
            json_int(j, NULL, f->cwe[i]);
        }
        json_end(j);
    }
    json_str(j, "severity", severity_name(f->severity));
    json_num(j, "confidence", f->confidence_x100 / 100.0, 2);
    put_place(j, &f->at);
    put_text(j, "function", f->function);
    put_text(j, "line_text", f->line);
    put_text(j, "snippet", f->snippet);
    put_number(j, "snippet_line", f->snippet_line);
    json_bool(j, "verified", f->verified);
    put_text(j, "marked", f->marked);
    put_text(j, "secret", f->secret);
    if (f->n_engines) {
        put_engines(j, f);
    }
    if (f->n_related) {
        put_related(j, f);
    }
    put_identity(j, &f->identity);
}

void finding_json(const struct finding *f, struct json *j)
{
    json_obj(j);
    finding_json_members(f, j);
    json_end(j);
}

/* ---- and back ---- */

static int wrong(struct err *e, const char *key, const char *what)
{
    return err_set(e, ERR_INVALID, "'%s' of a finding is not %s", key, what);
}

static int get_text(const json_t *o, const char *key, const char **out, struct err *e)
{
    const json_t *v = json_object_get(o, key);

    if (!v || json_is_null(v)) {
        return 0;
    }
    if (!json_is_string(v)) {
        return wrong(e, key, "text");
    }
    *out = json_string_value(v);
    return 0;
}

static int need_text(const json_t *o, const char *key, const char **out, struct err *e)
{
    int rc = get_text(o, key, out, e);

    return rc < 0 || *out ? rc : wrong(e, key, "there");
}

static int get_number(const json_t *o, const char *key, int32_t *out, struct err *e)
{
    const json_t *v = json_object_get(o, key);

    if (!v || json_is_null(v)) {
        return 0;
    }
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > INT32_MAX) {
        return wrong(e, key, "a number that can be");
    }
    *out = (int32_t)json_integer_value(v);
    return 0;
}

static int get_confidence(const json_t *o, int32_t *x100, struct err *e)
{
    const json_t *v = json_object_get(o, "confidence");
    double d = json_number_value(v);

    if (!v || json_is_null(v)) {
        return 0;
    }
    if (!json_is_number(v) || !(d >= 0.0 && d <= 1.0)) {
        return wrong(e, "confidence", "between 0 and 1");
    }
    *x100 = (int32_t)lround(d * 100.0);
    return 0;
}

static int get_flag(const json_t *o, const char *key, bool *out, struct err *e)
{
    const json_t *v = json_object_get(o, key);

    if (v && !json_is_null(v) && !json_is_boolean(v)) {
        return wrong(e, key, "true or false");
    }
    *out = json_is_true(v);
    return 0;
}

/* *v NULL: there is none, or it is empty. */
static int get_list(const json_t *o, const char *key, size_t max, const json_t **v, uint32_t *n,
                    struct err *e)
{
    *v = json_object_get(o, key);
    *n = 0;
    if (!*v || json_is_null(*v)) {
        return 0;
    }
    if (!json_is_array(*v) || json_array_size(*v) > max) {
        return wrong(e, key, "a list, or it is too long");
    }
    *n = (uint32_t)json_array_size(*v);
    return 0;
}

static int get_place(const json_t *o, struct finding_place *p, struct err *e)
{
    int rc;

    if (!json_is_object(o)) {
        return wrong(e, "related", "a list of objects");
    }
    rc = need_text(o, "path", &p->path, e);
    rc = rc ? rc : get_number(o, "line", &p->line, e);
    rc = rc ? rc : get_number(o, "column", &p->column, e);
    rc = rc ? rc : get_number(o, "end_line", &p->end_line, e);
    return rc ? rc : get_number(o, "end_column", &p->end_column, e);
}

static int get_cwes(const json_t *o, struct finding *f, struct err *e)
{
    const json_t *list;
    int rc = get_list(o, "cwe", FINDING_CWES, &list, &f->n_cwe, e);

    for (uint32_t i = 0; i < f->n_cwe && rc == 0; i++) {
        const json_t *v = json_array_get(list, i);

        if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > 99999) {
            return wrong(e, "cwe", "a list of numbers");
        }
        f->cwe[i] = (int32_t)json_integer_value(v);
    }
    return rc;
}

static int get_engines(const json_t *o, struct finding *f, struct err *e)
{
    const json_t *list;
    int rc = get_list(o, "engines", FINDING_ENGINES, &list, &f->n_engines, e);

    for (uint32_t i = 0; i < f->n_engines && rc == 0; i++) {
        const json_t *one = json_array_get(list, i);
        struct finding_engine *en = &f->engines[i];

        if (!json_is_object(one)) {
            return wrong(e, "engines", "a list of objects");
        }
        rc = need_text(one, "name", &en->name, e);
        rc = rc ? rc : get_text(one, "version", &en->version, e);
        rc = rc ? rc : get_text(one, "rule", &en->rule, e);
        rc = rc ? rc : get_text(one, "severity", &en->severity, e);
        rc = rc ? rc : get_confidence(one, &en->confidence_x100, e);
    }
    return rc;
}

static int get_related(const json_t *o, struct finding *f, struct err *e)
{
    const json_t *list;
    int rc = get_list(o, "related", FINDING_RELATED, &list, &f->n_related, e);

    for (uint32_t i = 0; i < f->n_related && rc == 0; i++) {
        const json_t *one = json_array_get(list, i);

        rc = get_place(one, &f->related[i], e);
        rc = rc ? rc : get_text(one, "message", &f->related[i].message, e);
    }
    return rc;
}

static int get_identity(const json_t *finding, struct finding_identity *id, struct err *e)
{
    const json_t *o = json_object_get(finding, "fingerprints");
    const struct {
        const char *key;
        char *out;
        size_t size;
    } prints[] = {
        {"primary", id->primary, sizeof id->primary},
        {"moved", id->moved, sizeof id->moved},
        {"around", id->around, sizeof id->around},
        {"github", id->github, sizeof id->github},
    };

    if (!o || json_is_null(o)) {
        return 0;
    }
    if (!json_is_object(o)) {
        return wrong(e, "fingerprints", "an object");
    }
    for (size_t i = 0; i < ARRAY_LEN(prints); i++) {
        const char *s = "";
        int rc = get_text(o, prints[i].key, &s, e);

        if (rc < 0) {
            return rc;
        }
        if (strlen(s) >= prints[i].size || strspn(s, "0123456789abcdef:") != strlen(s)) {
            return wrong(e, prints[i].key, "a fingerprint");
        }
        memcpy(prints[i].out, s, strlen(s) + 1);
    }
    return 0;
}

static int get_texts(const json_t *o, struct finding *f, struct err *e)
{
    const struct {
        const char *key, **out;
    } texts[] = {
        {"message", &f->message},   {"recommendation", &f->recommendation},
        {"function", &f->function}, {"line_text", &f->line},
        {"snippet", &f->snippet},   {"marked", &f->marked},
        {"secret", &f->secret},
    };
    int rc = 0;

    for (size_t i = 0; i < ARRAY_LEN(texts) && rc == 0; i++) {
        rc = get_text(o, texts[i].key, texts[i].out, e);
    }
    return rc;
}

int finding_from_json(const json_t *o, struct finding *out, struct err *e)
{
    struct finding f = {0};
    const char *severity = NULL;
    int rc;

    if (!json_is_object(o)) {
        return err_set(e, ERR_INVALID, "a finding is not an object");
    }
    rc = need_text(o, "rule", &f.rule, e);
    rc = rc ? rc : need_text(o, "title", &f.title, e);
    rc = rc ? rc : need_text(o, "severity", &severity, e);
    if (rc == 0 && !severity_parse(severity, &f.severity)) {
        rc = wrong(e, "severity", "one of info, low, medium, high, critical");
    }
    rc = rc ? rc : get_texts(o, &f, e);
    rc = rc ? rc : get_cwes(o, &f, e);
    rc = rc ? rc : get_confidence(o, &f.confidence_x100, e);
    rc = rc ? rc : get_place(o, &f.at, e);
    rc = rc ? rc : get_number(o, "snippet_line", &f.snippet_line, e);
    rc = rc ? rc : get_flag(o, "verified", &f.verified, e);
    rc = rc ? rc : get_engines(o, &f, e);
    rc = rc ? rc : get_related(o, &f, e);
    rc = rc ? rc : get_identity(o, &f.identity, e);
    if (rc == 0) {
        *out = f;
    }
    return rc;
}
