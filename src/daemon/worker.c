#include "daemon/worker.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/imports.h"
#include "daemon/launch.h"
#include "daemon/run.h"
#include "runner/runner.h"
#include "store/blob.h"
#include "tool/tool.h"

struct worker {
    struct loop *loop;
    struct store *store; /* NULL: there is none here */
    struct local_reports local;
    struct reports to;
    bool attached; /* `to` is set */
    struct runner *runner;
    struct worker_config config;
    char *blob_dir;         /* owned; config points to it */
    struct tool_run **runs; /* owned */
    uint32_t n, size;
    struct lease *ended; /* owned: of runs that ended in this turn, and had hosts in it */
    uint32_t n_ended, size_ended;
    uint64_t last_run;
    struct sandbox_caps caps;
    bool ready;              /* caps are known */
    struct imports *imports; /* owned */
    bool lost;               /* the runner is gone */
    void (*gone)(void *arg);
    void *gone_arg;
    void (*answered)(void *arg, const char *text);
    void *answered_arg;
};

static struct tool_run *find_lease(struct worker *w, const struct lease *l)
{
    for (uint32_t i = 0; i < w->n; i++) {
        const struct lease *have = &w->runs[i]->lease;

        if (have->token == l->token && have->epoch == l->epoch && have->idx == l->idx &&
            id_cmp(&have->job_id, &l->job_id) == 0) {
            return w->runs[i];
        }
    }
    return NULL;
}

static struct tool_run *find_run(struct worker *w, uint64_t run)
{
    for (uint32_t i = 0; i < w->n; i++) {
        if (w->runs[i]->run == run) {
            return w->runs[i];
        }
    }
    return NULL;
}

static void drop_run(struct worker *w, struct tool_run *r)
{
    for (uint32_t i = 0; i < w->n; i++) {
        if (w->runs[i] == r) {
            w->runs[i] = w->runs[--w->n];
            break;
        }
    }
    if (w->config.dispatch.budget) {
        budget_give(w->config.dispatch.budget, r->run, boot_ms());
    }
    tool_run_free(r);
}

static struct tool_run *add_run(struct worker *w, const struct lease *l)
{
    struct tool_run *r = tool_run_new(&w->to, l);

    if (w->n == w->size) {
        w->size = w->size ? w->size * 2 : 8;
        w->runs = xrealloc(w->runs, w->size * sizeof(struct tool_run *));
    }
    r->run = ++w->last_run;
    w->runs[w->n++] = r;
    return r;
}

static void give_up(struct worker *w, struct tool_run *r, int rc, const char *message)
{
    struct outcome o = {
        .state = JOB_FAILED,
        .reason = rc == ERR_NOT_FOUND                    ? REASON_TOOL_MISSING
                  : rc == ERR_INVALID || rc == ERR_SCOPE ? REASON_REFUSED
                                                         : REASON_SANDBOX,
        .retryable = rc == ERR_FULL || rc == ERR_IO || rc == ERR_BUSY,
        .error = message,
        .exit_status = -1,
        .command_line = r->argv_line,
    };

    if (r->blob_path) {
        blob_remove(w->config.blob_dir, r->blob_path);
    }
    w->to.finish(w->to.arg, &r->lease, &o);
    drop_run(w, r);
}

/* The job's time was over before this task's turn came. */
static bool too_late(const struct job *j)
{
    return j->planned && j->spent_us >= (int64_t)j->run_timeout_s * 1000000;
}

static void time_out(struct worker *w, struct tool_run *r)
{
    const struct outcome o = {.state = JOB_TIMED_OUT,
                              .reason = REASON_TIMEOUT,
                              .exit_status = -1,
                              .error = "the time of the job was over before this task began"};

    w->to.finish(w->to.arg, &r->lease, &o);
    drop_run(w, r);
}

void worker_run(struct worker *w, const struct worker_task *t)
{
    struct tool_run *r = add_run(w, &t->lease);
    const struct launcher launcher = {.config = &w->config,
                                      .runner = w->runner,
                                      .caps = &w->caps,
                                      .key_name = t->key_name,
                                      .lease_until_ms = t->lease_until_ms};
    int64_t wait_until_us = 0;
    struct err e = {0};
    int rc;

    if (too_late(t->job)) {
        time_out(w, r);
        return;
    }
    rc = launch_task(&launcher, r, t->job, &wait_until_us, &e);
    if (rc != 0) {
        give_up(w, r, rc, e.msg);
    } else if (wait_until_us) {
        w->to.wait(w->to.arg, &r->lease, wait_until_us);
        drop_run(w, r);
    } else if (r->tool->instant) {
        w->to.finish(w->to.arg, &r->lease, &(const struct outcome){.state = JOB_COMPLETED});
        drop_run(w, r);
    }
}

void worker_extend(struct worker *w, const struct lease *l, int64_t until_ms)
{
    const struct tool_run *r = find_lease(w, l);

    if (r) {
        runner_extend(w->runner, r->run, until_ms);
    }
}

