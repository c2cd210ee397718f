#include "daemon/conduct.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/cover.h"
#include "daemon/sandbox_sum.h"
#include "plan/plan.h"
#include "sched/add.h"

enum { REMEMBERED = 8, PAGE = 1000 };

/* A job that was asked about lately. */
struct led {
    struct id id;
    int64_t num;
    struct plan *plan;
    struct plan_spec *specs; /* by idx */
    struct plan_task *tasks; /* the same ones */
    char **errors;           /* owned: of tasks[].error */
    char *command_line;      /* owned: of the first task */
    size_t n, size;
    size_t over;   /* that many of the first ones have ended */
    uint32_t read; /* rows of the last page */
    uint64_t used;
};

struct conduct {
    struct store *store;
    struct led jobs[REMEMBERED];
    uint64_t clock;
    struct buf summary, message; /* what the last answer points to */
    struct job job;              /* the same */
};

/* ---- what is remembered ---- */

static void led_done(struct led *l)
{
    plan_free(l->plan);
    for (size_t i = 0; i < l->n; i++) {
        plan_spec_done(&l->specs[i]);
        free(l->errors[i]);
    }
    free(l->specs);
    free(l->tasks);
    free(l->errors);
    free(l->command_line);
    *l = (struct led){0};
}

static struct led *led_slot(struct conduct *c, const struct id *id)
{
    struct led *oldest = &c->jobs[0];

    for (size_t i = 0; i < REMEMBERED; i++) {
        struct led *l = &c->jobs[i];

        if (l->plan && id_cmp(&l->id, id) == 0) {
            l->used = ++c->clock;
            return l;
        }
        if (l->used < oldest->used) {
            oldest = l;
        }
    }
    led_done(oldest);
    oldest->used = ++c->clock;
    return oldest;
}

/* The job's row is read each time: it may have been cancelled since. */
static int led_find(struct conduct *c, const struct id *id, struct job *j, struct led **out,
                    struct err *e)
{
    struct led *l;
    int rc;

    job_init(j);
    rc = store_job_get(c->store, id, j, e);
    if (rc != 0) {
        return rc;
    }
    if (!j->plan) {
        return err_set(e, ERR_INTERNAL, "the job has no plan");
    }
    l = led_slot(c, id);
    l->num = j->num;
    if (!l->plan) {
        rc = plan_read(j->plan, &l->plan, e);
        l->id = *id;
    }
    *out = l;
    return rc;
}

static void led_grow(struct led *l)
{
    if (l->n == l->size) {
        l->size = l->size ? l->size * 2 : 16;
        l->specs = xrealloc(l->specs, l->size * sizeof *l->specs);
        l->tasks = xrealloc(l->tasks, l->size * sizeof *l->tasks);
        l->errors = xrealloc(l->errors, l->size * sizeof(char *));
        for (size_t i = 0; i < l->n; i++) {
            l->tasks[i].spec = &l->specs[i];
        }
    }
    l->specs[l->n] = (struct plan_spec){0};
    l->tasks[l->n] = (struct plan_task){.spec = &l->specs[l->n], .percent_x100 = -1};
    l->errors[l->n] = NULL;
    l->n++;
}

static int take_task(void *arg, const struct task_info *t, struct err *e)
{
    struct led *l = arg;
    size_t i = (size_t)t->task.idx;
    int rc = 0;

    l->read++;
    if (i > l->n) {
        return err_set(e, ERR_INTERNAL, "a task is missing");
    }
    if (i == l->n) {
        led_grow(l);
        rc = plan_spec_read(t->spec, &l->specs[i], e);
        if (rc != 0) {
            plan_spec_done(&l->specs[i]);
            l->n--;
            return rc;
        }
    }
    if (!l->command_line) {
        l->command_line = xstrdup(t->command_line);
    }
    free(l->errors[i]);
    l->errors[i] = xstrdup(t->error);
    l->tasks[i] = (struct plan_task){
        .spec = &l->specs[i],
        .state = t->task.state,
        .reason = t->reason,
        .error = l->errors[i],
        .partial = t->partial,
        .percent_x100 = t->percent_x100,
        .started_us = t->started_us,
        .ended_us = t->ended_us,
    };
    return rc;
}

