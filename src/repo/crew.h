/*
 * crew - the engines at work: up to `at_once` starts side by side, those that take long first, and
 * what they wrote read as soon as they are done. An engine that only waits for a model takes
 * nobody's place.
 */
#pragma once

#include "repo/engine_run.h"
#include "repo/start.h"

struct crew_ask {
    unsigned at_once;              /* starts; 0: one for each processor */
    int64_t until_ms;              /* nothing runs after this */
    int64_t read_until_ms;         /* what was written by then has been read, or is not */
    const char *self;              /* our own program */
    const char *work;              /* directory for output files */
    const char *tree;              /* what engines see */
    const char *agent_tree;        /* what agents see; NULL: there are none */
    const struct agent_ask *agent; /* for engines that are one */
    void (*progress)(void *arg, unsigned percent);
    void *arg;
};

/* Until all of them are over; each has been closed (engine_run_close). */
void crew_run(struct engine_run *runs, size_t n, const struct crew_ask *ask);
