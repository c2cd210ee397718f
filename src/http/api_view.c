/*
 * Jobs as JSON, in the old service's shape and in that of /api/v1.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "http/api_priv.h"

enum { LISTED_TARGETS_MAX = 4096 };

static void put_id(struct json *j, const char *key, const struct id *id)
{
    char text[ID_TEXT + 1];

    id_text(id, text);
    json_strn(j, key, text, ID_TEXT);
}

static void put_timeout(struct json *j, int64_t s)
{
    if (s == INT64_MIN) {
        json_nil(j, "timeout");
    } else {
        json_int(j, "timeout", s);
    }
}

void view_known(struct json *j, const char *key, int64_t v, int64_t unknown)
{
    if (v == unknown) {
        json_nil(j, key);
    } else {
        json_int(j, key, v);
    }
}

/* Bytes of a tool's stderr: what is not text is shown as U+FFFD by the writer. */
static void put_text(struct json *j, const char *key, const char *s)
{
    json_str(j, key, s && *s ? s : NULL);
}

void view_old_job(struct json *j, const struct job *job)
{
    put_id(j, "job_id", &job->id);
    json_str(j, "status", job_state_legacy(job->state));
    json_obj_in(j, "request");
    json_str(j, "targets", job->targets);
    json_str(j, "ports", job->ports);
    json_str(j, "arguments", job->arguments);
    put_timeout(j, job->timeout_s);
    json_end(j);
}

void view_old_tail(struct json *j, const struct job *job)
{
    bool failed = job->state == JOB_FAILED || job->state == JOB_TIMED_OUT;
    const char *error = job->error;

    if (failed && (!error || !*error)) {
        error = job_reason_name(job->reason);
    }
    json_str(j, "error", failed ? error : NULL);
    json_time(j, "created_at", job->created_us);
    json_time(j, "started_at", job->started_us);
    json_time(j, "completed_at", job->completed_us);
}

void view_run(struct json *j, const struct job *job)
{
    json_str(j, "command_line", job->command_line ? job->command_line : "");
    json_bool(j, "partial", job->partial);
    json_int(j, "hosts_total", job->hosts);
    json_int(j, "hosts_up", job->hosts_up);
    json_int(j, "ports_open", job->ports_open);
    put_text(j, "tool_version", job->tool_version);
    json_str(j, "raw_sha256", job->raw_sha256);
}

void view_limits(struct json *j, const char *key, const struct limits *l)
{
    struct limits copy = *l;

    json_obj_in(j, key);
    for (const struct limit_row *row = limit_rows; row->name; row++) {
        if (*limit_at(&copy, row)) {
            json_int(j, row->name, *limit_at(&copy, row));
        }
    }
    json_end(j);
}

/* The request's own. */
static void put_limits(struct json *j, const char *text)
{
    struct limits l = {0};

    if (text && *text && limits_parse(text, &l, NULL) == 0) {
        view_limits(j, "limits", &l);
    } else {
        json_nil(j, "limits");
    }
}

/* "name=addr+addr,name=addr" */
void view_pins(struct json *j, const char *key, const char *pins)
{
    if (!pins || !*pins) {
        json_nil(j, key);
        return;
    }
    json_obj_in(j, key);
    while (*pins) {
        size_t n = strcspn(pins, "=");
        auto_free char *name = xstrndup(pins, n);

        json_arr_in(j, name);
        while (pins[n] == '=' || pins[n] == '+') {
            pins += n + 1;
            n = strcspn(pins, "+,");
            json_strn(j, NULL, pins, n);
        }
        json_end(j);
        pins += n + (pins[n] != '\0');
    }
    json_end(j);
}

static void put_progress(struct json *j, const struct job *job)
{
    if (job->percent_x100 < 0) {
        json_nil(j, "progress");
        return;
    }
    json_obj_in(j, "progress");
    json_num(j, "percent", job->percent_x100 / 100.0, 2);
    view_known(j, "remaining_s", job_state_terminal(job->state) ? 0 : job->remaining_s, -1);
    json_end(j);
}

/* uri: where it is, or will be; NULL: here. */
static void put_raw(struct json *j, const struct job *job, const char *uri)
{
    if (!job->raw_sha256) {
        json_nil(j, "raw");
        return;
    }
    json_obj_in(j, "raw");
    json_str(j, "sha256", job->raw_sha256);
    json_int(j, "size", job->raw_size);
    json_str(j, "uri", uri);
    json_end(j);
}

static void put_run_facts(struct json *j, const struct job *job, const char *raw_uri)
{
    view_known(j, "exit_status", job->exit_status, -1);
    view_known(j, "exit_signal", job->exit_signal, 0);
    put_text(j, "stderr", job->stderr_tail);
    put_text(j, "command_line", job->command_line);
    put_text(j, "tool_version", job->tool_version);
    put_text(j, "confinement", job->confinement);
    json_raw(j, "sandbox", job->sandbox_json);
    put_limits(j, job->limits);
    put_text(j, "scope_rule", job->scope_rule);
    view_pins(j, "pins", job->pins);
    json_bool(j, "clip", job->clip);
    put_raw(j, job, raw_uri);
    json_raw(j, "run", job->run_json);
}

