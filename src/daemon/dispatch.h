/*
 * dispatch - from a stored job to what the runner is told: the request is understood anew, the
 * policy of this process judges it anew, and the way out is chosen. Nothing is taken on trust from
 * whoever accepted the job.
 */
#pragma once

#include "daemon/in_force.h"
#include "model/job.h"
#include "runner/runner.h"
#include "tool/tool.h"

struct dispatch_config {
    bool allow_unsafe_args, allow_unconfined;
    uint64_t output_max;
    uint32_t grace_ms;
    const struct nse_db *nse; /* borrowed; may be NULL */
    const char *nmap_data;    /* where it was read from; borrowed */
};

/* Everything that the launch points to. dispatch_done() it. */
struct dispatch {
    struct runner_launch launch; /* run, blob_fd and input_fd are the caller's to set */
    struct strvec argv;
    struct strvec notes;   /* what had to be changed in the request */
    struct netset targets; /* what may be sent to */
    struct buf lines, hosts;
    struct limits limits;  /* in force */
    int64_t wait_until_us; /* the scan window is closed until then: nothing else is set; 0: open */
};

/*
 * key_name: of the job's key, NULL for the configured one. ERR_INVALID, ERR_SCOPE: refused;
 * ERR_NOT_FOUND: the tool is missing. dispatch_done() *out, also after an error.
 */
int dispatch_plan(const struct dispatch_config *c, struct in_force *scope,
                  const struct sandbox_caps *caps, const struct job *j, const char *key_name,
                  const struct tool *t, const char *program, struct dispatch *out, struct err *e);
void dispatch_done(struct dispatch *d);
