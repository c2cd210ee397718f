#include "daemon/sandbox_sum.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static json_t *load(const char *text)
{
    return text ? json_loads(text, 0, NULL) : NULL;
}

static bool is_peak(const char *name)
{
    return strstr(name, "max_") || strstr(name, "peak");
}

/* "nft" and "broker" become "nft,broker". */
static json_t *join_words(const json_t *a, const json_t *b)
{
    const char *have = json_string_value(a), *more = json_string_value(b);
    const char *at = strstr(have, more);
    size_t n = strlen(more);

    if (at && (at == have || at[-1] == ',') && (at[n] == '\0' || at[n] == ',')) {
        return json_incref((json_t *)(uintptr_t)a);
    }
    return json_sprintf("%s,%s", have, more);
}

/* -1 or null stand for not known. */
static json_t *add_numbers(const char *name, json_int_t a, json_int_t b)
{
    return json_integer(is_peak(name) ? MAX(a, b) : a + b);
}

static void add_notes(json_t *to, const json_t *from)
{
    const json_t *v;
    size_t i;

    json_array_foreach(from, i, v)
    {
        const json_t *have;
        bool there = false;
        size_t k;

        json_array_foreach(to, k, have)
        {
            there = there || json_equal(have, v);
        }
        if (!there && json_array_size(to) < 32) {
            json_array_append(to, (json_t *)(uintptr_t)v);
        }
    }
}

/* Objects of one shape, two levels deep. */
static void add_object(json_t *to, json_t *from)
{
    const char *name;
    json_t *v;

    json_object_foreach(from, name, v)
    {
        json_t *have = json_object_get(to, name);

        if (!have || json_is_null(have)) {
            json_object_set(to, name, v);
        } else if (json_is_object(have) && json_is_object(v)) {
            add_object(have, v);
        } else if (json_is_array(have) && json_is_array(v)) {
            add_notes(have, v);
        } else if (json_is_integer(have) && json_is_integer(v)) {
            json_object_set_new(to, name,
                                add_numbers(name, json_integer_value(have), json_integer_value(v)));
        } else if (json_is_string(have) && json_is_string(v)) {
            json_object_set_new(to, name, join_words(have, v));
        } else if (json_is_true(v) && !str_eq(name, "limit_certain")) {
            json_object_set(to, name, v);
        }
    }
}

void sandbox_sum(const char *before, const struct outcome *o, const char *tool,
                 const struct buf *summary, struct buf *out)
{
    static const char *const kept[] = {"sandbox", "confinement", "versions"};
    json_t *doc = load(summary->data);
    json_t *old = load(before);
    char *text;

    if (!doc) {
        doc = json_object();
    }
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        json_t *v = json_object_get(old, kept[i]);

        if (v) {
            json_object_set(doc, kept[i], v);
        }
    }
    if (o) {
        json_t *one = json_object();

        if (o->sandbox_json) {
            json_object_set_new(one, "sandbox", load(o->sandbox_json));
        }
        if (o->confinement) {
            json_object_set_new(one, "confinement", json_string(o->confinement));
        }
        if (o->tool_version && tool) {
            json_object_set_new(one, "versions", json_pack("{s:s}", tool, o->tool_version));
        }
        add_object(doc, one);
        json_decref(one);
    }
    text = json_dumps(doc, JSON_COMPACT);
    buf_adds(out, text ? text : "{}");
    free(text);
    json_decref(doc);
    json_decref(old);
}

void sandbox_sum_get(const char *summary, char **sandbox, char **confinement, char **version)
{
    json_t *doc = load(summary);
    json_t *s = json_object_get(doc, "sandbox");
    json_t *versions = json_object_get(doc, "versions");
    const char *tool;
    json_t *v;
    auto_buf text = {0};

    *sandbox = s ? json_dumps(s, JSON_COMPACT) : NULL;
    *confinement = xstrdup(json_string_value(json_object_get(doc, "confinement")));
    json_object_foreach(versions, tool, v)
    {
        buf_addf(&text, "%s%s %s", text.len ? ", " : "", tool, json_string_value(v));
    }
    *version = text.len ? buf_take(&text) : NULL;
    json_decref(doc);
}
