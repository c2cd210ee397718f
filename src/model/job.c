#include "model/job.h"

#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

#define TO(s) (1u << (s))

/* Every terminal state; a run can end in any of them. */
#define TO_END (TO(JOB_COMPLETED) | TO(JOB_FAILED) | TO(JOB_CANCELLED) | TO(JOB_TIMED_OUT))

/*
 * The one table of states. A move that is not in it does not happen: the store asks
 * job_state_may() before each. Not yet started work ends as cancelled, or as failed when it waited
 * longer than its queue time limit. A row without moves is terminal.
 */
static const struct {
    const char *name;
    const char *legacy; /* the old service knew five words */
    uint32_t may;       /* bit set of TO() */
} states[JOB_STATES] = {
    [JOB_SCHEDULED] = {.name = "scheduled",
                       .legacy = "pending",
                       .may = TO(JOB_QUEUED) | TO(JOB_CANCELLED) | TO(JOB_FAILED)},
    [JOB_QUEUED] = {.name = "queued",
                    .legacy = "pending",
                    .may = TO(JOB_RUNNING) | TO(JOB_WAITING) | TO(JOB_CANCELLED) | TO(JOB_FAILED)},
    [JOB_WAITING] = {.name = "waiting",
                     .legacy = "pending",
                     .may = TO(JOB_QUEUED) | TO(JOB_CANCELLED) | TO(JOB_FAILED)},
    /* Back to queued: the worker is gone or gave the task back. To scheduled: a retry. To waiting:
     * the scan window closed before it started. */
    [JOB_RUNNING] = {.name = "running",
                     .legacy = "running",
                     .may = TO_END | TO(JOB_QUEUED) | TO(JOB_SCHEDULED) | TO(JOB_WAITING)},
    [JOB_COMPLETED] = {.name = "completed", .legacy = "completed"},
    [JOB_FAILED] = {.name = "failed", .legacy = "failed"},
    [JOB_CANCELLED] = {.name = "cancelled", .legacy = "cancelled"},
    [JOB_TIMED_OUT] = {.name = "timed_out", .legacy = "failed"},
};

static const char *const reasons[REASON_COUNT] = {
    [REASON_NONE] = "none",
    [REASON_REFUSED] = "refused",
    [REASON_TOOL_MISSING] = "tool_missing",
    [REASON_TOOL_FAILED] = "tool_failed",
    [REASON_TOOL_CRASHED] = "tool_crashed",
    [REASON_LIMIT] = "limit",
    [REASON_TIMEOUT] = "timeout",
    [REASON_QUEUE_TIMEOUT] = "queue_timeout",
    [REASON_CANCELLED] = "cancelled",
    [REASON_SANDBOX] = "sandbox",
    [REASON_WORKER_LOST] = "worker_lost",
    [REASON_BAD_OUTPUT] = "bad_output",
    [REASON_INTERNAL] = "internal",
};

bool job_state_terminal(enum job_state s)
{
    assert(s < JOB_STATES);
    return states[s].may == 0;
}

bool job_state_may(enum job_state from, enum job_state to)
{
    assert(from < JOB_STATES && to < JOB_STATES);
    return (states[from].may & TO(to)) != 0;
}

const char *job_state_name(enum job_state s)
{
    assert(s < JOB_STATES);
    return states[s].name;
}

const char *job_state_legacy(enum job_state s)
{
    assert(s < JOB_STATES);
    return states[s].legacy;
}

bool job_state_parse(const char *s, enum job_state *out)
{
    for (unsigned i = 0; i < JOB_STATES; i++) {
        if (str_eq(states[i].name, s)) {
            *out = (enum job_state)i;
            return true;
        }
    }
    return false;
}

const char *job_reason_name(enum job_reason r)
{
    assert(r < REASON_COUNT);
    return reasons[r];
}

bool job_reason_parse(const char *s, enum job_reason *out)
{
    for (unsigned i = 0; i < REASON_COUNT; i++) {
        if (str_eq(reasons[i], s)) {
            *out = (enum job_reason)i;
            return true;
        }
    }
    return false;
}

void job_init(struct job *j)
{
    *j = (struct job){
        .state = JOB_QUEUED,
        .timeout_s = INT64_MIN,
        .priority = JOB_PRIORITY_DEFAULT,
        .max_attempts = 1,
        .exit_status = -1,
        .percent_x100 = -1,
        .remaining_s = -1,
    };
}

void job_done(struct job *j)
{
    char **const owned[] = {
        &j->tool,         &j->targets,     &j->ports,        &j->arguments,    &j->key_id,
        &j->error,        &j->stderr_tail, &j->command_line, &j->tool_version, &j->confinement,
        &j->raw_sha256,   &j->run_json,    &j->pins,         &j->limits,       &j->scope_rule,
        &j->sandbox_json, &j->profile,     &j->plan,         &j->import_path,  &j->task_spec,
        &j->summary_json, &j->queue,       &j->repo,
    };

    for (size_t i = 0; i < ARRAY_LEN(owned); i++) {
        free(*owned[i]);
        *owned[i] = NULL;
    }
}

bool job_reason_ours(enum job_reason r)
{
    return r == REASON_SANDBOX || r == REASON_INTERNAL || r == REASON_WORKER_LOST;
}
