/*
 * What a request asks of its tool: arguments, options by their fields, types of scans by the words
 * of the older runtime, all of them tokens of one command line in the end; and limits of the run.
 */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "http/api_v1.h"
#include "model/request.h"
#include "tool/scan_type.h"

static const struct limit_row *limit_row(const char *name)
{
    for (const struct limit_row *row = limit_rows; row->name; row++) {
        if (str_eq(row->name, name)) {
            return row;
        }
    }
    return NULL;
}

void v1_limits(struct problems *p, json_t *body, uint32_t rate, struct buf *out)
{
    json_t *limits = json_object_get(body, "limits");
    struct limits l = {0};
    const char *name;
    json_t *v;

    if (limits && !json_is_null(limits) && !json_is_object(limits)) {
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
    limits_tighten(&l, &(struct limits){.rate_pps = rate});
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
    if (!json_is_array(v) || json_array_size(v) == 0 || json_array_size(v) > V1_LIST_MAX) {
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

/* The tokens of `options`. */
static void options_tokens(struct problems *p, json_t *body, const struct tool *t,
                           struct strvec *tokens)
{
    json_t *options = json_object_get(body, "options");
    const char *name;
    json_t *v;

    if (!options || json_is_null(options)) {
        return;
    }
    if (!json_is_object(options)) {
        problem_add(p, "/options", "must be an object");
        return;
    }
    json_object_foreach(options, name, v)
    {
        if (p->n < 32) {
            option_member(p, t, name, v, tokens);
        }
    }
}

/* The tokens of `scan_type`, and the ports that the tool needs for it. */
static void type_tokens(struct problems *p, json_t *body, const struct tool *t,
                        struct v1_request *q, struct strvec *tokens)
{
    const char *type = member_text(p, body, "scan_type");
    struct err e = {0};

    if (!type) {
        return;
    }
    q->type_refused = true;
    if (q->scan.profile) {
        problem_add(p, "/scan_type", "stands for the options of one tool: give it without profile");
    } else if (scan_type_tokens(t, type, tokens, &q->scan.ports, &e) < 0) {
        problem_add(p, "/scan_type", "%s", e.msg);
    } else {
        q->type_refused = false;
    }
}

/* Quotes that are open at the end of `arguments` must not swallow an option. */
static bool splits(const char *arguments)
{
    auto_strvec tokens = {0};

    return !arguments || shell_split(arguments, &tokens, NULL) == 0;
}

static void quote_all(struct buf *out, const struct strvec *tokens)
{
    for (size_t i = 0; i < tokens->n; i++) {
        shell_quote(out, tokens->v[i]);
    }
}

static void add_text(struct buf *out, const char *s)
{
    if (s && *s) {
        buf_adds(out, out->len ? " " : "");
        buf_adds(out, s);
    }
}

void v1_arguments(struct problems *p, json_t *body, struct v1_request *q)
{
    const struct tool *t = q->scan.tool ? tool_find(q->scan.tool) : NULL;
    auto_strvec options = {0};
    auto_strvec type = {0};

    q->given = member_list(p, body, "arguments", &q->listed);
    q->scan.arguments = q->given;
    if (!t || !splits(q->given)) {
        return;
    }
    options_tokens(p, body, t, &options);
    type_tokens(p, body, t, q, &type);
    if (!options.n && !type.n) {
        return;
    }
    quote_all(&q->arguments, &type);
    add_text(&q->arguments, q->given);
    if (options.n) {
        q->alone = xstrndup(q->arguments.data ? q->arguments.data : "", q->arguments.len);
        quote_all(&q->arguments, &options);
    }
    q->scan.arguments = q->arguments.data;
}

/* The request is right when it has these arguments. */
static bool right_with(struct api *a, const struct key *k, const struct v1_request *q,
                       const char *arguments)
{
    struct scan_request other = q->scan;
    auto_plan plan = {0};
    struct scan_faults f;

    other.arguments = arguments;
    api_plan(a, k, &other, &plan, &f);
    return !f.arguments.code;
}

const char *v1_arguments_at(struct api *a, const struct key *k, json_t *body,
                            const struct v1_request *q)
{
    if (q->alone && right_with(a, k, q, q->alone)) {
        return "/options";
    }
    if (member_given(body, "scan_type") && right_with(a, k, q, q->given)) {
        return "/scan_type";
    }
    return "/arguments";
}
