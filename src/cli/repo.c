/* repo - scans a repository: by a server, or here and now; a directory always here. */
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "cli/connect.h"
#include "cli/finding_view.h"
#include "cli/progress.h"
#include "cli/remote.h"
#include "cli/repo_export.h"
#include "cli/repo_request.h"
#include "cli/view.h"
#include "daemon/serve.h"
#include "http/api.h"
#include "repo/pack.h"

struct repo_run {
    struct cli *c;
    struct progress_bar bar;
    struct finding_writer w;
    int status;
};

/* ---- what was found ---- */

static void gate_init(struct finding_gate *g, const struct args *a)
{
    const char *at = args_value(a, "fail-on");

    g->on = at && severity_parse(at, &g->at);
    g->all = args_has(a, "all");
}

/* A scan that was not complete proves nothing; findings that do are told first. */
static int gate_status(struct repo_run *r, const json_t *scan)
{
    const struct finding_gate *g = &r->w.gate;

    if (g->on && g->n) {
        auto_free char *text =
            str_fmt("%lld findings at or above %s: %s%s", (long long)g->n, severity_name(g->at),
                    g->first.data, g->n > 5 ? ", ..." : "");

        say_error(&r->c->term, text, NULL);
        return STATUS_FOUND;
    }
    if (g->on && g->known) {
        say(&r->c->term, "%lld findings at or above %s are known already: --all counts them, too",
            (long long)g->known, severity_name(g->at));
    }
    if (g->on && !json_is_true(json_object_get(scan, "complete"))) {
        say_error(&r->c->term, "the scan was not complete: it cannot be said that there is nothing",
                  NULL);
        return STATUS_SCAN;
    }
    return STATUS_OK;
}

static void begin_output(struct repo_run *r, const struct buf *scan_text)
{
    struct buf out = {0};

    if (r->c->format == FORMAT_JSON) { /* the scan with its findings: one object */
        size_t n = scan_text->len;

        while (n > 0 && scan_text->data[n - 1] != '}') {
            n--;
        }
        buf_add(&out, scan_text->data, n ? n - 1 : 0);
        buf_adds(&out, ",\"findings\":[");
        out_buf(&out);
    }
    buf_done(&out);
}

static void end_output(struct repo_run *r)
{
    struct buf out = {0};

    finding_writer_end(&r->w);
    if (r->c->format == FORMAT_JSON) {
        buf_adds(&out, "\n]}\n");
        out_buf(&out);
    }
    buf_done(&out);
}

/* The job has ended: its problem, or what it says of its findings. */
static int report(struct repo_run *r, const json_t *scan)
{
    const json_t *job = json_object_get(scan, "job");
    struct job_view v;
    auto_buf problem = {0};

    job_view_read(job, &v);
    if (job_view_status(&v) != STATUS_OK) {
        job_view_problem(&v, &problem);
        say_error(&r->c->term, problem.data, NULL);
        return job_view_status(&v);
    }
    repo_scan_remark(scan, &r->c->term);
    return gate_status(r, scan);
}

/* ---- here and now ---- */

static void on_progress(void *arg, const struct job *j)
{
    struct repo_run *r = arg;
    auto_buf text = {0};
    json_t *job;
    struct job_view v;

    api_job_json(j, &text);
    job = json_loadb(text.data, text.len, 0, NULL);
    job_view_read(job, &v);
    progress_show(&r->bar, &v);
    json_decref(job);
}

static int on_findings(void *arg, const char *data, size_t n, struct err *e)
{
    struct repo_run *r = arg;

    (void)e;
    for (const char *end = data + n; data < end;) {
        const char *nl = memchr(data, '\n', (size_t)(end - data));
        json_t *f = json_loadb(data, (size_t)(nl ? nl - data : end - data), 0, NULL);

        finding_writer_take(&r->w, f);
        json_decref(f);
        data = nl ? nl + 1 : end;
    }
    return 0;
}