/* Brings the copy of the tasks up to date. Tasks run in their order, mostly: those at the front
 * that are over do not change any more, and are not read again. */
static int led_tasks(struct conduct *c, struct led *l, struct err *e)
{
    int32_t after = (int32_t)l->over - 1;
    int rc = 0;

    do {
        l->read = 0;
        rc = store_tasks(c->store, l->num, after, PAGE, take_task, l, e);
        after += PAGE;
    } while (rc == 0 && l->read == PAGE);
    while (l->over < l->n && job_state_terminal(l->tasks[l->over].state)) {
        l->over++;
    }
    return rc;
}

/* ---- its time ---- */

struct stretch {
    int64_t from, to;
};

static int by_start(const void *a, const void *b)
{
    const struct stretch *x = a, *y = b;

    return (x->from > y->from) - (x->from < y->from);
}

/* How long at least one task was running, by the last run of each. */
static int64_t led_spent_us(const struct led *l)
{
    auto_free struct stretch *v = xcalloc(l->n + 1, sizeof *v);
    int64_t now = wall_us(), sum = 0, end = 0;
    size_t n = 0;

    for (size_t i = 0; i < l->n; i++) {
        const struct plan_task *t = &l->tasks[i];

        if (t->started_us > 0) {
            v[n++] = (struct stretch){t->started_us, t->ended_us > 0 ? t->ended_us : now};
        }
    }
    qsort(v, n, sizeof *v, by_start);
    for (size_t i = 0; i < n; i++) {
        int64_t from = MAX(v[i].from, end);

        if (v[i].to > from) {
            sum += v[i].to - from;
            end = v[i].to;
        }
    }
    return sum;
}

static bool out_of_time(const struct led *l, const struct job *j)
{
    return led_spent_us(l) >= (int64_t)j->run_timeout_s * 1000000;
}

/* ---- what a task found ---- */

struct reading {
    struct conduct *c;
    int64_t job_num;
    int32_t idx;
    const struct host_sink *to;
    int64_t last, n;
};

static int read_host(void *arg, int64_t seq, const struct host *head, struct err *e)
{
    struct reading *r = arg;

    r->last = seq;
    r->n++;
    return r->to->host ? r->to->host(r->to->arg, seq, head, e) : 0;
}

static int read_port(void *arg, const struct port *p, struct err *e)
{
    struct reading *r = arg;

    return r->to->port ? r->to->port(r->to->arg, p, e) : 0;
}

static int read_host_end(void *arg, struct err *e)
{
    struct reading *r = arg;

    return r->to->host_end ? r->to->host_end(r->to->arg, e) : 0;
}

static int task_hosts(void *arg, const struct host_sink *to, struct err *e)
{
    struct reading *r = arg;
    const struct host_sink sink = {
        .host = read_host, .port = read_port, .host_end = read_host_end, .arg = r};
    struct host_filter f = {.limit = PAGE};
    int rc = 0;

    r->to = to;
    r->last = 0;
    do {
        r->n = 0;
        f.after = r->last;
        rc = store_task_hosts(r->c->store, r->job_num, r->idx, &f, &sink, e);
    } while (rc == 0 && r->n == PAGE);
    return rc;
}

/* ---- what follows ---- */

/* Progress and summary as they are now. */
static int refresh(struct conduct *c, struct led *l, const struct job *j, uint64_t lost,
                   const struct strvec *notes, const struct strvec *flags,
                   const struct outcome *ended, const char *tool, struct err *e)
{
    struct progress p = {.percent_x100 = -1, .remaining_s = -1};
    auto_buf text = {0};
    auto_buf sandbox = {0};
    int64_t now;
    int rc = led_tasks(c, l, e);

    if (rc != 0) {
        return rc;
    }
    now = wall_us();
    plan_progress(l->plan, l->tasks, l->n, now, now - led_spent_us(l), &p);
    plan_summary(l->plan, l->tasks, l->n, lost, notes, flags, j->summary_json, &text);
    sandbox_sum(j->summary_json, ended, tool, &text, &sandbox);
    return store_job_progress(c->store, &l->id, &p, sandbox.data, e);
}

