/*
 * The old service's request, checked as its framework (FastAPI with pydantic 2) checked it: types
 * are lax for numbers only, unknown members are ignored, every wrong field gives one entry of
 * "detail" in the order of the model's fields.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "http/api_old.h"
#include "model/job.h"

struct details {
    struct buf *out; /* the reply's body */
    struct json j;
    unsigned n;
};

static void detail_open(struct details *d, const char *type, const char *field, const char *msg)
{
    if (d->n++ == 0) {
        d->j = json_to(d->out);
        json_obj(&d->j);
        json_arr_in(&d->j, "detail");
    }
    json_obj(&d->j);
    json_str(&d->j, "type", type);
    json_arr_in(&d->j, "loc");
    json_str(&d->j, NULL, "body");
    if (field) {
        json_str(&d->j, NULL, field);
    }
    json_end(&d->j);
    json_str(&d->j, "msg", msg);
}

static void detail(struct details *d, const char *type, const char *field, const char *msg,
                   const json_t *input)
{
    detail_open(d, type, field, msg);
    if (input) {
        api_json_write(&d->j, "input", input);
    } else {
        json_nil(&d->j, "input");
    }
    json_end(&d->j);
}

static void value_error(struct details *d, const char *field, const struct err *e,
                        const json_t *input)
{
    auto_free char *msg = str_fmt("Value error, %s", e->msg);

    detail_open(d, "value_error", field, msg);
    api_json_write(&d->j, "input", input);
    json_obj_in(&d->j, "ctx");
    json_obj_in(&d->j, "error");
    json_end(&d->j);
    json_end(&d->j);
    json_end(&d->j);
}

/* The bound of an integer: type and message as pydantic has them. */
static void bound_error(struct details *d, bool low, const char *field, const json_t *input)
{
    int64_t bound = low ? JOB_TIMEOUT_MIN_S : JOB_TIMEOUT_MAX_S;
    auto_free char *msg =
        str_fmt("Input should be %s than or equal to %" PRId64, low ? "greater" : "less", bound);

    detail_open(d, low ? "greater_than_equal" : "less_than_equal", field, msg);
    api_json_write(&d->j, "input", input);
    json_obj_in(&d->j, "ctx");
    json_int(&d->j, low ? "ge" : "le", bound);
    json_end(&d->j);
    json_end(&d->j);
}

/* The string of a field. NULL: absent, null, or wrong (said, unless d is NULL). */
static const char *text_field(struct details *d, const json_t *body, const char *name,
                              bool required)
{
    const json_t *v = json_object_get(body, name);

    if (!v) {
        if (required && d) {
            detail(d, "missing", name, "Field required", body);
        }
        return NULL;
    }
    if (json_is_null(v) && !required) {
        return NULL;
    }
    if (!json_is_string(v) && d) {
        detail(d, "string_type", name, "Input should be a valid string", v);
    }
    return json_string_value(v); /* NULL of another type */
}

/*
 * Text as an integer: blanks around it, a sign, underscores between digits and a fraction of zeros
 * are fine. Numbers too large for us are as good as the largest one: out of bounds.
 */
static bool lax_integer(const char *s, int64_t *out)
{
    bool minus = false;
    bool digit = false;
    int64_t v = 0;

    s += strspn(s, " \t\n\r\f\v");
    if (*s == '+' || *s == '-') {
        minus = *s++ == '-';
    }
    for (; (*s >= '0' && *s <= '9') || (*s == '_' && digit); s++) {
        digit = *s != '_';
        if (digit && v < INT64_MAX / 16) {
            v = v * 10 + (*s - '0');
        }
    }
    if (!digit) {
        return false;
    }
    if (*s == '.') {
        size_t zeros = strspn(s + 1, "0");

        s += zeros ? zeros + 1 : 0;
    }
    s += strspn(s, " \t\n\r\f\v");
    *out = minus ? -v : v;
    return *s == '\0';
}

