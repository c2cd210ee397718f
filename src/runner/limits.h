/* limits - which limit ended a run, from what was seen of it. Private to runner/. */
#pragma once

#include "box/box.h"
#include "box/cgroup.h"
#include "model/sandbox.h"
#include "runner/runner.h"

struct limit_evidence {
    enum runner_cause cause;
    const struct box_end *end;
    const struct limits *limits;
    bool cgroup; /* memory and processes were limited by a cgroup, which tells */
    struct cgroup_use use;
    const char *stderr_tail;
};

/* *certain is false where only the tool's behaviour speaks for it. */
enum limit_kind limit_that_ended(const struct limit_evidence *ev, bool *certain);
