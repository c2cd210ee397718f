/* What a planned job did, stage by stage, and what of its targets it covered. */
#include <inttypes.h>

#include "cli/term.h"
#include "cli/view.h"

/* "7 of 8 tasks, 1 failed, 2 repeated" */
static void stage_text(const json_t *s, struct buf *out)
{
    int64_t tasks = json_number(s, "tasks", 0), done = json_number(s, "done", 0);
    int64_t failed = json_number(s, "failed", 0), repeated = json_number(s, "repeated", 0);

    buf_addf(out, "%s: %" PRId64 " of %" PRId64 " tasks", json_text(s, "tool"), done, tasks);
    if (failed) {
        buf_addf(out, ", %" PRId64 " failed", failed);
    }
    if (repeated) {
        buf_addf(out, ", %" PRId64 " repeated", repeated);
    }
}

static void facts_flagged(const struct job_view *v, bool color, struct buf *out)
{
    const json_t *host;
    size_t i;

    json_array_foreach(v->flagged, i, host)
    {
        auto_buf text = {0};

        buf_addf(&text, "%s: %" PRId64 " of %" PRId64 " ports are open", json_text(host, "address"),
                 json_number(host, "open", 0), json_number(host, "probed", 0));
        job_view_fact(out, color, i ? "" : "flagged", text.data);
    }
}

void plan_view_facts(const struct job_view *v, bool color, struct buf *out)
{
    const json_t *s;
    size_t i;

    json_array_foreach(v->stages, i, s)
    {
        auto_buf text = {0};

        stage_text(s, &text);
        job_view_fact(out, color, json_text(s, "name"), text.data);
    }
    job_view_fact(out, color, "coverage", json_text(v->coverage, "text"));
    facts_flagged(v, color, out);
    json_array_foreach(v->notes, i, s)
    {
        job_view_fact(out, color, "note", json_is_string(s) ? json_string_value(s) : "");
    }
}

bool plan_view_warn(const struct job_view *v, const struct term *t)
{
    const char *coverage = json_text(v->coverage, "text");
    const json_t *note;
    size_t i;

    json_array_foreach(v->notes, i, note)
    {
        if (json_is_string(note)) {
            say_warning(t, json_string_value(note));
        }
    }
    if (v->partial && *coverage) {
        say_warning(t, coverage);
        return true;
    }
    return false;
}

void plan_view_stage(const struct job_view *v, struct buf *out)
{
    const json_t *s;
    size_t i;

    json_array_foreach(v->stages, i, s)
    {
        if (json_number(s, "running", 0) > 0) {
            buf_addf(out, "%s%s", out->len ? "+" : "", json_text(s, "name"));
        }
    }
}
