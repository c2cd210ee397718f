/*
 * job - what a user asked for, and the tasks that do it.
 *
 * A job is planned into tasks; each task is one run of one tool by one worker, held by lease.
 * The table of states and allowed moves is here and nowhere else (job.c); the store enforces it
 * and the schema repeats it as a CHECK. Terminal is for ever.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"

enum job_state {
    JOB_SCHEDULED, /* not before run_at: back-off, or a start time */
    JOB_QUEUED,
    JOB_WAITING, /* for a scan window or an approval */
    JOB_RUNNING,
    JOB_COMPLETED, /* terminal from here on */
    JOB_FAILED,
    JOB_CANCELLED,
    JOB_TIMED_OUT,
    JOB_STATES,
};

bool job_state_terminal(enum job_state s);
/* A task may also go from running back to queued, scheduled or waiting: lost worker, retry, a scan
 * window that closed before it started. */
bool job_state_may(enum job_state from, enum job_state to);
const char *job_state_name(enum job_state s); /* "timed_out" */
bool job_state_parse(const char *s, enum job_state *out);
/* The old service's words: pending, running, completed, failed, cancelled. */
const char *job_state_legacy(enum job_state s);

/* Why a job did not simply complete: our failures are not the tool's. */
enum job_reason {
    REASON_NONE,
    REASON_REFUSED, /* by validation or policy, after it had been accepted */
    REASON_TOOL_MISSING,
    REASON_TOOL_FAILED,  /* exit status other than 0 */
    REASON_TOOL_CRASHED, /* ended by a signal that was not ours */
    REASON_LIMIT,        /* killed by a limit: output, memory, ... (named in the message) */
    REASON_TIMEOUT,
    REASON_QUEUE_TIMEOUT,
    REASON_CANCELLED,
    REASON_SANDBOX, /* the box could not be built, or the tool could not be started in it */
    REASON_WORKER_LOST,
    REASON_BAD_OUTPUT, /* not parsable, although the tool said success */
    REASON_INTERNAL,
    REASON_COUNT,
};

const char *job_reason_name(enum job_reason r); /* "tool_failed" */
bool job_reason_parse(const char *s, enum job_reason *out);
/* Our failure, not the tool's: a further try is charged to TASK_MAX_LOST, not to max_attempts. */
bool job_reason_ours(enum job_reason r);

enum {
    JOB_TIMEOUT_MIN_S = 1,
    JOB_TIMEOUT_MAX_S = 86400,
    JOB_PRIORITY_MAX = 9,
    JOB_PRIORITY_DEFAULT = 4,
    JOB_RETRIES_MAX = 20,
    JOB_TARGETS_MAX = 65536, /* bytes of the targets text */
};

/*
 * Strings are owned by whoever owns the struct; job_done() frees them. NULL means "was null" or
 * "not known yet". Times are wall microseconds; 0 means not yet.
 */
struct job {
    struct id id;
    int64_t num;  /* the store's own key: order of arrival, 1, 2, ... ; 0 before it is stored */
    uint64_t rev; /* changes with every change: ETag */
    enum job_state state;

    /* the request, as it was sent */
    char *tool;    /* "nmap" */
    char *targets; /* as submitted: one string */
    char *ports;
    char *arguments;
    int64_t timeout_s;     /* as asked; INT64_MIN: null */
    int32_t run_timeout_s; /* in force */
    int32_t queue_timeout_s;
    int32_t priority;     /* 0..9, 9 first */
    int32_t max_attempts; /* tool failures, 1 = no retry */
    char *key_id;         /* which API key asked; "" for the configured one */
    bool old_route;       /* from the old service's routes: their list of arguments holds */
    char *pins;           /* model/target.h; NULL: no names */
    char *limits;         /* the request's own, model/sandbox.h; NULL: none */
    char *scope_rule;     /* which rule of which policy allowed it, for a person */
    bool clip;            /* parts outside the scope are left out */
    char *profile;        /* "standard@1": which profile made the plan; NULL: none */
    char *plan;           /* plan/plan.h, fixed at submit: the job has many tasks, whose results are
                             merged by address ("planned"); NULL: one run of `tool` */
    char *repo;           /* repo/spec.h: what a repository scan was asked for, as JSON; its tool is
                             "repo", `targets` the URL; NULL: it is none */
    char *import_path;    /* relative to the blob directory: what was handed in, to be read instead
                             of running the tool; NULL: the tool runs */
    char *queue;          /* model/queue.h: where its tasks wait; NULL: "net". A planned job's tasks
                             have their own */
    bool planned;         /* has a plan; set by the store, also where it leaves the text out */
    int64_t spent_us;     /* of a planned job: how long tasks of it ran before this one, those at
                             the same time counted once; only in worker_link.run */
    char *task_spec;      /* of the task that was claimed: plan_spec_read(); only store_task_claim()
                             fills it; NULL: the job's own request */

