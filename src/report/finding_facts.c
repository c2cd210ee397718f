#include "report/finding_facts.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "parse/finding_json.h"
#include "report/facts.h"

static void put_id(struct json *j, const char *key, const struct id *id)
{
    char text[ID_TEXT + 1];

    id_text(id, text);
    json_str(j, key, id_is_zero(id) ? NULL : text);
}

static void put_triage(const struct triage_note *t, struct json *j)
{
    json_obj_in(j, "triage");
    json_str(j, "state", triage_name(t->state));
    if (t->state != TRIAGE_NONE) {
        json_str(j, "reason", t->reason);
        json_str(j, "by", t->by);
        json_time(j, "at", t->at_us);
        json_time(j, "until", t->until_us);
    }
    json_end(j);
}

void finding_row_members(const struct finding_row *row, struct json *j)
{
    put_id(j, "id", &row->issue);
    json_str(j, "state", finding_life_name(row->life));
    json_bool(j, "open", row->open);
    json_bool(j, "counts", row->counts);
    json_str(j, "repository", row->url);
    json_str(j, "branch", row->branch);
    json_str(j, "subdir", row->subdir);
    put_id(j, "scan", &row->job);
    put_id(j, "first_scan", &row->first_job);
    json_time(j, "first_seen_at", row->first_us);
    json_time(j, "last_seen_at", row->last_us);
    json_time(j, "fixed_at", row->fixed_us);
    json_int(j, "reopened", row->reopened);
    put_triage(&row->triage, j);
    finding_json_members(row->f, j);
}

static void put_counts(const struct repo_scan *s, struct json *j)
{
    json_obj_in(j, "counts");
    for (int i = SEVERITIES - 1; i >= 0; i--) {
        json_int(j, severity_name((enum severity)i), s->counts[i]);
    }
    json_end(j);
    json_obj_in(j, "states");
    for (int i = 0; i < LIFES; i++) {
        json_int(j, finding_life_name((enum finding_life)i), s->life[i]);
    }
    json_end(j);
}

void finding_scan_members(const struct job *job, const struct repo_scan *scan, bool run,
                          struct json *j)
{
    put_id(j, "id", &job->id);
    json_str(j, "job_state", job_state_name(job->state));
    json_str(j, "error", job->error);
    json_time(j, "started_at", job->started_us);
    json_time(j, "completed_at", job->completed_us);
    json_str(j, "repository", scan->url);
    json_str(j, "branch", scan->branch);
    json_str(j, "subdir", scan->subdir);
    json_str(j, "commit", scan->commit);
    put_id(j, "baseline", &scan->baseline);
    json_bool(j, "complete", scan->complete);
    json_str(j, "risk_level", scan->level);
    json_num(j, "risk_score", scan->score_x10 / 10.0, 1);
    put_counts(scan, j);
    json_int(j, "triaged", scan->triaged);
    if (run) {
        json_raw(j, "run", job->run_json);
    }
}

/* ---- for people ---- */

static void row(struct strvec *rows, const char *label, const char *value)
{
    if (value && *value) {
        strvec_push(rows, label);
        strvec_push(rows, value);
    }
}

static void row_time(struct strvec *rows, const char *label, int64_t us)
{
    char text[RFC3339_LEN + 1];

    if (us > 0) {
        rfc3339_us(us, text);
        row(rows, label, text);
    }
}

static void row_counts(const struct repo_scan *s, struct strvec *rows)
{
    auto_buf text = {0};

    for (int i = SEVERITIES - 1; i >= 0; i--) {
        buf_addf(&text, "%s%" PRId64 " %s", text.len ? ", " : "", s->counts[i],
                 severity_name((enum severity)i));
    }
    if (s->triaged) {
        buf_addf(&text, "; %" PRId64 " set aside by people", s->triaged);
    }
    row(rows, "Findings", text.data);
    buf_reset(&text);
    for (int i = 0; i < LIFES; i++) {
        if (s->life[i]) {
            buf_addf(&text, "%s%" PRId64 " %s", text.len ? ", " : "", s->life[i],
                     finding_life_name((enum finding_life)i));
        }
    }
    row(rows, "Since the last scan", text.data);
}

void finding_scan_rows(const struct job *job, const struct repo_scan *scan, struct strvec *rows)
{
    char id[ID_TEXT + 1];
    auto_free char *risk = str_fmt("%s (score %.1f of 100)", scan->level, scan->score_x10 / 10.0);

    row(rows, "Repository", scan->url);
    row(rows, "Branch", scan->branch);
    row(rows, "Sub-directory", scan->subdir);
    row(rows, "Commit", scan->commit);
    id_text(&job->id, id);
    row(rows, "Scan", id);
    row(rows, "State", job_state_name(job->state));
    row(rows, "Error", job->error);
    row(rows, "Complete", scan->complete ? "yes" : "no: not all engines saw all files");
    row(rows, "Risk", risk);
    row_counts(scan, rows);
    if (!id_is_zero(&scan->baseline)) {
        id_text(&scan->baseline, id);
        row(rows, "Compared with", id);
    }
    row_time(rows, "Started", job->started_us);
    row_time(rows, "Ended", job->completed_us);
}

void finding_triage_text(const struct finding_row *r, struct buf *out)
{
    const struct triage_note *t = &r->triage;
    char until[RFC3339_LEN + 1];

    if (r->counts || t->state == TRIAGE_NONE) {
        return;
    }
    buf_adds(out, t->state == TRIAGE_FALSE_POSITIVE ? "false positive" : "accepted risk");
    if (t->by && *t->by) {
        buf_addf(out, ", by %s", t->by);
    }
    if (t->reason && *t->reason) {
        buf_addf(out, ": %s", t->reason);
    }
    if (t->until_us) {
        rfc3339_us(t->until_us, until);
        buf_addf(out, " (until %s)", until);
    }
}

void finding_place_text(const struct finding_place *p, struct buf *out)
{
    buf_adds(out, p->path);
    if (p->line > 0) {
        buf_addf(out, ":%" PRId32, p->line);
    }
}

/* ---- the run's record ---- */

static const char *text_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

void finding_engine_run(const json_t *record, struct finding_engine_run *out)
{
    *out = (struct finding_engine_run){
        .name = text_of(record, "name"),
        .version = text_of(record, "version"),
        .status = text_of(record, "status"),
        .reason = text_of(record, "reason"),
        .findings = json_integer_value(json_object_get(record, "findings")),
        .files = json_integer_value(json_object_get(record, "files")),
        .missed_list = json_object_get(record, "missed"),
    };
    out->name = out->name ? out->name : "unnamed engine";
    out->status = out->status ? out->status : "unknown";
    out->missed = (int64_t)json_array_size(out->missed_list) +
                  json_integer_value(json_object_get(record, "missed_more"));
}
