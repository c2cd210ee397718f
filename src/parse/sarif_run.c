#include <string.h>

#include "base/mem.h"
#include "parse/sarif.h"

const json_t *sarif_object(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);

    return json_is_object(v) ? v : NULL;
}

const json_t *sarif_array(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);

    return json_is_array(v) ? v : NULL;
}

const char *sarif_string(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));

    return s && *s ? s : NULL;
}

const char *sarif_text(const json_t *o, const char *name)
{
    const json_t *message = sarif_object(o, name);
    const char *text = sarif_string(message, "text");

    return text ? text : sarif_string(message, "markdown");
}

int32_t sarif_number(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    json_int_t i = json_integer_value(v);

    return json_is_integer(v) && i >= 0 && i <= INT32_MAX ? (int32_t)i : -1;
}

/* ---- what its parts are ---- */

/* Of equal ids the first counts: the driver's before those of extensions. */
static void add_rules(struct sarif_run *r, const json_t *component)
{
    size_t i;
    json_t *rule;

    json_array_foreach(sarif_array(component, "rules"), i, rule)
    {
        const char *id = sarif_string(rule, "id");

        if (json_is_object(rule) && id && !json_object_get(r->rules, id)) {
            json_object_set(r->rules, id, rule);
        }
    }
}

/* What the user of the tool changed about its rules. */
static void add_levels(struct sarif_run *r, const json_t *invocation)
{
    size_t i;
    const json_t *o;

    json_array_foreach(sarif_array(invocation, "ruleConfigurationOverrides"), i, o)
    {
        const char *id = sarif_string(sarif_object(o, "descriptor"), "id");
        json_t *level = json_object_get(sarif_object(o, "configuration"), "level");

        if (id && json_is_string(level)) {
            json_object_set(r->levels, id, level);
        }
    }
}

void sarif_run_init(struct sarif_run *r, const json_t *run, const char *root, struct arena *arena)
{
    const json_t *tool = sarif_object(run, "tool");
    const char *version;
    size_t i;
    const json_t *o;

    *r = (struct sarif_run){.run = run,
                            .driver = sarif_object(tool, "driver"),
                            .extensions = sarif_array(tool, "extensions"),
                            .artifacts = sarif_array(run, "artifacts"),
                            .bases = json_object_get(run, "originalUriBaseIds"),
                            .taxonomies = sarif_array(run, "taxonomies"),
                            .rules = json_object(),
                            .levels = json_object(),
                            .root = root,
                            .arena = arena};
    add_rules(r, r->driver);
    json_array_foreach(r->extensions, i, o)
    {
        add_rules(r, o);
    }
    json_array_foreach(sarif_array(run, "invocations"), i, o)
    {
        add_levels(r, o);
    }
    version = sarif_string(r->driver, "semanticVersion");
    version = version ? version : sarif_string(r->driver, "version");
    r->name = sarif_cut(arena, sarif_string(r->driver, "name"), 64, true);
    r->name = r->name ? r->name : "unnamed";
    r->version = sarif_cut(arena, version, 128, true);
}

void sarif_run_done(struct sarif_run *r)
{
    json_decref(r->rules);
    json_decref(r->levels);
    *r = (struct sarif_run){0};
}

/* ---- rules ---- */

/* The part of the tool that a reference names; the driver where it names none. */
static const json_t *component(const struct sarif_run *r, const json_t *reference)
{
    int32_t index = sarif_number(reference, "index");
    const char *name = sarif_string(reference, "name");
    const char *guid = sarif_string(reference, "guid");
    size_t i;
    const json_t *o;

    if (index >= 0) {
        return json_array_get(r->extensions, (size_t)index);
    }
    json_array_foreach(r->extensions, i, o)
    {
        if ((name && str_eq(name, sarif_string(o, "name"))) ||
            (guid && str_eq(guid, sarif_string(o, "guid")))) {
            return o;
        }
    }
    return r->driver;
}

/* "CA1000/1" is a part of the rule "CA1000". */
static const json_t *by_id(const struct sarif_run *r, const char *id)
{
    const json_t *rule = json_object_get(r->rules, id);
    auto_free char *part = xstrdup(id);

    for (char *slash; !rule && (slash = strrchr(part, '/'));) {
        *slash = 0;
        rule = json_object_get(r->rules, part);
    }
    return rule;
}

const json_t *sarif_rule(const struct sarif_run *r, const json_t *result)
{
    const json_t *reference = sarif_object(result, "rule");
    int32_t index = sarif_number(reference, "index");
    const char *id = sarif_string(result, "ruleId");
    const json_t *rule = NULL;
    const char *own = NULL;

    id = id ? id : sarif_string(reference, "id");
    index = index >= 0 ? index : sarif_number(result, "ruleIndex");
    if (index >= 0) {
        const json_t *part = component(r, sarif_object(reference, "toolComponent"));

        rule = json_array_get(sarif_array(part, "rules"), (size_t)index);
        own = sarif_string(rule, "id");
    }
    if (id && !(own && str_starts(id, own))) { /* the index is of something else, or a slip */
        const json_t *named = by_id(r, id);

        rule = named ? named : rule;
    }
    return json_is_object(rule) ? rule : NULL;
}

const char *sarif_rule_id(const json_t *result, const json_t *rule)
{
    const char *id = sarif_string(result, "ruleId");

    id = id ? id : sarif_string(sarif_object(result, "rule"), "id");
    return id ? id : sarif_string(rule, "id");
}

const char *sarif_level(const struct sarif_run *r, const json_t *result, const json_t *rule)
{
    const char *level = sarif_string(result, "level");
    const char *id = sarif_string(rule, "id");

    if (!level && id) {
        level = sarif_string(r->levels, id);
    }
    level = level ? level : sarif_string(sarif_object(rule, "defaultConfiguration"), "level");
    return level ? level : "warning";
}
