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

/* ---- one ---- */

static void add_stage(struct table *t, struct buf *csv, const json_t *s)
{
    int64_t rate = json_number(s, "rate", 0);
    auto_free char *pps = rate > 0 ? str_fmt("%" PRId64, rate) : NULL;
    const char *const cells[] = {json_text(s, "find"), json_text(s, "tool"), json_text(s, "ports"),
                                 pps, json_text(s, "arguments")};
    const char *shown[ARRAY_LEN(cells)];

    if (csv) {
        csv_row(csv, cells, ARRAY_LEN(cells));
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(cells); i++) {
        shown[i] = cells[i] && *cells[i] ? cells[i] : "-";
    }
    table_row(t, shown);
}

static void show_facts(const struct cli *c, const json_t *profile)
{
    auto_free char *name =
        str_fmt("%s@%" PRId64, json_text(profile, "name"), json_number(profile, "version", 1));
    auto_free char *seconds = str_fmt("%" PRId64 " s at most for a task that identifies services",
                                      json_number(profile, "service_seconds", 0));
    auto_buf out = {0};

    job_view_fact(&out, c->term.out_color, "profile", name);
    job_view_fact(&out, c->term.out_color, "what for", json_text(profile, "summary"));
    job_view_fact(&out, c->term.out_color, "from",
                  json_is_true(json_object_get(profile, "builtin")) ? "built in"
                                                                    : "the server's own file");
    job_view_fact(&out, c->term.out_color, "services", seconds);
    buf_addc(&out, '\n');
    out_buf(&out);
}

static int show(struct cli *c, const struct answer *a)
{
    static const char *const head[] = {"STAGE", "TOOL", "PORTS", "RATE", "OPTIONS"};
    static const char *const csv_head[] = {"stage", "tool", "ports", "rate", "arguments"};
    struct table table = {.head = head,
                          .n = ARRAY_LEN(head),
                          .width = c->term.width,
                          .color = c->term.out_color,
                          .sink = out_sink};
    bool csv = c->format == FORMAT_CSV;
    json_t *doc = remote_object(c, a);
    auto_buf rows = {0};
    const json_t *s;
    size_t i;

    if (!doc) {
        return STATUS_UNREACHABLE;
    }
    if (csv) {
        csv_row(&rows, csv_head, ARRAY_LEN(csv_head));
    } else {
        show_facts(c, doc);
    }
    json_array_foreach(json_object_get(doc, "stages"), i, s)
    {
        add_stage(&table, csv ? &rows : NULL, s);
    }
    if (csv) {
        out_buf(&rows);
    } else {
        table_end(&table);
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
    if (status == STATUS_OK && (c->format == FORMAT_TABLE || c->format == FORMAT_CSV)) {
        status = one ? show(c, &a) : list(c, &a);
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
