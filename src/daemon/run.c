#include "daemon/run.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/repo_run.h"

enum { PROGRESS_EVERY_MS = 500 };

/* ---- records to rows ---- */

/* The finished ones are only of use when a run does not come to its end; of a file always. */
static void note_host(struct tool_run *r, const struct host *head)
{
    const char *text = host_address(head);
    struct net_ip ip;

    if (!r->reparse_done && text && net_ip_parse(text, &ip)) {
        netset_add(head->timed_out ? &r->gave_up : &r->finished, &(struct net_range){ip, ip});
    }
}

static int take_host(void *arg, const struct host *head, struct err *e)
{
    struct tool_run *r = arg;

    r->wrote = true;
    note_host(r, head);
    return r->to->host(r->to->arg, &r->lease, head, e);
}

static int take_port(void *arg, const struct port *p, struct err *e)
{
    struct tool_run *r = arg;

    return r->to->port(r->to->arg, &r->lease, p, e);
}

static int take_host_end(void *arg, struct err *e)
{
    struct tool_run *r = arg;

    r->hosts++;
    return r->to->host_end(r->to->arg, &r->lease, e);
}

static int take_finding(void *arg, const struct finding *f, struct err *e)
{
    struct tool_run *r = arg;

    struct finding safe = *f;

    r->wrote = true;
    r->findings++;
    repo_run_clean_finding(r, &safe);
    return r->to->finding(r->to->arg, &r->lease, &safe, e);
}

static int take_progress(void *arg, const struct progress *p, struct err *e)
{
    struct tool_run *r = arg;
    int64_t now = boot_ms();

    if (r->reparse_done || now - r->progress_ms < PROGRESS_EVERY_MS) {
        return 0;
    }
    r->progress_ms = now;
    return r->to->progress(r->to->arg, &r->lease, p, e);
}

void tool_run_status(struct tool_run *r, const char *line)
{
    struct progress p = {.percent_x100 = -1, .remaining_s = -1};

    if (r->tool && r->tool->read_status && r->tool->read_status(line, &p)) {
        (void)take_progress(r, &p, NULL); /* a lease that is lost is told by the next record */
    }
}

static void replace(char **at, const char *s)
{
    free(*at);
    *at = xstrdup(s);
}

static int take_run(void *arg, const struct run_info *info, struct err *e)
{
    struct tool_run *r = arg;

    (void)e;
    r->have_run = true;
    r->complete = info->complete;
    replace(&r->command_line, info->args);
    replace(&r->version, info->version);
    replace(&r->run_json, info->json);
    replace(&r->exit, info->exit);
    replace(&r->errormsg, info->errormsg);
    return 0;
}

static int take_raw(void *arg, const struct raw_info *raw, struct err *e)
{
    struct tool_run *r = arg;

    (void)e;
    r->have_raw = true;
    r->raw = *raw;
    return 0;
}

static int take_end(void *arg, const struct parse_end *end, struct err *e)
{
    struct tool_run *r = arg;

    (void)e;
    r->have_end = true;
    r->parse_code = end->code;
    replace(&r->parse_message, end->message);
    return 0;
}

static const struct record_sink sink = {
    .host = take_host,
    .port = take_port,
    .host_end = take_host_end,
    .finding = take_finding,
    .progress = take_progress,
    .run = take_run,
    .raw = take_raw,
    .end = take_end,
};

struct tool_run *tool_run_new(const struct reports *to, const struct lease *l)
{
    struct tool_run *r = xcalloc(1, sizeof *r);

    r->to = to;
    r->lease = *l;
    r->start_us = wall_us();
    r->reader.sink = &sink;
    r->reader.arg = r;
    return r;
}

void tool_run_free(struct tool_run *r)
{
    record_reader_done(&r->reader);
    free(r->command_line);
    free(r->version);
    free(r->run_json);
    free(r->exit);
    free(r->errormsg);
    free(r->parse_message);
    free(r->argv_line);
    free(r->blob_path);
    free(r->sandbox_json);
    strvec_done(&r->notes);
    strvec_done(&r->cleaned);
    strvec_done(&r->cleaned_finding);
    tool_plan_done(&r->plan);
    netset_done(&r->finished);
    netset_done(&r->gave_up);
    cover_done(&r->cover);
    free(r);
}

/* Records of several runs alternate: whose host goes on is told. */
static int feed(struct tool_run *r, const void *p, size_t n, struct err *e)
{
    int rc = r->reader.in_host ? r->to->select(r->to->arg, &r->lease, e) : 0;

    return rc == 0 ? record_feed(&r->reader, p, n, e) : rc;
}

