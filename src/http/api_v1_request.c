/*
 * The request of POST /api/v1/scans: strict types, unknown members refused, every fault named by a
 * JSON pointer.
 */
#include "http/api_v1.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "model/request.h"

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

static bool bool_member(struct problems *p, const json_t *body, const char *name)
{
    const json_t *v = member(body, name);
    auto_free char *pointer = str_fmt("/%s", name);

    if (v && !json_is_boolean(v)) {
        problem_add(p, pointer, "must be true or false");
    }
    return json_is_true(v);
}

/* ---- limits ---- */

static const struct limit_row *limit_row(const char *name)
{
    for (const struct limit_row *row = limit_rows; row->name; row++) {
        if (str_eq(row->name, name)) {
            return row;
        }
    }
    return NULL;
}

static void limits_member(struct problems *p, json_t *body, struct buf *out)
{
    json_t *limits = json_object_get(body, "limits");
    struct limits l = {0};
    const char *name;
    json_t *v;

    if (!limits || json_is_null(limits)) {
        return;
    }
    if (!json_is_object(limits)) {
        problem_add(p, "/limits", "must be an object");
        return;
    }
    json_object_foreach(limits, name, v)
    {
        const struct limit_row *row = limit_row(name);
        auto_free char *pointer = str_fmt("/limits/%s", name);

        if (!row) {
            problem_add(p, "/limits", "there is no limit \"%.32s\"", name);
        } else if (!json_is_integer(v) || json_integer_value(v) < row->min ||
                   json_integer_value(v) > row->max) {
            problem_add(p, pointer, "must be an integer from %u to %u", row->min, row->max);
        } else {
            *limit_at(&l, row) = (uint32_t)json_integer_value(v);
        }
    }
    limits_put(&l, out);
}

/* ---- options: each member becomes tokens of the command line ---- */

/* The value as text in *text, empty for `true`. False: it is of a wrong type. */
static bool option_text(const json_t *v, struct buf *text)
{
    const json_t *item;
    size_t i;

    if (json_is_string(v)) {
        buf_adds(text, json_string_value(v));
        return true;
    }
    if (json_is_integer(v)) {
        buf_addf(text, "%" PRId64, (int64_t)json_integer_value(v));
        return true;
    }
    if (!json_is_array(v) || json_array_size(v) == 0 || json_array_size(v) > LIST_MAX) {
        return json_is_true(v);
    }
    json_array_foreach(v, i, item)
    {
        if (!json_is_string(item)) {
            return false;
        }
        buf_adds(text, i ? "," : "");
        buf_adds(text, json_string_value(item));
    }
    return true;
}

static void option_member(struct problems *p, const struct tool *t, const char *name,
                          const json_t *v, struct strvec *tokens)
{
    auto_free char *pointer = str_fmt("/options/%s", name);
    auto_buf text = {0};
    struct err e = {0};

    if (json_is_false(v) || json_is_null(v)) {
        return;
    }
    if (!option_text(v, &text)) {
        problem_add(p, pointer, "must be a boolean, an integer, a string or an array of strings");
    } else if (tool_option_tokens(t, name,
                                  json_is_true(v) ? NULL
                                  : text.data     ? text.data
                                                  : "",
                                  tokens, &e) < 0) {
        problem_add(p, pointer, "%s", e.msg);
    }
}

/* Adds the tokens of `options` to what `arguments` has. */
static void options_member(struct problems *p, json_t *body, struct v1_request *q)
{
    const struct tool *t = tool_find(q->scan.tool ? q->scan.tool : "nmap");
    json_t *options = json_object_get(body, "options");
    auto_strvec tokens = {0};
    const char *name;
    json_t *v;

    if (!options || json_is_null(options) || !q->scan.tool) {
        return;
    }
    if (!json_is_object(options)) {
        problem_add(p, "/options", "must be an object");
        return;
    }
    json_object_foreach(options, name, v)
    {
        if (p->n < 32) {
            option_member(p, t, name, v, &tokens);
        }
    }
    if (!tokens.n) {
        return;
    }
    q->alone = xstrdup(q->scan.arguments ? q->scan.arguments : "");
    if (!q->arguments.len) {
        buf_adds(&q->arguments, q->alone);
    }
    for (size_t i = 0; i < tokens.n; i++) {
        add_quoted(&q->arguments, tokens.v[i]);
    }
    q->scan.arguments = q->arguments.data;
}

