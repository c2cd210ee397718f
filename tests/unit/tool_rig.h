/*
 * tool_rig - a request to one tool as text: what its check makes of it, the command line, the
 * deadline, what it covers. Answers are borrowed until the next call.
 */
#pragma once

#include "model/request.h"
#include "tap.h"
#include "tool/tool.h"

struct asked {
    const char *targets, *ports, *arguments;
    bool advanced, no_raw, broker, user_stack, no_link, no_silent;
    uint32_t rate;
    uint64_t addresses;
    const char *version;
    int code; /* of what was expected to fail; 0: ERR_INVALID */
};

static const struct tool *const rig_tool; /* of the test */

static const char *rig_joined(const struct strvec *words, char *text, size_t size)
{
    size_t n = 0;

    text[0] = '\0';
    for (size_t i = 0; i < words->n; i++) {
        bool quoted = strchr(words->v[i], ' ') != NULL;

        n += (size_t)snprintf(text + n, size - n, "%s%s%s%s", i ? " " : "", quoted ? "'" : "",
                              words->v[i], quoted ? "'" : "");
    }
    return text;
}

static int rig_plan(const struct asked *a, struct tool_plan *plan, struct err *e)
{
    return tool_check(rig_tool,
                      &(struct tool_request){.targets = a->targets ? a->targets : "10.0.0.0/24",
                                             .ports = a->ports,
                                             .arguments = a->arguments,
                                             .advanced = a->advanced},
                      plan, e);
}

static struct tool_start rig_start(const struct asked *a)
{
    return (struct tool_start){.program = "/bin/x",
                               .raw_sockets = !a->no_raw && !a->broker,
                               .broker = a->broker,
                               .user_stack = a->user_stack,
                               .rate_pps = a->rate,
                               .addresses = a->addresses,
                               .interface = a->no_link ? NULL : "eth0",
                               .gateway_mac = a->no_link ? NULL : "02:00:00:00:00:01",
                               .silent_port = a->no_silent ? 0 : 61440,
                               .silent_ports = a->no_silent ? 0 : 16,
                               .version = a->version};
}

/* The command line without the program, or the message; notes behind "; ". */
static const char *line(const struct asked *a)
{
    static char text[4096];
    const struct tool_start start = rig_start(a);
    auto_plan plan = {0};
    auto_strvec argv = {0}, notes = {0};
    struct err e = {0};
    size_t n;

    if (rig_plan(a, &plan, &e) < 0 || rig_tool->build_argv(&plan, &start, &argv, &notes, &e) < 0) {
        CHECK_INT(e.code, a->code ? a->code : ERR_INVALID);
        snprintf(text, sizeof text, "%s", e.msg);
        return text;
    }
    CHECK(argv.n > 2);
    CHECK_STR(argv.v[0], "/bin/x");
    CHECK_STR(argv.v[argv.n - 1], TOOL_TARGETS_FILE);
    rig_joined(&argv, text, sizeof text);
    n = strlen(text);
    for (size_t i = 0; i < notes.n; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "; %s", notes.v[i]);
    }
    return text + strlen("/bin/x ");
}

/* The options as they will be given, and the ports behind " | "; or the message. */
static const char *planned(const struct asked *a)
{
    static char text[4096];
    auto_plan plan = {0};
    struct err e = {0};
    size_t n;

    if (rig_plan(a, &plan, &e) < 0) {
        CHECK_INT(e.code, a->code ? a->code : ERR_INVALID);
        snprintf(text, sizeof text, "%s", e.msg);
        return text;
    }
    rig_joined(&plan.tokens, text, sizeof text);
    n = strlen(text);
    snprintf(text + n, sizeof text - n, " | %s", plan.ports ? plan.ports : "-");
    return text;
}

static uint32_t deadline(const struct asked *a)
{
    const struct tool_start start = rig_start(a);
    auto_plan plan = {0};

    CHECK_OK(rig_plan(a, &plan, ERR));
    return rig_tool->deadline_s(&plan, &start);
}

/* "host up tcp=1-3 udp=53", or "". */
static const char *covered(const struct asked *a, const char *run_json)
{
    static const char *const kinds[] = {"tcp", "udp", "sctp", "ip"};
    static char text[1024];
    struct tool_cover c = {0};
    auto_plan plan = {0};
    size_t n;

    CHECK_OK(rig_plan(a, &plan, ERR));
    rig_tool->covers(&plan, run_json, &c);
    n = (size_t)snprintf(text, sizeof text, "%s%s", c.hosts ? "host " : "", c.up_only ? "up " : "");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (c.ports[i]) {
            n += (size_t)snprintf(text + n, sizeof text - n, "%s=%s ", kinds[i], c.ports[i]);
        }
        free(c.ports[i]);
    }
    if (n > 0) {
        text[n - 1] = '\0';
    }
    return text;
}

/* "task percent remaining", or "no". */
static const char *status(const char *said)
{
    static char text[128];
    struct progress p;

    if (!rig_tool->read_status(said, &p)) {
        return "no";
    }
    snprintf(text, sizeof text, "%s %d %d", p.task, p.percent_x100, p.remaining_s);
    return text;
}

/* Rows are found by name and by field, and no two mean different things by one of them. */
static void rig_table_is_sound(void)
{
    for (const struct tool_option *a = rig_tool->options; a->name; a++) {
        CHECK(a->value != TOOL_CHOICE || a->choices);
        CHECK(a->class_ != OPTION_UNSAFE && !a->old);
        for (const struct tool_option *b = a + 1; b->name; b++) {
            CHECK(!str_eq(a->name, b->name));
            CHECK(!a->field || !str_eq(a->field, b->field) || str_eq(a->group, b->group) ||
                  (a->word && b->word && !str_eq(a->word, b->word)));
        }
        for (const struct tool_refusal *r = rig_tool->refusals; r->name; r++) {
            CHECK(!str_eq(r->name, a->name));
        }
    }
    for (const struct tool_refusal *r = rig_tool->refusals; r->name; r++) {
        auto_free char *apart = str_fmt("%s x", r->name);
        auto_free char *joined = str_fmt("%s=x", r->name);
        auto_free char *says = str_fmt("disallowed argument: '%s': %s", r->name, r->why);

        CHECK_STR(planned(&(struct asked){.arguments = apart, .advanced = true, .ports = "80"}),
                  says);
        CHECK(strstr(planned(&(struct asked){.arguments = joined, .advanced = true, .ports = "80"}),
                     r->why));
    }
}
