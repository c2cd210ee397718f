/*
 * What the server is and can do.
 */
#include <string.h>

#include "base/mem.h"
#include "http/api_v1.h"

void v1_version(struct http_req *r, void *app)
{
    const struct api *a = app;
    struct json j = json_to(http_out(r));

    http_not_stored(r);
    json_obj(&j);
    json_str(&j, "name", "scanpod");
    json_str(&j, "version", a->cfg.version);
    json_end(&j);
    api_json_reply(r, 200);
}

static void put_limits(struct json *j, const struct api *a)
{
    json_obj_in(j, "limits");
    json_int(j, "timeout_min", JOB_TIMEOUT_MIN_S);
    json_int(j, "timeout_max", JOB_TIMEOUT_MAX_S);
    json_int(j, "timeout_default", a->cfg.scan_timeout_s);
    json_int(j, "queue_timeout_default", a->cfg.queue_timeout_s);
    json_int(j, "priority_max", JOB_PRIORITY_MAX);
    json_int(j, "priority_default", JOB_PRIORITY_DEFAULT);
    json_int(j, "retries_max", JOB_RETRIES_MAX);
    json_int(j, "retries_default", a->cfg.retries);
    json_int(j, "page_max", API_PAGE_MAX);
    json_int(j, "wait_max", API_WAIT_MAX_S);
    json_int(j, "body_bytes_max", 1 << 20);
    json_int(j, "submit_bytes_max", API_SUBMIT_MAX);
    if (a->cfg.import_dir) {
        json_int(j, "import_bytes_max", (int64_t)MIN(a->cfg.import_max, (uint64_t)INT64_MAX));
    }
    json_end(j);
}

/* ---- confinement ---- */

static void put_level(struct json *j, const struct sandbox_caps *c, enum egress l)
{
    json_obj(j);
    json_str(j, "name", egress_name(l));
    json_bool(j, "usable", c->usable[l]);
    json_str(j, "why", c->usable[l] ? NULL : c->why[l]);
    json_end(j);
}

static void put_sandbox(struct json *j, const struct api *a)
{
    const struct sandbox_caps *c = a->cfg.sandbox ? a->cfg.sandbox(a->cfg.sandbox_arg) : NULL;

    json_obj_in(j, "sandbox");
    json_bool(j, "probing", !c);
    if (c) {
        json_str(j, "box", c->box);
        json_str(j, "limits", c->limits);
        json_bool(j, "view", c->view);
        json_bool(j, "landlock", c->landlock);
        json_arr_in(j, "levels");
        for (int l = 0; l < EGRESS_LEVELS; l++) {
            put_level(j, c, l);
        }
        json_end(j);
        json_obj_in(j, "forwarding");
        json_bool(j, "ipv4", c->forward_v4);
        json_bool(j, "ipv6", c->forward_v6);
        json_end(j);
        json_obj_in(j, "dedicated_addresses");
        json_int(j, "ipv4", c->dedicated_v4);
        json_int(j, "ipv6", c->dedicated_v6);
        json_end(j);
    }
    json_bool(j, "unconfined_allowed", a->cfg.allow_unconfined);
    json_end(j);
}

static void put_run_limits(struct json *j)
{
    json_arr_in(j, "run_limits");
    for (const struct limit_row *row = limit_rows; row->name; row++) {
        json_obj(j);
        json_str(j, "name", row->name);
        json_int(j, "min", row->min);
        json_int(j, "max", row->max);
        json_str(j, "help", row->help);
        json_end(j);
    }
    json_end(j);
}

void v1_capabilities(struct http_req *r, void *app)
{
    const struct api *a = app;
    struct json j = json_to(http_out(r));
    struct sched_stats ss = {0};

    http_not_stored(r);
    sched_stats(a->sched, &ss);
    json_obj(&j);
    json_str(&j, "version", a->cfg.version);
    json_arr_in(&j, "tools");
    for (const struct tool *const *t = tool_all(); *t; t++) {
        json_str(&j, NULL, (*t)->name);
    }
    json_end(&j);
    json_arr_in(&j, "instant_tools");
    for (const struct tool *const *t = tool_all(); *t; t++) {
        if ((*t)->instant) {
            json_str(&j, NULL, (*t)->name);
        }
    }
    json_end(&j);
    put_sandbox(&j, a);
    json_str(&j, "policy", policy_source(api_policy(a)));
    json_bool(&j, "unsafe_arguments", a->cfg.allow_unsafe_args);
    json_bool(&j, "reparse", a->cfg.reparse != NULL);
    json_int(&j, "slots", ss.slots);
    put_limits(&j, a);
    put_run_limits(&j);
    json_end(&j);
    api_json_reply(r, 200);
}