static int go_on(struct conduct *c, struct led *l, const struct job *j, const struct task *t,
                 const struct outcome *o, struct strvec *notes, struct strvec *flags, struct err *e)
{
    auto_tasks next = {0};
    struct reading r = {.c = c, .job_num = j->num, .idx = t->idx};
    const struct plan_ended ended = {
        .spec = &l->specs[t->idx],
        .state = o->state,
        .reason = o->reason,
        .hosts = task_hosts,
        .arg = &r,
        .pins = j->pins,
        .summary = j->summary_json,
        .tasks = l->tasks,
        .n_tasks = l->n,
    };
    int rc = plan_next(l->plan, &ended, &next, notes, flags, e);

    return rc == 0 ? sched_add_tasks(c->store, j, &next, e) : rc;
}

static int on_ended(void *arg, const struct task *t, const struct outcome *o, struct err *e)
{
    struct conduct *c = arg;
    struct job j = {0};
    struct led *l;
    auto_strvec notes = {0};
    auto_strvec flags = {0};
    int rc = led_find(c, &t->job_id, &j, &l, e);

    if (rc == 0) {
        rc = led_tasks(c, l, e);
    }
    if (rc == 0 && !j.cancel_requested && !j.import_path) {
        struct err why = {0};

        if (go_on(c, l, &j, t, o, &notes, &flags, &why) != 0) {
            /* The rest of the job goes on; what is missing is said. */
            auto_free char *note =
                str_fmt("what follows from task %d could not be planned: %s", (int)t->idx, why.msg);

            log_error("plan_failed", KV("task", t->idx), KV("error", why.msg));
            strvec_push(&notes, note);
        }
    }
    if (rc == 0) {
        rc = refresh(c, l, &j, 0, &notes, &flags, o, l->specs[t->idx].tool, e);
    }
    job_done(&j);
    return rc;
}

static void on_progress(void *arg, const struct id *job)
{
    struct conduct *c = arg;
    struct job j = {0};
    struct err e = {0};
    struct led *l;

    if (led_find(c, job, &j, &l, &e) == 0 && !job_state_terminal(j.state) &&
        refresh(c, l, &j, 0, NULL, NULL, NULL, NULL, &e) != 0) {
        log_warn("progress_failed", KV("error", e.msg));
    }
    job_done(&j);
}

static int64_t on_spent(void *arg, const struct id *job)
{
    struct conduct *c = arg;
    struct job j = {0};
    struct err e = {0};
    struct led *l;
    int64_t us = 0;

    if (led_find(c, job, &j, &l, &e) == 0 && led_tasks(c, l, &e) == 0) {
        us = led_spent_us(l);
    } else {
        log_warn("time_unknown", KV("error", e.msg));
    }
    job_done(&j);
    return us;
}

/* ---- the end ---- */

/* How many addresses of each task have a cell of ports. */
struct covered {
    uint64_t *v; /* owned */
    size_t n;
};

static int note_cell(void *arg, int32_t idx, const struct coverage_cell *cell, struct err *e)
{
    struct covered *c = arg;

    (void)e;
    if (cell->ports && (size_t)idx < c->n) {
        c->v[idx] = MAX(c->v[idx], cover_probes(cell->addresses, NULL));
    }
    return 0;
}

/* Hosts that a tool gave up on: among the targets of a task that went well, in none of its cells.
 */
static int count_lost(struct conduct *c, const struct led *l, uint64_t *lost, struct err *e)
{
    struct covered has = {.v = xcalloc(MAX(l->n, 1), sizeof *has.v), .n = l->n};
    int rc = store_coverage(c->store, l->num, note_cell, &has, e);

    *lost = 0;
    for (size_t i = 0; rc == 0 && i < l->n; i++) {
        const struct plan_spec *s = l->tasks[i].spec;

        if (l->tasks[i].state == JOB_COMPLETED && s->kind == STAGE_PORTS && !s->repeats &&
            s->addresses > has.v[i]) {
            *lost += (s->addresses - has.v[i]) * (s->probes / s->addresses);
        }
    }
    free(has.v);
    return rc;
}

/*
 * The first task of a kind of which not one ended well, as long as the result rests on that kind:
 * where no search for hosts or no search for ports came to its end, there is none. NULL: it does.
 */
