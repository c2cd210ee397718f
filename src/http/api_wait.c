/*
 * Answers that wait for a job to change: long polls, and the reply to a cancel. The request is
 * kept, the scheduler's waiter fires after the commit that changed the job, a timer ends it.
 */
#include "base/mem.h"
#include "event/loop.h"
#include "http/api_priv.h"

struct waiting {
    struct job_waiter waiter;
    struct timer timer;
    struct api *api;
    struct http_req *req;
    struct job_wait_spec spec;
};

static void waiting_free(struct waiting *w)
{
    sched_unwait(&w->waiter);
    timer_stop(&w->timer);
    free(w);
}

/* Answers if it is time to. */
static void look(struct waiting *w, bool timed_out)
{
    struct api *a = w->api;
    struct http_req *r = w->req;
    const struct job_wait_spec spec = w->spec;
    struct err e = {0};
    struct job job;
    bool enough;

    job_init(&job);
    if (store_job_get(a->store, &w->waiter.job, &job, &e) < 0) {
        waiting_free(w);
        http_on_abort(r, NULL);
        api_fail(r, e.code == ERR_NOT_FOUND
                        ? &(struct err){.code = ERR_NOT_FOUND, .msg = "Job not found"}
                        : &e);
        job_done(&job);
        return;
    }
    enough = job_state_terminal(job.state) || (!spec.terminal && job.rev != spec.rev);
    if (!enough && !timed_out) {
        sched_wait(a->sched, &w->waiter);
        job_done(&job);
        return;
    }
    waiting_free(w);
    http_on_abort(r, NULL);
    spec.reply(a, r, &job, !enough);
    job_done(&job);
}

static void on_change(struct job_waiter *jw)
{
    look(container_of(jw, struct waiting, waiter), false);
}

static void on_time(struct timer *t)
{
    look(container_of(t, struct waiting, timer), true);
}

static void on_abort(struct http_req *r)
{
    waiting_free(http_user(r));
}

void api_wait(struct api *a, struct http_req *r, const struct id *job,
              const struct job_wait_spec *spec)
{
    struct waiting *w = xcalloc(1, sizeof *w);

    w->api = a;
    w->req = r;
    w->spec = *spec;
    w->waiter.job = *job;
    w->waiter.fn = on_change;
    w->timer.fn = on_time;
    http_set_user(r, w);
    http_on_abort(r, on_abort);
    sched_wait(a->sched, &w->waiter);
    timer_arm(a->loop, &w->timer, spec->ms);
}
