/* job - list, show, watch, cancel, retry, delete, raw. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/remote.h"
#include "cli/repo_export.h"
#include "cli/table.h"
#include "cli/view.h"
#include "model/job.h"

static int find(struct cli *c, char id[ID_TEXT + 1])
{
    return remote_find(c, c->args.operands[0], id);
}

/* ---- show ---- */

static int show_job(struct cli *c, const char *id, const struct job_view *v, const struct buf *body)
{
    bool repo = job_view_is_repo(v);

    if (c->format == FORMAT_TABLE) {
        auto_buf text = {0};

        job_view_facts(v, c->term.out_color, &text);
        if (!v->hosts && !repo) {
            out_buf(&text);
            return STATUS_OK;
        }
        buf_addc(&text, '\n');
        out_buf(&text);
    }
    return repo ? repo_show_remote(c, id, false) : remote_results(c, id, body);
}

static int show(struct cli *c)
{
    struct job_view v;
    json_t *job;
    struct answer a = {0};
    char id[ID_TEXT + 1];
    int status = find(c, id);

    if (status == STATUS_OK) {
        status = remote_job_call(c, "GET", id, "", &a);
    }
    job = status == STATUS_OK ? remote_job(c, &a) : NULL;
    if (job) {
        job_view_read(job, &v);
        status = show_job(c, id, &v, &a.body);
    } else if (status == STATUS_OK) {
        status = STATUS_UNREACHABLE;
    }
    json_decref(job);
    answer_done(&a);
    return status;
}

const struct command command_job_show = {
    .name = "show",
    .operands = "JOB",
    .summary = "show one job and its results",
    .min = 1,
    .max = 1,
    .formats = FORMATS_RESULTS,
    .run = show,
};

/* ---- watch ---- */

static int watch(struct cli *c)
{
    struct answer a = {0};
    char id[ID_TEXT + 1];
    int status = find(c, id);

    if (status == STATUS_OK) {
        status = remote_follow(c, id, FOLLOW_SHOW, &a);
    }
    if (status == STATUS_OK) {
        status = remote_report(c, id, &a);
    }
    answer_done(&a);
    return status;
}

const struct command command_job_watch = {
    .name = "watch",
    .operands = "JOB",
    .summary = "follow a job until it has ended, then show its results",
    .min = 1,
    .max = 1,
    .formats = FORMATS_RESULTS,
    .run = watch,
};

/* ---- cancel, retry, delete ---- */

/* Prints the job's id in its table form, or the job itself. */
static void print_job(struct cli *c, const char *text, const struct answer *a)
{
    if (c->format == FORMAT_TABLE) {
        out_write(text, strlen(text));
        out_write("\n", 1);
    } else {
        print_answer(a);
    }
}

/* The same call for every job that was named; says it of each. The first failure is the status. */
static int each_job(struct cli *c, const char *method, const char *rest,
                    void (*done)(struct cli *c, const char *id, const struct answer *a))
{
    int status = STATUS_OK;

    for (size_t i = 0; i < c->args.n; i++) {
        struct answer a = {0};
        char id[ID_TEXT + 1];
        int one = remote_find(c, c->args.operands[i], id);

        if (one == STATUS_OK) {
            one = remote_job_call(c, method, id, rest, &a);
        }
        if (one == STATUS_OK) {
            done(c, id, &a);
        }
        status = status == STATUS_OK ? one : status;
        answer_done(&a);
    }
    return status;
}

static void cancelled(struct cli *c, const char *id, const struct answer *a)
{
    auto_free char *text =
        str_fmt("%s %s", id, a->status == 202 ? "is being cancelled" : "cancelled");

    print_job(c, text, a);
}

static int cancel(struct cli *c)
{
    return each_job(c, "POST", "/cancel", cancelled);
}

const struct command command_job_cancel = {
    .name = "cancel",
    .operands = "JOB...",
    .summary = "end a job; what it found until then is kept",
    .min = 1,
    .max = 4096,
    .formats = FORMATS_TEXT,
    .run = cancel,
};

static int retry(struct cli *c)
{
    struct answer a = {0};
    char id[ID_TEXT + 1];
    int status = find(c, id);

    if (status == STATUS_OK) {
        status = remote_job_call(c, "POST", id, "/retry", &a);
    }
    if (status == STATUS_OK) {
        json_t *job = remote_job(c, &a);

        status = job ? STATUS_OK : STATUS_UNREACHABLE;
        if (job) {
            print_job(c, json_text(job, "id"), &a);
        }
        json_decref(job);
    }
    answer_done(&a);
    return status;
}

const struct command command_job_retry = {
    .name = "retry",
    .operands = "JOB",
    .summary = "submit the same request as a new job; prints its id",
    .min = 1,
    .max = 1,
    .formats = FORMATS_TEXT,
    .run = retry,
};

static void deleted(struct cli *c, const char *id, const struct answer *a)
{
    say(&c->term, "%s deleted", id);
}

static int delete (struct cli *c)
{
    return each_job(c, "DELETE", "", deleted);
}

const struct command command_job_delete = {
    .name = "delete",
    .operands = "JOB...",
    .summary = "remove jobs that have ended, with their results",
    .min = 1,
    .max = 4096,
    .formats = 1u << FORMAT_TABLE,
    .run = delete,
};

/* ---- raw ---- */

static int write_raw(void *arg, const char *data, size_t n)
{
    (void)arg;
    out_write(data, n);
    return 0;
}

static const struct flag raw_flags[] = {
    {.name = "task", .value = "N", .help = "that of one piece of the job: scanpod job tasks JOB"},
    {0},
};

static int raw(struct cli *c)
{
    const char *task = args_value(&c->args, "task");
    struct answer a = {0};
    char id[ID_TEXT + 1];
    int status = find(c, id);
    auto_buf path = {0};

    if (status != STATUS_OK || !cli_client(c, &status)) {
        return status;
    }
    buf_addf(&path, "/api/v1/scans/%s/raw", id);
    if (task) {
        buf_adds(&path, "?task=");
        buf_add_url(&path, task);
    }
    status = cli_call(
        c, &(struct call){.method = "GET", .path = path.data, .accept = "*/*", .sink = write_raw},
        &a);
    answer_done(&a);
    return status;
}

const struct command command_job_raw = {
    .name = "raw",
    .operands = "JOB",
    .summary = "write the scanner's own output as it was",
    .flags = raw_flags,
    .min = 1,
    .max = 1,
    .formats = 1u << FORMAT_TABLE,
    .run = raw,
};
