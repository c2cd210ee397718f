#include "cli/remote.h"

#include <ctype.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/repo_export.h"
#include "cli/results.h"
#include "cli/view.h"

enum { ID_TIME_DIGITS = 12 };

/* ---- lists ---- */

static int bad_answer(struct cli *c)
{
    struct err e = {0};

    err_set(&e, ERR_IO, "server %s: this is not the answer of a ScanPod server",
            client_server(c->client));
    return cli_fail(c, &e, "scanpod doctor");
}

/* One page: calls fn for its items, and gives where the next one starts (NULL: no more). */
static int one_page(struct cli *c, const char *path, int (*fn)(void *arg, json_t *item), void *arg,
                    char **next, int *status)
{
    struct answer a = {0};
    json_t *doc = NULL;
    json_t *items;
    json_t *item;
    size_t i;
    int rc = 0;

    *next = NULL;
    *status = cli_call(c, &(struct call){.method = "GET", .path = path}, &a);
    if (*status == 0) {
        doc = json_loadb(a.body.data ? a.body.data : "", a.body.len, 0, NULL);
        items = json_object_get(doc, "items");
        if (!json_is_array(items)) {
            *status = bad_answer(c);
        }
        json_array_foreach(items, i, item)
        {
            rc = fn(arg, item);
            if (rc != 0) {
                break;
            }
        }
        *next = xstrdup(json_string_value(json_object_get(doc, "next_cursor")));
    }
    json_decref(doc);
    answer_done(&a);
    return *status != 0 ? -1 : rc;
}

int remote_each(struct cli *c, const char *path, int (*fn)(void *arg, json_t *item), void *arg,
                int *status)
{
    auto_free char *next = NULL;
    int rc;

    for (;;) {
        auto_buf at = {0};

        buf_adds(&at, path);
        if (next) {
            buf_adds(&at, strchr(path, '?') ? "&cursor=" : "?cursor=");
            buf_add_url(&at, next);
        }
        free(next);
        rc = one_page(c, at.data, fn, arg, &next, status);
        if (rc != 0 || !next) {
            return rc;
        }
    }
}

/* ---- prefixes ---- */

struct search {
    const char *prefix;
    char found[ID_TEXT + 1];
    unsigned n;
};

static int match(void *arg, json_t *item)
{
    struct search *s = arg;
    const char *id = json_text(item, "id");

    if (str_starts(id, s->prefix) && strlen(id) == ID_TEXT) {
        memcpy(s->found, id, sizeof s->found);
        s->n++;
    }
    return s->n > 1;
}

/* The first 48 bits of an id are the time at which it was made: older jobs need not be read. */
static void since_of(const char *prefix, struct buf *path)
{
    char digits[ID_TIME_DIGITS + 1] = "000000000000";
    char when[RFC3339_LEN + 1];
    int64_t us;

    memcpy(digits, prefix, MIN(strlen(prefix), (size_t)ID_TIME_DIGITS));
    us = (int64_t)strtoll(digits, NULL, 16) * 1000;
    if (us > 0 && us <= wall_us()) {
        /* The job's time and that of its id are taken one after the other. */
        rfc3339_us(MAX(us - 60 * 1000000, 1), when);
        buf_adds(path, "&since=");
        buf_add_url(path, when);
    }
}

static int find_prefix(struct cli *c, const char *prefix, char out[ID_TEXT + 1])
{
    struct search s = {.prefix = prefix};
    struct err e = {0};
    auto_buf path = {0};
    int status;

    buf_adds(&path, "/api/v1/scans?limit=1000");
    since_of(prefix, &path);
    if (remote_each(c, path.data, match, &s, &status) < 0) {
        return status;
    }
    if (s.n == 0) {
        err_set(&e, ERR_NOT_FOUND, "no job's id starts with '%s'", prefix);
        return cli_fail(c, &e, "scanpod job list");
    }
    if (s.n > 1) {
        err_set(&e, ERR_INVALID, "more than one job's id starts with '%s'", prefix);
        return cli_fail(c, &e, "scanpod job list");
    }
    memcpy(out, s.found, sizeof s.found);
    return STATUS_OK;
}

int remote_find(struct cli *c, const char *given, char out[ID_TEXT + 1])
{
    size_t n = strlen(given);
    char prefix[ID_TEXT + 1];
    struct err e = {0};
    struct id id;

    if (id_parse(given, &id)) {
        id_text(&id, out);
        return STATUS_OK;
    }
    if (n < PREFIX_MIN || n >= ID_TEXT || strspn(given, "0123456789abcdefABCDEF") != n) {
        err_set(&e, ERR_INVALID, "'%s' is no job id: expected %d to %d hex digits", given,
                PREFIX_MIN, ID_TEXT);
        return cli_fail(c, &e, "scanpod job list");
    }
    for (size_t i = 0; i <= n; i++) {
        prefix[i] = (char)tolower((unsigned char)given[i]);
    }
    return find_prefix(c, prefix, out);
}

