/* What the worker reports goes into the store at hand, through the scheduler. */
#include "daemon/reports.h"

#include "sched/sched.h"
#include "store/findings.h"
#include "store/store.h"

static int local_host(void *arg, const struct lease *l, const struct host *head, struct err *e)
{
    const struct local_reports *to = arg;
    int64_t seq;

    return store_host_begin(to->store, l, head, &seq, e);
}

static int local_port(void *arg, const struct lease *l, const struct port *p, struct err *e)
{
    const struct local_reports *to = arg;

    (void)l;
    return store_host_port(to->store, p, e);
}

static int local_host_end(void *arg, const struct lease *l, struct err *e)
{
    const struct local_reports *to = arg;

    (void)l;
    return store_host_end(to->store, e);
}

static int local_finding(void *arg, const struct lease *l, const struct finding *f, struct err *e)
{
    const struct local_reports *to = arg;

    return store_finding_add(to->store, l, f, e);
}

static int local_select(void *arg, const struct lease *l, struct err *e)
{
    const struct local_reports *to = arg;

    return store_host_select(to->store, l, e);
}

static int local_progress(void *arg, const struct lease *l, const struct progress *p, struct err *e)
{
    const struct local_reports *to = arg;

    return sched_progress(to->sched, l, p, e);
}

static void local_finish(void *arg, const struct lease *l, const struct outcome *o)
{
    const struct local_reports *to = arg;

    sched_finish(to->sched, l, o);
}

static void local_release(void *arg, const struct lease *l)
{
    const struct local_reports *to = arg;

    sched_release(to->sched, l);
}

static void local_wait(void *arg, const struct lease *l, int64_t until_us)
{
    const struct local_reports *to = arg;

    sched_wait_until(to->sched, l, until_us);
}

static void local_wrote(void *arg, const struct lease *l)
{
    const struct local_reports *to = arg;

    sched_touch(to->sched, &l->job_id);
}

static void local_lost(void *arg, const struct lease *l)
{
    const struct local_reports *to = arg;

    sched_rows_lost(to->sched, l);
}

static void local_ready(void *arg, bool ready)
{
    const struct local_reports *to = arg;

    sched_pause(to->sched, !ready);
}

struct reports reports_local(struct local_reports *to)
{
    return (struct reports){
        .host = local_host,
        .port = local_port,
        .host_end = local_host_end,
        .finding = local_finding,
        .select = local_select,
        .progress = local_progress,
        .finish = local_finish,
        .release = local_release,
        .wait = local_wait,
        .wrote = local_wrote,
        .lost = local_lost,
        .ready = local_ready,
        .arg = to,
    };
}