bool tool_run_records(struct tool_run *r, const void *p, size_t n)
{
    struct err e = {0};
    int rc;

    if (r->stop == STOP_STORE || r->bad_records) {
        return true; /* already being stopped: drain what is still on its way */
    }
    rc = feed(r, p, n, &e);
    if (rc == 0) {
        return true;
    }
    if (rc == ERR_TOOL || rc == ERR_LIMIT || rc == ERR_INVALID) {
        r->bad_records = true;
        r->parse_code = rc;
        replace(&r->parse_message, e.msg);
    } else {
        r->stop = STOP_STORE;
        r->store_error = e;
    }
    return false;
}

void tool_run_lost_rows(struct tool_run *r)
{
    if (r->stop == STOP_NONE) {
        r->stop = STOP_STORE;
        err_set(&r->store_error, ERR_FULL, "results could not be stored");
    }
}

/* ---- outcome ---- */

/* The last line that is not empty: what a person would look at first. */
static void add_last_line(struct buf *out, const char *text)
{
    size_t end = text ? strlen(text) : 0;
    size_t start;

    while (end > 0 && (text[end - 1] == '\n' || text[end - 1] == '\r' || text[end - 1] == ' ')) {
        end--;
    }
    for (start = end; start > 0 && text[start - 1] != '\n'; start--) {
    }
    if (end > start) {
        buf_adds(out, ": ");
        buf_add_escaped(out, text + start, MIN(end - start, 300));
    }
}

static void not_started(const struct runner_end *end, struct outcome *o, struct buf *m)
{
    bool missing = end->errnum == ENOENT || end->errnum == EACCES || end->errnum == ENOEXEC;

    o->state = JOB_FAILED;
    o->reason = missing && str_eq(end->step, "exec") ? REASON_TOOL_MISSING : REASON_SANDBOX;
    o->retryable = end->errnum == EAGAIN || end->errnum == ENOMEM;
    buf_addf(m, "could not start the tool (%s): %s", end->step ? end->step : "?",
             strerror(end->errnum));
}

static void stopped_by_us(const struct tool_run *r, struct outcome *o, struct buf *m)
{
    if (r->stop == STOP_STORE) {
        o->state = JOB_FAILED;
        o->reason = REASON_INTERNAL;
        o->retryable = r->store_error.code != ERR_FENCED;
        buf_addf(m, "stopped because results could not be stored: %s", r->store_error.msg);
    } else {
        o->state = JOB_CANCELLED;
        o->reason = REASON_CANCELLED;
        buf_adds(m, "cancelled");
    }
}

/* A disk that is full now may not be later; a parser that failed once fails again. */
static void parser_failed(const struct tool_run *r, struct outcome *o, struct buf *m)
{
    o->state = JOB_FAILED;
    o->reason = REASON_INTERNAL;
    o->retryable = r->parse_code == ERR_FULL || r->parse_code == ERR_IO;
    buf_addf(m, "the parser failed: %s", r->parse_message ? r->parse_message : "it crashed");
}

static void ended_itself(const struct tool_run *r, const struct runner_end *end, struct outcome *o,
                         struct buf *m)
{
    o->state = JOB_FAILED;
    if (end->exit_signal) {
        o->reason = REASON_TOOL_CRASHED;
        o->retryable = true;
        buf_addf(m, "the tool was ended by signal %d (%s)", end->exit_signal,
                 strsignal(end->exit_signal));
        add_last_line(m, end->stderr_tail);
    } else if (r->tool == &tool_repo && !r->import && end->exit_status != 0) {
        repo_run_ended(r, end, o, m);
    } else if (end->exit_status != 0) {
        o->reason = REASON_TOOL_FAILED;
        o->retryable = true;
        buf_addf(m, "the tool failed with exit status %d", end->exit_status);
        add_last_line(m, end->stderr_tail);
    } else if (end->parser_failed || r->bad_records) {
        parser_failed(r, o, m);
    } else if (str_eq(r->exit, "error")) {
        o->reason = REASON_TOOL_FAILED;
        buf_adds(m, "the tool reported an error");
        add_last_line(m, r->errormsg);
    } else if (r->parse_code != 0 || !r->complete) {
        o->reason = REASON_BAD_OUTPUT;
        buf_addf(m, "the tool's output is not complete: %s",
                 r->parse_message ? r->parse_message : "it ends too early");
    } else if (r->tool == &tool_repo && !r->import) {
        repo_run_ended(r, end, o, m);
    } else {
        o->state = JOB_COMPLETED;
    }
}

/* Its limits, as far as the kernel tells which one it was. */
static void ended_by_limit(const struct sandbox_report *s, struct outcome *o, struct buf *m)
{
    o->state = JOB_FAILED;
    o->reason = REASON_LIMIT;
    buf_addf(m, "the scan was ended by a limit: %s", limit_kind_name(s->limit));
    if (!s->limit_certain) {
        buf_adds(m, " (likely: there are only rlimits here, which do not tell)");
    }
}

