/*
 * The runner process: a loop, a channel to the daemon, and runs. When the channel closes, the
 * daemon is gone: every box and parser is killed, and when they are, so is the runner.
 */
#include "runner/process.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/box.h"
#include "box/seccomp.h"
#include "runner/lease.h"
#include "runner/proto.h"

enum { CLOSING_MAX_MS = 10000, PARSER_IDLE_MS = 60000, ROOTLESS_END_MS = 2000 };

static _Noreturn void broken(const char *what, const struct err *e)
{
    fprintf(stderr, "runner: %s: %s\n", what, e ? e->msg : strerror(errno));
    _exit(1);
}

static void on_last_resort(struct timer *t)
{
    loop_stop(container_of(t, struct runner_process, last_resort)->loop);
}

static void close_down(struct runner_process *rp)
{
    if (rp->closing) {
        return;
    }
    rp->closing = true;
    chan_done(&rp->chan);
    run_abandon_all(rp);
    ask_abandon_all(rp);
    work_dirs_close(&rp->work);
    timer_arm(rp->loop, &rp->last_resort, CLOSING_MAX_MS);
    runner_run_over(rp);
}

void runner_run_over(struct runner_process *rp)
{
    if (rp->closing && !rp->runs && !rp->asks) {
        loop_stop(rp->loop);
    }
}

static bool on_launch(struct runner_process *rp, struct wire *w, int *fds, unsigned n_fds)
{
    struct launch_in in;
    uint32_t slot = wire_get_u32(w);
    bool leased = slot != NO_LEASE;
    bool ok = launch_get(w, fds, n_fds, &in) && !run_find(rp, in.l.run) &&
              (!leased || (rp->leases && slot < LEASES));

    if (ok) {
        int record = take_fd(&fds[in.record]);
        int blob = in.blob ? take_fd(&fds[in.blob]) : -1;
        int input = in.input ? take_fd(&fds[in.input]) : -1;

        run_begin(rp, &in, leased ? &rp->leases[slot] : NULL, record, blob, input);
    }
    launch_in_done(&in);
    return ok;
}

static bool on_stop(struct runner_process *rp, struct wire *w)
{
    uint64_t id = wire_get_u64(w);
    struct run *r = run_find(rp, id);

    if (r) { /* it may be over already */
        run_stop(r);
    }
    return wire_end(w);
}

static bool on_ask(struct runner_process *rp, struct wire *w)
{
    auto_strvec argv = {0};
    uint64_t id;

    return ask_get(w, &id, &argv) && ask_begin(rp, id, &argv);
}

/* Once: slots of runs point into it. */
static bool on_leases(struct runner_process *rp, struct wire *w, const int *fds, unsigned n_fds)
{
    if (n_fds != 1 || rp->leases || !wire_end(w)) {
        return false;
    }
    rp->leases = leases_map(fds[0]);
    return rp->leases != NULL;
}

static bool understood(struct runner_process *rp, uint16_t type, struct wire *w, int *fds,
                       unsigned n_fds)
{
    switch (type) {
    case MSG_LAUNCH:
        return on_launch(rp, w, fds, n_fds);
    case MSG_LEASES:
        return on_leases(rp, w, fds, n_fds);
    case MSG_STOP:
        return n_fds == 0 && on_stop(rp, w);
    case MSG_ASK:
        return n_fds == 0 && on_ask(rp, w);
    default:
        return false;
    }
}

static void on_message(struct chan *c, uint16_t type, const void *body, size_t n, int *fds,
                       unsigned n_fds)
{
    struct runner_process *rp = container_of(c, struct runner_process, chan);
    struct wire w = {.p = body, .end = (const uint8_t *)body + n};

    if (!understood(rp, type, &w, fds, n_fds)) {
        fprintf(stderr, "runner: message %u is not one of ours\n", type);
        close_down(rp);
    }
}

static void on_close(struct chan *c)
{
    close_down(container_of(c, struct runner_process, chan));
}

/* Our own netd ends by itself when its channel does: nothing of us is left when we are gone. */
static void end_rootless(struct runner_process *rp)
{
    struct pollfd p = {.fd = rp->rootless.child.fd, .events = POLLIN};

    netd_free(rp->rootless.netd);
    if (rp->rootless.rp && p.fd >= 0) {
        (void)poll(&p, 1, ROOTLESS_END_MS);
    }
}

_Noreturn void runner_process(const struct runner_config *c, int chan_fd)
{
    struct runner_process rp = {
        .config = c,
        .parser_idle_ms = c->parser_idle_ms ? c->parser_idle_ms : PARSER_IDLE_MS,
        .chan = {.on_message = on_message, .on_close = on_close},
        .last_resort = {.fn = on_last_resort},
    };
    struct err e = {0};

    work_dirs_open(&rp.work, c->work_dir);
    if (chdir("/") < 0) {
        broken("change directory", NULL);
    }
    seccomp_prepare();
    caps_settle(c->without);
    if (loop_new(&rp.loop, &e) != 0 || chan_start(&rp.chan, rp.loop, chan_fd, &e) != 0) {
        broken("start", &e);
    }
    caps_begin(&rp);
    if (loop_run(rp.loop, &e) != 0) {
        broken("run", &e);
    }
    end_rootless(&rp);
    _exit(0);
}
