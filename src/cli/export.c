/* export - a job's results in a format that other programs read. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "cli/remote.h"
#include "cli/view.h"

static const struct flag flags[] = {
    {.name = "format",
     .letter = 'f',
     .value = "FORMAT",
     .help = "nmap-xml, grepable, csv, ndjson, markdown or html (nmap-xml); of a repository scan "
             "sarif, json, ndjson, csv, markdown or html (sarif)"},
    {.name = "file", .value = "FILE", .help = "write there (standard output)"},
    {0},
};

static int take(void *arg, const char *data, size_t n)
{
    return fwrite(data, 1, n, arg) == n ? 0 : ERR_IO;
}

/* A device or a pipe is the user's own. */
static bool is_plain_file(FILE *f)
{
    struct stat st;

    return fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode);
}

/* A file that was begun and could not be ended is no result. */
static int fetch(struct cli *c, const char *path, const char *file)
{
    FILE *f = file ? fopen(file, "we") : stdout;
    struct answer a = {0};
    struct err e = {0};
    int status;

    if (!f) {
        err_errno(&e, "open '%s'", file);
        return cli_fail(c, &e, NULL);
    }
    status = cli_call(
        c, &(struct call){.method = "GET", .path = path, .accept = "*/*", .sink = take, .arg = f},
        &a);
    if (file) {
        bool plain = is_plain_file(f);
        bool whole = fclose(f) == 0;

        if (plain && (status != STATUS_OK || !whole)) {
            remove(file);
        }
        if (status == STATUS_OK && !whole) {
            err_errno(&e, "write '%s'", file);
            status = cli_fail(c, &e, NULL);
        }
    }
    answer_done(&a);
    return status;
}

static int is_repo(struct cli *c, const char *id, bool *repo)
{
    struct answer a = {0};
    int status = remote_job_call(c, "GET", id, "", &a);
    json_t *job = status == STATUS_OK ? remote_job(c, &a) : NULL;
    struct job_view v;

    if (job) {
        job_view_read(job, &v);
        *repo = job_view_is_repo(&v);
    } else if (status == STATUS_OK) {
        status = STATUS_UNREACHABLE;
    }
    json_decref(job);
    answer_done(&a);
    return status;
}

static int run(struct cli *c)
{
    const char *format = args_value(&c->args, "format");
    char id[ID_TEXT + 1];
    auto_buf path = {0};
    bool repo = false;
    int status;

    if (!cli_client(c, &status)) {
        return status;
    }
    status = remote_find(c, c->args.operands[0], id);
    if (status != STATUS_OK) {
        return status;
    }
    status = is_repo(c, id, &repo);
    if (status != STATUS_OK) {
        return status;
    }
    buf_addf(&path, "/api/v1/%s/%s/export?format=", repo ? "repo-scans" : "scans", id);
    buf_add_url(&path, format ? format : repo ? "sarif" : "nmap-xml");
    return fetch(c, path.data, args_value(&c->args, "file"));
}

const struct command command_export = {
    .name = "export",
    .operands = "JOB",
    .summary = "write a job's results as nmap XML, SARIF, grepable, CSV, NDJSON, Markdown or HTML",
    .flags = flags,
    .min = 1,
    .max = 1,
    .formats = 1u << FORMAT_TABLE,
    .run = run,
};
