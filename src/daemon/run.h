/*
 * run - one run of a tool as the worker sees it: records in, rows and an outcome out.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/netset.h"
#include "daemon/cover.h"
#include "daemon/reports.h"
#include "ipc/record.h"
#include "model/job.h"
#include "runner/runner.h"
#include "secret/secret.h"
#include "store/store.h"

/* STOP_FENCED: it is somebody else's now. */
enum run_stop { STOP_NONE, STOP_CANCEL, STOP_DRAIN, STOP_STORE, STOP_FENCED };

struct tool_run {
    uint64_t run; /* the runner's number */
    struct lease lease;
    const struct reports *to; /* borrowed */
    struct record_reader reader;
    enum run_stop stop;
    struct err store_error; /* why, for STOP_STORE */
    bool wrote;             /* stored something in this turn */
    const struct tool *tool;
    struct tool_plan plan; /* what it was told to do; owned */
    bool import;           /* there was no tool: a file is read */
    int64_t start_us;
    struct netset finished, gave_up; /* hosts that were handed out; that the tool timed out on */
    struct cover cover;              /* of its outcome */
    int64_t hosts, findings;
    /* of a repository scan */
    const struct secrets *secrets; /* borrowed: not to be told; NULL: none */
    bool agent_required;           /* without the agent's answer it is worth nothing */
    struct strvec cleaned, cleaned_finding;
    int64_t progress_ms; /* when progress was last stored */
    /* what the parser said; strings owned */
    bool have_run, complete, have_raw, have_end;
    char *command_line, *version, *run_json, *exit, *errormsg;
    struct raw_info raw;
    int parse_code;
    char *parse_message;
    bool bad_records; /* the stream broke the rules */
    /* strings owned */
    char *argv_line, *blob_path, *sandbox_json;
    struct strvec notes; /* what was changed in the request */
    char confinement[64];
    void (*reparse_done)(void *arg, int rc, const char *message);
    void *reparse_arg;
};

struct tool_run *tool_run_new(const struct reports *to, const struct lease *l);
void tool_run_free(struct tool_run *r);
/* A line of the tool's standard error, which may say how far it is. */
void tool_run_status(struct tool_run *r, const char *line);
/* False: stop the tool. */
bool tool_run_records(struct tool_run *r, const void *p, size_t n);
void tool_run_lost_rows(struct tool_run *r);
/* Fills *o with strings that live in r, in `end` or in `message`. */
void tool_run_outcome(struct tool_run *r, const struct runner_end *end, struct outcome *o,
                      struct buf *message);
int tool_run_reparsed(struct tool_run *r, struct store *s, const struct runner_end *end,
                      struct err *e);
