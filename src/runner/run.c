/*
 * One run: a box with the tool, a parser process, and what goes with them.
 *
 *     begin --> box is made --> way out is made --> tool runs --> box is gone --> counters come
 *           '-> parser runs ----------------------------> parser has read and stored all
 *                             when both are through: ENDED is sent, the run is freed
 *
 * Whatever ends it early (stop, time, output, a dead parser, a lost way out) asks the tool
 * politely, and kills the box when the grace is over. The first cause is the one that is told. A
 * reparse is the same without a box.
 */
#include "runner/run.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runner/lease.h"
#include "runner/sweep.h"

struct run *run_find(struct runner_process *rp, uint64_t id)
{
    struct run *r = rp->runs;

    while (r && r->id != id) {
        r = r->next;
    }
    return r;
}

void run_watch(struct run *r, struct watch *w)
{
    if (watch_add(r->rp->loop, w, NULL) != 0) {
        fprintf(stderr, "runner: cannot watch a descriptor: %s\n", strerror(errno));
        abort(); /* every box dies with us */
    }
}

/* ---- the end ---- */

static void unlink_run(struct run *r)
{
    struct run **at = &r->rp->runs;

    while (*at != r) {
        at = &(*at)->next;
    }
    *at = r->next;
    r->rp->n_runs--;
}

static void run_free(struct run *r)
{
    timer_stop(&r->started);
    timer_stop(&r->wall);
    timer_stop(&r->kill);
    timer_stop(&r->late);
    timer_stop(&r->net_late);
    timer_stop(&r->parser_check);
    timer_stop(&r->err_pause);
    (void)munmap(r->output_bytes, sizeof *r->output_bytes);
    netset_done(&r->targets);
    strvec_done(&r->proxy_allow);
    run_gateways_done(&r->gateways);
    free(r->tail.ring);
    free(r);
}

static void tell_end(struct run *r)
{
    struct runner_process *rp = r->rp;
    auto_free char *tail = tail_text(&r->tail);
    auto_buf body = {0};
    struct runner_end end = {
        .run = r->id,
        .started = r->end.started,
        .errnum = r->end.errnum,
        .step = r->end.step,
        .exit_status = r->end.exit_status,
        .exit_signal = r->end.exit_signal,
        .cause = r->cause,
        .stderr_tail = tail,
        .why = r->why,
        .parser_failed = r->parser_failed,
    };

    if (end.started) {
        run_tell_started(r);
    }
    run_report(r, tail, &end.sandbox);
    end_put(&body, &end);
    if (!rp->closing) {
        /* Fails only when the daemon is gone; the channel's own end is told soon. */
        (void)chan_send(&rp->chan, MSG_ENDED, body.data, body.len, NULL, 0, NULL);
    }
    unlink_run(r);
    run_free(r);
    runner_run_over(rp);
}

void run_maybe_over(struct run *r)
{
    if (r->box_over && r->dir_left && r->net != NET_COUNTING && r->parser.watch.fd < 0) {
        tell_end(r);
    }
}

void run_not_started(struct run *r, const char *step, int errnum, const char *why)
{
    r->end = (struct box_end){.errnum = errnum, .exit_status = -1, .disk_bytes = -1};
    snprintf(r->end.step, sizeof r->end.step, "%s", step);
    if (!r->why[0]) {
        snprintf(r->why, sizeof r->why, "%s", why);
    }
    r->box_over = true;
}

/* ---- ending it ---- */

static void on_kill(struct timer *t)
{
    struct run *r = container_of(t, struct run, kill);

    box_kill(&r->box);
    timer_arm(r->rp->loop, t, KILL_AGAIN_MS);
}

void run_end_box(struct run *r, enum runner_cause cause)
{
    if (r->cause == RUN_BY_ITSELF) {
        r->cause = cause;
    }
    if (r->reparse) {
        child_kill(&r->parser);
    } else if (!r->box_over && !r->kill.loop) {
        box_terminate(&r->box);
        timer_arm(r->rp->loop, &r->kill, r->box.told < BOX_STARTED ? 0 : r->grace_ms);
    }
}

void run_stop(struct run *r)
{
    if (!r->box_over || r->reparse) {
        run_end_box(r, RUN_STOPPED);
    }
}

static void on_wall(struct timer *t)
{
    run_end_box(container_of(t, struct run, wall), RUN_WALL);
}

