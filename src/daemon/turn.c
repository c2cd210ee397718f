#include "daemon/turn.h"

#include "base/log.h"
#include "base/mem.h"

static bool commit(struct turn *t)
{
    struct err e = {0};
    int rc;

    if (!store_dirty(t->store)) {
        return true;
    }
    rc = store_commit(t->store, &e);
    if (rc == 0) {
        return true;
    }
    log_error("commit_failed", KV("error", e.msg));
    if (t->http) {
        http_fail_turn(t->http, err_http_status(rc), e.msg);
    }
    if (t->api) {
        api_turn_undone(t->api);
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
    shipping_after_commit(t->shipping, committed);
    sched_after_commit(t->sched, committed);
    intakes_after_commit(t->intakes, committed);
    if (t->fleet) {
        fleet_after_commit(t->fleet, committed);
    }
    if (t->api) {
        api_after_commit(t->api);
    }
    if (t->http) {
        http_server_flush(t->http);
    }
    store_idle(t->store); /* a checkpoint now and then: no answer waits for it any more */
}

void turn_start(struct turn *t)
{
    t->hook.fn = on_turn_end;
    loop_at_turn_end(t->loop, &t->hook);
}