/* ---- all of it ---- */

/* Quotes that are open at the end of `arguments` must not swallow an option. */
static bool splits(const char *arguments)
{
    auto_strvec tokens = {0};

    return !arguments || shell_split(arguments, &tokens, NULL) == 0;
}

static void read_members(struct problems *p, json_t *body, struct v1_request *q)
{
    struct scan_request *s = &q->scan;

    if (member(body, "tool")) {
        s->tool = text_member(p, body, "tool");
        if (s->tool && !tool_find(s->tool)) {
            problem_add(p, "/tool", "there is no such tool");
            s->tool = NULL;
        }
    }
    s->targets = list_member(p, body, "targets", &q->targets);
    s->ports = text_member(p, body, "ports");
    s->arguments = list_member(p, body, "arguments", &q->arguments);
    if (splits(s->arguments)) {
        options_member(p, body, q);
    }
}

static void put_fault(struct problems *p, const char *pointer, const struct err *e)
{
    if (e->code) {
        problem_add(p, pointer, "%s", e->msg);
    }
}

/* What is wrong with the arguments came from the options when they alone are right. */
static bool options_are_wrong(struct api *a, const struct key *k, const struct v1_request *q)
{
    struct scan_request alone = q->scan;
    auto_plan plan = {0};
    struct scan_faults f;

    alone.arguments = q->alone;
    api_plan(a, k, &alone, &plan, &f);
    return !f.arguments.code;
}

void v1_faults(struct problems *p, const struct scan_faults *f)
{
    put_fault(p, "/targets", &f->targets);
    put_fault(p, "/ports", &f->ports);
    put_fault(p, "/arguments", &f->arguments);
}

bool v1_request_check(struct api *a, const struct key *k, json_t *body, struct v1_request *q,
                      struct problems *p)
{
    static const char *const members[] = {"targets", "ports",  "tool",          "arguments",
                                          "options", "limits", "timeout",       "priority",
                                          "retries", "clip",   "queue_timeout", NULL};
    struct scan_request *s = &q->scan;
    struct scan_faults f;

    scan_request_init(s);
    if (!json_is_object(body)) {
        problem_add(p, "", "must be an object");
        return false;
    }
    v1_refuse_unknown(p, body, members);
    read_members(p, body, q);
    if (!member(body, "targets")) {
        problem_add(p, "/targets", "is required");
    }
    api_plan(a, k, s, &q->plan, &f);
    if (f.arguments.code && q->alone && options_are_wrong(a, k, q)) {
        put_fault(p, "/options", &f.arguments);
        f.arguments = (struct err){0};
    }
    v1_faults(p, &f);
    q->refused = f.refused;
    q->rule = f.rule;
    limits_member(p, body, &q->limits);
    s->limits = q->limits.len ? q->limits.data : NULL;
    s->timeout_s = int_member(p, body, "timeout", JOB_TIMEOUT_MIN_S, JOB_TIMEOUT_MAX_S);
    s->priority = int_member(p, body, "priority", 0, JOB_PRIORITY_MAX);
    s->retries = int_member(p, body, "retries", 0, JOB_RETRIES_MAX);
    s->queue_timeout_s = int_member(p, body, "queue_timeout", 1, QUEUE_TIMEOUT_MAX_S);
    s->clip = bool_member(p, body, "clip");
    return p->n == 0;
}

void v1_request_done(struct v1_request *q)
{
    buf_done(&q->targets);
    buf_done(&q->arguments);
    buf_done(&q->limits);
    free(q->alone);
    tool_plan_done(&q->plan);
}

void v1_unresolved(struct http_req *r, const char *targets, const char *why)
{
    struct problems p = {0};

    problem_add(&p, "/targets", "%s", why);
    problems_reply(r, &p);
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
