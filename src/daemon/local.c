/*
 * One scan without a server: the same runner, scheduler, worker and parser over a store in memory.
 */
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "daemon/conduct.h"
#include "daemon/local_request.h"
#include "daemon/privilege.h"
#include "daemon/repo_means.h"
#include "daemon/roles.h"
#include "daemon/serve.h"
#include "daemon/turn.h"
#include "daemon/worker.h"
#include "tool/tool.h"

enum { SLOTS = 4, ASKED_MS = 5 };

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
    struct programs *programs;
    struct repo_means repo;
    struct profiles *profiles;
    struct conduct *conduct;
    struct planning planning;
    struct timer asked;
    struct err refused;
    bool submitted, over;
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
    if (!lo->submitted || sched_cancel(lo->sched, &lo->job, &now, NULL) != 0) {
        loop_stop(lo->loop);
    }
}

static void on_runner_gone(void *arg)
{
    struct local *lo = arg;

    loop_stop(lo->loop);
}

/* The runner is ready, and the tools have said which they are: now it can be planned. */
static void submit(struct local *lo)
{
    const struct local_request r = {
        .ls = lo->ls, .planning = &lo->planning, .profiles = lo->profiles, .nse = lo->nse};

    if (local_request_submit(&r, &lo->job, &lo->refused) != 0) {
        loop_stop(lo->loop);
        return;
    }
    lo->submitted = true;
    lo->waiter.job = lo->job;
    lo->waiter.fn = on_change;
    sched_wait(lo->sched, &lo->waiter);
    loop_again(lo->loop);
}

static void on_asked(struct timer *t)
{
    struct local *lo = container_of(t, struct local, asked);

    if (programs_settled(lo->programs)) {
        submit(lo);
    } else {
        timer_arm(lo->loop, t, ASKED_MS);
    }
}

static void on_ready(void *arg, const struct sandbox_caps *caps)
{
    struct local *lo = arg;

    (void)caps;
    if (lo->submitted || lo->asked.fn) {
        return;
    }
    lo->asked.fn = on_asked;
    if (!lo->ls->repo && !lo->ls->profile && (!lo->ls->tool || str_eq(lo->ls->tool, "nmap"))) {
        submit(lo); /* whose command line is the same for all versions */
    } else {
        programs_ask(lo->programs, lo->worker);
        timer_arm(lo->loop, &lo->asked, 1);
    }
}

static int start(struct local *lo, struct err *e)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
    const struct option_set *o = lo->ls->settings;
    struct worker_config wc = {
        .runner_fd = take_fd(&lo->roles.runner_fd),
        .dispatch = {.allow_unsafe_args = option_bool(o, "allow-unsafe-args"),
                     .allow_unconfined = option_bool(o, "allow-unconfined"),
                     .grace_ms = (uint32_t)option_int(o, "kill-grace-ms"),
                     .output_max = (uint64_t)option_int(o, "max-output-mb") << 20,
                     .nse = lo->nse,
                     .nmap_data = option_str(o, "nmap-data")},
        .scope = lo->scope,
        .programs = lo->programs,
        .repo = lo->ls->repo ? &lo->repo : NULL,
        .ready = on_ready,
        .ready_arg = lo,
    };
    struct sched_config sc = {
        .slots = SLOTS, .retry_base_ms = 1000, .beat_ms = 10000, .worker = "local"};
    struct worker_link link;
    struct planner_link planner;
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
    lo->conduct = conduct_new(lo->store);
    planner = conduct_link(lo->conduct);
    sched_plan_with(lo->sched, &planner);
    lo->planning = (struct planning){.programs = lo->programs,
                                     .worker = lo->worker,
                                     .scope = lo->scope,
                                     .store = lo->store,
                                     .dispatch = wc.dispatch,
                                     .slots = SLOTS};
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
    if (rc == 0 && lo->ls->repo) {
        rc = repo_means_open(o, &lo->repo, e);
        lo->repo.local_fd = lo->ls->local_fd;
        lo->repo.local = lo->ls->local;
    }
    if (rc == 0) {
        const struct roles_ask ask = {.settings = o,
                                      .user = &user,
                                      .hold_fd = -1,
                                      .work_dir = lo->work_dir,
                                      .secrets = lo->repo.secrets};

        rc = roles_start(&lo->roles, &ask, e);
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
    lo->programs = programs_new(o);
    return rc == 0 ? profiles_load(option_str(o, "profiles"), &lo->profiles, e) : rc;
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
    timer_stop(&lo->asked);
    sched_free(lo->sched);
    conduct_free(lo->conduct);
    worker_free(lo->worker);
    store_close(lo->store);
    loop_free(lo->loop);
    roles_done(&lo->roles);
    in_force_close(lo->scope);
    nse_free(lo->nse);
    programs_free(lo->programs);
    repo_means_done(&lo->repo);
    profiles_free(lo->profiles);
    if (lo->work_dir) {
        nftw(lo->work_dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        free(lo->work_dir);
    }
}

int local_scan_run(struct local_scan *ls, struct err *e)
{
    struct local lo = {.ls = ls, .roles = ROLES_NONE, .repo = {.local_fd = -1}};
    int rc;

    if ((rc = start_roles(&lo, e)) == 0 && (rc = start(&lo, e)) == 0) {
        rc = loop_run(lo.loop, e);
        sched_unwait(&lo.waiter);
        if (rc == 0 && lo.refused.code) {
            *e = lo.refused;
            rc = e->code;
        } else if (rc == 0) {
            rc = lo.over ? finish(&lo, e)
                         : err_set(e, ERR_SANDBOX, "the scan did not come to its end");
        }
    }
    local_done(&lo);
    return rc;
}
