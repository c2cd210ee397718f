/* diff - what changed between two results. */
#include <string.h>

#include "base/mem.h"
#include "cli/remote.h"

enum { HEAD = 256 }; /* holds all that may stand before the first difference */

static int take(void *arg, const char *data, size_t n)
{
    struct buf *head = arg;

    if (head->len < HEAD) {
        buf_add(head, data, MIN(n, HEAD - head->len));
    }
    out_write(data, n);
    return 0;
}

static const char *format_of(const struct cli *c)
{
    return c->format == FORMAT_JSON ? "json" : c->format == FORMAT_NDJSON ? "ndjson" : "text";
}

/* Without differences the answer begins with its sums, or with an empty array of items. */
static bool is_same(enum format format, const struct buf *head)
{
    const char *text = head->data ? head->data : "";

    switch (format) {
    case FORMAT_JSON:
        return strstr(text, "\"items\":[]") != NULL;
    case FORMAT_NDJSON:
        return str_starts(text, "{\"counts\"");
    default:
        return text[0] == '#';
    }
}

/* Like diff(1): 0 nothing changed, 1 something did. */
static int run(struct cli *c)
{
    char a_id[ID_TEXT + 1], b_id[ID_TEXT + 1];
    struct answer a = {0};
    auto_free char *path = NULL;
    auto_buf head = {0};
    int status;

    if (!cli_client(c, &status)) {
        return status;
    }
    if ((status = remote_find(c, c->args.operands[0], a_id)) != STATUS_OK ||
        (status = remote_find(c, c->args.operands[1], b_id)) != STATUS_OK) {
        return status == STATUS_FOUND ? STATUS_USAGE : status; /* 1 says that they differ */
    }
    path = str_fmt("/api/v1/diff?a=%s&b=%s&format=%s", a_id, b_id, format_of(c));
    status = cli_call(
        c,
        &(struct call){.method = "GET", .path = path, .accept = "*/*", .sink = take, .arg = &head},
        &a);
    if (status == STATUS_OK && c->format == FORMAT_JSON) {
        out_write("\n", 1);
    }
    answer_done(&a);
    return status == STATUS_OK && !is_same(c->format, &head) ? STATUS_FOUND : status;
}

const struct command command_diff = {
    .name = "diff",
    .operands = "JOB JOB",
    .summary = "what opened, closed, changed or was not scanned between two results",
    .more =
        "The exit status is 0 when there is no difference and 1 when there is one. A port that\n"
        "one of the scans did not look at is told as not scanned, never as closed.\n",
    .min = 2,
    .max = 2,
    .formats = 1u << FORMAT_TABLE | 1u << FORMAT_JSON | 1u << FORMAT_NDJSON,
    .run = run,
};
