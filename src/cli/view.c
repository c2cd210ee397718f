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
        .rule = json_text(job, "scope_rule"),
        .sandbox = json_object_get(job, "sandbox"),
        .limits = json_object_get(job, "limits"),
        .pins = json_object_get(job, "pins"),
        .profile = json_text(job, "profile"),
        .stages = json_object_get(job, "stages"),
        .coverage = json_object_get(job, "coverage"),
        .notes = json_object_get(job, "notes"),
        .flagged = json_object_get(job, "flagged"),
        .run = json_object_get(job, "run"),
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

void job_view_fact(struct buf *out, bool color, const char *name, const char *value)
{
    fact(out, color, name, value);
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

/* ---- how it was confined ---- */

/* "22 out_of_scope, 3 rate"; nothing if nothing was stopped. */
static void add_stopped(const json_t *dropped, struct buf *out)
{
    const char *name;
    json_t *n;

    json_object_foreach((json_t *)(uintptr_t)dropped, name, n)
    {
        if (json_is_integer(n) && json_integer_value(n) > 0) {
            buf_addf(out, "%s%" PRId64 " %s", out->len ? ", " : "", (int64_t)json_integer_value(n),
                     name);
        }
    }
}

/* What was counted: the member's name, and its value; NULL if nothing was. */
static const json_t *counted(const json_t *sandbox, const char **name)
{
    static const char *const names[] = {"packets", "calls", "connections"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const json_t *c = json_object_get(sandbox, names[i]);

        if (json_is_object(c)) {
            *name = names[i];
            return c;
        }
    }
    return NULL;
}

static const char *network_words(const char *egress)
{
    static const struct {
        const char *level, *words;
    } levels[] = {{"none", "no network"},
                  {"proxy", "a proxy of the server's"},
                  {"nft", "packet filter of the kernel (nft)"},
                  {"rootless", "packet filter in front of a user-mode network stack (rootless)"},
                  {"broker", "connections made and checked by the server (broker)"},
                  {"unconfined", "NOT CONFINED: no filter but the command line"}};

    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        if (str_eq(levels[i].level, egress)) {
            return levels[i].words;
        }
    }
    return egress;
}

static void fact_network(const json_t *sandbox, bool color, struct buf *out)
{
    const char *egress = json_text(sandbox, "egress");
    const char *what = NULL;
    const json_t *counts = counted(sandbox, &what);
    auto_buf way = {0}, seen = {0}, stopped = {0};

    buf_addf(&way, "%s%s", network_words(egress),
             json_is_true(json_object_get(sandbox, "raw_sockets")) ? ", raw sockets" : "");
    if (json_is_true(json_object_get(sandbox, "dedicated"))) {
        buf_adds(&way, ", an address of its own");
    } else if (str_eq(egress, "nft")) {
        buf_adds(&way, ", behind NAT");
    }
    fact(out, color, "network", way.data);
    if (counts) {
        add_stopped(json_object_get(counts, "dropped"), &stopped);
        buf_addf(&seen, "%" PRId64 " passed, %s%s", json_number(counts, "passed", 0),
                 stopped.len ? "stopped: " : "none stopped", stopped.len ? stopped.data : "");
        fact(out, color, what, seen.data);
    }
}

static void fact_use(const json_t *sandbox, bool color, struct buf *out)
{
    const json_t *usage = json_object_get(sandbox, "usage");
    const char *limit = json_text(sandbox, "limit");
    int64_t peak = json_number(usage, "memory_peak_kb", json_number(usage, "max_rss_kb", 0));
    auto_buf used = {0}, ended = {0};

    if (json_is_object(usage)) {
        buf_addf(&used,
                 "%" PRId64 " ms of processor, %" PRId64 " MiB of memory, %" PRId64
                 " bytes of output",
                 json_number(usage, "cpu_ms", 0), (peak + 1023) / 1024,
                 json_number(usage, "output_bytes", 0));
        fact(out, color, "used", used.data);
    }
    if (*limit) {
        bool certain = json_is_true(json_object_get(sandbox, "limit_certain"));

        buf_addf(&ended, "%s%s", limit,
                 certain ? "" : " (likely: there were only rlimits, which do not tell)");
        fact(out, color, "ended by", ended.data);
    }
}

/* {"wall_s": 60}: "wall_s=60"; {"a.test": ["10.0.0.1"]}: "a.test=10.0.0.1". */
static void fact_pairs(const json_t *object, bool color, const char *label, struct buf *out)
{
    auto_buf all = {0};
    const char *name;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)object, name, v)
    {
        json_t *one;
        size_t i;

        buf_addf(&all, "%s%s=", all.len ? " " : "", name);
        if (json_is_integer(v)) {
            buf_addf(&all, "%" PRId64, (int64_t)json_integer_value(v));
        }
        json_array_foreach(v, i, one)
        {
            buf_addf(&all, "%s%s", i ? "," : "",
                     json_is_string(one) ? json_string_value(one) : "?");
        }
    }
    fact(out, color, label, all.data ? all.data : "");
}

