#include "parse/sarif.h"

#include <string.h>

#include "assess/identity.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "parse/parse.h"

enum { NOTES_MAX = 50, NOTE_MAX = 300 };

/* ---- the document ---- */

static int broken(struct sarif_log *log, struct err *e, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static int broken(struct sarif_log *log, struct err *e, int code, const char *fmt, ...)
{
    struct err own = {0};
    va_list ap;

    va_start(ap, fmt);
    err_setv(&own, code, fmt, ap);
    va_end(ap);
    if (!log->why) {
        log->why = xstrdup(own.msg);
    }
    return err_set(e, code, "%s", own.msg);
}

static void note(struct sarif_log *log, const char *tool, const char *text)
{
    if (log->notes.n < NOTES_MAX) {
        strvec_pushf(&log->notes, "%s: %.*s", tool, NOTE_MAX, text);
        for (char *c = log->notes.v[log->notes.n - 1]; *c; c++) {
            *c = (unsigned char)*c < ' ' ? ' ' : *c;
        }
    }
}

/* What went wrong while the tool ran. */
static size_t notifications(struct sarif_log *log, const struct sarif_run *r,
                            const json_t *invocation, const char *name)
{
    size_t i, errors = 0;
    const json_t *o;

    json_array_foreach(sarif_array(invocation, name), i, o)
    {
        if (str_eq(sarif_string(o, "level"), "error")) {
            const char *text = sarif_message(r, sarif_object(o, "message"), NULL, NOTE_MAX);

            note(log, r->name, text ? text : "an error that it does not describe");
            errors++;
        }
    }
    return errors;
}

/* "ok", "partial", "failed" */
static const char *run_status(struct sarif_log *log, const struct sarif_run *r, size_t findings)
{
    const json_t *invocations = sarif_array(r->run, "invocations");
    size_t i, errors = 0;
    const json_t *o;
    bool failed = false;

    json_array_foreach(invocations, i, o)
    {
        int64_t us;
        const char *start = sarif_string(o, "startTimeUtc");

        if (json_is_false(json_object_get(o, "executionSuccessful"))) {
            const char *text = sarif_string(o, "exitCodeDescription");

            note(log, r->name, text ? text : "it says that it did not succeed");
            failed = true;
        }
        errors += notifications(log, r, o, "toolExecutionNotifications");
        errors += notifications(log, r, o, "toolConfigurationNotifications");
        if (start && !log->start_s && rfc3339_parse(start, &us) && us > 0) {
            log->start_s = us / 1000000;
        }
    }
    return failed && findings == 0 ? "failed" : failed || errors ? "partial" : "ok";
}

static void describe(struct sarif_log *log, const struct sarif_run *r)
{
    const json_t *vc = json_array_get(sarif_array(r->run, "versionControlProvenance"), 0);

    if (!log->scanner) {
        log->scanner = r->name;
        log->version = r->version;
    }
    if (vc && !log->repository) {
        log->repository = sarif_cut(log->arena, sarif_string(vc, "repositoryUri"), 2048, true);
        log->commit = sarif_cut(log->arena, sarif_string(vc, "revisionId"), 64, true);
        log->branch = sarif_cut(log->arena, sarif_string(vc, "branch"), 255, true);
    }
}

static struct finding *next(struct sarif_log *log)
{
    if (log->n == log->size) {
        log->size = log->size ? 2 * log->size : 64;
        log->v = xrealloc(log->v, log->size * sizeof *log->v);
    }
    return &log->v[log->n];
}

static int read_results(struct sarif_log *log, const struct sarif_run *r, struct err *e)
{
    const json_t *results = json_object_get(r->run, "results");
    size_t i;
    const json_t *o;

    if (results && !json_is_null(results) && !json_is_array(results)) {
        return broken(log, e, ERR_TOOL, "'results' of a run is not a list");
    }
    json_array_foreach(results, i, o)
    {
        struct finding *f = next(log);
        struct err why = {0};

        if (!json_is_object(o)) {
            return broken(log, e, ERR_TOOL, "result %zu is not an object", i);
        }
        if (!sarif_finding(r, o, f)) {
            continue;
        }
        if (finding_check(f, &why) != 0) {
            return broken(log, e, ERR_TOOL, "result %zu: %s", i, why.msg);
        }
        if (log->n == SARIF_RESULTS_MAX) {
            return broken(log, e, ERR_LIMIT, "it has more than %d results", SARIF_RESULTS_MAX);
        }
        log->n++;
    }
    return 0;
}

static int read_run(struct sarif_log *log, const json_t *run, const char *root, struct json *j,
                    struct err *e)
{
    struct sarif_run r;
    size_t before = log->n, notes = log->notes.n;
    const char *status;
    int rc;

    if (!json_is_object(run)) {
        return broken(log, e, ERR_TOOL, "a run is not an object");
    }
    sarif_run_init(&r, run, root, log->arena);
    describe(log, &r);
    rc = read_results(log, &r, e);
    status = rc ? "partial" : run_status(log, &r, log->n - before);
    log->runs++;
    log->failed += str_eq(status, "failed");
    log->partial += str_eq(status, "partial");
    json_obj(j);
    json_str(j, "name", r.name);
    if (r.version) {
        json_str(j, "version", r.version);
    }
    json_str(j, "status", status);
    if (log->notes.n > notes) {
        json_str(j, "reason", log->notes.v[notes]);
    }
    json_int(j, "findings", (int64_t)(log->n - before));
    json_end(j);
    sarif_run_done(&r);
    return rc;
}

static int read_runs(struct sarif_log *log, const char *root, struct err *e)
{
    const json_t *runs = sarif_array(log->tree, "runs");
    struct json j = json_to(&log->engines);
    size_t i;
    const json_t *run;
    int rc = 0;

    json_arr(&j);
    json_array_foreach(runs, i, run)
    {
        rc = read_run(log, run, root, &j, e);
        if (rc != 0) {
            break;
        }
    }
    json_end(&j);
    if (rc == 0 && !runs) {
        return broken(log, e, ERR_TOOL, "it has no list of runs");
    }
    if (rc == 0 && log->failed + log->partial > 0) {
        return broken(log, e, ERR_TOOL, "%s", log->notes.n ? log->notes.v[0] : "a run failed");
    }
    return rc;
}

int sarif_log_read(const char *text, size_t n, const char *root, struct sarif_log *out,
                   struct err *e)
{
    json_error_t why = {0};
    const char *version;

    *out = (struct sarif_log){.arena = arena_new()};
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        n -= 3;
    }
    out->tree = json_loadb(text, n, JSON_ALLOW_NUL, &why);
    if (!out->tree) {
        return broken(out, e, ERR_TOOL, "line %d, column %d: %s", why.line, why.column, why.text);
    }
    version = sarif_string(out->tree, "version");
    if (!version) {
        return broken(out, e, ERR_TOOL, "it has no version: that is not SARIF");
    }
    if (!str_eq(version, "2.1.0")) {
        return broken(out, e, ERR_TOOL,
                      "it is SARIF %.32s; only 2.1.0 is read: have the tool write that, or convert "
                      "it (sarif-multitool transform)",
                      version);
    }
    return read_runs(out, root, e);
}

