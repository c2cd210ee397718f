/* health - one question to a server, for those who watch it: a status, and a line that says why. */
#include <string.h>

#include "base/mem.h"
#include "cli/remote.h"
#include "cli/view.h"

enum { HEALTH_MS = 5000 };

static int run(struct cli *c)
{
    struct answer a = {0};
    int status = cli_call(
        c, &(struct call){.method = "GET", .path = "/readyz", .timeout_ms = HEALTH_MS}, &a);
    json_t *doc = status == STATUS_OK ? remote_object(c, &a) : NULL;

    if (doc && c->format == FORMAT_JSON) {
        print_answer(&a);
    } else if (doc && !c->term.quiet) {
        auto_buf line = {0};

        buf_add_escaped(&line, json_text(doc, "status"), strlen(json_text(doc, "status")));
        buf_addc(&line, '\n');
        out_buf(&line);
    } else if (status == STATUS_OK && !doc) {
        status = STATUS_UNREACHABLE;
    }
    json_decref(doc);
    answer_done(&a);
    return status;
}

const struct command command_health = {
    .name = "health",
    .summary = "whether a server can take jobs and run them; needs no key",
    .formats = 1u << FORMAT_TABLE | 1u << FORMAT_JSON,
    .run = run,
};
