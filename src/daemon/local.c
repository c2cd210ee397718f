/*
 * One scan without a server: the same runner, scheduler, worker and parser over a store in memory.
 */
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/privilege.h"
#include "daemon/serve.h"
#include "daemon/turn.h"
#include "daemon/worker.h"
#include "model/request.h"
#include "runner/runner.h"
#include "tool/tool.h"

enum { RUNNER_END_MS = 5000 };

struct local {
    struct local_scan *ls;
    struct loop *loop;
    struct store *store;
    struct sched *sched;
    struct worker *worker;
    struct turn turn;
    struct job_waiter waiter;
    struct id job;
    char *work_dir;
    int runner_fd, runner_pidfd;
    bool over;
};

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    (void)remove(path); /* the directory that then is not empty stays, and shows it */
    return 0;
}

/* The runner has seen our end of its channel close: it kills what runs, tidies up and ends. */
static void await_runner(int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};

    if (pidfd >= 0) {
        (void)poll(&p, 1, RUNNER_END_MS);
    }
}

static void on_change(struct job_waiter *w)
{
    struct local *lo = container_of(w, struct local, waiter);
    struct job j = {0};

    job_init(&j);
    if (store_job_get(lo->store, &lo->job, &j, NULL) == 0) {
        if (job_state_terminal(j.state)) {
            lo->over = true;
            loop_stop(lo->loop);
        } else {
            if (lo->ls->progress) {
                lo->ls->progress(lo->ls->arg, &j);
            }
            sched_wait(lo->sched, w);
        }
    }
    job_done(&j);
}

static void on_interrupt(int signo, void *arg)
{
    struct local *lo = arg;
    enum job_state now;

    (void)signo;
    if (sched_cancel(lo->sched, &lo->job, &now, NULL) != 0) {
        loop_stop(lo->loop);
    }
}

static void on_runner_gone(void *arg)
{
    struct local *lo = arg;

    loop_stop(lo->loop);
}

static int check_request(const struct local *lo, struct err *e)
{
    const struct local_scan *ls = lo->ls;
    auto_strvec targets = {0};
    auto_strvec args = {0};
    struct tool_request request = {.targets = ls->targets,
                                   .ports = ls->ports,
                                   .arguments = ls->arguments,
                                   .unsafe = option_bool(ls->settings, "allow-unsafe-args")};

    return tool_check(&tool_nmap, &request, &targets, &args, e);
}

static int submit(struct local *lo, struct err *e)
{
    const struct local_scan *ls = lo->ls;
    struct job j = {0};
    int rc;

    job_init(&j);
    j.id = id_new();
    j.tool = xstrdup("nmap");
    j.targets = xstrdup(ls->targets);
    j.ports = xstrdup(ls->ports);
    j.arguments = xstrdup(ls->arguments);
    j.timeout_s = ls->timeout_s;
    j.run_timeout_s = ls->timeout_s == INT64_MIN ? (int32_t)option_int(ls->settings, "scan-timeout")
                                                 : (int32_t)ls->timeout_s;
    j.queue_timeout_s = JOB_TIMEOUT_MAX_S;
    j.priority = JOB_PRIORITY_DEFAULT;
    j.max_attempts = 1;
    j.created_us = wall_us();
    j.queue_expires_us = j.created_us + (int64_t)j.queue_timeout_s * 1000000;
    rc = store_job_add(lo->store, &j, e);
    lo->job = j.id;
    job_done(&j);
    return rc == 0 ? store_commit(lo->store, e) : rc;
}