static void stop(struct worker *w, const struct lease *l, enum run_stop why)
{
    struct tool_run *r = find_lease(w, l);

    if (r) {
        r->stop = why;
        runner_stop(w->runner, r->run);
    }
}

void worker_cancel(struct worker *w, const struct lease *l)
{
    stop(w, l, STOP_CANCEL);
}

void worker_fence(struct worker *w, const struct lease *l)
{
    stop(w, l, STOP_FENCED);
}

uint32_t worker_busy(const struct worker *w)
{
    return w->n;
}

static void link_run(void *arg, const struct task *task, const struct job *j)
{
    struct worker *w = arg;
    const struct worker_task t = {
        .lease = {.job_id = task->job_id,
                  .idx = task->idx,
                  .epoch = task->epoch,
                  .token = task->token},
        .job = j,
        .key_name = in_force_key_name(w->config.scope, w->store, j->key_id),
    };

    worker_run(w, &t);
}

static void link_cancel(void *arg, const struct lease *l)
{
    worker_cancel(arg, l);
}

struct worker_link worker_link(struct worker *w)
{
    return (struct worker_link){.run = link_run, .cancel = link_cancel, .arg = w};
}

/* ---- from the runner ---- */

static void on_ready(void *arg, const struct sandbox_caps *caps)
{
    struct worker *w = arg;

    w->caps = *caps;
    w->ready = true;
    if (w->attached) {
        w->to.ready(w->to.arg, true);
    }
    if (w->config.ready) {
        w->config.ready(w->config.ready_arg, caps);
    }
}

static void on_answer(void *arg, uint64_t ask, const char *text, size_t n)
{
    struct worker *w = arg;
    auto_free char *copy = xstrndup(text, n);

    (void)ask;
    if (w->answered) {
        w->answered(w->answered_arg, copy);
    }
}

static void on_status(void *arg, uint64_t run, const char *line)
{
    struct tool_run *r = find_run(arg, run);

    if (r) {
        tool_run_status(r, line);
    }
}

static void on_records(void *arg, uint64_t run, const void *p, size_t n)
{
    struct worker *w = arg;
    struct tool_run *r = find_run(w, run);

    if (r && !tool_run_records(r, p, n)) {
        runner_stop(w->runner, run);
    }
}

static void finish_reparse(struct worker *w, struct tool_run *r, const struct runner_end *end)
{
    struct err e = {0};
    int rc = tool_run_reparsed(r, w->store, end, &e);

    r->reparse_done(r->reparse_arg, rc, e.msg);
    drop_run(w, r);
    loop_again(w->loop);
}

/* It was stopped for us to end, or because it could not be held any longer. */
static bool handed_back(const struct tool_run *r, const struct runner_end *end,
                        const struct outcome *o)
{
    return (r->stop == STOP_DRAIN && o->state != JOB_COMPLETED) || r->stop == STOP_FENCED ||
           end->cause == RUN_LEASE;
}

static void over(struct worker *w, struct tool_run *r, const struct runner_end *end,
                 const struct outcome *o)
{
    bool back = handed_back(r, end, o);

    if (r->blob_path && (back || !o->raw_path)) {
        blob_remove(w->config.blob_dir, r->blob_path);
    }
    if (back) {
        w->to.release(w->to.arg, &r->lease);
    } else {
        w->to.finish(w->to.arg, &r->lease, o);
    }
}

/* Its end was told for what it was, with hosts that may not get through. */
static void note_ended(struct worker *w, const struct lease *l)
{
    if (w->n_ended == w->size_ended) {
        w->size_ended = w->size_ended ? w->size_ended * 2 : 8;
        w->ended = xrealloc(w->ended, w->size_ended * sizeof *w->ended);
    }
    w->ended[w->n_ended++] = *l;
}

static void on_ended(void *arg, const struct runner_end *end)
{
    struct worker *w = arg;
    struct tool_run *r = find_run(w, end->run);
    struct outcome o;
    struct buf message = {0};

    if (!r) {
        return;
    }
    if (r->reparse_done) {
        finish_reparse(w, r, end);
        return;
    }
    tool_run_outcome(r, end, &o, &message);
    over(w, r, end, &o);
    if (r->import) {
        imports_ended(w->imports, &r->lease.job_id);
    }
    if (r->wrote) {
        note_ended(w, &r->lease);
    }
    buf_done(&message);
    drop_run(w, r);
}

static void on_gone(void *arg)
{
    struct worker *w = arg;

    log_error("runner_gone");
    w->lost = true;
    if (w->gone) {
        w->gone(w->gone_arg);
    }
}

int worker_new(struct loop *l, struct store *s, const struct worker_config *c, struct worker **out,
               struct err *e)
{
    struct worker *w = xcalloc(1, sizeof *w);
    struct runner_events ev = {.ready = on_ready,
                               .answer = on_answer,
                               .status = on_status,
                               .records = on_records,
                               .ended = on_ended,
                               .gone = on_gone,
                               .arg = w};
    int rc;

