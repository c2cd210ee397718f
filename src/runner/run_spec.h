/* run_spec - what a run's box is to be, from its launch. Private to runner/. */
#pragma once

#include "box/box.h"
#include "runner/runner.h"

struct runner_process;

struct run_spec {
    struct box_spec box; /* points into the rest, and into the launch */
    struct strvec env;
    struct box_file *files; /* owned, as are these */
    struct box_bind *binds;
    struct buf resolver;
};

/* `dir` is the working directory where boxes have no view; `cgroup`: memory and processes are
 * limited by one. The caller adds the descriptors. */
void run_spec_fill(struct run_spec *s, const struct runner_process *rp,
                   const struct runner_launch *l, const char *dir, bool cgroup);
void run_spec_done(struct run_spec *s);
