/* Weak: what is not written yet. */
#include "engine/agent.h"
#include "engine/sarif.h"
#include "store/findings.h"

#include "report/findings.h"
#define W __attribute__((weak))
W const struct findings_format *const findings_formats[] = {NULL};
W const struct findings_format *findings_format_find(const char *name)
{
    return NULL;
}
W const struct parser parser_sarif = {.name = "sarif"};
W const struct engine engine_claude = {
    .tool = {.name = "claude", .summary = "none"}, .built_in = true, .on_demand = true};
W int sarif_engines_load(const char *path, struct sarif_engines **out, struct err *e)
{
    *out = NULL;
    return 0;
}
W void sarif_engines_free(struct sarif_engines *s)
{
    (void)s;
}
W size_t sarif_engines_count(const struct sarif_engines *s)
{
    return 0;
}
W const struct engine *sarif_engines_at(const struct sarif_engines *s, size_t i)
{
    return NULL;
}
W const struct engine *sarif_engines_find(const struct sarif_engines *s, const char *name)
{
    return NULL;
}
W const char *const *sarif_engine_paths(const struct engine *en)
{
    return NULL;
}
W void sarif_engines_json(const struct sarif_engines *s, struct json *j, const char *key)
{
    (void)s;
}
W int sarif_engines_read(const char *json, struct sarif_engines **out, struct err *e)
{
    *out = NULL;
    return 0;
}
W int agent_args_parse(const char *text, struct agent_ask *out, struct arena *arena, struct err *e)
{
    return 0;
}
W const struct sarif_engine *sarif_engine_of(const struct engine *en) { return NULL; }
