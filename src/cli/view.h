/*
 * view - a job of the REST interface as people read it: one line, a block of facts, a table row.
 *
 * Reads defensively: a member that is missing or of another type is "not said". Members are
 * borrowed from the JSON value.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct term;

struct job_view {
    const char *id, *state, *reason, *error, *tool, *targets, *ports, *arguments; /* never NULL */
    const char *stderr_tail, *command_line, *tool_version, *confinement;          /* never NULL */
    const char *rule;                      /* of the scope; never NULL */
    const char *profile;                   /* never NULL */
    const json_t *sandbox, *limits, *pins; /* NULL: not said */
    const json_t *stages, *coverage, *notes, *flagged;
    const json_t *run;                            /* of repositories */
    int64_t created_us, started_us, completed_us; /* 0: not yet */
    double percent;                               /* -1: unknown */
    int64_t remaining_s;                          /* -1: unknown */
    int64_t hosts, hosts_up, ports_open;
    int64_t attempts, retries, priority, run_timeout_s, exit_status; /* exit_status -1: unknown */
    bool partial, terminal;
};

void job_view_read(const json_t *job, struct job_view *v);
bool job_view_is_repo(const struct job_view *v); /* it has findings, not hosts */
/* 0 for completed, STATUS_REFUSED or STATUS_SCAN else; the job is terminal. */
int job_view_status(const struct job_view *v);
/* "tool_failed: nmap ended with status 3"; raw text, escape it. */
void job_view_problem(const struct job_view *v, struct buf *out);
/* What the reader of results has to know, a warning each: targets that were not covered, what was
 * changed in the request, packets that were stopped. */
void job_view_warn(const struct job_view *v, const struct term *t);
/* "4.1 s", "3 m 40 s", "2 h 05 m", "6 d" */
void buf_add_duration(struct buf *b, int64_t us);
/* Facts of one job, a line each; values are escaped. */
void job_view_facts(const struct job_view *v, bool color, struct buf *out);
/* One of them. */
void job_view_fact(struct buf *out, bool color, const char *name, const char *value);

/* ---- of planned jobs (plan_view.c); nothing of others ---- */
void plan_view_facts(const struct job_view *v, bool color, struct buf *out);
/* True: it said what was not covered. */
bool plan_view_warn(const struct job_view *v, const struct term *t);
/* The stages that have running tasks: "ports+services". */
void plan_view_stage(const struct job_view *v, struct buf *out);

/* Text members of the JSON value; "" if missing. */
const char *json_text(const json_t *o, const char *name);
int64_t json_number(const json_t *o, const char *name, int64_t otherwise);
