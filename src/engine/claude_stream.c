/*
 * What the Claude Code CLI prints while it works: what it runs with, what the model says piece by
 * piece, tools and what they answered, requests that are repeated, and at the end a result. All but
 * the frame is the model's, and so the repository's: it is counted, never believed.
 */
#include <string.h>

#include "base/mem.h"
#include "engine/claude.h"

enum { LINE_MAX_ = 16 << 20 };

static const json_t *at(const json_t *o, const char *name)
{
    return json_object_get(o, name);
}

static const char *text_at(const json_t *o, const char *name)
{
    const char *s = json_string_value(at(o, name));

    return s ? s : "";
}

/* 0: none, or nothing that can be counted. */
static int64_t count_at(const json_t *o, const char *name)
{
    int64_t n = json_integer_value(at(o, name));

    return n > 0 && n < INT64_C(1) << 40 ? n : 0;
}

/* ---- the beginning ---- */

static bool is_reader(const char *tool)
{
    static const char *const readers[] = {"Read", "Grep", "Glob", "StructuredOutput"};

    for (size_t i = 0; tool && i < ARRAY_LEN(readers); i++) {
        if (strcmp(readers[i], tool) == 0) {
            return true;
        }
    }
    return false;
}

static void look_at_start(struct claude_stream *s, const json_t *line)
{
    const json_t *tools = at(line, "tools"), *plugins = at(line, "plugins"), *item;
    size_t i;

    s->begun = true;
    s->loose |= !json_is_array(tools) || !json_is_array(at(line, "mcp_servers"));
    s->loose |= json_array_size(at(line, "mcp_servers")) > 0;
    s->loose |= strcmp(text_at(line, "permissionMode"), "dontAsk") != 0;
    json_array_foreach(tools, i, item)
    {
        s->loose |= !is_reader(json_string_value(item));
    }
    json_array_foreach(plugins, i, item) /* its own ones have no files */
    {
        s->loose |= strcmp(text_at(item, "path"), "builtin") != 0;
    }
}

/* ---- on the way ---- */

/* The API's own events, whose figures are there even if there is never a result. */
static void look_at_event(struct claude_stream *s, const json_t *event)
{
    const char *type = text_at(event, "type");
    const json_t *usage = at(event, "usage");

    if (strcmp(type, "message_start") == 0) {
        usage = at(at(event, "message"), "usage");
        s->input_tokens += count_at(usage, "input_tokens") +
                           count_at(usage, "cache_creation_input_tokens") +
                           count_at(usage, "cache_read_input_tokens");
    } else if (strcmp(type, "message_delta") == 0) {
        s->output_tokens += count_at(usage, "output_tokens");
    }
}

/* Tools that the model asked for, and that do not exist. */
static void look_at_message(struct claude_stream *s, const json_t *message)
{
    const json_t *block;
    size_t i;

    json_array_foreach(at(message, "content"), i, block)
    {
        s->refused += strcmp(text_at(block, "type"), "tool_use") == 0 &&
                      !is_reader(json_string_value(at(block, "name")));
    }
}

static void take_result(struct claude_stream *s, json_t *line)
{
    const json_t *denial;
    size_t i;

    json_decref(s->result);
    s->result = json_incref(line);
    json_array_foreach(at(line, "permission_denials"), i, denial)
    {
        s->refused += is_reader(json_string_value(at(denial, "tool_name")));
    }
}

static void read_line(struct claude_stream *s, const char *text, size_t n)
{
    json_t *line = json_loadb(text, n, JSON_ALLOW_NUL, NULL);
    const char *type = text_at(line, "type"), *sub = text_at(line, "subtype");

    if (strcmp(type, "result") == 0) {
        take_result(s, line);
    } else if (strcmp(type, "stream_event") == 0) {
        look_at_event(s, at(line, "event"));
    } else if (strcmp(type, "assistant") == 0) {
        look_at_message(s, at(line, "message"));
    } else if (strcmp(type, "system") == 0 && strcmp(sub, "init") == 0) {
        look_at_start(s, line);
    } else if (strcmp(type, "system") == 0 && strcmp(sub, "api_retry") == 0) {
        s->retries++;
    }
    json_decref(line);
}

void claude_stream_read(struct claude_stream *s, const char *p, size_t n)
{
    while (n > 0) {
        const char *nl = memchr(p, '\n', n);
        size_t len = nl ? (size_t)(nl - p) : n;

        if (len > 0 && len <= LINE_MAX_) {
            read_line(s, p, len);
        }
        len += nl != NULL;
        p += len;
        n -= len;
    }
}

void claude_stream_done(struct claude_stream *s)
{
    json_decref(s->result);
    *s = (struct claude_stream){0};
}

/* ---- what it cost ---- */

/* By model: the `usage` beside it leaves out what was spent before a limit ended the run. */
static const char *add_models(const json_t *result, int64_t *in, int64_t *out)
{
    const json_t *models = at(result, "modelUsage"), *of_model;
    const char *name, *most = NULL;
    int64_t most_out = -1;

    json_object_foreach((json_t *)(uintptr_t)models, name, of_model)
    {
        int64_t n = count_at(of_model, "outputTokens");

        *in += count_at(of_model, "inputTokens") + count_at(of_model, "cacheReadInputTokens") +
               count_at(of_model, "cacheCreationInputTokens");
        *out += n;
        if (n > most_out) {
            most_out = n;
            most = name;
        }
    }
    return most;
}

void claude_stream_costs(const struct claude_stream *s, struct buf *members)
{
    int64_t in = 0, out = 0;
    const char *model = add_models(s->result, &in, &out);
    double usd = json_number_value(at(s->result, "total_cost_usd"));
    auto_buf object = {0};
    struct json j = json_to(&object);

    json_obj(&j);
    if (model) {
        json_str(&j, "model", model);
    }
    if (s->result) {
        json_int(&j, "turns", count_at(s->result, "num_turns"));
        json_num(&j, "cost_usd", usd > 0 && usd < 1e9 ? usd : 0, 4);
    }
    json_int(&j, "input_tokens", MAX(in, s->input_tokens));
    json_int(&j, "output_tokens", MAX(out, s->output_tokens));
    json_int(&j, "api_retries", s->retries);
    json_int(&j, "refused_tools", s->refused);
    json_end(&j);
    buf_add(members, object.data + 1, object.len - 2); /* the members alone */
}
