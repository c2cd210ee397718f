#include "cli/view.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/term.h"
#include "model/job.h"

const char *json_text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));

    return s ? s : "";
}

int64_t json_number(const json_t *o, const char *name, int64_t otherwise)
{
    const json_t *v = json_object_get(o, name);

    return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

static int64_t json_when(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    int64_t us = 0;

    return s && rfc3339_parse(s, &us) ? us : 0;
}

void job_view_read(const json_t *job, struct job_view *v)
{
    const json_t *progress = json_object_get(job, "progress");
    const json_t *percent = json_object_get(progress, "percent");
    const json_t *counts = json_object_get(job, "counts");
    enum job_state state;

    *v = (struct job_view){
        .id = json_text(job, "id"),
        .state = json_text(job, "state"),
        .reason = json_text(job, "reason"),
        .error = json_text(job, "error"),
        .tool = json_text(job, "tool"),
        .targets = json_text(job, "targets"),
        .ports = json_text(job, "ports"),
        .arguments = json_text(job, "arguments"),
        .stderr_tail = json_text(job, "stderr"),
        .command_line = json_text(job, "command_line"),
        .tool_version = json_text(job, "tool_version"),
        .confinement = json_text(job, "confinement"),
        .created_us = json_when(job, "created_at"),
        .started_us = json_when(job, "started_at"),
        .completed_us = json_when(job, "completed_at"),
        .percent = json_is_number(percent) ? json_number_value(percent) : -1,
        .remaining_s = json_number(progress, "remaining_s", -1),
        .hosts = json_number(counts, "hosts", 0),
        .hosts_up = json_number(counts, "hosts_up", 0),
        .ports_open = json_number(counts, "ports_open", 0),
        .attempts = json_number(job, "attempts", 0),
        .retries = json_number(job, "retries", 0),
        .priority = json_number(job, "priority", JOB_PRIORITY_DEFAULT),
        .run_timeout_s = json_number(job, "run_timeout", 0),
        .exit_status = json_number(job, "exit_status", -1),
        .partial = json_is_true(json_object_get(job, "partial")),
    };
    v->terminal = job_state_parse(v->state, &state) && job_state_terminal(state);
}

int job_view_status(const struct job_view *v)
{
    if (strcmp(v->state, "completed") == 0) {
        return STATUS_OK;
    }
    return strcmp(v->reason, "refused") == 0 ? STATUS_REFUSED : STATUS_SCAN;
}

void job_view_problem(const struct job_view *v, struct buf *out)
{
    buf_adds(out, v->state);
    if (*v->reason && strcmp(v->reason, v->state) != 0) {
        buf_addf(out, ": %s", v->reason);
    }
    if (*v->error) {
        buf_addf(out, ": %s", v->error);
    }
}

void buf_add_duration(struct buf *b, int64_t us)
{
    int64_t s = us / 1000000;

    if (us < 0) {
        buf_adds(b, "0.0 s");
    } else if (s < 60) {
        buf_addf(b, "%" PRId64 ".%" PRId64 " s", s, us / 100000 % 10);
    } else if (s < 3600) {
        buf_addf(b, "%" PRId64 " m %02" PRId64 " s", s / 60, s % 60);
    } else if (s < 172800) {
        buf_addf(b, "%" PRId64 " h %02" PRId64 " m", s / 3600, s / 60 % 60);
    } else {
        buf_addf(b, "%" PRId64 " d", s / 86400);
    }
}

static void fact(struct buf *out, bool color, const char *name, const char *value)
{
    auto_buf label = {0};

    if (!*value) {
        return;
    }
    buf_addf(&label, "%-12s", name);
    buf_add_painted(out, color, PAINT_DIM, label.data);
    buf_addc(out, ' ');
    buf_add_escaped(out, value, strlen(value));
    buf_addc(out, '\n');
}

static void fact_time(struct buf *out, bool color, const char *name, int64_t us)
{
    char when[RFC3339_LEN + 1];

    if (us) {
        rfc3339_us(us, when);
        fact(out, color, name, when);
    }
}

/* stderr of a tool: its lines stay lines, everything else in them is escaped. */
static void fact_lines(struct buf *out, bool color, const char *name, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        auto_free char *line = str_fmt("%.*s", (int)n, text);

        fact(out, color, name, line);
        name = "";
        text += n + (text[n] == '\n');
    }
}

void job_view_facts(const struct job_view *v, bool color, struct buf *out)
{
    auto_buf counts = {0};
    auto_buf took = {0};

    fact(out, color, "id", v->id);
    fact(out, color, "state", v->state);
    fact(out, color, "reason", v->reason);
    fact(out, color, "error", v->error);
    fact(out, color, "tool", v->tool);
    fact(out, color, "targets", v->targets);
    fact(out, color, "ports", v->ports);
    fact(out, color, "arguments", v->arguments);
    fact(out, color, "command", v->command_line);
    fact(out, color, "version", v->tool_version);
    fact(out, color, "confinement", v->confinement);
    fact_time(out, color, "created", v->created_us);
    fact_time(out, color, "started", v->started_us);
    fact_time(out, color, "completed", v->completed_us);
    if (v->started_us && v->completed_us) {
        buf_add_duration(&took, v->completed_us - v->started_us);
        fact(out, color, "took", took.data);
    }
    buf_addf(&counts, "%" PRId64 " hosts, %" PRId64 " up, %" PRId64 " open ports%s", v->hosts,
             v->hosts_up, v->ports_open, v->partial ? " (partial: not all targets)" : "");
    fact(out, color, "found", counts.data);
    if (v->terminal && strcmp(v->state, "completed") != 0) {
        fact_lines(out, color, "stderr", v->stderr_tail);
    }
}
