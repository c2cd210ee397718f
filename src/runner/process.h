/* process - the inside of the runner process. Private to runner/. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "event/loop.h"
#include "ipc/chan.h"
#include "runner/runner.h"
#include "runner/work_dir.h"

struct run;

struct runner_process {
    struct loop *loop;
    struct chan chan;
    struct run *runs;
    int hold_fd;
    struct work_dirs work;
    bool raw_sockets;
    uint32_t parser_idle_ms;
    bool closing; /* the daemon is gone: nothing is told any more */
    struct timer last_resort;
};

/* What the forked child becomes. */
_Noreturn void runner_process(const struct runner_config *c, int chan_fd);
/* Called by a run that is over and freed. */
void runner_run_over(struct runner_process *rp);

/* One run. Takes record_fd and blob_fd. What fails is told by ENDED. */
void run_begin(struct runner_process *rp, const struct runner_launch *l, int record_fd,
               int blob_fd);
struct run *run_find(struct runner_process *rp, uint64_t id);
void run_stop(struct run *r);    /* politely, because the daemon says so */
void run_abandon(struct run *r); /* at once, tool and parser */
void run_abandon_all(struct runner_process *rp);

/* stderr_tail - the end of what a tool complained about. */
struct stderr_tail {
    char *ring; /* owned; STDERR_TAIL_MAX, made when something comes */
    uint64_t total;
};

void tail_add(struct stderr_tail *t, const char *p, size_t n);
char *tail_text(const struct stderr_tail *t); /* whole lines, no NUL inside; caller frees */