static int on_finished(void *arg, struct store *st, const struct job *j)
{
    struct repo_run *r = arg;
    auto_buf text = {0};
    json_t *scan;
    struct err e = {0};
    int rc = 0;

    progress_clear(&r->bar);
    api_repo_scan_json(st, j, &text);
    scan = json_loadb(text.data, text.len, 0, NULL);
    if (repo_export_format(r->c->format)) {
        rc = j->state == JOB_COMPLETED ? repo_export_local(r->c, st, j, &r->w.gate, &e) : 0;
    } else {
        begin_output(r, &text);
        rc = api_findings_json(st, j->num, on_findings, r, &e);
        end_output(r);
    }
    r->status = rc != 0                     ? cli_fail(r->c, &e, NULL)
                : j->state == JOB_CANCELLED ? STATUS_INTERRUPTED
                                            : report(r, scan);
    json_decref(scan);
    return 0;
}

static int pack(struct cli *c, const struct option_set *settings, const char *dir,
                struct local_scan *ls, struct err *e)
{
    const struct pack_limits limits = {
        .max_bytes = (uint64_t)option_int(settings, "repo-max-mb") << 20,
        .max_files = (uint32_t)option_int(settings, "repo-max-files"),
        .max_file_bytes = 10 << 20,
    };
    const struct args *a = &c->args;
    bool git = args_has(a, "ref") || args_has(a, "commit") || args_has(a, "base");
    uint64_t left_out = 0;
    int rc;

    ls->local = git ? "git" : "tree";
    rc = pack_directory(dir, git, &limits, &ls->local_fd, &left_out, e);
    if (rc == 0 && left_out) {
        say(&c->term, "%llu links, special files or large files are left out",
            (unsigned long long)left_out);
    }
    return rc;
}

static int run_here(struct cli *c, const char *what, const char *dir)
{
    struct repo_run r = {.c = c, .bar = {.term = &c->term}};
    struct option_set *settings = NULL;
    auto_buf request = {0};
    struct local_scan ls = {.targets = what,
                            .local_fd = -1,
                            .progress = on_progress,
                            .finished = on_finished,
                            .arg = &r};
    struct err e = {0};
    int rc = repo_flags_json(&c->args, what, &request, &ls.timeout_s, &e);

    finding_writer_init(&r.w, c);
    gate_init(&r.w.gate, &c->args);
    if (rc == 0) {
        struct repo_request q = {0};

        rc = repo_request_read(request.data, &q, &e); /* as the box will */
        buf_reset(&request);
        repo_request_write(&q, &request);
        ls.targets = q.url;
        ls.repo = request.data;
        if (rc == 0 && (rc = connect_settings(&c->args, &settings, &e)) == 0 && dir) {
            rc = pack(c, settings, dir, &ls, &e);
        }
        ls.settings = settings;
        if (rc == 0) {
            log_setup(LOG_ERROR, LOG_TEXT);
            rc = local_scan_run(&ls, &e);
        }
        repo_request_done(&q);
    }
    if (rc != 0) {
        progress_clear(&r.bar);
        r.status = cli_fail(c, &e, e.code == ERR_INVALID ? "scanpod repo --help" : NULL);
    }
    buf_done(&r.w.gate.first);
    option_set_free(settings);
    return r.status;
}

/* ---- by a server ---- */

static int take_item(void *arg, json_t *item)
{
    struct repo_run *r = arg;

    finding_writer_take(&r->w, item);
    return 0;
}

static int fetch_scan(struct cli *c, const char *id, struct answer *a)
{
    auto_free char *path = str_fmt("/api/v1/repo-scans/%s", id);

    return cli_call(c, &(struct call){.method = "GET", .path = path}, a);
}

int repo_show_remote(struct cli *c, const char *id, bool judge)
{
    struct repo_run r = {.c = c};
    auto_free char *path = str_fmt("/api/v1/repo-scans/%s/findings?limit=1000", id);
    struct answer a = {0};
    struct err e = {0};
    json_t *scan;
    int status;

    if (c->format == FORMAT_NMAP) {
        err_set(&e, ERR_INVALID, "--output 'nmap': a repository scan has no hosts");
        return cli_fail(c, &e, NULL);
    }
    status = fetch_scan(c, id, &a);
    scan = status == STATUS_OK ? remote_object(c, &a) : NULL;
    if (!scan) {
        answer_done(&a);
        return status ? status : STATUS_UNREACHABLE;
    }
    finding_writer_init(&r.w, c);
    gate_init(&r.w.gate, &c->args);
    if (repo_export_format(c->format)) {
        status = repo_export_remote(c, id, &r.w.gate);
    } else {
        begin_output(&r, &a.body);
        (void)remote_each(c, path, take_item, &r, &status);
        end_output(&r);
    }
    status = status ? status : judge ? report(&r, scan) : STATUS_OK;
    buf_done(&r.w.gate.first);
    json_decref(scan);
    answer_done(&a);
    return status;
}

