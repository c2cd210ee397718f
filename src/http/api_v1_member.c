/*
 * Reading the bodies of /api/v1: strict types, unknown members refused, every fault named by a JSON
 * pointer.
 */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "http/api_v1.h"
#include "model/request.h"

static void unknown_member(struct problems *p, const char *name, const char *const *members)
{
    const char *near = NULL;
    auto_buf pointer = {0};

    buf_addc(&pointer, '/');
    for (const char *c = name; *c; c++) {
        if (*c == '~' || *c == '/') { /* RFC 6901 */
            buf_adds(&pointer, *c == '~' ? "~0" : "~1");
        } else {
            buf_addc(&pointer, *c);
        }
    }
    for (size_t i = 0; members[i] && strlen(name) < 32; i++) {
        if (str_distance(name, members[i]) <= 2) {
            near = members[i];
        }
    }
    if (near) {
        problem_add(p, pointer.data, "unknown member; did you mean \"%s\"?", near);
    } else {
        problem_add(p, pointer.data, "unknown member");
    }
}

void v1_refuse_unknown(struct problems *p, json_t *body, const char *const *members)
{
    const char *name;
    json_t *v;

    json_object_foreach(body, name, v)
    {
        bool known = false;

        for (size_t i = 0; members[i] && !known; i++) {
            known = str_eq(members[i], name);
        }
        if (!known && p->n < 32) {
            unknown_member(p, name, members);
        }
    }
}

const json_t *member_given(const json_t *body, const char *name)
{
    const json_t *v = json_object_get(body, name);

    return json_is_null(v) ? NULL : v;
}

const char *member_text(struct problems *p, const json_t *body, const char *name)
{
    const json_t *v = member_given(body, name);
    auto_free char *pointer = str_fmt("/%s", name);

    if (v && !json_is_string(v)) {
        problem_add(p, pointer, "must be a string");
        return NULL;
    }
    return json_string_value(v);
}

int64_t member_int(struct problems *p, const json_t *body, const char *name, int64_t min,
                   int64_t max)
{
    const json_t *v = member_given(body, name);
    auto_free char *pointer = str_fmt("/%s", name);

    if (!v) {
        return INT64_MIN;
    }
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max) {
        problem_add(p, pointer, "must be an integer from %" PRId64 " to %" PRId64, min, max);
        return INT64_MIN;
    }
    return json_integer_value(v);
}

const char *member_list(struct problems *p, const json_t *body, const char *name,
                        struct buf *joined)
{
    const json_t *v = member_given(body, name);
    auto_free char *pointer = str_fmt("/%s", name);
    const json_t *item;
    size_t i;

    if (!v || json_is_string(v)) {
        return json_string_value(v);
    }
    if (!json_is_array(v) || json_array_size(v) > V1_LIST_MAX) {
        problem_add(p, pointer, "must be a string or an array of at most %d strings", V1_LIST_MAX);
        return NULL;
    }
    buf_adds(joined, "");
    json_array_foreach(v, i, item)
    {
        if (!json_is_string(item)) {
            auto_free char *at = str_fmt("/%s/%zu", name, i);

            problem_add(p, at, "must be a string");
            return NULL;
        }
        shell_quote(joined, json_string_value(item));
    }
    return joined->data;
}

bool member_bool(struct problems *p, const json_t *body, const char *name)
{
    const json_t *v = member_given(body, name);
    auto_free char *pointer = str_fmt("/%s", name);

    if (v && !json_is_boolean(v)) {
        problem_add(p, pointer, "must be true or false");
    }
    return json_is_true(v);
}

/* ---- the body itself ---- */

json_t *v1_body(struct http_req *r)
{
    const char *type = http_header(r, "Content-Type");
    struct http_str text = http_body(r);
    struct json_fault f;
    json_t *body;

    if (type && strncasecmp(type, "application/json", 16) != 0) {
        api_status(r, 415, "the body must be application/json",
                   "send Content-Type: application/json");
        return NULL;
    }
    body = api_json_load(text.p ? text.p : "", text.n, &f);
    if (!body) {
        auto_free char *detail =
            f.encoding ? str_fmt("%s", f.msg)
                       : str_fmt("the body is not JSON: %s (character %zu)", f.msg, f.pos);

        api_status(r, 400, detail, NULL);
    }
    return body;
}

bool v1_idempotency_valid(const char *k)
{
    size_t n = strlen(k);

    for (const char *c = k; *c; c++) {
        if (*c <= ' ' || *c > '~') {
            return false;
        }
    }
    return n >= 1 && n <= 128;
}

bool v1_idempotency_key(struct http_req *r, const char **key)
{
    *key = http_header(r, "Idempotency-Key");
    if (*key && !v1_idempotency_valid(*key)) {
        api_status(r, 400, "Idempotency-Key must be 1 to 128 visible ASCII characters", NULL);
        return false;
    }
    return true;
}
