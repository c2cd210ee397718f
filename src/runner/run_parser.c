/* A run's parser process: it may take its time, but not for ever, and never idle. */
#include <errno.h>
#include <signal.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runner/run.h"

enum { PARSER_LAST_MS = 15 * 60000 /* how long one may live after its tool, busy or not */ };

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

void run_parser_hurry(struct run *r)
{
    if (r->parser.watch.fd >= 0) {
        r->parser_until_ms = boot_ms() + PARSER_LAST_MS;
        timer_arm(r->rp->loop, &r->parser_check, r->rp->parser_idle_ms);
    }
}

static void on_parser_gone(struct watch *w, uint32_t events)
{
    struct run *r = container_of(w, struct run, parser.watch);
    int status = child_reap(&r->parser);

    (void)events;
    timer_stop(&r->parser_check);
    if (r->reparse) {
        timer_stop(&r->wall);
    }
    if (status == PARSE_OUTPUT_CAP) {
        run_end_box(r, RUN_OUTPUT);
    } else if (status != PARSE_OK) {
        r->parser_failed = true;
        /* A tool that found its pipe broken may be gone already: it is not the one to blame. */
        if (!r->box_over || (r->end.started && r->end.exit_status != 0)) {
            run_end_box(r, RUN_PARSER);
        }
    }
    run_maybe_over(r);
}

void run_parser_init(struct run *r)
{
    r->parser.watch.fd = -1;
    r->parser_check.fn = on_parser_check;
}

void run_parser_start(struct run *r, struct parse_job *job)
{
    int rc = child_fork(&r->parser, r->rp->loop, on_parser_gone);

    if (rc == 0) {
        parse_process(job);
    }
    if (rc < 0) {
        r->parser_failed = true;
        run_end_box(r, RUN_PARSER);
    }
}
