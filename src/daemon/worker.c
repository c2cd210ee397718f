#include "daemon/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/run.h"
#include "model/request.h"
#include "runner/runner.h"
#include "store/blob.h"
#include "tool/tool.h"

enum { READY_MS = 5000 };

struct worker {
    struct loop *loop;
    struct store *store;
    struct sched *sched;
    struct runner *runner;
    struct worker_config config;
    char *blob_dir, *tool_nmap; /* owned; config points to them */
    struct tool_run **runs;     /* owned */
    uint32_t n, size;
    uint64_t last_run;
    char level[32]; /* of the runner's boxes; "" until it said */
    bool raw_sockets;
    bool lost; /* the runner is gone */
    void (*gone)(void *arg);
    void *gone_arg;
};

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
    tool_run_free(r);
}

static struct tool_run *add_run(struct worker *w, const struct lease *l)
{
    struct tool_run *r = tool_run_new(w->store, w->sched, l);

    if (w->n == w->size) {
        w->size = w->size ? w->size * 2 : 8;
        w->runs = xrealloc(w->runs, w->size * sizeof(struct tool_run *));
    }
    r->run = ++w->last_run;
    w->runs[w->n++] = r;
    return r;
}

/* ---- from a job to an argv ---- */

/* The request was validated when it was accepted; the worker does not take that on trust. */
static int build_argv(const struct worker *w, const struct tool *t, const struct job *j,
                      struct strvec *argv, struct err *e)
{
    auto_strvec targets = {0};
    auto_strvec args = {0};
    auto_free char *program = NULL;
    struct tool_request request = {.targets = j->targets,
                                   .ports = j->ports,
                                   .arguments = j->arguments,
                                   .unsafe = w->config.allow_unsafe_args};
    int rc;

    if ((rc = tool_check(t, &request, &targets, &args, e)) != 0 ||
        (rc = tool_path(t, w->config.tool_nmap, &program, e)) != 0) {
        return rc;
    }

    struct tool_scan scan = {.targets = &targets,
                             .ports = j->ports,
                             .arguments = &args,
                             .ipv6 = targets_have_ipv6(&targets),
                             .raw_sockets = w->raw_sockets};

    return t->build_argv(&scan, program, argv, e);
}

static void join_argv(const struct strvec *argv, struct buf *out)
{
    for (size_t i = 0; i < argv->n; i++) {
        buf_addf(out, "%s%s", i ? " " : "", argv->v[i]);
    }
}

static int launch(struct worker *w, struct tool_run *r, const struct tool *t, const struct job *j,
                  struct err *e)
{
    auto_strvec argv = {0};
    auto_buf line = {0};
    auto_fd int blob = -1;
    int rc = build_argv(w, t, j, &argv, e);

    if (rc != 0) {
        return rc;
    }
    join_argv(&argv, &line);
    r->argv_line = buf_take(&line);
    if (w->config.blob_dir) {
        r->blob_path = blob_path(&r->lease);
        rc = blob_create(w->config.blob_dir, r->blob_path, &blob, e);
        if (rc != 0) {
            free(take_ptr(&r->blob_path));
            return rc;
        }
    }

    struct runner_launch launch = {
        .run = r->run,
        .argv = &argv,
        .parser = t->parser->name,
        .grace_ms = w->config.grace_ms,
        .output_max = w->config.output_max,
        .wall_ms = (uint32_t)j->run_timeout_s * 1000u,
        .raw_sockets = w->raw_sockets && (t->needs & TOOL_WANTS_RAW),
        .mem_mb = t->limits.mem_mb,
        .files = t->limits.files,
        .procs = t->limits.procs,
        .blob_fd = blob,
    };

    return runner_launch(w->runner, &launch, e);
}

static void give_up(struct worker *w, struct tool_run *r, int rc, const char *message)
{
    struct outcome o = {
        .state = JOB_FAILED,
        .reason = rc == ERR_NOT_FOUND ? REASON_TOOL_MISSING
                  : rc == ERR_INVALID ? REASON_REFUSED
                                      : REASON_SANDBOX,
        .retryable = rc == ERR_FULL || rc == ERR_IO || rc == ERR_BUSY,
        .error = message,
        .exit_status = -1,
        .command_line = r->argv_line,
    };

    if (r->blob_path) {
        blob_remove(w->config.blob_dir, r->blob_path);
    }
    sched_finish(w->sched, &r->lease, &o);
    drop_run(w, r);
}

static void link_run(void *arg, const struct task *task, const struct job *j)
{
    struct worker *w = arg;
    const struct tool *t = tool_find(j->tool);
    struct lease l = {
        .job_id = task->job_id, .idx = task->idx, .epoch = task->epoch, .token = task->token};
    struct tool_run *r = add_run(w, &l);
    struct err e = {0};
    int rc;

    if (!t) {
        rc = err_set(&e, ERR_NOT_FOUND, "this server has no tool '%s'", j->tool);
    } else {
        rc = launch(w, r, t, j, &e);
    }
    if (rc != 0) {
        give_up(w, r, rc, e.msg);
    }
}

