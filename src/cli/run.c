/* run - one scan without a server: same policy, runner and parser; nothing is kept. */
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/connect.h"
#include "cli/progress.h"
#include "cli/request.h"
#include "cli/results.h"
#include "cli/view.h"
#include "daemon/serve.h"
#include "http/api.h"
#include "model/target.h"

static const struct flag flags[] = {
    SCAN_FLAGS,
    {.name = "scope", .value = "FILE", .help = "scope file: what may be scanned"},
    {.name = "without", .value = "FEATURES", .help = "kernel features not to use, by commas"},
    {0},
};

struct local_run {
    struct cli *c;
    struct progress_bar bar;
    int status;
};

/* The job as the REST interface would show it; the caller json_decref()s. */
static json_t *job_value(const struct job *j, struct buf *text)
{
    api_job_json(j, text);
    return json_loadb(text->data, text->len, 0, NULL);
}

static void on_progress(void *arg, const struct job *j)
{
    struct local_run *l = arg;
    auto_buf text = {0};
    json_t *job = job_value(j, &text);
    struct job_view v;

    job_view_read(job, &v);
    progress_show(&l->bar, &v);
    json_decref(job);
}

static int on_hosts(void *arg, const char *data, size_t n, struct err *e)
{
    return results_feed(arg, data, n, e);
}

static int on_finished(void *arg, struct store *st, const struct job *j)
{
    struct local_run *l = arg;
    struct cli *c = l->c;
    struct results *r = results_new(c->format, &c->term, out_sink, NULL);
    struct results_totals totals = {0};
    struct err e = {0};
    auto_buf text = {0};
    auto_buf problem = {0};
    json_t *job = job_value(j, &text);
    struct job_view v;
    int rc;

    job_view_read(job, &v);
    progress_show(&l->bar, &v);
    progress_clear(&l->bar);
    l->status = job_view_status(&v);
    rc = results_job(r, text.data, text.len, &e);
    if (rc == 0) {
        rc = api_hosts_json(st, j->num, on_hosts, r, &e);
    }
    results_end(r, &totals);
    /* Of a scan that never looked there is nothing to remark. */
    if (rc == 0 && c->format == FORMAT_TABLE && j->reason != REASON_REFUSED) {
        results_remark(&c->term, &totals);
    }
    if (rc != 0) {
        l->status = cli_fail(c, &e, NULL);
    }
    job_view_warn(&v, &c->term);
    if (j->state == JOB_CANCELLED) {
        l->status = STATUS_INTERRUPTED; /* nobody but Ctrl-C cancels here */
    } else if (l->status != STATUS_OK && rc == 0) {
        job_view_problem(&v, &problem);
        say_error(&c->term, problem.data,
                  j->reason == REASON_TOOL_MISSING ? "scanpod doctor" : NULL);
    }
    json_decref(job);
    return 0;
}

static int scan(struct cli *c, const struct scan_flags *f, struct option_set *settings)
{
    struct local_run l = {.c = c, .bar = {.term = &c->term}};
    struct local_scan ls = {
        .targets = f->targets.data,
        .ports = f->ports,
        .arguments = f->arguments,
        .tool = f->tool,
        .profile = scan_flags_default(f) ? "standard" : f->profile,
        .rate = f->rate == INT64_MIN ? 0 : (uint32_t)f->rate,
        .shards = f->shards == INT64_MIN ? 0 : (uint32_t)f->shards,
        .own_pace = str_eq(f->pace, "own"),
        .limits = f->limits.data,
        .clip = f->clip,
        .timeout_s = f->timeout_s,
        .settings = settings,
        .progress = on_progress,
        .finished = on_finished,
        .arg = &l,
    };
    struct err e = {0};

    log_setup(LOG_ERROR, LOG_TEXT);
    if (local_scan_run(&ls, &e) != 0) {
        progress_clear(&l.bar);
        return cli_fail(c, &e,
                        e.code == ERR_INVALID || e.code == ERR_SCOPE ? NULL : "scanpod doctor");
    }
    return l.status;
}

/* The server does this for those who ask it. */
static int add_list(struct scan_flags *f, struct err *e)
{
    auto_strvec tokens = {0};
    int rc = f->list.len ? target_list_read(f->list.data, f->list.len, &tokens, e) : 0;

    for (size_t i = 0; rc == 0 && i < tokens.n; i++) {
        buf_addf(&f->targets, "%s%s", f->targets.len ? " " : "", tokens.v[i]);
    }
    if (rc == 0 && !f->targets.len) {
        rc = err_set(e, ERR_INVALID, "it holds no target");
    }
    return rc == 0 ? 0 : err_prefix(e, rc, "--targets-file");
}

static int run(struct cli *c)
{
    struct scan_flags f = {0};
    struct option_set *settings = NULL;
    struct err e = {0};
    int status;

    if (scan_flags_read(&c->args, &f, &e) != 0) {
        status = cli_fail(c, &e, "scanpod run --help");
    } else if (add_list(&f, &e) != 0) {
        status = cli_fail(c, &e, "scanpod run --help");
    } else if (connect_settings(&c->args, &settings, &e) != 0) {
        status = cli_fail(c, &e, "scanpod config check");
    } else {
        status = scan(c, &f, settings);
    }
    option_set_free(settings);
    scan_flags_done(&f);
    return status;
}

const struct command command_run = {
    .name = "run",
    .operands = "TARGET...",
    .summary = "scan targets here and now, without a server; nothing is kept",
    .flags = flags,
    .min = 0,
    .max = 4096,
    .formats = FORMATS_RESULTS,
    .run = run,
};
