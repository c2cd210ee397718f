/*
 * conduct - leads planned jobs: hears of each task's end, asks the plan what follows, keeps the
 * job's progress and summary, and says how the job ended. All in the turn of the task's end; what
 * it remembers of a job is a copy of what the store has.
 */
#pragma once

#include "sched/sched.h"
#include "store/store.h"

struct conduct;

struct conduct *conduct_new(struct store *s);
void conduct_free(struct conduct *c);
struct planner_link conduct_link(struct conduct *c);
