/*
 * dispatch - from a stored job to what the runner is told: the request is understood anew, the
 * policy of this process judges it anew, and the way out is chosen. Nothing is taken on trust from
 * whoever accepted the job.
 */
#pragma once

#include "daemon/in_force.h"
#include "model/job.h"
#include "plan/budget.h"
#include "plan/plan.h"
#include "runner/runner.h"
#include "tool/tool.h"

struct dispatch_config {
    bool allow_unsafe_args, allow_unconfined;
    uint64_t output_max;
    uint32_t grace_ms;
    const struct nse_db *nse; /* borrowed; may be NULL */
    const char *nmap_data;    /* where it was read from; borrowed */
    uint32_t slots;           /* how many runs there may be at the same time */
    struct budget *budget;    /* packets to one network, of all runs; borrowed; NULL: no limit */
};

/* Which run of which tool. Borrowed. */
struct dispatch_ask {
    const struct job *job;
    const struct plan_spec *spec; /* of a planned job's task; NULL: the job's own request */
    const char *key_name;         /* of the job's key; NULL: the configured one */
    const struct tool *tool;
    const char *program, *version; /* version NULL: not known */
    uint64_t run;                  /* its number in the budget; 0: a dry run, which takes nothing */
};

/* Everything that the launch points to. dispatch_done() it. */
struct dispatch {
    struct runner_launch launch; /* run, blob_fd and input_fd are the caller's to set */
    struct strvec argv;
    struct strvec notes;   /* what had to be changed in the request */
    struct netset targets; /* what may be sent to */
    struct buf lines, hosts;
    struct limits limits;  /* in force */
    struct tool_plan plan; /* what is run, with the targets that are left */
    int64_t wait_until_us; /* the scan window is closed, or a network has its share of packets,
                              until then: nothing is to be started; 0: go on */
};

/*
 * ERR_INVALID, ERR_SCOPE: refused; ERR_NOT_FOUND: the tool is missing. dispatch_done() *out, also
 * after an error. What was taken of the budget is given back by the caller.
 */
int dispatch_plan(const struct dispatch_config *c, struct in_force *scope,
                  const struct sandbox_caps *caps, const struct dispatch_ask *ask,
                  struct dispatch *out, struct err *e);
void dispatch_done(struct dispatch *d);
