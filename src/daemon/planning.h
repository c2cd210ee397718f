/*
 * planning - what plans need to know of this machine, and what a job would do before it does it.
 */
#pragma once

#include "base/json.h"
#include "daemon/dispatch.h"
#include "daemon/in_force.h"
#include "daemon/programs.h"
#include "daemon/worker.h"
#include "plan/plan.h"

/* All borrowed. */
struct planning {
    struct programs *programs;
    struct worker *worker;
    struct in_force *scope;
    struct store *store;
    struct dispatch_config dispatch;
    uint32_t slots;
    /* Scans run on workers elsewhere, of whom this is asked; NULL: here. */
    void (*elsewhere)(void *arg, struct plan_request *q);
    void *elsewhere_arg;
};

/* arg: a struct planning. The hooks of http/api.h of the same names. */
void planning_facts(void *arg, const struct target_set *t, struct plan_request *q);
int planning_dry_run(void *arg, const struct job *job, struct json *j, struct err *e);