static int submit(struct cli *c, const char *url, char id[ID_TEXT + 1])
{
    auto_buf request = {0};
    struct answer a = {0};
    int64_t timeout_s;
    struct err e = {0};
    json_t *scan;
    int status;

    if (repo_flags_json(&c->args, url, &request, &timeout_s, &e) != 0) {
        return cli_fail(c, &e, "scanpod repo --help");
    }
    if (timeout_s != INT64_MIN) {
        request.len--; /* the last brace */
        buf_addf(&request, ",\"timeout\":%lld}", (long long)timeout_s);
    }
    status = cli_call(
        c, &(struct call){.method = "POST", .path = "/api/v1/repo-scans", .body = request.data},
        &a);
    scan = status == STATUS_OK ? remote_object(c, &a) : NULL;
    if (scan) {
        snprintf(id, ID_TEXT + 1, "%s", json_text(json_object_get(scan, "job"), "id"));
    } else if (status == STATUS_OK) {
        status = STATUS_UNREACHABLE;
    }
    json_decref(scan);
    answer_done(&a);
    return status;
}

static int run_there(struct cli *c, const char *url)
{
    char id[ID_TEXT + 1] = "";
    struct answer a = {0};
    int status;

    if (!cli_client(c, &status)) {
        return status;
    }
    status = submit(c, url, id);
    if (status != STATUS_OK) {
        return status;
    }
    if (args_has(&c->args, "detach")) {
        out_write(id, strlen(id));
        out_write("\n", 1);
        return STATUS_OK;
    }
    say(&c->term, "job %s", id);
    status = remote_follow(c, id, FOLLOW_SHOW, &a);
    answer_done(&a);
    return status == STATUS_OK ? repo_show_remote(c, id, true) : status;
}

static bool is_directory(const char *s)
{
    struct stat st;

    return stat(s, &st) == 0 && S_ISDIR(st.st_mode);
}

/* What looks like a path is not asked of a server: its answer would be about URLs. */
static bool is_path(const char *s)
{
    return s[0] == '/' || s[0] == '.' || !strchr(s, ':');
}

static int read_wait(struct cli *c, struct err *e)
{
    const char *s = args_value(&c->args, "wait-timeout");
    uint64_t seconds;

    if (s && !str_to_u64(s, 1, 31536000, &seconds)) {
        return err_set(e, ERR_INVALID, "--wait-timeout '%s': expected seconds", s);
    }
    if (s) {
        c->wait_ms = (int64_t)seconds * 1000;
    }
    return 0;
}

static int run(struct cli *c)
{
    const char *what = c->args.operands[0];
    struct err e = {0};

    if (read_wait(c, &e) != 0) {
        return cli_fail(c, &e, "scanpod repo --help");
    }
    if (is_directory(what)) {
        auto_free char *real = realpath(what, NULL);
        const char *slash = real ? strrchr(real, '/') : NULL;
        auto_free char *name = str_fmt("dir:%s", slash && slash[1] ? slash + 1 : "root");

        return run_here(c, name, what);
    }
    if (is_path(what)) {
        err_set(&e, ERR_INVALID, "there is no directory '%s', and it is no URL", what);
        return cli_fail(c, &e, "scanpod repo --help");
    }
    return args_has(&c->args, "local") ? run_here(c, what, NULL) : run_there(c, what);
}

const struct command command_repo = {
    .name = "repo",
    .operands = "URL|DIR",
    .summary = "scan a git repository, or a directory, and show what was found",
    .more = "A URL (https:// or ssh://) is scanned by a server, or with --local here. A directory\n"
            "is scanned here, as it lies there, or with --ref, --commit, --base from its .git.\n"
            "Exit status with --fail-on: 0 nothing, 1 findings, 3 the scan was not complete.\n\n"
            "  scanpod repo . --fail-on high\n",
    .flags = repo_flags,
    .min = 1,
    .max = 1,
    .formats = FORMATS_FINDINGS,
    .run = run,
};
