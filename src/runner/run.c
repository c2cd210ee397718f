/*
 * One run: a box with the tool, a parser process, and a working directory.
 *
 *     begin --> box runs ----> box is gone --> directory is swept --> ENDED is sent,
 *           '-> parser runs -> parser has read and stored all ----'   the run is freed
 *
 * Whatever ends it early (stop, time, output, a dead parser) asks the tool politely, and kills the
 * box when the grace is over. The first cause is the one that is told.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "box/box.h"
#include "runner/child.h"
#include "runner/parse_process.h"
#include "runner/process.h"
#include "runner/proto.h"
#include "runner/sweep.h"

enum {
    STDERR_CHUNK = 4096,
    STDERR_BURST = 16,    /* chunks; then the tool waits for */
    STDERR_PAUSE_MS = 10, /* so long */
    STARTED_MS = 10,      /* told so late, or with the end: a short run wakes the daemon once */
    KILL_AGAIN_MS = 2000, /* for level subreaper, whose init may be hindered */
    PARSER_LAST_MS = 15 * 60000 /* how long a parser may live after its tool, busy or not */
};

struct run {
    struct run *next;
    struct runner_process *rp;
    uint64_t id;
    uint32_t grace_ms;
    enum runner_cause cause;

    struct box box;
    bool box_made, box_over, started_told;
    struct watch box_watch, report_watch;
    struct box_end end;

    struct child parser;
    bool parser_failed;
    struct timespec parser_cpu;
    int64_t parser_until_ms;

    struct watch err_watch; /* fd -1: closed */
    struct stderr_tail tail;

    struct work_dir dir;
    bool dir_made, dir_left;
    struct child sweeper;
    struct timer started, wall, kill, parser_check, err_pause;
};

struct run *run_find(struct runner_process *rp, uint64_t id)
{
    struct run *r = rp->runs;

    while (r && r->id != id) {
        r = r->next;
    }
    return r;
}

/* The end. */

static void unlink_run(struct run *r)
{
    struct run **at = &r->rp->runs;

    while (*at != r) {
        at = &(*at)->next;
    }
    *at = r->next;
}

static void run_free(struct run *r)
{
    timer_stop(&r->started);
    timer_stop(&r->wall);
    timer_stop(&r->kill);
    timer_stop(&r->parser_check);
    timer_stop(&r->err_pause);
    free(r->tail.ring);
    free(r);
}

static void tell_started(struct run *r)
{
    auto_buf body = {0};

    timer_stop(&r->started);
    if (r->started_told || r->rp->closing) {
        return;
    }
    r->started_told = true;
    wire_u64(&body, r->id);
    (void)chan_send(&r->rp->chan, MSG_STARTED, body.data, body.len, NULL, 0, NULL);
}

static void on_started(struct timer *t)
{
    tell_started(container_of(t, struct run, started));
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
        .level = r->box_made ? r->box.level : box_level_name(box_probe(NULL)),
        .raw_sockets = r->box_made && r->box.raw_sockets,
        .cpu_us = r->end.cpu_us,
        .max_rss_kb = r->end.max_rss_kb,
        .parser_failed = r->parser_failed,
    };

    if (end.started) {
        tell_started(r);
    }
    end_put(&body, &end);
    if (!rp->closing) {
        /* Fails only when the daemon is gone; the channel's own end is told soon. */
        (void)chan_send(&rp->chan, MSG_ENDED, body.data, body.len, NULL, 0, NULL);
    }
    unlink_run(r);
    run_free(r);
    runner_run_over(rp);
}

static void maybe_over(struct run *r)
{
    if (r->box_over && r->dir_left && r->parser.watch.fd < 0) {
        tell_end(r);
    }
}

static void on_swept(struct watch *w, uint32_t events)
{
    struct run *r = container_of(w, struct run, sweeper.watch);

    (void)events;
    (void)child_reap(&r->sweeper);
    r->dir_left = true;
    maybe_over(r);
}

/* An empty directory takes no time; a full one is emptied by a process of its own. */
static void sweep(struct run *r)
{
    int rc;

    if (!r->dir_made || work_dir_give(&r->rp->work, &r->dir)) {
        r->dir_left = true;
        return;
    }
    rc = child_fork(&r->sweeper, r->rp->loop, on_swept);
    if (rc == 0) {
        _exit(sweep_tree(r->rp->work.fd, r->dir.name) == 0 ? 0 : 1);
    }
    if (rc < 0) {
        (void)sweep_tree(r->rp->work.fd, r->dir.name);
        r->dir_left = true;
    }
}

/* The tool's complaints. */

