/* diff - what changed between two results. */
#include <string.h>

#include "base/mem.h"
#include "cli/remote.h"

static int take(void *arg, const char *data, size_t n)
{
    bool *any = arg;

    *any = *any || n > 0;
    out_write(data, n);
    return 0;
}

static const char *format_of(const struct cli *c)
{
    return c->format == FORMAT_JSON ? "json" : c->format == FORMAT_NDJSON ? "ndjson" : "text";
}

/* Like diff(1): 0 nothing changed, 1 something did. */
static int run(struct cli *c)
{
    char a_id[ID_TEXT + 1], b_id[ID_TEXT + 1];
    struct answer a = {0};
    auto_free char *path = NULL;
    bool any = false;
    int status;

    if (!cli_client(c, &status)) {
        return status;
    }
    if ((status = remote_find(c, c->args.operands[0], a_id)) != STATUS_OK ||
        (status = remote_find(c, c->args.operands[1], b_id)) != STATUS_OK) {
        return status;
    }
    path = str_fmt("/api/v1/diff?a=%s&b=%s&format=%s", a_id, b_id, format_of(c));
    status = cli_call(
        c,
        &(struct call){.method = "GET", .path = path, .accept = "*/*", .sink = take, .arg = &any},
        &a);
    answer_done(&a);
    return status == STATUS_OK && any && c->format != FORMAT_JSON ? STATUS_FOUND : status;
}

const struct command command_diff = {
    .name = "diff",
    .operands = "JOB JOB",
    .summary = "what opened, closed, changed or was not scanned between two results",
    .more = "The exit status is 0 when nothing changed and 1 when something did (with --output\n"
            "json it is 0 in both cases). A port that one of the scans did not look at is told as\n"
            "not scanned, never as closed.\n",
    .min = 2,
    .max = 2,
    .formats = 1u << FORMAT_TABLE | 1u << FORMAT_JSON | 1u << FORMAT_NDJSON,
    .run = run,
};
