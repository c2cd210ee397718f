#include "cli/request.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "model/job.h"
#include "model/sandbox.h"

enum { LIST_MAX = 1 << 20 };

static int number(const struct args *a, const char *name, int64_t min, int64_t max, int64_t *out,
                  struct err *e)
{
    const char *s = args_value(a, name);

    *out = INT64_MIN;
    if (s && !str_to_i64(s, min, max, out)) {
        return err_set(e, ERR_INVALID, "--%s '%s': expected %" PRId64 " to %" PRId64, name, s, min,
                       max);
    }
    return 0;
}

/* All of --limit NAME=VALUE, which may stand several times, and hold several by commas. */
static int read_limits(const struct args *a, struct buf *out, struct err *e)
{
    auto_buf all = {0};
    struct limits l;
    int rc;

    for (size_t i = 0; i < a->n_set; i++) {
        if (strcmp(a->set[i].flag->name, "limit") == 0) {
            buf_addf(&all, "%s%s", all.len ? "," : "", a->set[i].value);
        }
    }
    rc = limits_parse(all.data, &l, e);
    if (rc < 0) {
        return err_prefix(e, rc, "--limit");
    }
    limits_put(&l, out);
    return 0;
}

static int read_list(const char *path, struct buf *out, struct err *e)
{
    FILE *f = fopen(path, "re");
    char chunk[4096];
    size_t n;
    bool failed;

    if (!f) {
        err_errno(e, "--targets-file: open '%s'", path);
        return e->code = ERR_INVALID;
    }
    out->cap = LIST_MAX;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0 && !out->over) {
        buf_add(out, chunk, n);
    }
    failed = ferror(f) != 0;
    fclose(f);
    if (failed) {
        return err_errno(e, "--targets-file: read '%s'", path);
    }
    if (out->over) {
        return err_set(e, ERR_INVALID, "--targets-file '%s': more than %d bytes", path, LIST_MAX);
    }
    return 0;
}

/* Exclusions are targets with '!' before them. */
static void add_exclusions(const struct args *a, struct buf *out)
{
    for (size_t i = 0; i < a->n_set; i++) {
        if (str_eq(a->set[i].flag->name, "exclude")) {
            buf_addf(out, "%s!%s", out->len ? " " : "", a->set[i].value);
        }
    }
}

static int read_plan(const struct args *a, struct scan_flags *f, struct err *e)
{
    const char *list = args_value(a, "targets-file");
    int rc = number(a, "rate", 1, 100000000, &f->rate, e);

    if (rc == 0) {
        rc = number(a, "shards", 1, 1024, &f->shards, e);
    }
    if (rc == 0 && f->pace && !str_eq(f->pace, "own") && !str_eq(f->pace, "fast")) {
        rc = err_set(e, ERR_INVALID, "--pace '%s': expected fast or own", f->pace);
    }
    if (rc == 0 && list) {
        rc = read_list(list, &f->list, e);
    }
    if (rc == 0 && a->n == 0 && !list) {
        rc = err_set(e, ERR_INVALID, "TARGET... is missing");
    }
    return rc;
}

bool scan_flags_default(const struct scan_flags *f)
{
    return !f->tool && !f->arguments && !f->profile;
}

int scan_flags_read(const struct args *a, struct scan_flags *f, struct err *e)
{
    int rc;

    *f = (struct scan_flags){
        .tool = args_value(a, "tool"),
        .ports = args_value(a, "ports"),
        .arguments = args_value(a, "arguments"),
        .profile = args_value(a, "profile"),
        .pace = args_value(a, "pace"),
        .zone = args_value(a, "zone"),
        .clip = args_has(a, "clip"),
    };
    rc = number(a, "timeout", JOB_TIMEOUT_MIN_S, JOB_TIMEOUT_MAX_S, &f->timeout_s, e);
    if (rc == 0) {
        rc = number(a, "priority", 0, JOB_PRIORITY_MAX, &f->priority, e);
    }
    if (rc == 0) {
        rc = number(a, "retries", 0, JOB_RETRIES_MAX, &f->retries, e);
    }
    if (rc == 0) {
        rc = read_limits(a, &f->limits, e);
    }
    if (rc == 0) {
        rc = read_plan(a, f, e);
    }
    for (size_t i = 0; rc == 0 && i < a->n; i++) {
        buf_addf(&f->targets, "%s%s", i ? " " : "", a->operands[i]);
    }
    if (rc == 0) {
        add_exclusions(a, &f->targets);
    }
    return rc;
}

static void put_limits(struct json *j, const char *text)
{
    struct limits l;

    if (!text || !*text || limits_parse(text, &l, NULL) < 0) {
        return;
    }
    json_obj_in(j, "limits");
    for (const struct limit_row *row = limit_rows; row->name; row++) {
        if (*limit_at(&l, row)) {
            json_int(j, row->name, *limit_at(&l, row));
        }
    }
    json_end(j);
}

void scan_flags_json(const struct scan_flags *f, struct buf *out)
{
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {{"timeout", f->timeout_s},
                   {"priority", f->priority},
                   {"retries", f->retries},
                   {"rate", f->rate},
                   {"shards", f->shards}};
    const struct {
        const char *name, *value;
    } texts[] = {{"tool", f->tool},       {"ports", f->ports}, {"arguments", f->arguments},
                 {"profile", f->profile}, {"pace", f->pace},   {"zone", f->zone}};
    struct json j = json_to(out);

    json_obj(&j);
    json_strn(&j, "targets", f->targets.data ? f->targets.data : "", f->targets.len);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].value) {
            json_str(&j, texts[i].name, texts[i].value);
        }
    }
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (numbers[i].value != INT64_MIN) {
            json_int(&j, numbers[i].name, numbers[i].value);
        }
    }
    if (f->list.len) {
        json_strn(&j, "targets_list", f->list.data, f->list.len);
    }
    put_limits(&j, f->limits.data);
    if (f->clip) {
        json_bool(&j, "clip", true);
    }
    json_end(&j);
}

void scan_flags_done(struct scan_flags *f)
{
    buf_done(&f->targets);
    buf_done(&f->limits);
    buf_done(&f->list);
}