    w->loop = l;
    w->store = s;
    w->config = *c;
    w->config.blob_dir = w->blob_dir = xstrdup(c->blob_dir);
    w->imports = s ? imports_new(l, s, c->import_dir) : NULL;
    rc = runner_connect(l, c->runner_fd, &ev, &w->runner, e);
    if (rc != 0) {
        worker_free(w);
        return rc;
    }
    *out = w;
    return 0;
}

const struct sandbox_caps *worker_caps(const struct worker *w)
{
    return w->ready ? &w->caps : NULL;
}

int worker_ask(struct worker *w, const struct tool *t, const char *program,
               void (*answered)(void *arg, const char *text), void *arg, struct err *e)
{
    auto_strvec argv = {0};

    strvec_push(&argv, program);
    for (const char *const *a = t->version_args; a && *a; a++) {
        strvec_push(&argv, *a);
    }
    w->answered = answered;
    w->answered_arg = arg;
    return runner_ask(w->runner, 1, &argv, e);
}

void worker_free(struct worker *w)
{
    if (!w) {
        return;
    }
    runner_free(w->runner);
    while (w->n) {
        struct tool_run *r = w->runs[0];

        if (r->reparse_done) { /* who waits has something to give back */
            r->reparse_done(r->reparse_arg, ERR_BUSY, "the server ends");
        }
        drop_run(w, r);
    }
    imports_free(w->imports);
    free(w->runs);
    free(w->ended);
    free(w->blob_dir);
    free(w);
}

void worker_attach(struct worker *w, struct sched *s)
{
    struct reports to;

    w->local = (struct local_reports){.store = w->store, .sched = s};
    to = reports_local(&w->local);
    worker_report_to(w, &to);
}

void worker_report_to(struct worker *w, const struct reports *to)
{
    w->to = *to;
    w->attached = true;
    to->ready(to->arg, w->ready);
}

void worker_on_runner_gone(struct worker *w, void (*fn)(void *arg), void *arg)
{
    w->gone = fn;
    w->gone_arg = arg;
}

void worker_turn_done(struct worker *w, bool committed)
{
    if (committed && w->imports) {
        imports_committed(w->imports);
    }
    for (uint32_t i = 0; !committed && i < w->n_ended; i++) {
        w->to.lost(w->to.arg, &w->ended[i]);
    }
    w->n_ended = 0;
    for (uint32_t i = 0; i < w->n; i++) {
        struct tool_run *r = w->runs[i];

        if (r->wrote) {
            r->wrote = false;
            if (committed) {
                w->to.wrote(w->to.arg, &r->lease);
            } else {
                tool_run_lost_rows(r);
                runner_stop(w->runner, r->run);
            }
        }
    }
}

void worker_stop_all(struct worker *w)
{
    for (uint32_t i = 0; i < w->n; i++) {
        if (w->runs[i]->stop == STOP_NONE) {
            w->runs[i]->stop = STOP_DRAIN;
        }
        runner_stop(w->runner, w->runs[i]->run);
    }
}

/* ---- reparse ---- */

int worker_reparse(struct worker *w, const struct id *job, int raw_fd,
                   void (*done)(void *arg, int rc, const char *message), void *arg, struct err *e)
{
    struct job j = {0};
    struct lease l;
    auto_free char *path = NULL;
    auto_free char *path_full = NULL;
    auto_fd int input = raw_fd;
    const struct strvec nothing = {0};
    const struct parser *parser;
    const struct tool *t;
    struct tool_run *r;
    int rc;

    job_init(&j);
    if (!w->store) {
        return err_set(e, ERR_NOT_FOUND, "there is no store here");
    }
    if ((rc = store_job_get(w->store, job, &j, e)) != 0 ||
        (rc = store_raw_path(w->store, j.num, &path, e)) != 0) {
        job_done(&j);
        return rc;
    }
    t = tool_of_job(j.tool);
    parser = t && j.repo && j.import_path ? &parser_sarif : t ? t->parser : NULL;
    job_done(&j);
    if (!path || !w->config.blob_dir || !t) {
        return err_set(e, ERR_NOT_FOUND, "no raw output is kept for this job");
    }
    rc = store_reparse_begin(w->store, job, &l, e);
    if (rc != 0) {
        return rc;
    }
    path_full = str_fmt("%s/%s", w->config.blob_dir, path);
    if (input < 0) {
        input = open(path_full, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (input < 0) {
        store_reparse_abandon(w->store, &l, NULL);
        return err_set(e, ERR_CONFLICT, "the stored output is missing or damaged");
    }
    r = add_run(w, &l);
    r->reparse_done = done;
    r->reparse_arg = arg;

    struct runner_launch launch_spec = {.run = r->run,
                                        .argv = &nothing,
                                        .parser = parser->name,
                                        .grace_ms = w->config.dispatch.grace_ms,
                                        .output_max = UINT64_MAX,
                                        .blob_fd = -1,
                                        .input_fd = input};

    rc = runner_launch(w->runner, &launch_spec, e);
    if (rc != 0) {
        store_reparse_abandon(w->store, &l, NULL);
        drop_run(w, r);
    }
    return rc;
}