/* Its lease has passed: at once, whatever it is. */
static void end_late(struct run *r)
{
    if (r->cause == RUN_BY_ITSELF) {
        r->cause = RUN_LEASE;
    }
    if (r->box_over) {
        child_kill(&r->parser);
    } else {
        box_kill(&r->box);
    }
}

/* The init of the box looks, too: this is for parsers, and for an init that is hindered. */
static void on_late(struct timer *t)
{
    struct run *r = container_of(t, struct run, late);
    int64_t left_ms = lease_until_ms(r->lease) - boot_ms();

    if (left_ms <= 0) {
        end_late(r);
        left_ms = KILL_AGAIN_MS; /* and by then the parser of a box that is over */
    }
    timer_arm(r->rp->loop, t, left_ms);
}

void run_abandon(struct run *r)
{
    child_kill(&r->parser);
    if (r->box_made && !r->box_over) {
        box_kill(&r->box);
        timer_arm(r->rp->loop, &r->kill, KILL_AGAIN_MS);
    }
}

void run_abandon_all(struct runner_process *rp)
{
    for (struct run *r = rp->runs; r; r = r->next) {
        run_abandon(r);
    }
}

/* ---- the beginning ---- */

static struct run *run_new(struct runner_process *rp, struct launch_in *in, const int64_t *lease)
{
    const struct runner_launch *l = &in->l;
    struct run *r = xcalloc(1, sizeof *r);

    r->rp = rp;
    r->id = l->run;
    r->grace_ms = l->grace_ms;
    r->limits = l->limits;
    r->egress = l->egress;
    r->lease = lease;
    r->has_dns = l->has_dns;
    r->dns = l->dns;
    r->want_dedicated = l->dedicated;
    r->targets = in->targets;
    in->targets = (struct netset){0};
    r->proxy_allow = in->proxy_allow;
    in->proxy_allow = (struct strvec){0};
    run_gateways_copy(&r->gateways, l->gateways, l->n_gateways);
    r->nest = l->nest;
    r->wall.fn = on_wall;
    r->kill.fn = on_kill;
    r->late.fn = on_late;
    r->use = (struct cgroup_use){.cpu_us = -1, .memory_peak_kb = -1};
    r->output_bytes = mmap(NULL, sizeof *r->output_bytes, PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (r->output_bytes == MAP_FAILED) {
        abort();
    }
    run_box_init(r);
    run_net_init(r);
    run_parser_init(r);
    r->next = rp->runs;
    rp->runs = r;
    rp->n_runs++;
    return r;
}

/* The parser alone, with what a former run stored or what was handed in. */
static void begin_reparse(struct run *r, struct parse_job *job)
{
    r->reparse = r->box_over = r->dir_left = true;
    r->egress = EGRESS_NONE;
    r->end = (struct box_end){.started = true, .disk_bytes = -1};
    run_tell_started_soon(r);
    run_parser_start(r, job);
    run_parser_hurry(r);
}

static void begin_tool(struct run *r, const struct runner_launch *l, struct parse_job *job)
{
    auto_fd int out = -1;

    if (run_box_start(r, l, &out)) {
        job->out_fd = out;
        run_parser_start(r, job);
    }
}

void run_begin(struct runner_process *rp, struct launch_in *in, const int64_t *lease, int record_fd,
               int blob_fd, int input_fd)
{
    auto_fd int own_record_fd = record_fd;
    auto_fd int own_blob_fd = blob_fd;
    auto_fd int own_input_fd = input_fd;
    auto_fd int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    struct run *r = run_new(rp, in, lease);
    struct parse_job job = {
        .parser = parser_find(in->l.parser),
        .out_fd = in->l.plain ? own_input_fd : -1,
        .record_fd = own_record_fd,
        .blob_fd = own_blob_fd,
        .input_fd = in->l.plain ? -1 : own_input_fd,
        .output_max = in->l.output_max,
        .output_bytes = r->output_bytes,
        .runner_pidfd = self,
    };

    assert(job.parser);
    if (in->l.wall_ms) {
        timer_arm(rp->loop, &r->wall, in->l.wall_ms);
    }
    if (lease) {
        timer_arm(rp->loop, &r->late, MAX(lease_until_ms(lease) - boot_ms(), INT64_C(0)));
    }
    if (own_input_fd >= 0) {
        begin_reparse(r, &job);
    } else {
        begin_tool(r, &in->l, &job);
    }
    run_maybe_over(r); /* it may never have begun */
}
