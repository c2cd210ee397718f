/* run - one run's state, shared by the files that move it on. Private to runner/. */
#pragma once

#include <time.h>

#include "box/box.h"
#include "box/cgroup.h"
#include "event/child.h"
#include "runner/broker.h"
#include "runner/parse_process.h"
#include "runner/process.h"
#include "runner/proto.h"

enum { KILL_AGAIN_MS = 2000 /* for level "plain", whose init may be hindered */ };

/* What a run and its netd, or the proxy, have to do with each other. */
enum run_net {
    NET_NONE,   /* nothing, or nothing any more */
    NET_WANTED, /* the box is being made */
    NET_ASKED,
    NET_UP,
    NET_COUNTING, /* the tool is gone; its counters are on the way */
};

struct status_line {
    char text[STATUS_MAX + 1];
    size_t n;
    int64_t told_ms;
};

/* Copies: the launch is gone when the box has started. */
struct run_gateways {
    struct proxy_gateway *v; /* owned */
    size_t n;
    struct strvec text; /* what they point to */
};
/* proto_extras.c */
void run_gateways_copy(struct run_gateways *out, const struct proxy_gateway *v, size_t n);
void run_gateways_done(struct run_gateways *g);

struct run {
    struct run *next;
    struct runner_process *rp;
    uint64_t id;
    uint32_t grace_ms;
    enum runner_cause cause;
    char why[WHY_MAX];
    struct limits limits;
    enum egress egress;
    const int64_t *lease; /* until when it may live; NULL: no such time */

    struct box box;
    bool box_made, box_over, started_told;
    struct watch box_watch, report_watch;
    struct box_end end;
    struct cgroup cgroup;
    struct cgroup_use use;

    enum run_net net;
    uint64_t net_id; /* how netd calls it: never used twice, unlike the daemon's number */
    struct netset targets;
    struct strvec proxy_allow;
    struct run_gateways gateways;
    bool nest;
    bool has_dns, want_dedicated, dedicated;
    struct net_ip dns;
    struct broker *broker;
    bool counted;
    struct egress_counts counts;
    struct api_use api;

    struct child parser;
    bool reparse, parser_failed;
    struct timespec parser_cpu;
    int64_t parser_until_ms;
    uint64_t *output_bytes; /* shared with the parser process */

    struct watch err_watch; /* fd -1: closed */
    struct stderr_tail tail;
    struct status_line status;

    struct work_dir dir;
    bool dir_made, dir_left;
    struct child sweeper;
    struct timer started, wall, kill, late, net_late, parser_check, err_pause;
};

/* run.c */
void run_maybe_over(struct run *r);
void run_end_box(struct run *r, enum runner_cause cause); /* politely, then not */
/* The box that never was. `why` is taken if there is no reason yet. */
void run_not_started(struct run *r, const char *step, int errnum, const char *why);
void run_watch(struct run *r, struct watch *w); /* or everything ends */

/* run_box.c */
void run_box_init(struct run *r);
/* False: run_not_started() was called. *out_fd is the tool's stdout. */
bool run_box_start(struct run *r, const struct runner_launch *l, int *out_fd);
void run_tell_started(struct run *r);
void run_tell_started_soon(struct run *r);

/* status.c */
void status_add(struct run *r, const char *p, size_t n);

/* run_net.c */
bool run_net_ready(struct run *r);  /* false: the level is not usable here; why is set */
void run_net_follow(struct run *r); /* after each word of the box */
void run_net_end(struct run *r);    /* the tool is gone */
void run_net_init(struct run *r);

/* run_parser.c */
void run_parser_init(struct run *r);
void run_parser_start(struct run *r, struct parse_job *job);
void run_parser_hurry(struct run *r); /* there is no more to come than it can read */

/* report.c */
void run_report(const struct run *r, const char *stderr_tail, struct sandbox_report *out);
