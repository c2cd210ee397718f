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
};

static int add(void *arg, json_t *t)
{
    struct listing *l = arg;
    double percent = json_number_value(json_object_get(t, "percent"));
    auto_free char *task = str_fmt("%" PRId64, json_number(t, "task", 0));
    auto_free char *done =
        json_is_number(json_object_get(t, "percent")) ? str_fmt("%.0f%%", percent) : xstrdup("");
    auto_free char *open = str_fmt("%" PRId64, json_number(t, "ports_open", 0));
    const char *problem = *json_text(t, "error") ? json_text(t, "error") : json_text(t, "reason");
    const char *const cells[] = {
        task,   json_text(t, "stage"), json_text(t, "tool"), json_text(t, "state"), done, open,
        problem};

    if (l->format == FORMAT_NDJSON) {
        char *text = json_dumps(t, JSON_COMPACT);
        auto_buf line = {0};

        buf_addf(&line, "%s\n", text ? text : "{}");
        free(text);
        out_buf(&line);
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

        csv_row(&row, head, ARRAY_LEN(head));
        out_buf(&row);
    }
    path = str_fmt("/api/v1/scans/%s/tasks?limit=1000", id);
    (void)remote_each(c, path, add, &l, &status);
    if (l.format == FORMAT_TABLE) {
        table_end(&l.table);
    }
    return status;
}

const struct command command_job_tasks = {
    .name = "tasks",
    .operands = "JOB",
    .summary = "list the pieces of a job and where they stand",
    .min = 1,
    .max = 1,
    .formats = 1u << FORMAT_TABLE | 1u << FORMAT_NDJSON | 1u << FORMAT_CSV,
    .run = run,
};