/* ---- one job ---- */

int remote_job_call(struct cli *c, const char *method, const char *id, const char *rest,
                    struct answer *a)
{
    auto_free char *path = str_fmt("/api/v1/scans/%s%s", id, rest);

    return cli_call(c, &(struct call){.method = method, .path = path}, a);
}

json_t *remote_object(struct cli *c, const struct answer *a)
{
    json_t *doc = json_loadb(a->body.data ? a->body.data : "", a->body.len, 0, NULL);

    if (!json_is_object(doc)) {
        json_decref(doc);
        bad_answer(c);
        return NULL;
    }
    return doc;
}

json_t *remote_job(struct cli *c, const struct answer *a)
{
    json_t *job = json_loadb(a->body.data ? a->body.data : "", a->body.len, 0, NULL);

    if (!json_is_string(json_object_get(job, "id")) ||
        !json_is_string(json_object_get(job, "state"))) {
        json_decref(job);
        bad_answer(c);
        return NULL;
    }
    return job;
}

void print_answer(const struct answer *a)
{
    out_write(a->body.data, a->body.len);
    if (a->body.len && a->body.data[a->body.len - 1] != '\n') {
        out_write("\n", 1);
    }
}

/* ---- results ---- */

struct stream {
    struct results *r;
    struct err e;
};

static int on_rows(void *arg, const char *data, size_t n)
{
    struct stream *s = arg;

    return results_feed(s->r, data, n, &s->e);
}

int remote_results(struct cli *c, const char *id, const struct buf *job_json)
{
    auto_free char *path = str_fmt("/api/v1/scans/%s/hosts", id);
    struct stream s = {.r = results_new(c->format, &c->term, out_sink, NULL)};
    struct results_totals totals = {0};
    struct answer a = {0};
    struct call call = {
        .method = "GET",
        .path = path,
        .accept = "application/x-ndjson",
        .sink = on_rows,
        .arg = &s,
    };
    int status;
    int rc = results_job(s.r, job_json->data ? job_json->data : "", job_json->len, &s.e);

    if (rc == 0) {
        rc = client_call(c->client, &call, &a, &s.e);
    }
    results_end(s.r, &totals);
    status = rc != 0 ? cli_fail(c, &s.e, NULL) : cli_check(c, &a);
    answer_done(&a);
    if (status == 0 && c->format == FORMAT_TABLE) {
        results_remark(&c->term, &totals);
    }
    return status;
}

int remote_report(struct cli *c, const char *id, const struct answer *a)
{
    json_t *job = remote_job(c, a);
    struct job_view v;
    auto_buf problem = {0};
    auto_free char *hint = NULL;
    int status;
    int rows = STATUS_OK;

    if (!job) {
        return STATUS_UNREACHABLE;
    }
    job_view_read(job, &v);
    if (job_view_is_repo(&v)) {
        json_decref(job);
        return repo_show_remote(c, id, true);
    }
    status = job_view_status(&v);
    if (status == STATUS_OK || v.hosts || c->format == FORMAT_JSON) {
        rows = remote_results(c, id, &a->body);
    }
    job_view_warn(&v, &c->term);
    if (status != STATUS_OK) {
        job_view_problem(&v, &problem);
        hint = str_fmt("scanpod job show %s", id);
        say_error(&c->term, problem.data, hint);
    }
    json_decref(job);
    return status != STATUS_OK ? status : rows;
}

static int print_detached(struct cli *c, const char *id, const struct answer *a)
{
    if (c->format == FORMAT_JSON || c->format == FORMAT_NDJSON) {
        print_answer(a);
        return STATUS_OK;
    }
    out_write(id, strlen(id));
    out_write("\n", 1);
    return STATUS_OK;
}

int remote_submitted(struct cli *c, enum follow how, struct answer *a)
{
    json_t *job = remote_job(c, a);
    char id[ID_TEXT + 1];
    int status;

    if (!job) {
        return STATUS_UNREACHABLE;
    }
    status = remote_find(c, json_text(job, "id"), id);
    json_decref(job);
    if (status != STATUS_OK) {
        return status;
    }
    if (args_has(&c->args, "detach")) {
        return print_detached(c, id, a);
    }
    status = remote_follow(c, id, how, a);
    return status == STATUS_OK ? remote_report(c, id, a) : status;
}
