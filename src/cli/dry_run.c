#include "cli/dry_run.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "cli/remote.h"
#include "cli/view.h"

static void line(struct buf *out, const char *name, const char *value)
{
    buf_addf(out, "%-12s ", name);
    buf_add_escaped(out, value, strlen(value));
    buf_addc(out, '\n');
}

static void add_argv(const json_t *argv, struct buf *out)
{
    const json_t *word;
    size_t i;

    buf_adds(out, "   ");
    json_array_foreach(argv, i, word)
    {
        const char *s = json_is_string(word) ? json_string_value(word) : "";

        buf_addc(out, ' ');
        buf_add_escaped(out, s, strlen(s));
    }
    buf_addc(out, '\n');
}

static void add_stage(const json_t *stage, struct buf *out)
{
    const json_t *task;
    int64_t more = json_number(stage, "more_tasks", 0);
    size_t i;

    buf_addf(out, "\n%s by %s", json_text(stage, "name"), json_text(stage, "tool"));
    if (*json_text(stage, "note")) {
        buf_addf(out, " %s: %s", json_text(stage, "arguments"), json_text(stage, "note"));
    }
    buf_addc(out, '\n');
    json_array_foreach(json_object_get(stage, "tasks"), i, task)
    {
        add_argv(json_object_get(task, "argv"), out);
        buf_addf(out, "      %" PRId64 " addresses, %" PRId64 " probes at most\n",
                 json_number(task, "addresses", 0), json_number(task, "probes", 0));
    }
    if (more > 0) {
        buf_addf(out, "    and %" PRId64 " more\n", more);
    }
}

static bool is_refused(const json_t *doc)
{
    return str_eq(json_text(json_object_get(doc, "policy"), "verdict"), "refused");
}

static void show(const json_t *doc)
{
    const json_t *policy = json_object_get(doc, "policy");
    auto_free char *verdict =
        str_fmt("%s: %s", json_text(policy, "verdict"), json_text(policy, "detail"));
    auto_free char *counts =
        str_fmt("%" PRId64 " addresses, %" PRId64 " ports each, %" PRId64 " probes at most",
                json_number(doc, "addresses", 0), json_number(doc, "ports", 0),
                json_number(doc, "probes", 0));
    int64_t seconds = json_number(doc, "estimate_s", -1);
    auto_buf out = {0};
    const json_t *stage;
    size_t i;

    line(&out, "policy", verdict);
    if (*json_text(doc, "profile")) {
        line(&out, "profile", json_text(doc, "profile"));
    }
    line(&out, "work", counts);
    if (seconds >= 0) {
        auto_buf time = {0};

        buf_add_duration(&time, seconds * 1000000);
        line(&out, "about", time.data);
    }
    json_array_foreach(json_object_get(doc, "stages"), i, stage)
    {
        if (is_refused(doc)) {
            break; /* there are no tasks */
        }
        add_stage(stage, &out);
    }
    out_buf(&out);
}

int dry_run(struct cli *c, const struct buf *request)
{
    struct answer a = {0};
    int status =
        cli_call(c,
                 &(struct call){
                     .method = "POST", .path = "/api/v1/scans?dry_run=true", .body = request->data},
                 &a);

    if (status == STATUS_OK) {
        json_t *doc = remote_object(c, &a);

        if (!doc) {
            status = STATUS_UNREACHABLE;
        } else if (is_refused(doc)) {
            status = STATUS_REFUSED;
        }
        if (doc && c->format == FORMAT_TABLE) {
            show(doc);
        } else if (doc) {
            print_answer(&a);
        }
        json_decref(doc);
    }
    answer_done(&a);
    return status;
}
