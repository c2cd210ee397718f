/*
 * What a scan saw, read from its run record (docs/findings.md): the proof that somebody would have
 * found an issue again if it were still there. Whatever is missing or makes no sense proves
 * nothing.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/finding.h"

struct seen {
    json_t *run;
    json_t *engines; /* by name: the paths that it missed; null: it did not run whole */
    json_t *skipped; /* paths; NULL: not all of them are known */
    json_t *renamed; /* "FROM\nTO" */
    json_t *moved;   /* by old path: array of new ones */
    bool everything;
};

static const char *text_at(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

/* Paths of a list of objects; NULL if it is not the whole list. */
static json_t *paths_of(const json_t *o, const char *list, const char *more)
{
    const json_t *v = json_object_get(o, list);
    json_t *set;
    size_t i;
    const json_t *item;

    if (json_integer_value(json_object_get(o, more)) != 0 || (v && !json_is_array(v))) {
        return NULL;
    }
    set = json_object();
    json_array_foreach(v, i, item)
    {
        const char *path = text_at(item, "path");

        if (!path) {
            json_decref(set);
            return NULL;
        }
        json_object_set_new(set, path, json_true());
    }
    return set;
}

/* One that has no file to look at saw all that there was. */
static bool ran_whole(const json_t *engine)
{
    const char *status = text_at(engine, "status");

    return str_eq(status, "ok") ||
           (str_eq(status, "skipped") && str_eq(text_at(engine, "reason"), "no files"));
}

static void read_engines(struct seen *s)
{
    const json_t *v = json_object_get(s->run, "engines");
    size_t i;
    const json_t *engine;

    s->engines = json_object();
    json_array_foreach(v, i, engine)
    {
        const char *name = text_at(engine, "name");
        json_t *missed = ran_whole(engine) ? paths_of(engine, "missed", "missed_more") : NULL;

        if (name && json_object_get(s->engines, name)) { /* told twice: which is true? */
            json_object_set_new(s->engines, name, json_null());
            json_decref(missed);
        } else if (name) {
            json_object_set_new(s->engines, name, missed ? missed : json_null());
        } else {
            json_decref(missed);
        }
    }
}

static void read_renamed(struct seen *s)
{
    const json_t *v = json_object_get(s->run, "renamed");
    size_t i;
    const json_t *item;

    s->renamed = json_object();
    s->moved = json_object();
    json_array_foreach(v, i, item)
    {
        const char *from = text_at(item, "from");
        const char *to = text_at(item, "to");

        if (from && to) {
            auto_free char *both = str_fmt("%s\n%s", from, to);
            json_t *list = json_object_get(s->moved, from);

            if (!list) {
                list = json_array();
                json_object_set_new(s->moved, from, list);
            }
            json_array_append_new(list, json_string(to));
            json_object_set_new(s->renamed, both, json_true());
        }
    }
}

struct seen *seen_new(const char *run_json, bool everything)
{
    struct seen *s = xcalloc(1, sizeof *s);
    const json_t *files;

    s->run = run_json ? json_loads(run_json, 0, NULL) : NULL;
    if (!json_is_object(s->run)) {
        json_decref(s->run);
        s->run = json_object();
    }
    files = json_object_get(s->run, "files");
    s->skipped = json_is_object(files) ? paths_of(files, "skipped", "skipped_more") : NULL;
    s->everything = everything && !text_at(s->run, "base") && !text_at(s->run, "head");
    read_engines(s);
    read_renamed(s);
    return s;
}

void seen_free(struct seen *s)
{
    if (s) {
        json_decref(s->run);
        json_decref(s->engines);
        json_decref(s->skipped);
        json_decref(s->renamed);
        json_decref(s->moved);
        free(s);
    }
}

const char *seen_text(const struct seen *s, const char *name)
{
    return text_at(s->run, name);
}

bool seen_complete(const struct seen *s)
{
    return str_eq(text_at(s->run, "assessment"), "complete");
}

bool seen_aside(const struct seen *s)
{
    return json_is_true(json_object_get(s->run, "aside"));
}

static bool file_by(const struct seen *s, const json_t *missed, const char *path)
{
    return !json_object_get(missed, path) && !json_object_get(s->skipped, path);
}

bool seen_by(const struct seen *s, const char *engine, size_t n, const char *path)
{
    auto_free char *name = xstrndup(engine, n);
    const json_t *missed = json_object_get(s->engines, name);
    const json_t *to = json_object_get(s->moved, path);
    size_t i;
    const json_t *new_path;

    if (!json_is_object(missed) || !s->skipped || !file_by(s, missed, path)) {
        return false;
    }
    json_array_foreach(to, i, new_path)
    {
        const char *text = json_string_value(new_path);

        if (text && !file_by(s, missed, text)) {
            return false;
        }
    }
    return true;
}

bool seen_whole(const struct seen *s, const char *engines, const char *path)
{
    const char *p = engines;
    const char *end;

    while (s->everything && (end = strchr(p, '\n')) != NULL) {
        if (!seen_by(s, p, (size_t)(end - p), path)) {
            return false;
        }
        p = end + 1;
    }
    return s->everything && p != engines;
}

bool seen_renamed(void *seen, const char *from, const char *to)
{
    const struct seen *s = seen;
    auto_free char *both = str_fmt("%s\n%s", from, to);

    return json_object_get(s->renamed, both) != NULL;
}
