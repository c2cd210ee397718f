/* add - plans as the store keeps them: tasks made of what a plan says is to be done. */
#pragma once

#include "plan/plan.h"
#include "store/store.h"

/* In the order of the list, each into the queue of what it needs, in the zone of the job's. Nothing
 * to add is fine. */
int sched_add_tasks(struct store *s, const struct job *j, const struct plan_tasks *tasks,
                    struct err *e);
/* A job with j->plan, and the first tasks of that plan over t (pinned), in this transaction. */
int sched_add_planned(struct store *s, struct job *j, const struct plan *plan,
                      const struct target_set *t, struct err *e);
