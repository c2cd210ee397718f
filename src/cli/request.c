#include "cli/request.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "model/job.h"
#include "model/sandbox.h"

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

int scan_flags_read(const struct args *a, struct scan_flags *f, struct err *e)
{
    int rc;

    *f = (struct scan_flags){
        .tool = args_value(a, "tool"),
        .ports = args_value(a, "ports"),
        .arguments = args_value(a, "arguments"),
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
    for (size_t i = 0; rc == 0 && i < a->n; i++) {
        buf_addf(&f->targets, "%s%s", i ? " " : "", a->operands[i]);
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
    } numbers[] = {{"timeout", f->timeout_s}, {"priority", f->priority}, {"retries", f->retries}};
    const struct {
        const char *name, *value;
    } texts[] = {{"tool", f->tool}, {"ports", f->ports}, {"arguments", f->arguments}};
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
}
