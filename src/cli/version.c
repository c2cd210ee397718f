/* version - which program this is. */
#include "version.h"

#include "base/json.h"
#include "cli/cli.h"

static const struct flag flags[] = {{.name = "json", .help = "the same as -o json"}, {0}};

static int run(struct cli *c)
{
    auto_buf b = {0};

    if (c->format == FORMAT_JSON || args_has(&c->args, "json")) {
        struct json j = json_to(&b);

        json_obj(&j);
        json_str(&j, "name", "scanpod");
        json_str(&j, "version", SCANPOD_VERSION);
        json_str(&j, "api", "/api/v1");
        json_str(&j, "compiler", __VERSION__);
        json_end(&j);
        buf_addc(&b, '\n');
    } else {
        buf_adds(&b, "scanpod " SCANPOD_VERSION "\n");
    }
    out_buf(&b);
    return STATUS_OK;
}

const struct command command_version = {
    .name = "version",
    .summary = "show the version",
    .flags = flags,
    .formats = 1u << FORMAT_TABLE | 1u << FORMAT_JSON,
    .run = run,
};
