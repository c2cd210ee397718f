/* queue list - what waits, and who serves it. */
#include "base/mem.h"
#include "cli/fleet.h"
#include "cli/view.h"

static void put_oldest(const json_t *q, struct buf *out)
{
    if (json_number(q, "ready", 0) > 0) {
        buf_add_duration(out, json_number(q, "oldest_seconds", 0) * 1000000);
    } else {
        buf_adds(out, "-");
    }
}

static const struct fleet_column columns[] = {
    {.head = "QUEUE", .csv = "queue"},
    {.head = "READY", .csv = "ready", .right = true},
    {.head = "OLDEST", .csv = "oldest_seconds", .put = put_oldest, .right = true},
    {.head = "WORKERS", .csv = "workers", .right = true},
    {.head = "SLOTS", .csv = "slots", .right = true},
    {.head = "FREE", .csv = "free_slots", .right = true},
};

static int list(struct cli *c)
{
    struct fleet_list l;
    const json_t *q;
    size_t i;
    int status;
    json_t *doc = fleet_get(c, "/api/v1/queues", &status);

    if (!doc) {
        return status;
    }
    fleet_list_begin(&l, c, columns, ARRAY_LEN(columns));
    json_array_foreach(json_object_get(doc, "items"), i, q)
    {
        fleet_list_item(&l, q);
    }
    fleet_list_end(&l, true);
    json_decref(doc);
    return STATUS_OK;
}

static const struct command command_queue_list = {
    .name = "list",
    .summary = "list queues: what waits in each, for how long, and who serves it",
    .formats = FORMATS_TEXT,
    .run = list,
};

static const struct command *const subs[] = {&command_queue_list, NULL};

const struct command command_queue = {
    .name = "queue",
    .summary = "queues of tasks: list",
    .subs = subs,
};
