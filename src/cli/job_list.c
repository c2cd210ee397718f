/* job list - jobs, newest first. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/view.h"

enum { SHORT_MIN = 12, LIMIT_DEFAULT = 50, PAGE_MAX = 1000 };

static const struct flag flags[] = {
    {.name = "state", .value = "STATE", .help = "only jobs in this state (more by commas)"},
    {.name = "tool", .value = "NAME", .help = "only jobs of this scanner"},
    {.name = "since", .value = "TIME", .help = "only jobs made since: 2026-11-21T20:00:00Z"},
    {.name = "limit", .letter = 'n', .value = "N", .help = "at most so many (50); 0: all"},
    {.name = "no-trunc", .help = "whole ids"},
    {0},
};

static const char *const head[] = {"ID", "STATE", "TOOL", "PROGRESS",
                                   "UP", "OPEN",  "AGE",  "TARGETS"};
static const char *const csv_head[] = {
    "id",         "state",      "reason",       "tool",     "targets",    "ports",
    "created_at", "started_at", "completed_at", "hosts_up", "ports_open",
};

struct list {
    struct cli *c;
    uint64_t limit, n;
    json_t *block; /* jobs of the block that is collected, for the length of their ids */
    struct table table;
    struct buf out;
    bool whole_ids;
    int64_t now_us;
};

/* The least number of digits that tells the block's ids apart: they begin with a time. */
static size_t short_length(const json_t *block)
{
    size_t need = SHORT_MIN;

    for (size_t i = 1; i < json_array_size(block); i++) {
        const char *a = json_text(json_array_get(block, i - 1), "id");
        const char *b = json_text(json_array_get(block, i), "id");
        size_t same = 0;

        while (a[same] && a[same] == b[same]) {
            same++;
        }
        need = MAX(need, same + 1);
    }
    return MIN(need, (size_t)ID_TEXT);
}

static void add_table_row(struct list *l, const json_t *job, size_t id_len)
{
    auto_free char *id = xstrndup(json_text(job, "id"), id_len);
    auto_buf progress = {0}, up = {0}, open = {0}, age = {0};
    struct job_view v;

    job_view_read(job, &v);
    if (v.terminal) {
        buf_adds(&progress, v.partial ? "partial" : *v.reason ? v.reason : "-");
    } else if (v.percent >= 0) {
        buf_addf(&progress, "%.0f%%", v.percent);
    } else {
        buf_adds(&progress, "-");
    }
    if (job_view_is_repo(&v)) { /* it has findings, not hosts */
        buf_adds(&up, "-");
        buf_adds(&open, "-");
    } else {
        buf_addf(&up, "%" PRId64, v.hosts_up);
        buf_addf(&open, "%" PRId64, v.ports_open);
    }
    buf_add_duration(&age, l->now_us - v.created_us);
    table_row(&l->table, (const char *const[]){id, v.state, v.tool, progress.data, up.data,
                                               open.data, age.data, v.targets});
}

static void flush_block(struct list *l)
{
    size_t id_len = l->whole_ids ? ID_TEXT : short_length(l->block);
    const json_t *job;
    size_t i;

    json_array_foreach(l->block, i, job)
    {
        add_table_row(l, job, id_len);
    }
    json_array_clear(l->block);
}

static void add_csv(struct list *l, const json_t *job)
{
    auto_buf up = {0}, open = {0};
    struct job_view v;

    job_view_read(job, &v);
    buf_addf(&up, "%" PRId64, v.hosts_up);
    buf_addf(&open, "%" PRId64, v.ports_open);
    csv_row(&l->out,
            (const char *const[]){v.id, v.state, v.reason, v.tool, v.targets, v.ports,
                                  json_text(job, "created_at"), json_text(job, "started_at"),
                                  json_text(job, "completed_at"), up.data, open.data},
            ARRAY_LEN(csv_head));
}

static int on_job(void *arg, json_t *job)
{
    struct list *l = arg;

    if (l->c->format == FORMAT_TABLE) {
        json_array_append(l->block, job);
        if (json_array_size(l->block) >= PAGE_MAX) {
            flush_block(l);
        }
    } else if (l->c->format == FORMAT_CSV) {
        add_csv(l, job);
    } else {
        char *text = json_dumps(job, JSON_COMPACT);

        if (l->c->format == FORMAT_JSON) {
            buf_adds(&l->out, l->n ? ",\n" : "[");
        }
        buf_adds(&l->out, text ? text : "null");
        buf_adds(&l->out, l->c->format == FORMAT_NDJSON ? "\n" : "");
        free(text);
    }
    out_buf(&l->out);
    l->n++;
    return l->limit && l->n >= l->limit;
}

static int list_path(const struct args *a, uint64_t limit, struct buf *path)
{
    static const char *const filters[] = {"state", "tool", "since"};

    buf_addf(path, "/api/v1/scans?limit=%" PRIu64, limit ? MIN(limit, PAGE_MAX) : PAGE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
        const char *v = args_value(a, filters[i]);

        if (v) {
            buf_addf(path, "&%s=", filters[i]);
            buf_add_url(path, v);
        }
    }
    return 0;
}

static void begin(struct list *l)
{
    l->table = (struct table){
        .head = head,
        .n = ARRAY_LEN(head),
        .width = l->c->term.width,
        .color = l->c->term.out_color,
        .right = 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6,
        .sink = out_sink,
    };
    if (l->c->format == FORMAT_CSV) {
        csv_row(&l->out, csv_head, ARRAY_LEN(csv_head));
    }
}

static void end(struct list *l)
{
    if (l->c->format == FORMAT_TABLE) {
        flush_block(l);
        table_end(&l->table);
    } else if (l->c->format == FORMAT_JSON) {
        buf_adds(&l->out, l->n ? "]\n" : "[]\n");
    }
    out_buf(&l->out);
}

static int run(struct cli *c)
{
    struct list l = {.c = c, .limit = LIMIT_DEFAULT, .now_us = wall_us()};
    const char *limit = args_value(&c->args, "limit");
    struct err e = {0};
    auto_buf path = {0};
    int status = STATUS_OK;

    if (limit && !str_to_u64(limit, 0, UINT32_MAX, &l.limit)) {
        err_set(&e, ERR_INVALID, "--limit '%s': expected a number", limit);
        return cli_fail(c, &e, "scanpod job list --help");
    }
    l.whole_ids = args_has(&c->args, "no-trunc");
    l.block = json_array();
    list_path(&c->args, l.limit, &path);
    begin(&l);
    if (remote_each(c, path.data, on_job, &l, &status) >= 0) {
        end(&l);
        status = STATUS_OK;
    }
    json_decref(l.block);
    strvec_done(&l.table.cells);
    buf_done(&l.out);
    return status;
}

const struct command command_job_list = {
    .name = "list",
    .summary = "list jobs, newest first",
    .flags = flags,
    .formats = FORMATS_TEXT,
    .run = run,
};

const struct command command_jobs = {
    .name = "jobs",
    .summary = "the same as 'job list'",
    .flags = flags,
    .formats = FORMATS_TEXT,
    .run = run,
};
