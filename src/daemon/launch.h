/*
 * launch - from a claimed task to what the runner is told: which tool, which command line, or which
 * file that was handed in; where the raw output is kept.
 */
#pragma once

#include "daemon/run.h"
#include "daemon/worker.h"
#include "runner/runner.h"

/* All borrowed. */
struct launcher {
    const struct worker_config *config;
    struct runner *runner;
    const struct sandbox_caps *caps;
    int64_t lease_until_ms; /* as runner_launch */
    const char *key_name;   /* of the job's key; NULL: the configured one */
};

/* A file for the raw output, named in r; *fd stays -1 where none is kept. */
int launch_blob(const struct launcher *l, struct tool_run *r, int *fd, struct err *e);
/*
 * *wait_until_us: it is not to be started before then, and was not. Of an instant tool nothing is
 * started: its run is the caller's to end. Errors: ERR_NOT_FOUND the tool is missing; ERR_INVALID,
 * ERR_SCOPE refused; others are ours. What was made of r until then is freed with it.
 */
int launch_task(const struct launcher *l, struct tool_run *r, const struct job *j,
                int64_t *wait_until_us, struct err *e);
