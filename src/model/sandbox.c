/* Names, limits and the report of a run: one table each, read in both directions. */
#include "model/sandbox.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

static const char *const egress_names[EGRESS_LEVELS] = {
    [EGRESS_NONE] = "none",         [EGRESS_PROXY] = "proxy",   [EGRESS_NFT] = "nft",
    [EGRESS_ROOTLESS] = "rootless", [EGRESS_BROKER] = "broker", [EGRESS_UNCONFINED] = "unconfined",
};

const char *egress_name(enum egress l)
{
    assert(l < EGRESS_LEVELS);
    return egress_names[l];
}

bool egress_parse(const char *s, enum egress *out)
{
    for (unsigned i = 0; i < EGRESS_LEVELS; i++) {
        if (str_eq(s, egress_names[i])) {
            *out = (enum egress)i;
            return true;
        }
    }
    return false;
}

static const char *const limit_names[LIMIT_KINDS] = {
    [LIMIT_NONE] = "none", [LIMIT_TIMEOUT] = "timeout", [LIMIT_OUTPUT] = "output",
    [LIMIT_CPU] = "cpu",   [LIMIT_OOM] = "oom",         [LIMIT_PIDS] = "pids",
    [LIMIT_DISK] = "disk", [LIMIT_INODES] = "inodes",   [LIMIT_FILE_SIZE] = "file_size",
};

const char *limit_kind_name(enum limit_kind k)
{
    assert(k < LIMIT_KINDS);
    return limit_names[k];
}

/* ---- limits ---- */

#define ROW(member, lo, hi, text)                                                             \
    {                                                                                         \
        .name = #member, .offset = offsetof(struct limits, member), .min = (lo), .max = (hi), \
        .help = (text)                                                                        \
    }

const struct limit_row limit_rows[] = {
    ROW(wall_s, 1, 604800, "seconds by the clock"),
    ROW(cpu_s, 1, 4838400, "seconds of processor time"),
    ROW(memory_mb, 16, 1048576, "memory, MiB"),
    ROW(processes, 4, 65536, "processes and threads at a time"),
    ROW(file_mb, 1, 1048576, "size of one file, MiB"),
    ROW(disk_mb, 1, 1048576, "files of the run in all, MiB"),
    ROW(inodes, 16, 10000000, "number of files of the run"),
    ROW(output_mb, 1, 65536, "output of the tool, MiB"),
    ROW(rate_pps, 1, 100000000, "packets per second"),
    {0},
};

uint32_t *limit_at(struct limits *l, const struct limit_row *row)
{
    return (uint32_t *)(void *)((char *)l + row->offset);
}

static uint32_t value_of(const struct limits *l, const struct limit_row *row)
{
    uint32_t v;

    memcpy(&v, (const char *)l + row->offset, sizeof v);
    return v;
}

void limits_tighten(struct limits *l, const struct limits *by)
{
    for (const struct limit_row *row = limit_rows; row->name; row++) {
        uint32_t *v = limit_at(l, row);
        uint32_t other = value_of(by, row);

        if (other && (!*v || other < *v)) {
            *v = other;
        }
    }
}

void limits_put(const struct limits *l, struct buf *out)
{
    bool first = true;

    for (const struct limit_row *row = limit_rows; row->name; row++) {
        uint32_t v = value_of(l, row);

        if (v) {
            buf_addf(out, "%s%s=%" PRIu32, first ? "" : ",", row->name, v);
            first = false;
        }
    }
}

static const struct limit_row *row_named(const char *s, size_t n)
{
    for (const struct limit_row *row = limit_rows; row->name; row++) {
        if (strlen(row->name) == n && memcmp(row->name, s, n) == 0) {
            return row;
        }
    }
    return NULL;
}

/* One "name=value" of n bytes. */
static int limit_read(const char *s, size_t n, struct limits *l, struct err *e)
{
    const char *eq = memchr(s, '=', n);
    size_t len = eq ? (size_t)(eq - s) : n;
    const struct limit_row *row = row_named(s, len);
    auto_free char *text = eq ? xstrndup(eq + 1, n - len - 1) : NULL;
    uint64_t v;

    if (!row) {
        return err_set(e, ERR_INVALID, "no such limit: '%.*s'", (int)MIN(len, 64), s);
    }
    if (!text || !str_to_u64(text, row->min, row->max, &v)) {
        return err_set(e, ERR_INVALID, "limit %s (%s) must be from %" PRIu32 " to %" PRIu32,
                       row->name, row->help, row->min, row->max);
    }
    if (*limit_at(l, row)) {
        return err_set(e, ERR_INVALID, "limit %s is given twice", row->name);
    }
    *limit_at(l, row) = (uint32_t)v;
    return 0;
}

