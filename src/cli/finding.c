/* finding - what repository scans found, over all scans, and what people decided about it. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "cli/finding_view.h"
#include "cli/remote.h"
#include "cli/view.h"

static const struct flag list_flags[] = {
    {.name = "repository", .value = "URL", .help = "only of this one"},
    {.name = "branch", .value = "NAME", .help = "only of this branch"},
    {.name = "severity", .value = "WORD", .help = "of this severity and above"},
    {.name = "triage",
     .value = "STATE",
     .help = "open, acknowledged, false_positive, accepted_risk"},
    {.name = "engine", .value = "NAME", .help = "reported by it"},
    {.name = "rule", .value = "CLASS", .help = "of this class, such as sql-injection"},
    {.name = "path", .value = "PATH", .help = "in this file, or below DIRECTORY/"},
    {.name = "text", .value = "TEXT", .help = "with this in title, message or path"},
    {.name = "fixed", .help = "those that are fixed (those that are open)"},
    {0},
};

static int take(void *arg, json_t *item)
{
    finding_writer_take(arg, item);
    return 0;
}

static int run_list(struct cli *c)
{
    static const char *const names[] = {"repository", "branch", "severity", "triage",
                                        "engine",     "rule",   "path",     "text"};
    struct finding_writer w = {0};
    auto_buf path = {0};
    int status;

    if (!cli_client(c, &status)) {
        return status;
    }
    buf_addf(&path, "/api/v1/findings?limit=1000&open=%s",
             args_has(&c->args, "fixed") ? "false" : "true");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *value = args_value(&c->args, names[i]);

        if (value) {
            buf_addf(&path, "&%s=", names[i]);
            buf_add_url(&path, value);
        }
    }
    finding_writer_init(&w, c);
    if (c->format == FORMAT_JSON) {
        out_write("[", 1);
    }
    status = STATUS_OK;
    (void)remote_each(c, path.data, take, &w, &status);
    finding_writer_end(&w);
    if (c->format == FORMAT_JSON) {
        out_write("\n]\n", 3);
    }
    return status;
}

const struct command command_finding_list = {
    .name = "list",
    .summary = "findings of all repositories",
    .flags = list_flags,
    .formats = 1u << FORMAT_TABLE | 1u << FORMAT_JSON | 1u << FORMAT_NDJSON,
    .run = run_list,
};

static int show(struct cli *c, struct answer *a)
{
    json_t *f = remote_object(c, a);
    struct buf out = {0};

    if (!f) {
        return STATUS_UNREACHABLE;
    }
    if (c->format == FORMAT_JSON) {
        print_answer(a);
    } else {
        finding_facts(f, c->term.out_color, &out);
        out_buf(&out);
    }
    buf_done(&out);
    json_decref(f);
    return STATUS_OK;
}

static int run_show(struct cli *c)
{
    struct answer a = {0};
    auto_buf path = {0};
    int status;

    if (!cli_client(c, &status)) {
        return status;
    }
    buf_adds(&path, "/api/v1/findings/");
    buf_add_url(&path, c->args.operands[0]);
    status = cli_call(c, &(struct call){.method = "GET", .path = path.data}, &a);
    status = status == STATUS_OK ? show(c, &a) : status;
    answer_done(&a);
    return status;
}

const struct command command_finding_show = {
    .name = "show",
    .operands = "FINDING",
    .summary = "all that is known of one finding",
    .min = 1,
    .max = 1,
    .formats = 1u << FORMAT_TABLE | 1u << FORMAT_JSON,
    .run = run_show,
};

static const struct flag triage_flags[] = {
    {.name = "reason", .value = "TEXT", .help = "why; needed for false_positive, accepted_risk"},
    {.name = "until", .value = "DATE", .help = "it counts again from then on (never)"},
    {0},
};

static int run_triage(struct cli *c)
{
    const char *reason = args_value(&c->args, "reason"), *until = args_value(&c->args, "until");
    struct answer a = {0};
    auto_buf path = {0};
    auto_buf body = {0};
    struct json j = json_to(&body);
    int status;

    if (!cli_client(c, &status)) {
        return status;
    }
    buf_adds(&path, "/api/v1/findings/");
    buf_add_url(&path, c->args.operands[0]);
    json_obj(&j);
    json_str(&j, "state", c->args.operands[1]);
    if (reason) {
        json_str(&j, "reason", reason);
    }
    if (until) {
        json_str(&j, "until", until);
    }
    json_end(&j);
    status =
        cli_call(c, &(struct call){.method = "PATCH", .path = path.data, .body = body.data}, &a);
    status = status == STATUS_OK ? show(c, &a) : status;
    answer_done(&a);
    return status;
}

const struct command command_finding_triage = {
    .name = "triage",
    .operands = "FINDING STATE",
    .summary = "decide about one: open, acknowledged, false_positive, accepted_risk",
    .flags = triage_flags,
    .min = 2,
    .max = 2,
    .formats = 1u << FORMAT_TABLE | 1u << FORMAT_JSON,
    .run = run_triage,
};
