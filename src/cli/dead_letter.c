/* dead-letter list - messages that were no requests, newest first, each with the reason. */
#include <inttypes.h>

#include "base/mem.h"
#include "cli/fleet.h"
#include "cli/view.h"

enum { LIMIT_DEFAULT = 50, PAGE_MAX = 1000 };

static const struct flag flags[] = {
    {.name = "limit", .letter = 'n', .value = "N", .help = "at most so many (50); 0: all"},
    {0},
};

static const struct fleet_column columns[] = {
    {.head = "SEQ", .csv = "seq", .right = true}, {.head = "TIME", .csv = "at"},
    {.head = "SOURCE", .csv = "source"},          {.head = "TASK", .csv = "task_id"},
    {.head = "REASON", .csv = "reason"},          {.head = "MESSAGE", .csv = "body"},
};

/* One page after `*after`; *left (0: no limit) is counted down, *after 0 at the end. */
static int page(struct fleet_list *l, uint64_t *left, int64_t *after)
{
    uint64_t want = *left ? MIN(*left, PAGE_MAX) : PAGE_MAX;
    auto_free char *path =
        str_fmt("/api/v1/dead-letters?limit=%" PRIu64 "&after=%" PRId64, want, *after);
    const json_t *d;
    size_t i;
    int status;
    json_t *doc = fleet_get(l->c, path, &status);

    if (!doc) {
        return status;
    }
    json_array_foreach(json_object_get(doc, "items"), i, d)
    {
        fleet_list_item(l, d);
    }
    *after = json_number(doc, "next", 0);
    if (*left && (*left -= MIN(*left, i)) == 0) {
        *after = 0;
    }
    json_decref(doc);
    return STATUS_OK;
}

static int list(struct cli *c)
{
    const char *limit = args_value(&c->args, "limit");
    uint64_t left = LIMIT_DEFAULT;
    struct fleet_list l;
    struct err e = {0};
    int64_t after = 0;
    int status = STATUS_OK;

    if (limit && !str_to_u64(limit, 0, UINT32_MAX, &left)) {
        err_set(&e, ERR_INVALID, "--limit '%s': expected a number", limit);
        return cli_fail(c, &e, "scanpod dead-letter list --help");
    }
    fleet_list_begin(&l, c, columns, ARRAY_LEN(columns));
    do {
        status = page(&l, &left, &after);
    } while (status == STATUS_OK && after > 0);
    fleet_list_end(&l, status == STATUS_OK);
    return status;
}

static const struct command command_dead_letter_list = {
    .name = "list",
    .summary = "list messages that were no requests, newest first, with the reason",
    .flags = flags,
    .formats = FORMATS_TEXT,
    .run = list,
};

static const struct command *const subs[] = {&command_dead_letter_list, NULL};

const struct command command_dead_letter = {
    .name = "dead-letter",
    .summary = "messages that were no requests: list",
    .subs = subs,
};
