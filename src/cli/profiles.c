/* profiles - the plans that a scan can be made by. */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/view.h"

/* "hosts, ports top:100, verify" */
static void add_stages(const json_t *profile, struct buf *out)
{
    const json_t *stage;
    size_t i;

    json_array_foreach(json_object_get(profile, "stages"), i, stage)
    {
        const char *ports = json_text(stage, "ports");

        buf_addf(out, "%s%s", i ? ", " : "", json_text(stage, "find"));
        if (*ports) {
            buf_addf(out, " %s", ports);
        }
    }
}

struct listing {
    struct table table;
    bool csv;
};

static void add_row(struct listing *l, const json_t *p)
{
    auto_free char *name =
        str_fmt("%s@%" PRId64, json_text(p, "name"), json_number(p, "version", 1));
    auto_buf stages = {0};

    add_stages(p, &stages);

    const char *const cells[] = {name, stages.data, json_text(p, "summary")};

    if (l->csv) {
        auto_buf row = {0};

        csv_row(&row, cells, ARRAY_LEN(cells));
        out_buf(&row);
    } else {
        table_row(&l->table, cells);
    }
}

static int list(struct cli *c, const struct answer *a)
{
    static const char *const head[] = {"PROFILE", "STAGES", "WHAT FOR"};
    static const char *const csv_head[] = {"profile", "stages", "summary"};
    struct listing l = {.table = {.head = head,
                                  .n = ARRAY_LEN(head),
                                  .width = c->term.width,
                                  .color = c->term.out_color,
                                  .sink = out_sink},
                        .csv = c->format == FORMAT_CSV};
    json_t *doc = remote_object(c, a);
    const json_t *p;
    size_t i;

    if (!doc) {
        return STATUS_UNREACHABLE;
    }
    if (l.csv) {
        auto_buf row = {0};

        csv_row(&row, csv_head, ARRAY_LEN(csv_head));
        out_buf(&row);
    }
    json_array_foreach(json_object_get(doc, "items"), i, p)
    {
        add_row(&l, p);
    }
    if (!l.csv) {
        table_end(&l.table);
    }
    json_decref(doc);
    return STATUS_OK;
}

static int run(struct cli *c)
{
    bool one = c->args.n > 0;
    struct answer a = {0};
    auto_buf path = {0};
    int status;

    buf_adds(&path, "/api/v1/profiles");
    if (one) {
        buf_addc(&path, '/');
        buf_add_url(&path, c->args.operands[0]);
    }
    status = cli_call(c, &(struct call){.method = "GET", .path = path.data}, &a);
    if (status == STATUS_OK && !one && (c->format == FORMAT_TABLE || c->format == FORMAT_CSV)) {
        status = list(c, &a);
    } else if (status == STATUS_OK) {
        print_answer(&a);
    }
    answer_done(&a);
    return status;
}

const struct command command_profiles = {
    .name = "profiles",
    .operands = "[NAME]",
    .summary = "list the profiles of a server, or show one",
    .min = 0,
    .max = 1,
    .formats = 1u << FORMAT_TABLE | 1u << FORMAT_JSON | 1u << FORMAT_CSV,
    .run = run,
};