static void facts_sandbox(const struct job_view *v, bool color, struct buf *out)
{
    const json_t *note;
    size_t i;

    fact(out, color, "scope", v->rule);
    fact_pairs(v->pins, color, "pinned", out);
    fact_pairs(v->limits, color, "limits", out);
    fact(out, color, "confinement", v->confinement);
    if (!json_is_object(v->sandbox)) {
        return;
    }
    fact_network(v->sandbox, color, out);
    fact_use(v->sandbox, color, out);
    json_array_foreach(json_object_get(v->sandbox, "notes"), i, note)
    {
        fact(out, color, "note", json_is_string(note) ? json_string_value(note) : "");
    }
}

void job_view_warn(const struct job_view *v, const struct term *t)
{
    const char *what = NULL;
    const json_t *counts = counted(v->sandbox, &what);
    const json_t *note;
    auto_buf stopped = {0};
    size_t i;

    if (!plan_view_warn(v, t) && v->partial) {
        say_warning(t, "partial result: not all targets were covered");
    }
    json_array_foreach(json_object_get(v->sandbox, "notes"), i, note)
    {
        if (json_is_string(note)) {
            say_warning(t, json_string_value(note));
        }
    }
    add_stopped(json_object_get(counts, "dropped"), &stopped);
    if (stopped.len) {
        auto_free char *text = str_fmt("%s were stopped at the box: %s", what, stopped.data);

        say_warning(t, text);
    }
}

/* ---- of repositories ---- */

/* "bandit 1.6.2  ok, 3 files" */
static void fact_engine(const json_t *engine, const char *label, bool color, struct buf *out)
{
    auto_buf text = {0};
    const char *reason = json_text(engine, "reason");
    const char *version = json_text(engine, "version");

    buf_addf(&text, "%s%s%s: %s, ", json_text(engine, "name"), *version ? " " : "", version,
             json_text(engine, "status"));
    if (*reason) {
        buf_adds(&text, reason);
    } else {
        int64_t files = json_number(engine, "files", 0);
        int64_t findings = json_number(engine, "findings", 0);

        buf_addf(&text, "%" PRId64 " file%s, %" PRId64 " finding%s", files, files == 1 ? "" : "s",
                 findings, findings == 1 ? "" : "s");
    }
    fact(out, color, label, text.data);
}

static void facts_run(const struct job_view *v, bool color, struct buf *out)
{
    const json_t *engines = json_object_get(v->run, "engines");
    const json_t *files = json_object_get(v->run, "files");
    const json_t *engine;
    auto_buf text = {0};
    size_t i;

    fact(out, color, "branch", json_text(v->run, "branch"));
    fact(out, color, "directory", json_text(v->run, "subdir"));
    fact(out, color, "commit", json_text(v->run, "commit"));
    fact(out, color, "assessment", json_text(v->run, "assessment"));
    if (files) {
        buf_addf(&text, "%" PRId64 ", %" PRId64 " of them text", json_number(files, "total", 0),
                 json_number(files, "text", 0));
        fact(out, color, "files", text.data);
    }
    json_array_foreach(engines, i, engine)
    {
        fact_engine(engine, i == 0 ? "engines" : "", color, out);
    }
}

static void fact_hosts(const struct job_view *v, bool color, struct buf *out)
{
    auto_buf counts = {0};

    buf_addf(&counts, "%" PRId64 " hosts, %" PRId64 " up, %" PRId64 " open ports%s", v->hosts,
             v->hosts_up, v->ports_open, v->partial ? " (partial: not all targets)" : "");
    fact(out, color, "found", counts.data);
}

bool job_view_is_repo(const struct job_view *v)
{
    return strcmp(v->tool, "repo") == 0;
}

/* ---- all of it ---- */

void job_view_facts(const struct job_view *v, bool color, struct buf *out)
{
    auto_buf took = {0};

    fact(out, color, "id", v->id);
    fact(out, color, "state", v->state);
    fact(out, color, "reason", v->reason);
    fact(out, color, "error", v->error);
    fact(out, color, "profile", v->profile);
    fact(out, color, "tool", v->tool);
    fact(out, color, "targets", v->targets);
    fact(out, color, "ports", v->ports);
    fact(out, color, "arguments", v->arguments);
    fact(out, color, "command", v->command_line);
    fact(out, color, "version", v->tool_version);
    plan_view_facts(v, color, out);
    facts_sandbox(v, color, out);
    fact_time(out, color, "created", v->created_us);
    fact_time(out, color, "started", v->started_us);
    fact_time(out, color, "completed", v->completed_us);
    if (v->started_us && v->completed_us) {
        buf_add_duration(&took, v->completed_us - v->started_us);
        fact(out, color, "took", took.data);
    }
    if (job_view_is_repo(v)) {
        facts_run(v, color, out);
    } else {
        fact_hosts(v, color, out);
    }
    if (v->terminal && strcmp(v->state, "completed") != 0) {
        fact_lines(out, color, "stderr", v->stderr_tail);
    }
}
