/* job tasks - the pieces of a job: which stage, where they stand, why they failed. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/view.h"

struct listing {
    struct table table;
    enum format format;
    bool any;
};

static void add_value(struct listing *l, const json_t *task)
{
    char *text = json_dumps(task, JSON_COMPACT);
    auto_buf out = {0};

    if (l->format == FORMAT_JSON) {
        buf_adds(&out, l->any ? ",\n" : "[");
    }
    buf_adds(&out, text ? text : "null");
    buf_adds(&out, l->format == FORMAT_NDJSON ? "\n" : "");
    l->any = true;
    free(text);
    out_buf(&out);
}

static int add(void *arg, json_t *t)
{
    struct listing *l = arg;
    double percent = json_number_value(json_object_get(t, "percent"));
    auto_free char *task = str_fmt("%" PRId64, json_number(t, "task", 0));
    auto_free char *done = json_is_number(json_object_get(t, "percent"))
                               ? str_fmt("%.0f%s", percent, l->format == FORMAT_TABLE ? "%" : "")
                               : xstrdup("");
    auto_free char *open = str_fmt("%" PRId64, json_number(t, "ports_open", 0));
    const char *problem = *json_text(t, "error") ? json_text(t, "error") : json_text(t, "reason");
    const char *const cells[] = {
        task,   json_text(t, "stage"), json_text(t, "tool"), json_text(t, "state"), done, open,
        problem};

    if (l->format == FORMAT_NDJSON || l->format == FORMAT_JSON) {
        add_value(l, t);
    } else if (l->format == FORMAT_CSV) {
        auto_buf row = {0};

        csv_row(&row, cells, ARRAY_LEN(cells));
        out_buf(&row);
    } else {
        table_row(&l->table, cells);
    }
    return 0;
}

static int run(struct cli *c)
{
    static const char *const head[] = {"TASK", "STAGE", "TOOL", "STATE", "DONE", "OPEN", "PROBLEM"};
    static const char *const csv_head[] = {"task",    "stage", "tool",   "state",
                                           "percent", "open",  "problem"};
    struct listing l = {.table = {.head = head,
                                  .n = ARRAY_LEN(head),
                                  .width = c->term.width,
                                  .color = c->term.out_color,
                                  .right = 1u << 0 | 1u << 4 | 1u << 5,
                                  .sink = out_sink},
                        .format = c->format};
    char id[ID_TEXT + 1];
    auto_free char *path = NULL;
    int status;

    if (!cli_client(c, &status)) {
        return status;
    }
    status = remote_find(c, c->args.operands[0], id);
    if (status != STATUS_OK) {
        return status;
    }
    if (l.format == FORMAT_CSV) {
        auto_buf row = {0};

        csv_row(&row, csv_head, ARRAY_LEN(csv_head));
        out_buf(&row);
    }
    path = str_fmt("/api/v1/scans/%s/tasks?limit=1000", id);
    if (remote_each(c, path, add, &l, &status) < 0) {
        strvec_done(&l.table.cells);
        return status;
    }
    if (l.format == FORMAT_TABLE) {
        table_end(&l.table);
    } else if (l.format == FORMAT_JSON) {
        out_write(l.any ? "]\n" : "[]\n", l.any ? 2 : 3);
    }
    return STATUS_OK;
}

const struct command command_job_tasks = {
    .name = "tasks",
    .operands = "JOB",
    .summary = "list the pieces of a job and where they stand",
    .min = 1,
    .max = 1,
    .formats = FORMATS_TEXT,
    .run = run,
};