/* Lists of many jobs stay small. */
static void put_targets(struct json *j, const char *targets, bool full)
{
    size_t n = targets ? strlen(targets) : 0;

    if (full || n <= LISTED_TARGETS_MAX) {
        json_str(j, "targets", targets);
    } else {
        auto_free char *text = str_fmt("%.*s ...", LISTED_TARGETS_MAX, targets);

        json_str(j, "targets", text);
    }
}

/* Of a planned job: the members that plan_summary() wrote. Others in there are for the daemon. What
 * was asked of a tool that ran elsewhere is not known, so an import has no share of it. */
static void put_summary(struct json *j, const struct job *job)
{
    static const char *const members[] = {"stages", "coverage", "notes", "flagged"};
    json_t *all = job->summary_json ? json_loads(job->summary_json, 0, NULL) : NULL;

    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const json_t *v = json_object_get(all, members[i]);

        if (v && !(job->import_path && str_eq(members[i], "coverage"))) {
            api_json_write(j, members[i], v);
        }
    }
    json_decref(all);
}

static void put_job(struct json *j, const char *key, const struct job *job, bool full,
                    const char *raw_uri)
{
    json_obj_in(j, key);
    put_id(j, "id", &job->id);
    json_int(j, "rev", (int64_t)job->rev);
    json_str(j, "state", job_state_name(job->state));
    json_str(j, "reason", job->reason == REASON_NONE ? NULL : job_reason_name(job->reason));
    put_text(j, "error", job->error);
    json_str(j, "tool", job->tool);
    json_str(j, "profile", job->profile);
    put_targets(j, job->targets, full);
    json_str(j, "ports", job->ports);
    json_str(j, "arguments", job->arguments);
    put_timeout(j, job->timeout_s);
    json_int(j, "run_timeout", job->run_timeout_s);
    json_int(j, "queue_timeout", job->queue_timeout_s);
    json_str(j, "queue", job->queue ? job->queue : "net");
    json_int(j, "priority", job->priority);
    json_int(j, "retries", job->max_attempts - 1);
    json_time(j, "created_at", job->created_us);
    json_time(j, "started_at", job->started_us);
    json_time(j, "completed_at", job->completed_us);
    json_time(j, "run_at", job->state == JOB_SCHEDULED ? job->run_at_us : 0);
    json_time(j, "waiting_until", job->state == JOB_WAITING ? job->run_at_us : 0);
    json_time(j, "queue_expires_at", job->queue_expires_us);
    put_progress(j, job);
    json_bool(j, "partial", job->partial);
    json_bool(j, "imported", job->import_path != NULL);
    json_bool(j, "cancel_requested", job->cancel_requested);
    json_int(j, "attempts", job->attempts);
    json_int(j, "lost", job->lost);
    json_obj_in(j, "counts");
    json_int(j, "hosts", job->hosts);
    json_int(j, "hosts_up", job->hosts_up);
    json_int(j, "ports_open", job->ports_open);
    json_end(j);
    if (full) {
        put_run_facts(j, job, raw_uri);
        put_summary(j, job);
    }
    json_end(j);
}

void view_job(struct json *j, const char *key, const struct job *job, bool full)
{
    put_job(j, key, job, full, NULL);
}

void api_view_job(struct api *a, struct json *j, const struct job *job)
{
    const struct api_depot *d = a->cfg.depot;
    auto_free char *path = NULL;
    auto_free char *uri = NULL;

    if (job->raw_sha256 && store_blob_uri(a->store, job->num, 0, &uri, NULL) == 0 && !uri && d &&
        store_raw_path(a->store, job->num, &path, NULL) == 0 && path) {
        uri = d->uri(d->arg, path);
    }
    put_job(j, NULL, job, true, uri);
}

void job_etag(const struct job *job, char out[32])
{
    snprintf(out, 32, "\"r%" PRIu64 "\"", job->rev);
}

/* A list of entity tags, or "*". Strong and weak spellings match alike, as RFC 9110 13.1.2 says. */
bool etag_matches(const char *list, const char *etag)
{
    size_t n = strlen(etag);

    while (list && *list) {
        list += strspn(list, " \t,");
        if (*list == '*') {
            return true;
        }
        if (str_starts(list, "W/")) {
            list += 2;
        }
        if (strncmp(list, etag, n) == 0 && (list[n] == '\0' || strchr(" \t,", list[n]))) {
            return true;
        }
        list += strcspn(list, ",");
    }
    return false;
}
