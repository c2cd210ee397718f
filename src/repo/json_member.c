#include "repo/json_member.h"

#include <string.h>

#include "base/mem.h"

static const void *member_at(const struct json_member *m, const void *from)
{
    return (const char *)from + m->offset;
}

static void write_texts(const struct json_member *m, const struct strvec *sv, struct json *j)
{
    if (sv->n > 0) {
        json_arr_in(j, m->name);
        for (size_t i = 0; i < sv->n; i++) {
            json_str(j, NULL, sv->v[i]);
        }
        json_end(j);
    }
}

static void write_number(const struct json_member *m, uint64_t v, struct json *j)
{
    if (v) {
        json_int(j, m->name, (int64_t)MIN(v, (uint64_t)INT64_MAX));
    }
}

void json_members_write(const struct json_member *rows, const void *from, struct json *j)
{
    for (const struct json_member *m = rows; m->name; m++) {
        const void *at = member_at(m, from);

        switch (m->kind) {
        case JSON_MEMBER_TEXT:
            if (*(char *const *)at) {
                json_str(j, m->name, *(char *const *)at);
            }
            break;
        case JSON_MEMBER_TEXTS:
            write_texts(m, at, j);
            break;
        case JSON_MEMBER_BOOL:
            if (*(const bool *)at) {
                json_bool(j, m->name, true);
            }
            break;
        case JSON_MEMBER_U32:
            write_number(m, *(const uint32_t *)at, j);
            break;
        case JSON_MEMBER_U64:
            write_number(m, *(const uint64_t *)at, j);
            break;
        }
    }
}

static int wrong(const struct json_member *m, const char *at, struct err *e, const char *what)
{
    return err_set(e, ERR_INVALID, "%s/%s: %s", at, m->name, what);
}

static int read_text(const struct json_member *m, const json_t *v, const char *at, char **out,
                     struct err *e)
{
    const char *s = json_string_value(v);
    int rc;

    if (!s) {
        return wrong(m, at, e, "it is a string");
    }
    if (m->check) {
        rc = m->check(s, out, e);
        return rc ? err_prefix(e, rc, "%s/%s", at, m->name) : 0;
    }
    if (m->max && json_string_length(v) > m->max) {
        return err_set(e, ERR_INVALID, "%s/%s: it is longer than %llu bytes", at, m->name,
                       (unsigned long long)m->max);
    }
    *out = xstrdup(s);
    return 0;
}

static int read_texts(const struct json_member *m, const json_t *v, const char *at,
                      struct strvec *out, struct err *e)
{
    if (!json_is_array(v) || json_array_size(v) > m->max) {
        return err_set(e, ERR_INVALID, "%s/%s: it is an array of at most %llu strings", at, m->name,
                       (unsigned long long)m->max);
    }
    for (size_t i = 0; i < json_array_size(v); i++) {
        auto_free char *s = NULL;
        auto_free char *above = str_fmt("%s/%s", at, m->name);
        auto_free char *index = str_fmt("%zu", i);
        const struct json_member one = {index, JSON_MEMBER_TEXT, .check = m->check};
        int rc = read_text(&one, json_array_get(v, i), above, &s, e);

        if (rc != 0) {
            return rc;
        }
        strvec_push(out, s);
    }
    return 0;
}

static int read_number(const struct json_member *m, const json_t *v, const char *at, uint64_t *out,
                       struct err *e)
{
    json_int_t n = json_integer_value(v);

    if (!json_is_integer(v) || n < 1 || (uint64_t)n > m->max) {
        return err_set(e, ERR_INVALID, "%s/%s: it is a whole number from 1 to %llu", at, m->name,
                       (unsigned long long)m->max);
    }
    *out = (uint64_t)n;
    return 0;
}

static int read_member(const struct json_member *m, const json_t *v, const char *at, void *to,
                       struct err *e)
{
    uint64_t number = 0;
    int rc;

    switch (m->kind) {
    case JSON_MEMBER_TEXT:
        return read_text(m, v, at, to, e);
    case JSON_MEMBER_TEXTS:
        return read_texts(m, v, at, to, e);
    case JSON_MEMBER_BOOL:
        if (!json_is_boolean(v)) {
            return wrong(m, at, e, "it is true or false");
        }
        *(bool *)to = json_is_true(v);
        return 0;
    default:
        rc = read_number(m, v, at, &number, e);
        if (rc == 0 && m->kind == JSON_MEMBER_U64) {
            *(uint64_t *)to = number;
        } else if (rc == 0) {
            *(uint32_t *)to = (uint32_t)number;
        }
        return rc;
    }
}

static const struct json_member *member_of(const struct json_member *rows, const char *name)
{
    for (const struct json_member *m = rows; m->name; m++) {
        if (str_eq(m->name, name)) {
            return m;
        }
    }
    return NULL;
}

static bool listed(const char *const *names, const char *name)
{
    for (; names && *names; names++) {
        if (str_eq(*names, name)) {
            return true;
        }
    }
    return false;
}

static int unknown(const struct json_member *rows, const char *at, const char *name, struct err *e)
{
    const char *near = NULL;
    auto_buf shown = {0};
    unsigned best = 3;

    for (const struct json_member *m = rows; m->name; m++) {
        unsigned d = str_distance(name, m->name);

        if (d < best) {
            best = d;
            near = m->name;
        }
    }
    buf_add_escaped(&shown, name, strnlen(name, 64));
    return err_set(e, ERR_INVALID, "%s/%s: there is no such member%s%s%s", at,
                   shown.data ? shown.data : "", near ? ": did you mean '" : "", near ? near : "",
                   near ? "'?" : "");
}

int json_members_read(const struct json_member *rows, const json_t *o, const char *at,
                      const char *const *others, void *to, struct err *e)
{
    int rc = 0;

    if (!json_is_object(o)) {
        return err_set(e, ERR_INVALID, "%s: it is an object", *at ? at : "/");
    }
    for (void *i = json_object_iter((json_t *)(uintptr_t)o); i && rc == 0;
         i = json_object_iter_next((json_t *)(uintptr_t)o, i)) {
        const char *name = json_object_iter_key(i);
        const json_t *v = json_object_iter_value(i);
        const struct json_member *m = member_of(rows, name);

        if (m && !json_is_null(v)) {
            rc = read_member(m, v, at, (char *)to + m->offset, e);
        } else if (!m && !listed(others, name)) {
            rc = unknown(rows, at, name, e);
        }
    }
    return rc;
}

int json_document(const char *text, size_t n, json_t **out, struct err *e)
{
    json_error_t why;
    json_t *o = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);

    if (!o) {
        return err_set(e, ERR_INVALID, "line %d: %s", why.line, why.text);
    }
    if (!json_is_object(o)) {
        json_decref(o);
        return err_set(e, ERR_INVALID, "/: it is an object");
    }
    *out = o;
    return 0;
}