/* False at their end. */
static bool read_stderr(struct run *r, unsigned chunks)
{
    char chunk[STDERR_CHUNK];

    for (unsigned i = 0; i < chunks; i++) {
        ssize_t n = read(r->err_watch.fd, chunk, sizeof chunk);

        if (n < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        if (n == 0) {
            return false;
        }
        tail_add(&r->tail, chunk, (size_t)n);
    }
    return true;
}

static void close_stderr(struct run *r)
{
    timer_stop(&r->err_pause);
    watch_del(&r->err_watch);
    fd_close(&r->err_watch.fd);
}

static void on_stderr(struct watch *w, uint32_t events)
{
    struct run *r = container_of(w, struct run, err_watch);

    (void)events;
    if (!read_stderr(r, STDERR_BURST)) {
        close_stderr(r);
    } else {
        watch_events(w, 0);
        timer_arm(r->rp->loop, &r->err_pause, STDERR_PAUSE_MS);
    }
}

static void on_err_pause(struct timer *t)
{
    watch_events(&container_of(t, struct run, err_pause)->err_watch, EPOLLIN);
}

/* The box. */

static void on_kill(struct timer *t)
{
    struct run *r = container_of(t, struct run, kill);

    box_kill(&r->box);
    timer_arm(r->rp->loop, t, KILL_AGAIN_MS);
}

static void end_box(struct run *r, enum runner_cause cause)
{
    if (r->cause == RUN_BY_ITSELF) {
        r->cause = cause;
    }
    if (!r->box_over && !r->kill.loop) {
        box_terminate(&r->box);
        timer_arm(r->rp->loop, &r->kill, r->grace_ms);
    }
}

void run_stop(struct run *r)
{
    if (!r->box_over) {
        end_box(r, RUN_STOPPED);
    }
}

static void on_wall(struct timer *t)
{
    end_box(container_of(t, struct run, wall), RUN_WALL);
}

static void tell_started_soon(struct run *r)
{
    if (!r->started_told && !r->started.loop) {
        timer_arm(r->rp->loop, &r->started, STARTED_MS);
    }
}

static void on_report(struct watch *w, uint32_t events)
{
    struct run *r = container_of(w, struct run, report_watch);

    (void)events;
    if (box_poll(&r->box)) {
        tell_started_soon(r);
    }
    watch_del(w); /* what comes later is for box_wait() */
}

static void on_parser_check(struct timer *t);

static void on_box_gone(struct watch *w, uint32_t events)
{
    struct run *r = container_of(w, struct run, box_watch);

    (void)events;
    watch_del(&r->report_watch);
    watch_del(w);
    if (box_wait(&r->box, &r->end, NULL) != 0) {
        snprintf(r->end.step, sizeof r->end.step, "wait");
    }
    box_done(&r->box);
    r->box_over = true;
    timer_stop(&r->wall);
    timer_stop(&r->kill);
    if (r->err_watch.fd >= 0) {
        (void)read_stderr(r, STDERR_BURST * 16); /* nobody writes any more: what the pipe holds */
        close_stderr(r);
    }
    if (r->parser.watch.fd >= 0) {
        if (r->end.started) {
            tell_started_soon(r); /* its records may be more than the socket holds */
        }
        r->parser_until_ms = boot_ms() + PARSER_LAST_MS;
        timer_arm(r->rp->loop, &r->parser_check, r->rp->parser_idle_ms);
    }
    sweep(r);
    maybe_over(r);
}

/* The parser. */

static void on_parser_check(struct timer *t)
{
    struct run *r = container_of(t, struct run, parser_check);
    struct timespec used = {0};
    clockid_t clock;
    bool idle;

    if (clock_getcpuclockid(r->parser.pid, &clock) == 0) {
        (void)clock_gettime(clock, &used);
    }
    idle = used.tv_sec == r->parser_cpu.tv_sec && used.tv_nsec == r->parser_cpu.tv_nsec;
    r->parser_cpu = used;
    if (idle || boot_ms() > r->parser_until_ms) {
        child_kill(&r->parser);
    } else {
        timer_arm(r->rp->loop, t, r->rp->parser_idle_ms);
    }
}

static void on_parser_gone(struct watch *w, uint32_t events)
{
    struct run *r = container_of(w, struct run, parser.watch);
    int status = child_reap(&r->parser);

    (void)events;
    timer_stop(&r->parser_check);
    if (status == PARSE_OUTPUT_CAP) {
        end_box(r, RUN_OUTPUT);
    } else if (status != PARSE_OK) {
        r->parser_failed = true;
        /* A tool that found its pipe broken may be gone already: it is not the one to blame. */
        if (!r->box_over || (r->end.started && r->end.exit_status != 0)) {
            end_box(r, RUN_PARSER);
        }
    }
    maybe_over(r);
}

void run_abandon(struct run *r)
{
    child_kill(&r->parser);
    if (!r->box_over) {
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

/* The beginning. */

struct pipes {
    int out[2], err[2];
};

static void close_pipes(struct pipes *p)
{
    for (int i = 0; i < 2; i++) {
        fd_close(&p->out[i]);
        fd_close(&p->err[i]);
    }
}

static void not_started(struct run *r, const char *step, int errnum)
{
    r->end = (struct box_end){.errnum = errnum, .exit_status = -1};
    snprintf(r->end.step, sizeof r->end.step, "%s", step);
    r->box_over = true;
}

static int start_box(struct run *r, const struct runner_launch *l, const struct pipes *p)
{
    const struct runner_process *rp = r->rp;
    auto_free char *dir = str_fmt("%s/%s", rp->work.path, r->dir.name);
    auto_strvec env = {0};
    struct box_spec spec = {
        .argv = l->argv->v,
        .dir = dir,
        .in = -1,
        .out = p->out[1],
        .err = p->err[1],
        .raw_sockets = l->raw_sockets,
        .limits = {.cpu_s = l->cpu_s, .mem_mb = l->mem_mb, .files = l->files, .procs = l->procs},
        .hold_fd = rp->hold_fd,
    };

    strvec_push(&env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    strvec_pushf(&env, "HOME=%s", dir);
    strvec_pushf(&env, "TMPDIR=%s", dir);
    strvec_push(&env, "LC_ALL=C.UTF-8");
    strvec_push(&env, "TZ=UTC");
    /* nmap judges by the uid what it may do; the capability decides it here. */
    strvec_push(&env,
                l->raw_sockets && rp->raw_sockets ? "NMAP_PRIVILEGED=1" : "NMAP_UNPRIVILEGED=1");
    spec.env = env.v;
    if (box_start(&spec, &r->box, NULL) != 0) {
        return -1;
    }
    r->box_made = true;
    r->box_watch = (struct watch){.fd = r->box.pidfd, .events = EPOLLIN, .fn = on_box_gone};
    r->report_watch = (struct watch){.fd = r->box.report_fd, .events = EPOLLIN, .fn = on_report};
    return 0;
}

static void start_parser(struct run *r, const struct parse_job *job)
{
    int rc = child_fork(&r->parser, r->rp->loop, on_parser_gone);

    if (rc == 0) {
        parse_process(job);
    }
    if (rc < 0) {
        r->parser_failed = true;
        end_box(r, RUN_PARSER);
    }
}

static void watch_or_die(struct run *r, struct watch *w)
{
    if (watch_add(r->rp->loop, w, NULL) != 0) {
        fprintf(stderr, "runner: cannot watch a descriptor: %s\n", strerror(errno));
        abort(); /* every box dies with us */
    }
}

static void run_start(struct run *r, const struct runner_launch *l, struct parse_job *job)
{
    struct pipes p = {{-1, -1}, {-1, -1}};

    r->dir_made = work_dir_take(&r->rp->work, r->id, &r->dir);
    if (!r->dir_made) {
        not_started(r, "workdir", errno);
        return;
    }
    if (pipe2(p.out, O_CLOEXEC) < 0 || pipe2(p.err, O_CLOEXEC) < 0 ||
        fcntl(p.err[0], F_SETFL, O_NONBLOCK) < 0) {
        not_started(r, "pipe", errno);
    } else if (start_box(r, l, &p) != 0) {
        not_started(r, "sandbox", errno);
    } else {
        fd_close(&p.out[1]);
        fd_close(&p.err[1]);
        job->out_fd = p.out[0];
        watch_or_die(r, &r->box_watch);
        watch_or_die(r, &r->report_watch);
        r->err_watch.fd = take_fd(&p.err[0]);
        watch_or_die(r, &r->err_watch);
        if (l->wall_ms) {
            timer_arm(r->rp->loop, &r->wall, l->wall_ms);
        }
        start_parser(r, job);
    }
    close_pipes(&p);
}

void run_begin(struct runner_process *rp, const struct runner_launch *l, int record_fd, int blob_fd)
{
    auto_fd int own_record_fd = record_fd;
    auto_fd int own_blob_fd = blob_fd;
    auto_fd int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    struct run *r = xcalloc(1, sizeof *r);
    struct parse_job job = {
        .parser = parser_find(l->parser),
        .record_fd = own_record_fd,
        .blob_fd = own_blob_fd,
        .output_max = l->output_max,
        .runner_pidfd = self,
    };

    assert(job.parser);
    r->rp = rp;
    r->id = l->run;
    r->grace_ms = l->grace_ms;
    r->parser.watch.fd = r->sweeper.watch.fd = -1;
    r->err_watch = (struct watch){.fd = -1, .events = EPOLLIN, .fn = on_stderr};
    r->started.fn = on_started;
    r->wall.fn = on_wall;
    r->kill.fn = on_kill;
    r->parser_check.fn = on_parser_check;
    r->err_pause.fn = on_err_pause;
    r->next = rp->runs;
    rp->runs = r;
    run_start(r, l, &job);
    if (r->box_over) { /* it never began */
        sweep(r);
        maybe_over(r);
    }
}