static int start(struct local *lo, struct err *e)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
    const struct option_set *o = lo->ls->settings;
    struct worker_config wc = {
        .tool_nmap = option_str(o, "tool-nmap"),
        .allow_unsafe_args = option_bool(o, "allow-unsafe-args"),
        .grace_ms = (uint32_t)option_int(o, "kill-grace-ms"),
        .output_max = (uint64_t)option_int(o, "max-output-mb") << 20,
    };
    struct sched_config sc = {
        .slots = 1, .retry_base_ms = 1000, .beat_ms = 10000, .worker = "local"};
    struct worker_link link;
    int rc;

    if ((rc = loop_new(&lo->loop, e)) != 0 || (rc = store_open("mem:", &lo->store, e)) != 0) {
        return rc;
    }
    wc.runner_fd = take_fd(&lo->runner_fd);
    if ((rc = worker_new(lo->loop, lo->store, &wc, &lo->worker, e)) != 0) {
        return rc;
    }
    link = worker_link(lo->worker);
    if ((rc = sched_new(lo->loop, lo->store, &sc, &link, &lo->sched, e)) != 0) {
        return rc;
    }
    worker_attach(lo->worker, lo->sched);
    worker_on_runner_gone(lo->worker, on_runner_gone, lo);
    lo->turn.loop = lo->loop;
    lo->turn.store = lo->store;
    lo->turn.sched = lo->sched;
    lo->turn.worker = lo->worker;
    turn_start(&lo->turn);
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        if ((rc = loop_signal(lo->loop, ends[i], on_interrupt, lo, e)) != 0) {
            return rc;
        }
    }
    return 0;
}

/* Root's TMPDIR may be one that the service user cannot enter, or remove its directory from. */
static bool open_to_all(const char *dir)
{
    struct stat st;

    return stat(dir, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 01777) == 01777;
}

static int make_work_dir(struct local *lo, const struct service_user *u, struct err *e)
{
    const char *tmp = getenv("TMPDIR");
    bool good = tmp && tmp[0] == '/' && (!u->change || open_to_all(tmp));
    auto_free char *dir = str_fmt("%s/scanpod-XXXXXX", good ? tmp : "/tmp");

    if (!mkdtemp(dir)) {
        return err_errno(e, "make a directory like '%s'", dir);
    }
    lo->work_dir = take_ptr(&dir);
    if (u->change && chown(lo->work_dir, u->uid, u->gid) < 0) {
        return err_errno(e, "give '%s' to user '%s'", lo->work_dir, u->name);
    }
    return 0;
}

/* Afterwards this process, which reads what tools and parsers say, is the service user too. */
static int spawn_runner(struct local *lo, struct err *e)
{
    struct runner_config c = {.hold_fd = -1};
    struct service_user user;
    int rc = service_user_find(option_str(lo->ls->settings, "user"), &user, e);

    if (rc == 0) {
        rc = make_work_dir(lo, &user, e);
    }
    if (rc == 0) {
        c.work_dir = lo->work_dir;
        c.user = user.change ? user.name : NULL;
        rc = runner_spawn(&c, &lo->runner_fd, &lo->runner_pidfd, e);
    }
    return rc == 0 ? privilege_drop(&user, e) : rc;
}

static int finish(struct local *lo, struct err *e)
{
    struct job j = {0};
    int rc;

    job_init(&j);
    rc = store_job_get(lo->store, &lo->job, &j, e);
    if (rc == 0) {
        rc = lo->ls->finished(lo->ls->arg, lo->store, &j);
    }
    job_done(&j);
    return rc;
}

static void local_done(struct local *lo)
{
    sched_free(lo->sched);
    worker_free(lo->worker);
    store_close(lo->store);
    loop_free(lo->loop);
    fd_close(&lo->runner_fd);
    await_runner(lo->runner_pidfd);
    fd_close(&lo->runner_pidfd);
    if (lo->work_dir) {
        nftw(lo->work_dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        free(lo->work_dir);
    }
}

int local_scan_run(struct local_scan *ls, struct err *e)
{
    struct local lo = {.ls = ls, .runner_fd = -1, .runner_pidfd = -1};
    int rc;

    if ((rc = check_request(&lo, e)) == 0 && (rc = spawn_runner(&lo, e)) == 0 &&
        (rc = start(&lo, e)) == 0 && (rc = submit(&lo, e)) == 0) {
        lo.waiter.job = lo.job;
        lo.waiter.fn = on_change;
        sched_wait(lo.sched, &lo.waiter);
        loop_again(lo.loop); /* the first turn claims, and need not wait for anything */
        rc = loop_run(lo.loop, e);
        sched_unwait(&lo.waiter);
        if (rc == 0) {
            rc = lo.over ? finish(&lo, e)
                         : err_set(e, ERR_SANDBOX, "the scan did not come to its end");
        }
    }
    local_done(&lo);
    return rc;
}
