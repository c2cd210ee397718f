/*
 * What `scanpod repo-box` writes: one JSON object a line, {"finding"}, {"progress"}, and {"run"} as
 * the last one. It comes from a box in which hostile text was read, so nothing of it is believed:
 * a line that breaks a rule ends the reading.
 */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "parse/finding_json.h"
#include "parse/parse.h"

struct repo {
    const struct parse_sink *sink;
    struct buf line; /* the beginning of one that has no end yet */
    uint64_t lines;
    int code; /* of the first failure; then nothing more is read */
    struct err err;
    bool sink_failed;
    char *run; /* owned: the record's text; NULL: not yet there */
    char *version, *errormsg;
    bool failed; /* the run says that nothing was assessed */
};

static void *repo_new(const struct parse_sink *sink)
{
    struct repo *p = xcalloc(1, sizeof *p);

    p->sink = sink;
    return p;
}

static void repo_free(void *arg)
{
    struct repo *p = arg;

    if (p) {
        buf_done(&p->line);
        free(p->run);
        free(p->version);
        free(p->errormsg);
        free(p);
    }
}

static void fail(struct repo *p, int code, const char *what)
{
    if (p->code == 0) {
        p->code = err_set(&p->err, code, "output of the repository scan, line %" PRIu64 ": %s",
                          p->lines + 1, what);
    }
}

/* The sink says stop: its code and message are handed on. */
static void told(struct repo *p, int rc, const struct err *why)
{
    if (rc != 0 && p->code == 0) {
        p->code = rc;
        p->err = *why;
        p->sink_failed = true;
    }
}

static void take_finding(struct repo *p, const json_t *o)
{
    struct finding f;
    struct err why = {0};

    if (finding_from_json(o, &f, &why) != 0 || finding_check(&f, &why) != 0) {
        fail(p, ERR_TOOL, why.msg);
    } else if (p->sink->finding) {
        told(p, p->sink->finding(p->sink->arg, &f, &why), &why);
    }
}

static void take_progress(struct repo *p, const json_t *o)
{
    const json_t *percent = json_object_get(o, "percent");
    const json_t *remaining = json_object_get(o, "remaining_s");
    struct progress progress = {.task = json_string_value(json_object_get(o, "task")),
                                .percent_x100 = -1,
                                .remaining_s = -1};
    struct err why = {0};

    if (!json_is_object(o) || !progress.task) {
        fail(p, ERR_TOOL, "a progress has no task");
        return;
    }
    if (json_is_number(percent) && json_number_value(percent) >= 0.0 &&
        json_number_value(percent) <= 100.0) {
        progress.percent_x100 = (int32_t)lround(json_number_value(percent) * 100.0);
    }
    if (json_is_integer(remaining) && json_integer_value(remaining) >= 0 &&
        json_integer_value(remaining) <= INT32_MAX) {
        progress.remaining_s = (int32_t)json_integer_value(remaining);
    }
    if (p->sink->progress) {
        told(p, p->sink->progress(p->sink->arg, &progress, &why), &why);
    }
}

static void take_run(struct repo *p, const json_t *o)
{
    const char *assessment = json_string_value(json_object_get(o, "assessment"));
    const char *note = json_string_value(json_array_get(json_object_get(o, "notes"), 0));

    if (!json_is_object(o) || !assessment ||
        !(str_eq(assessment, "complete") || str_eq(assessment, "partial") ||
          str_eq(assessment, "failed"))) {
        fail(p, ERR_TOOL, "the run's record says not how it was assessed");
        return;
    }
    p->run = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(15));
    p->version = xstrdup(json_string_value(json_object_get(o, "version")));
    p->failed = str_eq(assessment, "failed");
    p->errormsg = p->failed ? xstrdup(note ? note : "no engine ran") : NULL;
    if (!p->run) {
        fail(p, ERR_TOOL, "the run's record cannot be kept");
    }
}

static void take_line(struct repo *p, const char *s, size_t n)
{
    json_error_t why;
    json_t *o;
    const json_t *v;

    if (n && s[n - 1] == '\r') {
        n--;
    }
    if (p->run) {
        fail(p, ERR_TOOL, "there is more behind the run's record");
        return;
    }
    o = json_loadb(s, n, JSON_REJECT_DUPLICATES, &why);
    if (!o) {
        fail(p, ERR_TOOL, "it is not a JSON object");
    } else if (json_object_size(o) != 1) {
        fail(p, ERR_TOOL, "it is not an object with one member");
    } else if ((v = json_object_get(o, "finding"))) {
        take_finding(p, v);
    } else if ((v = json_object_get(o, "progress"))) {
        take_progress(p, v);
    } else if ((v = json_object_get(o, "run"))) {
        take_run(p, v);
    } else {
        fail(p, ERR_TOOL, "it is neither a finding, nor progress, nor the run's record");
    }
    json_decref(o);
    p->lines++;
}

static int end_of(const struct repo *p, struct err *e)
{
    return p->code ? err_set(e, p->code, "%s", p->err.msg) : 0;
}

static int repo_feed(void *arg, const char *data, size_t n, struct err *e)
{
    struct repo *p = arg;

    while (n > 0 && p->code == 0) {
        const char *nl = memchr(data, '\n', n);
        size_t len = nl ? (size_t)(nl - data) : n;

        if (p->line.len + len > REPO_LINE_MAX) {
            fail(p, ERR_LIMIT, "it is longer than 1 MiB");
        } else if (nl && p->line.len == 0) {
            take_line(p, data, len);
        } else {
            buf_add(&p->line, data, len);
            if (nl) {
                take_line(p, p->line.data, p->line.len);
                buf_reset(&p->line);
            }
        }
        data += len + (nl ? 1 : 0);
        n -= len + (nl ? 1 : 0);
    }
    return end_of(p, e);
}

static int repo_finish(void *arg, struct err *e)
{
    struct repo *p = arg;
    struct run_info run = {.scanner = "scanpod"};
    struct err why = {0};

    if (p->code == 0 && p->line.len > 0) { /* whole, but for its line end */
        take_line(p, p->line.data, p->line.len);
        buf_reset(&p->line);
    }
    if (p->code == 0 && !p->run) {
        fail(p, ERR_TOOL, "it ends before the run's record");
    }
    if (p->sink_failed) {
        return end_of(p, e);
    }
    run.complete = p->code == 0;
    run.json = p->run ? p->run : "{}";
    run.version = p->version;
    run.exit = p->run ? (p->failed ? "error" : "success") : NULL;
    run.errormsg = p->errormsg;
    if (p->sink->run) {
        told(p, p->sink->run(p->sink->arg, &run, &why), &why);
    }
    return end_of(p, e);
}

const struct parser parser_repo = {
    .name = "repo",
    .new = repo_new,
    .feed = repo_feed,
    .finish = repo_finish,
    .free = repo_free,
};