/* ---- tools ---- */

static void put_choices(struct json *j, const char *choices)
{
    if (!choices) {
        return;
    }
    json_arr_in(j, "choices");
    while (*choices) {
        size_t n = strcspn(choices, "|");

        json_strn(j, NULL, choices, n);
        choices += n + (choices[n] != '\0');
    }
    json_end(j);
}

static void put_option(struct json *j, const struct tool_option *o)
{
    static const char *const kinds[] = {
        [TOOL_FLAG] = "flag",       [TOOL_COUNT] = "count",
        [TOOL_TIME] = "time",       [TOOL_RATE] = "rate",
        [TOOL_PORTS] = "ports",     [TOOL_PROTOCOLS] = "protocols",
        [TOOL_SCRIPTS] = "scripts", [TOOL_SCRIPT_ARGS] = "script_args",
        [TOOL_HEX] = "hex",         [TOOL_ADDRESS] = "address",
        [TOOL_DECOYS] = "decoys",   [TOOL_MAC] = "mac",
        [TOOL_NAME] = "name",       [TOOL_TCP_FLAGS] = "tcp_flags",
        [TOOL_SHARD] = "shard",     [TOOL_CHOICE] = "choice",
    };
    static const char *const classes[] = {[OPTION_PLAIN] = "plain",
                                          [OPTION_ADVANCED] = "advanced",
                                          [OPTION_DEBUG] = "debug",
                                          [OPTION_UNSAFE] = "unsafe"};
    bool bounded = o->value == TOOL_COUNT || o->value == TOOL_RATE || o->value == TOOL_TIME;

    json_obj(j);
    json_str(j, "name", o->name);
    json_str(j, "field", o->field);
    json_str(j, "word", o->word);
    json_str(j, "value", o->value < ARRAY_LEN(kinds) ? kinds[o->value] : "text");
    if (bounded) {
        json_int(j, "min", o->min);
        json_int(j, "max", o->max);
    }
    put_choices(j, o->choices);
    json_str(j, "class", classes[o->class_]);
    json_bool(j, "needs_raw_sockets", o->needs_raw);
    json_end(j);
}

/* How many scripts each level gives, without flags. */
static void put_scripts(struct json *j, const struct nse_db *db)
{
    if (!db) {
        json_nil(j, "scripts");
        return;
    }
    json_obj_in(j, "scripts");
    json_int(j, "known", (int64_t)nse_count(db));
    for (enum script_level l = SCRIPTS_SAFE; l <= SCRIPTS_AGGRESSIVE; l++) {
        json_int(j, script_level_name(l), (int64_t)nse_allowed(db, l, 0));
    }
    json_end(j);
}

static bool tool_usable(const struct api *a, const struct tool *t, const char **version)
{
    const char *why = NULL;

    if (t->instant) {
        return true;
    }
    if (a->cfg.elsewhere) {
        *version = api_fleet_tool(a, t->name);
        return *version != NULL;
    }
    if (a->cfg.program) {
        return a->cfg.program(a->cfg.program_arg, t, version, &why) != NULL;
    }
    return str_eq(t->name, "nmap") && a->cfg.nmap && !a->cfg.nmap(a->cfg.nmap_arg, version);
}

void v1_tools(struct http_req *r, void *app)
{
    const struct api *a = app;
    struct json j = json_to(http_out(r));

    http_not_stored(r);
    json_obj(&j);
    json_arr_in(&j, "items");
    for (const struct tool *const *t = tool_all(); *t; t++) {
        bool nmap = str_eq((*t)->name, "nmap");
        const char *version = NULL;
        bool usable = tool_usable(a, *t, &version);

        json_obj(&j);
        json_str(&j, "name", (*t)->name);
        json_str(&j, "summary", (*t)->summary);
        json_str(&j, "version", version);
        json_bool(&j, "available", usable);
        json_bool(&j, "instant", (*t)->instant);
        view_limits(&j, "limits", &(*t)->limits);
        put_scripts(&j, nmap ? a->cfg.nse : NULL);
        json_arr_in(&j, "options");
        for (const struct tool_option *o = (*t)->options; o && o->name; o++) {
            put_option(&j, o);
        }
        json_end(&j);
        json_end(&j);
    }
    json_end(&j);
    json_end(&j);
    api_json_reply(r, 200);
}
