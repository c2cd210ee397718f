/*
 * fleet - lists of what a fleet consists of: workers, queues, messages that were no requests.
 */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/table.h"

struct fleet_column {
    const char *head, *csv;
    void (*put)(const json_t *item, struct buf *out); /* NULL: member `csv`, text or number */
    bool right;                                       /* a number, in the table */
};

/* One list in c->format, written as items arrive. On the stack; fleet_list_end() it. */
struct fleet_list {
    struct cli *c;
    const struct fleet_column *columns;
    size_t n; /* columns */

    /* private */
    struct table table;
    struct buf out;
    const char *head[TABLE_COLUMNS_MAX];
    uint64_t items;
};

void fleet_list_begin(struct fleet_list *l, struct cli *c, const struct fleet_column *columns,
                      size_t n);
void fleet_list_item(struct fleet_list *l, const json_t *item);
/* `whole`: all items were there; else what is held back is dropped. Frees. */
void fleet_list_end(struct fleet_list *l, bool whole);

/* The object at `path`, whose `items` is an array. NULL after an error was printed; *status is then
 * set. The caller json_decref()s. */
json_t *fleet_get(struct cli *c, const char *path, int *status);

/* list, drain and resume; NULL-terminated. */
extern const struct command *const fleet_worker_commands[];
