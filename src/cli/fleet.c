/* worker list, drain, resume - the workers of a server's transport. */
#include "cli/fleet.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "cli/remote.h"
#include "cli/view.h"

/* ---- lists ---- */

void fleet_list_begin(struct fleet_list *l, struct cli *c, const struct fleet_column *columns,
                      size_t n)
{
    const char *csv[TABLE_COLUMNS_MAX];
    uint32_t right = 0;

    *l = (struct fleet_list){.c = c, .columns = columns, .n = n};
    for (size_t i = 0; i < n; i++) {
        l->head[i] = columns[i].head;
        csv[i] = columns[i].csv;
        right |= columns[i].right ? 1u << i : 0;
    }
    l->table = (struct table){.head = l->head,
                              .n = n,
                              .width = c->term.width,
                              .color = c->term.out_color,
                              .right = right,
                              .sink = out_sink};
    if (c->format == FORMAT_CSV) {
        csv_row(&l->out, csv, n);
    }
}

static void put_member(const json_t *value, struct buf *out)
{
    const json_t *part;
    size_t i;

    if (json_is_integer(value)) {
        buf_addf(out, "%" PRId64, (int64_t)json_integer_value(value));
    } else if (json_is_string(value)) {
        buf_adds(out, json_string_value(value));
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, part)
        {
            buf_addf(out, "%s%s", i ? ", " : "",
                     json_is_string(part) ? json_string_value(part) : "?");
        }
    }
}

static void add_cells(struct fleet_list *l, const json_t *item)
{
    struct buf text[TABLE_COLUMNS_MAX] = {0};
    const char *cells[TABLE_COLUMNS_MAX];

    for (size_t i = 0; i < l->n; i++) {
        const struct fleet_column *col = &l->columns[i];

        /* A sheet gets what the interface says, people something shorter. */
        if (col->put && l->c->format == FORMAT_TABLE) {
            col->put(item, &text[i]);
        } else {
            put_member(json_object_get(item, col->csv), &text[i]);
        }
        cells[i] = text[i].data;
    }
    if (l->c->format == FORMAT_TABLE) {
        table_row(&l->table, cells);
    } else {
        csv_row(&l->out, cells, l->n);
    }
    for (size_t i = 0; i < l->n; i++) {
        buf_done(&text[i]);
    }
}

void fleet_list_item(struct fleet_list *l, const json_t *item)
{
    if (l->c->format == FORMAT_TABLE || l->c->format == FORMAT_CSV) {
        add_cells(l, item);
    } else {
        char *text = json_dumps(item, JSON_COMPACT);

        if (l->c->format == FORMAT_JSON) {
            buf_adds(&l->out, l->items ? ",\n" : "[");
        }
        buf_adds(&l->out, text ? text : "null");
        buf_adds(&l->out, l->c->format == FORMAT_NDJSON ? "\n" : "");
        free(text);
    }
    l->items++;
    out_buf(&l->out);
}

void fleet_list_end(struct fleet_list *l, bool whole)
{
    if (whole && l->c->format == FORMAT_TABLE) {
        table_end(&l->table);
    } else if (whole && l->c->format == FORMAT_JSON) {
        buf_adds(&l->out, l->items ? "]\n" : "[]\n");
    }
    if (whole) {
        out_buf(&l->out);
    }
    strvec_done(&l->table.cells);
    buf_done(&l->out);
}

json_t *fleet_get(struct cli *c, const char *path, int *status)
{
    struct answer a = {0};
    struct err e = {0};
    json_t *doc = NULL;

    *status = cli_call(c, &(struct call){.method = "GET", .path = path}, &a);
    if (*status == STATUS_OK) {
        doc = json_loadb(a.body.data ? a.body.data : "", a.body.len, 0, NULL);
        if (!json_is_array(json_object_get(doc, "items"))) {
            json_decref(doc);
            doc = NULL;
            err_set(&e, ERR_IO, "'%s' does not answer like a ScanPod server",
                    client_server(c->client));
            *status = cli_fail(c, &e, NULL);
        }
    }
    answer_done(&a);
    return doc;
}