static const struct plan_task *look_for_failure(const struct led *l, bool *timed_out)
{
    const struct plan_task *bad[STAGE_KINDS] = {NULL};
    bool well[STAGE_KINDS] = {false};

    *timed_out = false;
    for (size_t i = 0; i < l->n; i++) {
        const struct plan_task *t = &l->tasks[i];
        enum stage_kind kind = t->spec->kind;

        well[kind] = well[kind] || t->state == JOB_COMPLETED;
        *timed_out = *timed_out || t->state == JOB_TIMED_OUT;
        if (!bad[kind] && t->state != JOB_COMPLETED) {
            bad[kind] = t;
        }
    }
    return bad[STAGE_HOSTS] && !well[STAGE_HOSTS]   ? bad[STAGE_HOSTS]
           : bad[STAGE_PORTS] && !well[STAGE_PORTS] ? bad[STAGE_PORTS]
                                                    : NULL;
}

static void judge_end(struct conduct *c, const struct led *l, const struct job *j,
                      struct outcome *o)
{
    bool timed_out;
    const struct plan_task *bad = look_for_failure(l, &timed_out);

    *o = (struct outcome){.state = JOB_COMPLETED, .exit_status = -1};
    buf_reset(&c->message);
    if (j->cancel_requested) {
        o->state = JOB_CANCELLED;
        o->reason = REASON_CANCELLED;
        buf_adds(&c->message, "cancelled");
    } else if (timed_out && out_of_time(l, j)) {
        o->state = JOB_TIMED_OUT;
        o->reason = REASON_TIMEOUT;
        buf_adds(&c->message, "the scan ran into its time limit and was stopped");
    } else if (bad) {
        o->state = bad->state;
        o->reason = bad->reason;
        buf_adds(&c->message, bad->error ? bad->error : job_reason_name(bad->reason));
    }
    if (o->state != JOB_COMPLETED) {
        o->partial = j->hosts > 0;
    } else { /* a file that was handed in says what it says */
        o->partial = !j->import_path && plan_summary_missing_x100(c->summary.data) > 0;
    }
    o->error = c->message.len ? c->message.data : NULL;
}

static int on_settle(void *arg, const struct id *id, struct outcome *o, struct err *e)
{
    struct conduct *c = arg;
    uint64_t lost = 0;
    struct led *l = NULL;
    int rc;

    job_done(&c->job);
    rc = led_find(c, id, &c->job, &l, e);
    if (rc == 0) {
        rc = led_tasks(c, l, e);
    }
    if (rc == 0 && !c->job.import_path) {
        rc = count_lost(c, l, &lost, e);
    }
    if (rc != 0) {
        return rc;
    }
    auto_buf text = {0};

    plan_summary(l->plan, l->tasks, l->n, lost, NULL, NULL, c->job.summary_json, &text);
    buf_reset(&c->summary);
    sandbox_sum(c->job.summary_json, NULL, NULL, &text, &c->summary);
    judge_end(c, l, &c->job, o);
    free(c->job.sandbox_json);
    free(c->job.confinement);
    free(c->job.tool_version);
    sandbox_sum_get(c->summary.data, &c->job.sandbox_json, &c->job.confinement,
                    &c->job.tool_version);
    o->summary_json = c->summary.data;
    o->sandbox_json = c->job.sandbox_json;
    o->confinement = c->job.confinement;
    o->command_line = l->command_line;
    o->tool_version = c->job.tool_version;
    o->run_json = c->job.run_json;
    return 0;
}

static void on_undone(void *arg)
{
    struct conduct *c = arg;

    for (size_t i = 0; i < REMEMBERED; i++) {
        led_done(&c->jobs[i]);
    }
}

struct conduct *conduct_new(struct store *s)
{
    struct conduct *c = xcalloc(1, sizeof *c);

    c->store = s;
    job_init(&c->job);
    return c;
}

void conduct_free(struct conduct *c)
{
    if (!c) {
        return;
    }
    on_undone(c);
    job_done(&c->job);
    buf_done(&c->summary);
    buf_done(&c->message);
    free(c);
}

struct planner_link conduct_link(struct conduct *c)
{
    return (struct planner_link){.ended = on_ended,
                                 .settle = on_settle,
                                 .spent = on_spent,
                                 .progress = on_progress,
                                 .undone = on_undone,
                                 .arg = c};
}
