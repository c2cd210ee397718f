/* process - the inside of the runner process. Private to runner/. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "event/loop.h"
#include "ipc/chan.h"
#include "runner/caps.h"
#include "runner/net.h"
#include "runner/runner.h"
#include "runner/work_dir.h"

struct run;
struct ask;
struct proxy;

struct runner_process {
    const struct runner_config *config;
    struct loop *loop;
    struct chan chan;
    struct run *runs;
    unsigned n_runs;
    struct ask *asks;
    unsigned n_asks;
    const int64_t *leases; /* NULL: none yet */
    struct work_dirs work; /* used where boxes have no view of their own */
    struct sandbox_caps caps;
    struct net nft, rootless;
    struct timer net_late;
    struct proxy *proxy; /* NULL: none */
    bool proxy_gone;
    struct timer proxy_late;
    uint64_t net_last; /* number of the last way out that was asked for, of any kind */
    uint32_t parser_idle_ms;
    unsigned found; /* of CAPS_* */
    bool ready;     /* what it can do was told */
    bool closing;   /* the daemon is gone: nothing is told any more */
    struct timer last_resort;
};

/* What the forked child becomes. */
_Noreturn void runner_process(const struct runner_config *c, int chan_fd);
/* Called by a run or question that is over and freed. */
void runner_run_over(struct runner_process *rp);

struct launch_in;

/* One run. Takes the descriptors. What fails is told by ENDED. lease: its slot, or NULL. */
void run_begin(struct runner_process *rp, struct launch_in *in, const int64_t *lease, int record_fd,
               int blob_fd, int input_fd);
struct run *run_find(struct runner_process *rp, uint64_t id);
struct run *run_find_net(struct runner_process *rp, uint64_t net_id);
void run_stop(struct run *r);    /* politely, because the daemon says so */
void run_abandon(struct run *r); /* at once, tool and parser */
void run_abandon_all(struct runner_process *rp);

/* From netd. */
void run_net_up(struct run *r, int code, const char *why, const struct box_address *a,
                bool dedicated);
void run_net_counts(struct run *r, const struct egress_counts *c);
void run_net_gone_all(struct runner_process *rp, enum egress level);

/* One question. False: too many at once. */
bool ask_begin(struct runner_process *rp, uint64_t id, const struct strvec *argv);
void ask_abandon_all(struct runner_process *rp);

/* stderr_tail - the end of what a tool complained about. */
struct stderr_tail {
    char *ring; /* owned; STDERR_TAIL_MAX, made when something comes */
    uint64_t total;
};

void tail_add(struct stderr_tail *t, const char *p, size_t n);
char *tail_text(const struct stderr_tail *t); /* whole lines, no NUL inside; caller frees */
