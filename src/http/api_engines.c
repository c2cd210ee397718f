/* What looks at repositories here: engines, and whether their scans can be confined. */
#include <string.h>

#include "engine/engine.h"
#include "http/api_priv.h"

static void put_languages(struct json *j, unsigned languages)
{
    static const struct {
        const char *name;
        unsigned bit;
    } rows[] = {{"c", LANG_C},
                {"c++", LANG_CXX},
                {"python", LANG_PYTHON},
                {"shell", LANG_SHELL},
                {"other", LANG_OTHER_TEXT}};

    json_arr_in(j, "languages");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (languages & rows[i].bit) {
            json_str(j, NULL, rows[i].name);
        }
    }
    json_end(j);
}

static void put_engine(const struct api *a, struct json *j, const struct engine *en, bool declared)
{
    const char *version = NULL, *why = NULL;
    bool there = en->built_in || declared;

    if (!there && a->cfg.elsewhere) {
        version = api_fleet_tool(a, en->tool.name);
        there = version != NULL;
    } else if (!there && a->cfg.program) {
        there = a->cfg.program(a->cfg.program_arg, &en->tool, &version, &why) != NULL;
    }
    if (there && en->network && !a->cfg.agent_ready) {
        there = false;
        why = "there is no key for the model's API: see the setting agent-secret";
    }
    json_obj(j);
    json_str(j, "name", en->tool.name);
    json_str(j, "summary", en->tool.summary);
    put_languages(j, en->languages);
    json_str(j, "version", version);
    json_bool(j, "built_in", en->built_in);
    json_bool(j, "declared", declared);
    json_bool(j, "default", !en->on_demand);
    json_bool(j, "available", there);
    json_str(j, "why", there ? NULL : why);
    json_end(j);
}

void v1_engines(struct http_req *r, void *app)
{
    static const char *const known[] = {NULL};
    const struct api *a = app;
    const struct sandbox_caps *caps = a->cfg.sandbox ? a->cfg.sandbox(a->cfg.sandbox_arg) : NULL;
    struct json j;

    if (!api_query_known(r, known)) {
        return;
    }
    http_not_stored(r);
    j = json_to(http_out(r));
    json_obj(&j);
    json_arr_in(&j, "items");
    for (const struct engine *const *en = engine_all(); *en; en++) {
        put_engine(a, &j, *en, false);
    }
    for (size_t i = 0; i < sarif_engines_count(a->cfg.declared_engines); i++) {
        put_engine(a, &j, sarif_engines_at(a->cfg.declared_engines, i), true);
    }
    json_end(&j);
    if (caps && !a->cfg.elsewhere) {
        json_bool(&j, "confined", caps->nest);
        json_str(&j, "why", caps->nest ? NULL : caps->why_nest);
    }
    json_end(&j);
    api_json_reply(r, 200);
}
