/*
 * The request of POST /api/v1/scans: strict types, unknown members refused, every fault named by a
 * JSON pointer.
 */
#include "http/api_v1.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "tool/tool.h"

enum { LIST_MAX = 4096, QUEUE_TIMEOUT_MAX_S = 2592000 };

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

static const json_t *member(const json_t *body, const char *name)
{
    const json_t *v = json_object_get(body, name);

    return json_is_null(v) ? NULL : v;
}

static const char *text_member(struct problems *p, const json_t *body, const char *name)
{
    const json_t *v = member(body, name);
    auto_free char *pointer = str_fmt("/%s", name);

    if (v && !json_is_string(v)) {
        problem_add(p, pointer, "must be a string");
        return NULL;
    }
    return json_string_value(v);
}

static int64_t int_member(struct problems *p, const json_t *body, const char *name, int64_t min,
                          int64_t max)
{
    const json_t *v = member(body, name);
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

/* So that shell_split() gives the item back as one token. */
static void add_quoted(struct buf *out, const char *s)
{
    if (out->len) {
        buf_addc(out, ' ');
    }
    if (*s && !strpbrk(s, " \t\r\n\v\f'\"\\")) {
        buf_adds(out, s);
        return;
    }
    buf_addc(out, '\'');
    for (; *s; s++) {
        if (*s == '\'') {
            buf_adds(out, "'\\''");
        } else {
            buf_addc(out, *s);
        }
    }
    buf_addc(out, '\'');
}

/* A string, or an array of strings that is joined into `joined`. NULL: absent or wrong (said). */
static const char *list_member(struct problems *p, const json_t *body, const char *name,
                               struct buf *joined)
{
    const json_t *v = member(body, name);
    auto_free char *pointer = str_fmt("/%s", name);
    const json_t *item;
    size_t i;

    if (!v || json_is_string(v)) {
        return json_string_value(v);
    }
    if (!json_is_array(v) || json_array_size(v) > LIST_MAX) {
        problem_add(p, pointer, "must be a string or an array of at most %d strings", LIST_MAX);
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
        add_quoted(joined, json_string_value(item));
    }
    return joined->data;
}

static void check(struct problems *p, const char *pointer, int rc, const struct err *e)
{
    if (rc < 0) {
        problem_add(p, pointer, "%s", e->msg);
    }
}

bool v1_request_check(const struct api *a, json_t *body, struct v1_request *q, struct problems *p)
{
    static const char *const members[] = {"targets",   "ports",         "tool",
                                          "arguments", "timeout",       "priority",
                                          "retries",   "queue_timeout", NULL};
    struct scan_request *s = &q->scan;
    struct err e = {0};

    scan_request_init(s);
    if (!json_is_object(body)) {
        problem_add(p, "", "must be an object");
        return false;
    }
    v1_refuse_unknown(p, body, members);
    if (member(body, "tool")) {
        s->tool = text_member(p, body, "tool");
        if (s->tool && !tool_find(s->tool)) {
            problem_add(p, "/tool", "there is no such tool");
            s->tool = NULL;
        }
    }
    s->targets = list_member(p, body, "targets", &q->targets);
    if (s->targets) {
        check(p, "/targets", api_check_targets(s->targets, &e), &e);
    } else if (!member(body, "targets")) {
        problem_add(p, "/targets", "is required");
    }
    s->ports = text_member(p, body, "ports");
    if (s->ports) {
        check(p, "/ports", api_check_ports(s->ports, &e), &e);
    }
    s->arguments = list_member(p, body, "arguments", &q->arguments);
    if (s->arguments && s->tool) {
        check(p, "/arguments", api_check_arguments(a, s->tool, s->arguments, &e), &e);
    }
    s->timeout_s = int_member(p, body, "timeout", JOB_TIMEOUT_MIN_S, JOB_TIMEOUT_MAX_S);
    s->priority = int_member(p, body, "priority", 0, JOB_PRIORITY_MAX);
    s->retries = int_member(p, body, "retries", 0, JOB_RETRIES_MAX);
    s->queue_timeout_s = int_member(p, body, "queue_timeout", 1, QUEUE_TIMEOUT_MAX_S);
    return p->n == 0;
}

void v1_request_done(struct v1_request *q)
{
    buf_done(&q->targets);
    buf_done(&q->arguments);
}

/* 415 and 400 are answered here. */
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

bool v1_idempotency_key(struct http_req *r, const char **key)
{
    const char *k = http_header(r, "Idempotency-Key");
    size_t n = k ? strlen(k) : 0;

    *key = k;
    if (!k) {
        return true;
    }
    for (const char *c = k; *c; c++) {
        if (*c <= ' ' || *c > '~') {
            n = 0;
            break;
        }
    }
    if (n < 1 || n > 128) {
        api_status(r, 400, "Idempotency-Key must be 1 to 128 visible ASCII characters", NULL);
        return false;
    }
    return true;
}