void sarif_log_done(struct sarif_log *log)
{
    free(log->v);
    free(log->why);
    buf_done(&log->engines);
    strvec_done(&log->notes);
    json_decref(log->tree);
    arena_free(log->arena);
    *log = (struct sarif_log){0};
}

/* ---- the parser ---- */

struct sarif {
    const struct parse_sink *sink;
    struct buf text;
    int code;
    struct err err;
};

static void *sarif_new(const struct parse_sink *sink)
{
    struct sarif *p = xcalloc(1, sizeof *p);

    p->sink = sink;
    p->text.cap = SARIF_BYTES_MAX;
    return p;
}

static void sarif_free(void *arg)
{
    struct sarif *p = arg;

    if (p) {
        buf_done(&p->text);
        free(p);
    }
}

static int sarif_feed(void *arg, const char *data, size_t n, struct err *e)
{
    struct sarif *p = arg;

    if (p->code == 0) {
        buf_add(&p->text, data, n);
        if (p->text.over) {
            p->code = err_set(&p->err, ERR_LIMIT, "SARIF: it is larger than %d MiB",
                              SARIF_BYTES_MAX >> 20);
            buf_done(&p->text);
        }
    }
    return p->code ? err_set(e, p->code, "%s", p->err.msg) : 0;
}

static void put_text(struct json *j, const char *key, const char *s)
{
    if (s) {
        json_str(j, key, s);
    }
}

/* The run's record, as a scan of ours has it. */
static void write_record(const struct sarif_log *log, struct buf *b)
{
    struct json j = json_to(b);
    size_t well = log->runs - log->failed;

    json_obj(&j);
    json_bool(&j, "imported", true);
    put_text(&j, "repository", log->repository);
    put_text(&j, "branch", log->branch);
    put_text(&j, "commit", log->commit);
    json_str(&j, "assessment", !log->why ? "complete" : well > 0 ? "partial" : "failed");
    json_raw(&j, "engines", log->engines.len ? log->engines.data : "[]");
    json_arr_in(&j, "notes");
    for (size_t i = 0; i < log->notes.n; i++) {
        json_str(&j, NULL, log->notes.v[i]);
    }
    if (log->why && log->notes.n == 0) {
        json_str(&j, NULL, log->why);
    }
    json_end(&j);
    json_end(&j);
}

static int tell_run(struct sarif *p, const struct sarif_log *log, struct err *e)
{
    auto_buf record = {0};
    struct run_info run = {.scanner = log->scanner ? log->scanner : "SARIF",
                           .version = log->version,
                           .start_s = log->start_s,
                           .complete = p->code == 0,
                           .exit = log->failed + log->partial ? "error"
                                   : p->code == 0             ? "success"
                                                              : NULL,
                           .errormsg = log->why};

    write_record(log, &record);
    run.json = record.data;
    return p->sink->run ? p->sink->run(p->sink->arg, &run, e) : 0;
}

static void identify_all(const struct sarif_log *log)
{
    auto_free struct finding **v = log->n ? xmalloc(log->n * sizeof(struct finding *)) : NULL;

    for (size_t i = 0; i < log->n; i++) {
        v[i] = &log->v[i];
    }
    identify_told(v, log->n);
}

static int sarif_finish(void *arg, struct err *e)
{
    struct sarif *p = arg;
    struct sarif_log log = {0};
    struct err why = {0};
    int rc = 0;

    if (p->code == 0) {
        p->code = sarif_log_read(p->text.data ? p->text.data : "", p->text.len, NULL, &log, &why);
        if (p->code) {
            err_prefix(&why, p->code, "SARIF");
        }
        buf_done(&p->text);
        identify_all(&log);
    } else {
        why = p->err;
        log.why = xstrdup(p->err.msg);
    }
    for (size_t i = 0; rc == 0 && p->sink->finding && i < log.n; i++) {
        rc = p->sink->finding(p->sink->arg, &log.v[i], e);
    }
    rc = rc ? rc : tell_run(p, &log, e);
    sarif_log_done(&log);
    return rc ? rc : p->code ? err_set(e, p->code, "%s", why.msg) : 0;
}

const struct parser parser_sarif = {
    .name = "sarif",
    .new = sarif_new,
    .feed = sarif_feed,
    .finish = sarif_finish,
    .free = sarif_free,
};