int limits_parse(const char *s, struct limits *out, struct err *e)
{
    struct limits l = {0};

    while (s && *s) {
        size_t n = strcspn(s, ",");
        int rc = limit_read(s, n, &l, e);

        if (rc < 0) {
            return rc;
        }
        if (s[n] == ',' && !s[n + 1]) {
            return err_set(e, ERR_INVALID, "limits end with a comma");
        }
        s += n + (s[n] == ',');
    }
    *out = l;
    return 0;
}

/* ---- reports ---- */

const char *box_files_name(enum box_files f)
{
    static const char *const names[FILES_KINDS] = {
        [FILES_VIEW] = "view", [FILES_LANDLOCK] = "landlock", [FILES_OPEN] = "open"};

    assert(f < FILES_KINDS);
    return names[f];
}

void sandbox_summary(const struct sandbox_report *r, char *out, size_t size)
{
    bool view = r->files == FILES_VIEW;

    snprintf(out, size, "%s%s%s+%s+%s", r->box, view ? "" : "-",
             view ? "" : box_files_name(r->files), egress_name(r->egress), r->limits);
}

/* -1 stands for not known. */
static void figure(struct json *j, const char *name, int64_t v)
{
    if (v < 0) {
        json_nil(j, name);
    } else {
        json_int(j, name, v);
    }
}

static void usage_json(struct json *j, const struct sandbox_report *r)
{
    json_obj_in(j, "usage");
    figure(j, "cpu_ms", r->cpu_us < 0 ? -1 : r->cpu_us / 1000);
    figure(j, "max_rss_kb", r->max_rss_kb);
    figure(j, "memory_peak_kb", r->memory_peak_kb);
    figure(j, "output_bytes", r->output_bytes);
    figure(j, "disk_bytes", r->disk_bytes);
    json_end(j);
}

static void counts_json(struct json *j, const char *name, const struct egress_counts *c)
{
    const struct {
        const char *name;
        uint64_t v;
    } dropped[] = {
        {"out_of_scope", c->out_of_scope}, {"spoofed", c->spoofed}, {"protocol", c->protocol},
        {"options", c->options},           {"link", c->link},       {"rate", c->rate},
    };

    json_obj_in(j, name);
    json_int(j, "passed", (int64_t)c->passed);
    json_obj_in(j, "dropped");
    for (size_t i = 0; i < ARRAY_LEN(dropped); i++) {
        json_int(j, dropped[i].name, (int64_t)dropped[i].v);
    }
    json_end(j);
    json_int(j, "noise", (int64_t)c->noise);
    json_end(j);
}

/* Only of runs that asked anything of it. */
static void api_json(struct json *j, const struct api_use *api)
{
    if (api->requests == 0 && api->refused == 0) {
        return;
    }
    json_obj_in(j, "api");
    json_int(j, "requests", (int64_t)api->requests);
    json_int(j, "refused", (int64_t)api->refused);
    json_int(j, "input_tokens", (int64_t)api->input_tokens);
    json_int(j, "output_tokens", (int64_t)api->output_tokens);
    json_end(j);
}

void sandbox_json(const struct sandbox_report *r, const char *const *notes, struct buf *out)
{
    const char *counted = r->egress == EGRESS_BROKER  ? "calls"
                          : r->egress == EGRESS_PROXY ? "connections"
                                                      : "packets";
    struct json j = json_to(out);

    json_obj(&j);
    json_str(&j, "box", r->box);
    json_str(&j, "files", box_files_name(r->files));
    json_str(&j, "egress", egress_name(r->egress));
    json_str(&j, "limits", r->limits);
    json_bool(&j, "dedicated", r->dedicated);
    json_bool(&j, "raw_sockets", r->raw_sockets);
    json_str(&j, "limit", r->limit == LIMIT_NONE ? NULL : limit_kind_name(r->limit));
    json_bool(&j, "limit_certain", r->limit_certain);
    usage_json(&j, r);
    if (r->counted) {
        counts_json(&j, counted, &r->counts);
    } else {
        json_nil(&j, counted);
    }
    api_json(&j, &r->api);
    json_arr_in(&j, "notes");
    for (; notes && *notes; notes++) {
        json_str(&j, NULL, *notes);
    }
    json_end(&j);
    json_end(&j);
}
