/* How the run went: what did not run or see all, so that no result is not read as "none". */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "report/finding_facts.h"
#include "report/sarif_inside.h"

static bool failed(const char *status)
{
    return str_eq(status, "failed") || str_eq(status, "timeout");
}

static bool successful(const struct sarif *w)
{
    const json_t *engines = json_object_get(w->record, "engines"), *v;
    size_t i;

    if (w->job->state != JOB_COMPLETED || !w->record ||
        str_eq(json_string_value(json_object_get(w->record, "assessment")), "failed")) {
        return false;
    }
    json_array_foreach(engines, i, v)
    {
        if (failed(json_string_value(json_object_get(v, "status")))) {
            return false;
        }
    }
    return true;
}

/* Paths of [{"path","why"}]; those that are none are left out. */
static void add_locations(struct sarif *w, const json_t *list)
{
    struct json *j = &w->j;
    const json_t *v;
    size_t i;

    if (json_array_size(list) == 0) {
        return;
    }
    json_arr_in(j, "locations");
    json_array_foreach(list, i, v)
    {
        const char *path = json_string_value(json_object_get(v, "path"));
        struct finding_place place = {.path = path};

        if (i == SARIF_LOCATIONS) {
            break;
        }
        if (path && finding_path_ok(path)) {
            json_obj(j);
            sarif_location(w, &place, NULL);
            json_end(j);
        }
    }
    json_end(j);
}

static void notify(struct sarif *w, const char *id, const char *level, const char *text,
                   const json_t *paths)
{
    struct json *j = &w->j;

    json_obj(j);
    json_obj_in(j, "descriptor");
    json_str(j, "id", id);
    json_end(j);
    json_str(j, "level", level);
    json_obj_in(j, "message");
    json_str(j, "text", text);
    json_end(j);
    add_locations(w, paths);
    json_end(j);
}

static void notify_engine(struct sarif *w, const json_t *record)
{
    struct finding_engine_run r;
    auto_buf text = {0};

    finding_engine_run(record, &r);
    if (!str_eq(r.status, "ok")) {
        bool skipped = str_eq(r.status, "skipped");

        buf_addf(&text, "%s: %s%s%s", r.name, skipped ? "did not run" : r.status,
                 r.reason ? ": " : "", r.reason ? r.reason : "");
        notify(w, skipped ? "engine-skipped" : "engine-failed",
               skipped            ? "note"
               : failed(r.status) ? "error"
                                  : "warning",
               text.data, NULL);
    }
    if (r.missed > 0) {
        buf_reset(&text);
        buf_addf(&text, "%s could not read %" PRId64 " file%s", r.name, r.missed,
                 r.missed == 1 ? "" : "s");
        notify(w, "files-missed", "warning", text.data, r.missed_list);
    }
}

static void notify_skipped(struct sarif *w)
{
    const json_t *files = json_object_get(w->record, "files");
    const json_t *list = json_object_get(files, "skipped");
    int64_t n =
        (int64_t)json_array_size(list) + json_integer_value(json_object_get(files, "skipped_more"));
    auto_buf text = {0};

    if (n > 0) {
        buf_addf(&text, "%" PRId64 " file%s left out of the scan", n, n == 1 ? " was" : "s were");
        notify(w, "files-skipped", "note", text.data, list);
    }
}

static void notify_split(struct sarif *w, bool last)
{
    auto_buf text = {0};

    if (last && w->part == 1) {
        return;
    }
    buf_addf(&text, "part %d of the scan's results: a run has no more than %d", w->part,
             SARIF_RESULTS);
    if (last) {
        buf_addf(&text, "; the scan has %" PRId64, w->all + w->left_out);
    }
    if (last && w->left_out) {
        buf_addf(&text, ", of which %" PRId64 " are not in this file", w->left_out);
    }
    notify(w, "results-split", w->left_out ? "error" : "note", text.data, NULL);
}

void sarif_invocations(struct sarif *w, bool last)
{
    struct json *j = &w->j;
    const json_t *v;
    size_t i;

    json_arr_in(j, "invocations");
    json_obj(j);
    json_bool(j, "executionSuccessful", successful(w));
    if (w->job->started_us) {
        json_time(j, "startTimeUtc", w->job->started_us);
    }
    if (w->job->completed_us) {
        json_time(j, "endTimeUtc", w->job->completed_us);
    }
    json_arr_in(j, "toolExecutionNotifications");
    if (w->job->error && *w->job->error) {
        notify(w, "scan-failed", "error", w->job->error, NULL);
    }
    json_array_foreach(json_object_get(w->record, "engines"), i, v)
    {
        notify_engine(w, v);
    }
    notify_skipped(w);
    json_array_foreach(json_object_get(w->record, "notes"), i, v)
    {
        if (json_is_string(v)) {
            notify(w, "note", "note", json_string_value(v), NULL);
        }
    }
    notify_split(w, last);
    json_end(j);
    json_end(j);
    json_end(j);
}