static void fill_outcome(const struct tool_run *r, const struct runner_end *end, struct outcome *o,
                         struct buf *m)
{
    /* Also when netd went away first: what was asked for came true. */
    bool stopped = r->stop != STOP_NONE && (end->cause == RUN_STOPPED || end->cause == RUN_NETD);
    bool failed = end->exit_status != 0; /* or a signal */

    if (end->cause == RUN_NETD && r->stop != STOP_CANCEL) {
        o->state = JOB_FAILED;
        o->reason = REASON_SANDBOX;
        buf_addf(m, "sandbox failed: %s", end->why && *end->why ? end->why : "netd is gone");
    } else if (!end->started) {
        if (r->stop == STOP_CANCEL) {
            stopped_by_us(r, o, m);
        } else {
            not_started(end, o, m);
        }
    } else if (end->cause == RUN_WALL) {
        o->state = JOB_TIMED_OUT;
        o->reason = REASON_TIMEOUT;
        buf_adds(m, "the scan ran into its time limit and was stopped");
    } else if (end->cause == RUN_OUTPUT) {
        o->state = JOB_FAILED;
        o->reason = REASON_LIMIT;
        buf_adds(m, "the tool wrote more than the output limit allows (limit: output)");
    } else if (end->cause == RUN_PARSER) {
        parser_failed(r, o, m);
    } else if (r->stop == STOP_STORE || stopped) {
        stopped_by_us(r, o, m);
    } else if (end->sandbox.limit != LIMIT_NONE && failed) {
        ended_by_limit(&end->sandbox, o, m);
    } else {
        ended_itself(r, end, o, m);
    }
}

static void describe_sandbox(struct tool_run *r, const struct runner_end *end)
{
    struct buf text = {0};

    sandbox_summary(&end->sandbox, r->confinement, sizeof r->confinement);
    sandbox_json(&end->sandbox, (const char *const *)r->notes.v, &text);
    free(r->sandbox_json);
    r->sandbox_json = buf_take(&text);
}

static void describe_cover(struct tool_run *r, struct outcome *o)
{
    const struct cover_ask ask = {
        .tool = r->tool,
        .plan = r->import ? NULL : &r->plan,
        .run_json = r->run_json,
        .whole = o->state == JOB_COMPLETED,
        .finished = &r->finished,
        .gave_up = &r->gave_up,
        .start_us = r->start_us,
        .end_us = wall_us(),
    };

    if (r->tool) {
        cover_done(&r->cover);
        cover_cells(&ask, &r->cover);
        o->cells = r->cover.cells;
        o->n_cells = r->cover.n;
    }
}

void tool_run_outcome(struct tool_run *r, const struct runner_end *end, struct outcome *o,
                      struct buf *message)
{
    *o = (struct outcome){.exit_status = end->exit_status, .exit_signal = end->exit_signal};
    fill_outcome(r, end, o, message);
    describe_sandbox(r, end);
    if (o->state != JOB_COMPLETED) {
        o->partial = r->hosts > 0 || r->findings > 0;
        o->error = repo_run_clean(r, message->data);
    }
    o->stderr_tail =
        end->stderr_tail && *end->stderr_tail ? repo_run_clean(r, end->stderr_tail) : NULL;
    o->command_line = r->command_line ? r->command_line : r->argv_line;
    o->tool_version = r->version;
    o->confinement = r->confinement;
    o->sandbox_json = r->sandbox_json;
    o->run_json = repo_run_clean(r, r->run_json);
    if (r->tool != &tool_repo) {
        describe_cover(r, o);
    }
    if (r->have_raw && r->raw.size > 0) {
        o->raw_path = r->blob_path;
        o->raw_sha256 = r->raw.sha256;
        o->raw_size = (int64_t)r->raw.size;
        o->raw_stored = (int64_t)r->raw.stored;
    }
}

int tool_run_reparsed(struct tool_run *r, struct store *s, const struct runner_end *end,
                      struct err *e)
{
    /* A parser that came to its end all the same says that it could not read what was stored. */
    bool damaged = end->parser_failed && r->have_end;
    bool read = end->started && !damaged;
    bool whole = read && !end->parser_failed && !r->bad_records && r->have_end;

    if (r->stop != STOP_STORE && read && (whole || r->have_run)) {
        return store_reparse_end(s, &r->lease, !r->complete, r->run_json, e);
    }
    store_reparse_abandon(s, &r->lease, NULL);
    if (r->stop == STOP_STORE) {
        *e = r->store_error;
        return e->code;
    }
    return read ? err_set(e, ERR_INTERNAL, "the stored output could not be read again: %s",
                          r->parse_message ? r->parse_message : "the parser failed")
                : err_set(e, ERR_CONFLICT, "the stored output is missing or damaged");
}