static void link_cancel(void *arg, const struct lease *l)
{
    struct worker *w = arg;

    for (uint32_t i = 0; i < w->n; i++) {
        struct tool_run *r = w->runs[i];

        if (r->lease.token == l->token && r->lease.epoch == l->epoch &&
            id_cmp(&r->lease.job_id, &l->job_id) == 0) {
            r->stop = STOP_CANCEL;
            runner_stop(w->runner, r->run);
        }
    }
}

struct worker_link worker_link(struct worker *w)
{
    return (struct worker_link){.run = link_run, .cancel = link_cancel, .arg = w};
}

/* ---- from the runner ---- */

static void on_ready(void *arg, const char *level, bool raw_sockets)
{
    struct worker *w = arg;

    snprintf(w->level, sizeof w->level, "%s", level);
    w->raw_sockets = raw_sockets;
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
    int rc = tool_run_reparsed(r, end, &e);

    r->reparse_done(r->reparse_arg, rc, e.msg);
    drop_run(w, r);
    loop_again(w->loop);
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
    if (r->stop == STOP_DRAIN && o.state != JOB_COMPLETED) {
        if (r->blob_path) {
            blob_remove(w->config.blob_dir, r->blob_path);
        }
        sched_release(w->sched, &r->lease);
    } else {
        if (r->blob_path && !o.raw_path) {
            blob_remove(w->config.blob_dir, r->blob_path);
        }
        sched_finish(w->sched, &r->lease, &o);
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

static int wait_ready(struct worker *w, struct err *e)
{
    int64_t deadline = boot_ms() + READY_MS;
    int rc = 0;

    while (rc == 0 && !w->level[0] && !w->lost && boot_ms() < deadline) {
        rc = loop_turn(w->loop, 100, e);
    }
    if (rc == 0 && !w->level[0]) {
        rc = err_set(e, ERR_SANDBOX, "the runner process %s",
                     w->lost ? "ended at its start" : "does not answer");
    }
    return rc;
}

int worker_new(struct loop *l, struct store *s, const struct worker_config *c, struct worker **out,
               struct err *e)
{
    struct worker *w = xcalloc(1, sizeof *w);
    struct runner_events ev = {
        .ready = on_ready, .records = on_records, .ended = on_ended, .gone = on_gone, .arg = w};
    int rc;

    w->loop = l;
    w->store = s;
    w->config = *c;
    w->config.blob_dir = w->blob_dir = xstrdup(c->blob_dir);
    w->config.tool_nmap = w->tool_nmap = xstrdup(c->tool_nmap);
    rc = runner_connect(l, c->runner_fd, &ev, &w->runner, e);
    if (rc == 0) {
        rc = wait_ready(w, e);
    }
    if (rc != 0) {
        worker_free(w);
        return rc;
    }
    *out = w;
    return 0;
}

const char *worker_level(const struct worker *w)
{
    return w->level;
}

void worker_free(struct worker *w)
{
    if (!w) {
        return;
    }
    runner_free(w->runner);
    while (w->n) {
        drop_run(w, w->runs[0]);
    }
    free(w->runs);
    free(w->blob_dir);
    free(w->tool_nmap);
    free(w);
}

void worker_attach(struct worker *w, struct sched *s)
{
    w->sched = s;
}

void worker_on_runner_gone(struct worker *w, void (*fn)(void *arg), void *arg)
{
    w->gone = fn;
    w->gone_arg = arg;
}

void worker_turn_done(struct worker *w, bool committed)
{
    for (uint32_t i = 0; i < w->n; i++) {
        struct tool_run *r = w->runs[i];

        if (r->wrote) {
            r->wrote = false;
            if (committed) {
                sched_touch(w->sched, &r->lease.job_id);
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

int worker_reparse(struct worker *w, const struct id *job,
                   void (*done)(void *arg, int rc, const char *message), void *arg, struct err *e)
{
    struct job j = {0};
    struct lease l;
    auto_free char *path = NULL;
    auto_strvec argv = {0};
    const struct tool *t;
    struct tool_run *r;
    int rc;

    job_init(&j);
    if ((rc = store_job_get(w->store, job, &j, e)) != 0 ||
        (rc = store_raw_path(w->store, j.num, &path, e)) != 0) {
        job_done(&j);
        return rc;
    }
    t = tool_find(j.tool);
    job_done(&j);
    if (!path || !w->config.blob_dir || !t) {
        return err_set(e, ERR_NOT_FOUND, "no raw output is kept for this job");
    }
    rc = store_reparse_begin(w->store, job, &l, e);
    if (rc != 0) {
        return rc;
    }
    /* Our own program writes the stored output to its stdout, in a box like any tool. */
    strvec_push(&argv, "/proc/self/exe");
    strvec_push(&argv, "raw-cat");
    strvec_push(&argv, w->config.blob_dir);
    strvec_push(&argv, path);
    r = add_run(w, &l);
    r->reparse_done = done;
    r->reparse_arg = arg;

    struct runner_launch launch_spec = {.run = r->run,
                                        .argv = &argv,
                                        .parser = t->parser->name,
                                        .grace_ms = w->config.grace_ms,
                                        .output_max = UINT64_MAX,
                                        .blob_fd = -1};

    rc = runner_launch(w->runner, &launch_spec, e);
    if (rc != 0) {
        store_reparse_abandon(w->store, &l, NULL);
        drop_run(w, r);
    }
    return rc;
}
