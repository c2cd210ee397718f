#include "daemon/turn.h"

#include "base/log.h"
#include "base/mem.h"

enum { IDLE_MS = 250 };

/* After a commit, not inside one: a checkpoint can take longer than any request may wait. */
static void on_idle(struct timer *timer)
{
    struct turn *t = container_of(timer, struct turn, idle);

    store_idle(t->store);
}

static bool commit(struct turn *t)
{
    struct err e = {0};
    int rc;

    if (!store_dirty(t->store)) {
        return true;
    }
    rc = store_commit(t->store, &e);
    if (rc == 0) {
        if (!t->idle.loop) {
            timer_arm(t->loop, &t->idle, IDLE_MS);
        }
        return true;
    }
    log_error("commit_failed", KV("error", e.msg));
    if (t->http) {
        http_fail_turn(t->http, err_http_status(rc), e.msg);
    }
    return false;
}

static void on_turn_end(struct turn_hook *hook)
{
    struct turn *t = container_of(hook, struct turn, hook);
    bool committed;

    sched_before_commit(t->sched);
    committed = commit(t);
    worker_turn_done(t->worker, committed);
    sched_after_commit(t->sched, committed);
    if (t->api) {
        api_after_commit(t->api);
    }
    if (t->http) {
        http_server_flush(t->http);
    }
}

void turn_start(struct turn *t)
{
    t->hook.fn = on_turn_end;
    t->idle.fn = on_idle;
    loop_at_turn_end(t->loop, &t->hook);
}

void turn_stop(struct turn *t)
{
    timer_stop(&t->idle);
}
