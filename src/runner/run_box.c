/* A run's box: made, listened to, reaped, and what it leaves behind removed. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "runner/run.h"
#include "runner/run_spec.h"
#include "runner/sweep.h"

enum {
    STDERR_CHUNK = 4096,
    STDERR_BURST = 16,    /* chunks; then the tool waits for */
    STDERR_PAUSE_MS = 10, /* so long */
    STARTED_MS = 10       /* told so late, or with the end: a short run wakes the daemon once */
};

/* ---- the tool's complaints ---- */

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
        status_add(r, chunk, (size_t)n);
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

/* ---- the working directory, where boxes have no view of their own ---- */

static void on_swept(struct watch *w, uint32_t events)
{
    struct run *r = container_of(w, struct run, sweeper.watch);

    (void)events;
    (void)child_reap(&r->sweeper);
    r->dir_left = true;
    run_maybe_over(r);
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

/* ---- cgroups ---- */

/* A tmpfs counts as memory of the group. What a scan of a repository keeps there is large, and has
 * a limit of its own. */
static uint64_t memory_bytes(const struct run *r)
{
    uint64_t mb = r->limits.memory_mb;

    return (mb > 0 && r->nest ? mb + r->limits.disk_mb : mb) << 20;
}

static bool make_cgroup(struct run *r, struct err *e)
{
    struct cgroup_tree *tree = r->rp->config->cgroups;
    const struct cgroup_limits limits = {
        .memory_bytes = memory_bytes(r),
        .pids = r->limits.processes,
    };

    return !tree || cgroup_make(tree, r->id, &limits, &r->cgroup, e) == 0;
}

static void end_cgroup(struct run *r)
{
    if (r->cgroup.dir_fd >= 0) {
        cgroup_use(&r->cgroup, &r->use);
        cgroup_remove(r->rp->config->cgroups, &r->cgroup);
        r->cgroup.dir_fd = -1;
    }
}

/* ---- what the box tells ---- */

void run_tell_started(struct run *r)
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
    run_tell_started(container_of(t, struct run, started));
}

void run_tell_started_soon(struct run *r)
{
    if (!r->started_told && !r->started.loop) {
        timer_arm(r->rp->loop, &r->started, STARTED_MS);
    }
}

static void on_report(struct watch *w, uint32_t events)
{
    struct run *r = container_of(w, struct run, report_watch);

    if (box_poll(&r->box)) {
        run_tell_started_soon(r);
    }
    run_net_follow(r);
    if (r->box.told >= BOX_STARTED || (events & (EPOLLHUP | EPOLLERR))) {
        watch_del(w); /* what comes later is for box_wait() */
    }
}

static void on_box_gone(struct watch *w, uint32_t events)
{
    struct run *r = container_of(w, struct run, box_watch);

    (void)events;
    watch_del(&r->report_watch);
    watch_del(w);
    run_net_end(r); /* while its descriptors are open */
    if (box_wait(&r->box, &r->end, NULL) != 0) {
        snprintf(r->end.step, sizeof r->end.step, "wait");
    }
    if (r->end.late && r->cause == RUN_BY_ITSELF) {
        r->cause = RUN_LEASE;
    }
    if (!r->end.started && r->cause == RUN_NETD) {
        snprintf(r->end.step, sizeof r->end.step, "netd");
    }
    box_done(&r->box);
    end_cgroup(r);
    r->box_over = true;
    timer_stop(&r->wall);
    timer_stop(&r->kill);
    if (r->err_watch.fd >= 0) {
        (void)read_stderr(r, STDERR_BURST * 16); /* nobody writes any more: what the pipe holds */
        close_stderr(r);
    }
    if (r->parser.watch.fd >= 0 && r->end.started) {
        run_tell_started_soon(r); /* its records may be more than the socket holds */
    }
    run_parser_hurry(r);
    sweep(r);
    run_maybe_over(r);
}

/* ---- the beginning ---- */

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

static bool make_box(struct run *r, const struct runner_launch *l, const struct pipes *p,
                     struct err *e)
{
    auto_free char *dir = r->dir_made ? str_fmt("%s/%s", r->rp->work.path, r->dir.name) : NULL;
    struct run_spec spec;
    int rc;

    run_spec_fill(&spec, r->rp, l, dir, r->cgroup.dir_fd >= 0);
    spec.box.in = l->stdin_fd > 0 ? l->stdin_fd : -1;
    spec.box.out = p->out[1];
    spec.box.err = p->err[1];
    spec.box.cgroup_fd = r->cgroup.dir_fd;
    spec.box.until_ms = r->lease;
    rc = box_start(&spec.box, &r->box, e);
    run_spec_done(&spec);
    if (rc != 0) {
        return false;
    }
    r->box_made = true;
    r->box_watch = (struct watch){.fd = r->box.pidfd, .events = EPOLLIN, .fn = on_box_gone};
    r->report_watch = (struct watch){.fd = r->box.report_fd, .events = EPOLLIN, .fn = on_report};
    run_watch(r, &r->box_watch);
    run_watch(r, &r->report_watch);
    return true;
}

/* Step by step; the name of the one that failed, or NULL. */
static const char *start(struct run *r, const struct runner_launch *l, struct pipes *p,
                         struct err *e)
{
    if (l->nest && !r->rp->caps.nest) {
        snprintf(r->why, sizeof r->why, "%s", r->rp->caps.why_nest);
        errno = EOPNOTSUPP;
        return "nest";
    }
    if (!run_net_ready(r)) {
        errno = EOPNOTSUPP;
        return "egress";
    }
    if (!r->rp->caps.view) {
        r->dir_made = work_dir_take(&r->rp->work, r->id, &r->dir);
        if (!r->dir_made) {
            return "workdir";
        }
    }
    if (!make_cgroup(r, e)) {
        return "cgroup";
    }
    if (pipe2(p->out, O_CLOEXEC) < 0 || pipe2(p->err, O_CLOEXEC) < 0 ||
        fcntl(p->err[0], F_SETFL, O_NONBLOCK) < 0) {
        return "pipe";
    }
    return make_box(r, l, p, e) ? NULL : "sandbox";
}

void run_box_init(struct run *r)
{
    r->sweeper.watch.fd = -1;
    r->cgroup.dir_fd = -1;
    r->err_watch = (struct watch){.fd = -1, .events = EPOLLIN, .fn = on_stderr};
    r->started.fn = on_started;
    r->err_pause.fn = on_err_pause;
}

bool run_box_start(struct run *r, const struct runner_launch *l, int *out_fd)
{
    struct pipes p = {{-1, -1}, {-1, -1}};
    struct err e = {0};
    const char *failed = start(r, l, &p, &e);

    if (failed) {
        int errnum = errno;

        close_pipes(&p);
        end_cgroup(r);
        run_not_started(r, failed, errnum, e.msg);
        sweep(r);
        return false;
    }
    *out_fd = take_fd(&p.out[0]);
    r->err_watch.fd = take_fd(&p.err[0]);
    close_pipes(&p);
    run_watch(r, &r->err_watch);
    return true;
}