    /* what came of it */
    int64_t created_us, started_us, completed_us;
    int64_t run_at_us; /* JOB_SCHEDULED, JOB_WAITING: not before */
    int64_t queue_expires_us;
    enum job_reason reason;
    char *error;         /* for a person */
    int32_t exit_status; /* of the tool; -1 unknown */
    int32_t exit_signal; /* 0 none */
    char *stderr_tail;   /* last lines, at most 4 KiB, raw */
    char *command_line;  /* as in the tool's own record, else our argv joined */
    char *tool_version;
    char *confinement; /* what held the tool: "pidns+rlimits", ... */
    bool partial;      /* complete hosts were kept, but not all of the target set was covered */
    bool cancel_requested;
    int32_t attempts, lost;
    int32_t percent_x100;                /* progress, 0..10000; -1 unknown */
    int32_t remaining_s;                 /* estimate; -1 unknown */
    int64_t hosts, hosts_up, ports_open; /* maintained counts of stored rows */
    char *raw_sha256;                    /* hex, of the uncompressed raw output; NULL: none kept */
    int64_t raw_size;                    /* bytes, uncompressed */
    char *sandbox_json; /* model/sandbox.h: confinement, limits, use, counters; NULL: did not run */
    char *run_json;     /* tool's own run record: scaninfo, runstats, pre/postscripts; JSON */
    char *summary_json; /* planned: stages, coverage, notes, flagged hosts: plan_summary() */
};

void job_init(struct job *j); /* zeroes and sets the "unknown" values */
void job_done(struct job *j);

/* One run of one tool. The lease is (epoch, token): a report with an old pair is refused. */
struct task {
    struct id job_id;
    int64_t job_num;
    int32_t idx;   /* inside the job, from 0; planned jobs run them in this order */
    int32_t stage; /* of the plan, from 0 */
    enum job_state state;
    int32_t priority;
    uint32_t epoch;                 /* counts claims */
    uint64_t token;                 /* random, of the current claim; 0: none */
    uint32_t beat;                  /* counts renewals of the current claim */
    int32_t attempts, failed, lost; /* claims, tool failures, dead workers */
    int64_t run_at_us;
    char worker[64]; /* who holds it: "local", or "fleet" for those of a transport */
};

struct lease {
    struct id job_id;
    int32_t idx;
    uint32_t epoch;
    uint64_t token;
};

enum { TASKS_MAX = 4096 };  /* of one job */
enum { TASK_MAX_LOST = 3 }; /* dead workers and other failures of ours, together */

/*
 * What was really probed. "host" cells say of addresses whether they are up; the others say of
 * ports what state they are in. A port of an address is scanned if a port cell holds both, or if a
 * host cell holds the address and the host was found not to be up.
 */
struct coverage_cell {
    const char *addresses; /* as target_set_lines() writes them, with "," between; borrowed */
    const char *protocol;  /* host, tcp, udp, sctp, ip */
    const char *ports;     /* ports_canonical() without letters; NULL for "host" */
    bool up_only;          /* only those addresses that are up were probed, and the run found out
                              which they are: for the others the cell is a host cell */
    int64_t start_us, end_us;
};

/* How a task's run ended, as the worker reports it. Strings are borrowed for the call. */
struct outcome {
    enum job_state state; /* COMPLETED, FAILED, CANCELLED, TIMED_OUT */
    enum job_reason reason;
    bool retryable;
    bool partial;
    const char *error;
    int32_t exit_status, exit_signal;
    const char *stderr_tail, *command_line, *tool_version, *confinement, *run_json;
    const char *sandbox_json;
    const char *raw_path; /* relative to the blob directory; NULL: none */
    const char *raw_sha256;
    int64_t raw_size, raw_stored; /* bytes before and after compression */
    const struct coverage_cell *cells;
    size_t n_cells;
    const char *summary_json; /* of a planned job's end; else NULL */
};