static void timeout_field(struct details *d, const json_t *body, int64_t *out)
{
    static const char *const field = "timeout";
    const json_t *v = json_object_get(body, field);
    int64_t s = INT64_MIN;

    if (!v || json_is_null(v)) {
        return;
    }
    switch (json_typeof(v)) {
    case JSON_INTEGER:
        s = json_integer_value(v);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        s = json_is_true(v);
        break;
    case JSON_REAL:
        if (json_real_value(v) != floor(json_real_value(v))) {
            detail(d, "int_from_float", field,
                   "Input should be a valid integer, got a number with a fractional part", v);
            return;
        }
        s = (int64_t)fmax(fmin(json_real_value(v), 1e18), -1e18);
        break;
    case JSON_STRING:
        if (!lax_integer(json_string_value(v), &s)) {
            detail(d, "int_parsing", field,
                   "Input should be a valid integer, unable to parse string as an integer", v);
            return;
        }
        break;
    default:
        detail(d, "int_type", field, "Input should be a valid integer", v);
        return;
    }
    if (s < JOB_TIMEOUT_MIN_S || s > JOB_TIMEOUT_MAX_S) {
        bound_error(d, s < JOB_TIMEOUT_MIN_S, field, v);
        return;
    }
    *out = s;
}

static void fault(struct details *d, const json_t *body, const char *field, const struct err *e)
{
    if (e->code) {
        value_error(d, field, e, json_object_get(body, field));
    }
}

static bool details_end(struct details *d)
{
    if (d->n == 0) {
        return true;
    }
    json_end(&d->j);
    json_end(&d->j);
    return false;
}

bool old_request_check(struct api *a, const struct key *k, const json_t *body,
                       struct scan_request *q, struct tool_plan *plan, struct scan_faults *f,
                       struct buf *detail_out)
{
    static const char *const fields[] = {"targets", "ports", "arguments"};
    struct details d = {.out = detail_out};
    const struct err *faults[] = {&f->targets, &f->ports, &f->arguments};

    scan_request_init(q);
    *f = (struct scan_faults){0};
    q->old = true;
    if (!json_is_object(body)) {
        detail(&d, "model_attributes_type", NULL,
               "Input should be a valid dictionary or object to extract fields from", body);
        return details_end(&d);
    }
    q->targets = text_field(NULL, body, "targets", true);
    q->ports = text_field(NULL, body, "ports", false);
    q->arguments = text_field(NULL, body, "arguments", false);
    api_plan(a, k, q, plan, f);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        text_field(&d, body, fields[i], i == 0);
        fault(&d, body, fields[i], faults[i]);
    }
    timeout_field(&d, body, &q->timeout_s);
    return details_end(&d);
}

void old_request_targets(struct buf *out, const char *targets, const char *why)
{
    struct details d = {.out = out};
    json_t *input = json_string(targets);
    struct err e = {0};

    err_set(&e, ERR_INVALID, "%s", why);
    value_error(&d, "targets", &e, input);
    json_decref(input);
    details_end(&d);
}

void old_request_missing(struct buf *out)
{
    struct details d = {.out = out};

    detail(&d, "missing", NULL, "Field required", NULL);
    details_end(&d);
}

void old_request_not_json(struct buf *out, const struct json_fault *f)
{
    struct json j = json_to(out);

    json_obj(&j);
    json_arr_in(&j, "detail");
    json_obj(&j);
    json_str(&j, "type", "json_invalid");
    json_arr_in(&j, "loc");
    json_str(&j, NULL, "body");
    json_int(&j, NULL, (int64_t)f->pos);
    json_end(&j);
    json_str(&j, "msg", "JSON decode error");
    json_obj_in(&j, "input");
    json_end(&j);
    json_obj_in(&j, "ctx");
    json_str(&j, "error", f->msg);
    json_end(&j);
    json_end(&j);
    json_end(&j);
    json_end(&j);
}

bool old_request_reads_json(const char *content_type)
{
    size_t n;

    if (!content_type || !*content_type) {
        return true;
    }
    n = strcspn(content_type, "; \t");
    if (n < 12 || strncasecmp(content_type, "application/", 12) != 0) {
        return false;
    }
    return (n == 16 && strncasecmp(content_type + 12, "json", 4) == 0) ||
           (n > 17 && strncasecmp(content_type + n - 5, "+json", 5) == 0);
}