/* ---- worker list ---- */

static void put_load(const json_t *w, struct buf *out)
{
    buf_addf(out, "%.2f", (double)json_number(w, "load_x100", 0) / 100);
}

static void put_heard(const json_t *w, struct buf *out)
{
    int64_t ms = json_number(w, "heard_ms", -1);

    if (ms >= 0) {
        buf_add_duration(out, ms * 1000);
    } else {
        buf_adds(out, "-");
    }
}

static const struct fleet_column worker_columns[] = {
    {.head = "NAME", .csv = "name"},
    {.head = "STATE", .csv = "state"},
    {.head = "SLOTS", .csv = "slots", .right = true},
    {.head = "BUSY", .csv = "busy", .right = true},
    {.head = "LOAD", .csv = "load_x100", .put = put_load, .right = true},
    {.head = "SPOOL", .csv = "spooled", .right = true},
    {.head = "HEARD", .csv = "heard_ms", .put = put_heard, .right = true},
    {.head = "VERSION", .csv = "version"},
    {.head = "HOST", .csv = "host"},
    {.head = "QUEUES", .csv = "queues"},
    {.head = "TOOLS", .csv = "tools"},
};

static int list(struct cli *c)
{
    struct fleet_list l;
    const json_t *w;
    size_t i;
    int status;
    json_t *doc = fleet_get(c, "/api/v1/workers", &status);

    if (!doc) {
        return status;
    }
    if (json_is_false(json_object_get(doc, "transport"))) {
        say(&c->term, "this server has no transport: it runs all scans itself");
    }
    fleet_list_begin(&l, c, worker_columns, ARRAY_LEN(worker_columns));
    json_array_foreach(json_object_get(doc, "items"), i, w)
    {
        fleet_list_item(&l, w);
    }
    fleet_list_end(&l, true);
    json_decref(doc);
    return STATUS_OK;
}

static const struct command command_worker_list = {
    .name = "list",
    .summary = "list the workers of a server",
    .formats = FORMATS_TEXT,
    .run = list,
};

/* ---- drain and resume ---- */

static int tell(struct cli *c, const char *verb, const char *done)
{
    int status = STATUS_OK;

    for (size_t i = 0; i < c->args.n && status == STATUS_OK; i++) {
        const char *name = c->args.operands[i];
        struct answer a = {0};
        auto_buf path = {0};

        buf_adds(&path, "/api/v1/workers/");
        buf_add_url(&path, name);
        buf_addf(&path, "/%s", verb);
        status = cli_call(c, &(struct call){.method = "POST", .path = path.data}, &a);
        if (status == STATUS_OK) {
            say(&c->term, "worker '%s' %s", name, done);
        }
        answer_done(&a);
    }
    return status;
}

static int drain(struct cli *c)
{
    return tell(c, "drain", "finishes what it has and takes nothing more");
}

static int resume(struct cli *c)
{
    return tell(c, "resume", "takes tasks again");
}

enum { NAMES_MAX = 256 };

static const struct command command_worker_drain = {
    .name = "drain",
    .operands = "NAME...",
    .summary = "give workers no more tasks; they finish what they have",
    .min = 1,
    .max = NAMES_MAX,
    .formats = 1u << FORMAT_TABLE,
    .run = drain,
};

static const struct command command_worker_resume = {
    .name = "resume",
    .operands = "NAME...",
    .summary = "give workers tasks again",
    .min = 1,
    .max = NAMES_MAX,
    .formats = 1u << FORMAT_TABLE,
    .run = resume,
};

const struct command *const fleet_worker_commands[] = {&command_worker_list, &command_worker_drain,
                                                       &command_worker_resume, NULL};
