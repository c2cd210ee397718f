/*
 * One scan without a server: the same runner, scheduler, worker and parser over a store in memory.
 */
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/privilege.h"
#include "daemon/resolver.h"
#include "daemon/roles.h"
#include "daemon/serve.h"
#include "daemon/turn.h"
#include "daemon/worker.h"
#include "tool/tool.h"

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
    struct roles roles;
    struct in_force *scope;
    struct nse_db *nse;
    struct buf pins;
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

/* Nobody is made to sit in front of a scan that starts tonight. */
static int window_closed(const struct policy_rules *rules, int64_t opens_us, struct err *e)
{
    char at[RFC3339_LEN + 1];

    rfc3339_us(opens_us, at);
    return err_set(e, ERR_SCOPE,
                   "the scan window of policy '%s' is closed until %.19sZ: start the scan then, or "
                   "submit it to a server, where it waits",
                   rules->name, at);
}

/* What the server does at submit: understand, resolve, judge. Dispatch does it all once more. */
static int check_request(struct local *lo, struct err *e)
{
    const struct local_scan *ls = lo->ls;
    const struct policy_rules *rules = policy_rules(in_force_policy(lo->scope), NULL, NULL);
    const struct tool_request request = {
        .targets = ls->targets,
        .ports = ls->ports,
        .arguments = ls->arguments,
        .unsafe = option_bool(ls->settings, "allow-unsafe-args"),
        .advanced = rules->advanced,
        .scripts = rules->scripts,
        .script_flags = rules->script_flags,
        .nse = lo->nse,
    };
    auto_plan plan = {0};
    int rc = tool_check(&tool_nmap, &request, &plan, e);

    if (rc == 0) {
        rc = resolver_pin_now(&plan.targets, e);
    }
    if (rc != 0) {
        return rc;
    }

    const struct policy_ask ask = {
        .tool = tool_nmap.name,
        .targets = &plan.targets,
        .ports = plan.ports,
        .n_ports = plan.n_ports,
        .protocols = plan.protocols,
        .own = in_force_own(lo->scope),
        .now_us = wall_us(),
        .clip = ls->clip,
    };
    struct policy_verdict verdict = {0};

    rc = policy_judge(in_force_policy(lo->scope), &ask, &verdict, e);
    pins_put(&plan.targets, &lo->pins);
    if (rc == 0 && verdict.wait_until_us) {
        rc = window_closed(rules, verdict.wait_until_us, e);
    }
    policy_verdict_done(&verdict);
    return rc;
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
    j.pins = lo->pins.len ? xstrdup(lo->pins.data) : NULL;
    j.limits = ls->limits && *ls->limits ? xstrdup(ls->limits) : NULL;
    j.clip = ls->clip;
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

static void on_ready(void *arg, const struct sandbox_caps *caps)
{
    struct local *lo = arg;

    (void)caps;
    loop_again(lo->loop);
}

static int start(struct local *lo, struct err *e)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
    const struct option_set *o = lo->ls->settings;
    struct worker_config wc = {
        .runner_fd = take_fd(&lo->roles.runner_fd),
        .tool_nmap = option_str(o, "tool-nmap"),
        .dispatch = {.allow_unsafe_args = option_bool(o, "allow-unsafe-args"),
                     .allow_unconfined = option_bool(o, "allow-unconfined"),
                     .grace_ms = (uint32_t)option_int(o, "kill-grace-ms"),
                     .output_max = (uint64_t)option_int(o, "max-output-mb") << 20,
                     .nse = lo->nse,
                     .nmap_data = option_str(o, "nmap-data")},
        .scope = lo->scope,
        .ready = on_ready,
        .ready_arg = lo,
    };
    struct sched_config sc = {
        .slots = 1, .retry_base_ms = 1000, .beat_ms = 10000, .worker = "local"};
    struct worker_link link;
    int rc;

    if ((rc = loop_new(&lo->loop, e)) != 0 || (rc = store_open("mem:", &lo->store, e)) != 0) {
        return rc;
    }
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
static int start_roles(struct local *lo, struct err *e)
{
    const struct option_set *o = lo->ls->settings;
    struct service_user user;
    struct err why = {0};
    int rc = service_user_find(option_str(o, "user"), &user, e);

    if (rc == 0) {
        rc = make_work_dir(lo, &user, e);
    }
    if (rc == 0) {
        rc = roles_start(&lo->roles, o, &user, -1, lo->work_dir, e);
    }
    if (rc == 0) {
        rc = privilege_drop(&user, e);
    }
    if (rc == 0) {
        rc = in_force_open(option_str(o, "scope"), user.uid, &lo->scope, e);
    }
    /* Without scripts nothing is lost but requests that name some; they say so. */
    if (rc == 0 && nse_load(option_str(o, "nmap-data"), &lo->nse, &why) != 0) {
        lo->nse = NULL;
    }
    return rc;
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
    roles_done(&lo->roles);
    in_force_close(lo->scope);
    nse_free(lo->nse);
    buf_done(&lo->pins);
    if (lo->work_dir) {
        nftw(lo->work_dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        free(lo->work_dir);
    }
}

int local_scan_run(struct local_scan *ls, struct err *e)
{
    struct local lo = {.ls = ls, .roles = ROLES_NONE};
    int rc;

    if ((rc = start_roles(&lo, e)) == 0 && (rc = check_request(&lo, e)) == 0 &&
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
