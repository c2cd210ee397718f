/*
 * How a worker comes up: as a server does (serve.c), but that there is neither a listener nor a
 * store. When the runner has said what it can do and the tools which versions they are, the station
 * tells the server, and takes tasks.
 *
 * How it goes: asked to end, it takes nothing more and finishes what runs; what runs at the end of
 * the drain time is stopped and handed back. Then it says goodbye. Asked twice, it ends at once:
 * its tools die with the runner, its leases run out.
 */
#include "daemon/work.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "box/seccomp.h"
#include "daemon/find_host.h"
#include "daemon/in_force.h"
#include "daemon/logging.h"
#include "daemon/means.h"
#include "daemon/privilege.h"
#include "daemon/programs.h"
#include "daemon/repo_means.h"
#include "daemon/resolver.h"
#include "daemon/roles.h"
#include "daemon/transport_url.h"
#include "daemon/worker.h"
#include "engine/engine.h"
#include "model/queue.h"
#include "tool/nse.h"
#include "tool/tool.h"
#include "transport/station.h"
#include "version.h"

enum { STOP_MS = 5000, LEAVE_MS = 5000, STEP_MS = 20, LOOK_MS = 30000 };

enum phase {
    PHASE_WORK,
    PHASE_FINISH, /* what runs may run on, until the drain time is over */
    PHASE_STOP,   /* it was told to stop */
    PHASE_LEAVE,  /* nothing runs: what is there is delivered */
};

struct work {
    struct option_set *settings;
    struct service_user user;
    const char *dir;                              /* data directory */
    char *blob_dir, *work_dir, *spool_dir, *home; /* owned */
    char name[WORKER_NAME_MAX], host[256];
    struct redis_url url;
    int lock_fd;
    struct roles roles;
    uint32_t slots;
    struct in_force *scope;
    struct resolver *resolver;
    struct nse_db *nse;
    struct programs *programs;
    struct repo_means repo;
    struct budget *budget;
    struct loop *loop;
    struct worker *worker;
    struct station_reports reports;
    struct station *station; /* NULL: it is not known yet what we can do */
    struct turn_hook hook;
    struct syslog *syslog; /* NULL: none */
    bool asked;            /* for the tools' versions */
    bool told_drain;
    struct timer look;
    uint64_t seen; /* of the tools as they were said to be */
    enum phase phase;
    struct timer step;
    int64_t phase_end_ms;
    bool failed;
    char refused[512];
};

/* ---- what we are ---- */

static int choose_name(struct work *w, struct err *e)
{
    const char *set = option_str(w->settings, "worker-name");

    if (gethostname(w->host, sizeof w->host - 1) < 0) {
        snprintf(w->host, sizeof w->host, "worker");
    }
    snprintf(w->name, sizeof w->name, "%.*s", WORKER_NAME_MAX - 1, set ? set : w->host);
    if (!set) {
        for (char *p = w->name; *p; p++) {
            char one[] = {*p, '\0'};

            *p = worker_name_ok(one) || (p > w->name && strchr("._-", *p)) ? *p : '0';
        }
    }
    return worker_name_ok(set ? set : w->name)
               ? 0
               : err_set(e, ERR_INVALID,
                         "worker-name: '%s' is not a name: at most %d of A-Z a-z 0-9 . _ -, the "
                         "first a letter or a digit",
                         set, WORKER_NAME_MAX - 1);
}

static void add_queue(const struct work *w, enum queue_kind kind, struct strvec *to)
{
    char name[QUEUE_MAX];

    queue_name(kind, option_str(w->settings, "zone"), name);
    strvec_push(to, name);
}

static void add_tools(const struct work *w, struct strvec *to)
{
    for (const struct tool *const *t = tool_all(); *t; t++) {
        const char *version = NULL;

        if ((*t)->instant) {
            strvec_push(to, (*t)->name);
        } else if (programs_look(w->programs, *t, &version, NULL) && version) {
            strvec_pushf(to, "%s %s", (*t)->name, version);
        }
    }
    for (const struct engine *const *en = engine_all(); *en; en++) {
        const char *version = NULL;

        if (!(*en)->built_in && programs_look(w->programs, &(*en)->tool, &version, NULL) &&
            version) {
            strvec_pushf(to, "%s %s", (*en)->tool.name, version);
        }
    }
}

/* Those of the tools that are there: a task of one that is not would fail here at once, while
 * others could run it. */
static void add_queues(const struct work *w, struct strvec *to)
{
    bool raw = means_raw(w->settings, worker_caps(w->worker));

    if (programs_look(w->programs, &tool_nmap, NULL, NULL)) {
        add_queue(w, QUEUE_NET, to);
    }
    if (worker_caps(w->worker)->nest && w->repo.git) {
        add_queue(w, QUEUE_REPO, to);
    }
    for (const struct tool *const *t = tool_all(); raw && *t; t++) {
        if ((*t)->raw_queue != QUEUE_NET && programs_look(w->programs, *t, NULL, NULL)) {
            add_queue(w, (*t)->raw_queue, to);
        }
    }
}

static void describe(const struct work *w, struct hello *h)
{
    const struct sandbox_caps *caps = worker_caps(w->worker);
    const char *zone = option_str(w->settings, "zone");
    auto_buf levels = {0};

    *h = (struct hello){.version = SCANPOD_VERSION,
                        .zone = zone ? zone : "",
                        .host = w->host,
                        .home = w->home,
                        .slots = w->slots,
                        .draining = w->phase != PHASE_WORK || w->told_drain};
    add_queues(w, &h->queues);
    add_tools(w, &h->tools);
    means_levels(caps, &levels);
    snprintf(h->confinement, sizeof h->confinement, "%s+%s, egress %s", caps->box, caps->limits,
             levels.data ? levels.data : "none");
}

static void hello(struct work *w)
{
    struct hello h;

    if (w->station) {
        describe(w, &h);
        station_hello(w->station, &h);
        strvec_done(&h.queues);
        strvec_done(&h.tools);
    }
}

/* FNV-1a, of names and versions. */
static uint64_t sum_tools(const struct work *w)
{
    auto_strvec tools = {0};
    uint64_t sum = UINT64_C(0xcbf29ce484222325);

    add_tools(w, &tools);
    add_queues(w, &tools);
    for (size_t i = 0; i < tools.n; i++) {
        for (const char *p = tools.v[i]; *p; p++) {
            sum = (sum ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
        }
    }
    return sum;
}

/* Tools come, go and change while we work. */
static void on_look(struct timer *t)
{
    struct work *w = container_of(t, struct work, look);
    uint64_t sum = sum_tools(w);

    if (sum != w->seen && programs_settled(w->programs)) {
        w->seen = sum;
        hello(w);
    }
    timer_arm(w->loop, t, LOOK_MS);
}

/* ---- the station ---- */

static void on_assigned(void *arg, const struct assignment *a, int64_t deadline_ms)
{
    struct work *w = arg;
    const struct worker_task t = {
        .lease = a->lease, .job = &a->job, .key_name = a->key_name, .lease_until_ms = deadline_ms};

    worker_run(w->worker, &t);
}

static void on_extend(void *arg, const struct lease *l, int64_t deadline_ms)
{
    struct work *w = arg;

    worker_extend(w->worker, l, deadline_ms);
}

static void on_cancel(void *arg, const struct lease *l)
{
    struct work *w = arg;

    worker_cancel(w->worker, l);
}

static void on_fenced(void *arg, const struct lease *l)
{
    struct work *w = arg;

    worker_fence(w->worker, l);
}

static void on_drain(void *arg, bool on)
{
    struct work *w = arg;

    log_info(on ? "drained" : "resumed");
    w->told_drain = on;
    hello(w);
}

static void on_refused(void *arg, const char *why)
{
    struct work *w = arg;

    snprintf(w->refused, sizeof w->refused, "%s", why);
    loop_stop(w->loop);
}

static int start_station(struct work *w, struct err *e)
{
    struct station_config c = {
        .url = &w->url,
        .name = w->name,
        .spool_dir = w->spool_dir,
        .net = {.resolve = find_host, .resolve_arg = w->resolver},
    };
    const struct station_events ev = {.assigned = on_assigned,
                                      .extend = on_extend,
                                      .cancel = on_cancel,
                                      .fenced = on_fenced,
                                      .drain = on_drain,
                                      .refused = on_refused,
                                      .arg = w};
    int rc;

    describe(w, &c.hello);
    w->seen = sum_tools(w);
    w->look.fn = on_look;
    timer_arm(w->loop, &w->look, LOOK_MS);
    rc = station_new(w->loop, &c, &ev, &w->station, e);
    w->reports.station = w->station;
    strvec_done(&c.hello.queues);
    strvec_done(&c.hello.tools);
    return rc;
}

/* The runner has tried what it can do; again when a way out is lost. */
static void on_ready(void *arg, const struct sandbox_caps *caps)
{
    struct work *w = arg;

    means_log(caps);
    if (!w->asked) {
        w->asked = true;
        programs_ask(w->programs, w->worker);
    }
    hello(w);
    loop_again(w->loop);
}

static void on_turn_end(struct turn_hook *hook)
{
    struct work *w = container_of(hook, struct work, hook);
    struct err e = {0};

    worker_turn_done(w->worker, true);
    if (!w->station && worker_caps(w->worker) && programs_settled(w->programs) &&
        start_station(w, &e) != 0) {
        on_refused(w, e.msg);
    }
    if (w->station) {
        uint32_t busy = worker_busy(w->worker);

        station_room(w->station, w->phase == PHASE_WORK && busy < w->slots ? w->slots - busy : 0);
    }
}

/* ---- the end ---- */

static void on_left(void *arg)
{
    struct work *w = arg;

    loop_stop(w->loop);
}

static void enter(struct work *w, enum phase phase, int64_t for_ms)
{
    w->phase = phase;
    w->phase_end_ms = boot_ms() + for_ms;
}

static void leave(struct work *w)
{
    enter(w, PHASE_LEAVE, LEAVE_MS);
    if (w->station) {
        station_leave(w->station, LEAVE_MS, on_left, w);
    } else {
        loop_stop(w->loop);
    }
}

static void on_step(struct timer *t)
{
    struct work *w = container_of(t, struct work, step);
    bool late = boot_ms() >= w->phase_end_ms;
    bool idle = worker_busy(w->worker) == 0;

    if (w->phase == PHASE_FINISH && late && !idle) {
        log_info("drain_timeout", KV("handed_back", worker_busy(w->worker)));
        enter(w, PHASE_STOP, option_int(w->settings, "kill-grace-ms") + STOP_MS);
        worker_stop_all(w->worker);
    } else if (w->phase != PHASE_LEAVE && (idle || late)) {
        leave(w);
        return;
    }
    timer_arm(w->loop, t, STEP_MS);
}

static void on_stop(int signo, void *arg)
{
    struct work *w = arg;

    if (w->phase != PHASE_WORK) {
        loop_stop(w->loop);
        return;
    }
    log_info("stopping", KV("signal", signo), KV("running", worker_busy(w->worker)));
    enter(w, PHASE_FINISH, option_int(w->settings, "drain-timeout") * 1000);
    hello(w);
    timer_arm(w->loop, &w->step, 1);
}

static void on_hangup(int signo, void *arg)
{
    struct work *w = arg;
    struct err e = {0};

    (void)signo;
    (void)in_force_reload(w->scope, &e); /* it is logged how it went */
}

static void on_runner_gone(void *arg)
{
    struct work *w = arg;

    w->failed = true;
    loop_stop(w->loop);
}

static int on_signals(struct work *w, struct err *e)
{
    int rc = loop_signal(w->loop, SIGTERM, on_stop, w, e);

    signal(SIGPIPE, SIG_IGN);
    w->step.fn = on_step;
    if (rc == 0) {
        rc = loop_signal(w->loop, SIGHUP, on_hangup, w, e);
    }
    return rc == 0 ? loop_signal(w->loop, SIGINT, on_stop, w, e) : rc;
}

/* ---- the start ---- */

static int start_privileged(struct work *w, struct err *e)
{
    const char *zone = option_str(w->settings, "zone");
    bool has;
    int rc;

    w->dir = option_str(w->settings, "data-dir");
    w->blob_dir = str_fmt("%s/blob", w->dir);
    w->work_dir = str_fmt("%s/work", w->dir);
    w->spool_dir = str_fmt("%s/spool", w->dir);
    if ((rc = transport_url(w->settings, true, &w->url, &has, e)) != 0 ||
        (rc = choose_name(w, e)) != 0 || (zone && (rc = zone_check(zone, e)) != 0) ||
        (rc = means_slots(w->settings, &w->slots, e)) != 0 ||
        (rc = service_user_find(option_str(w->settings, "user"), &w->user, e)) != 0 ||
        (rc = data_dir_prepare(w->dir, &w->user, e)) != 0 ||
        (rc = data_dir_lock(w->dir, &w->user, &w->lock_fd, e)) != 0) {
        return rc;
    }
    if ((rc = repo_means_open(w->settings, &w->repo, e)) != 0) {
        return rc;
    }
    const struct roles_ask ask = {.settings = w->settings,
                                  .user = &w->user,
                                  .hold_fd = w->lock_fd,
                                  .work_dir = w->work_dir,
                                  .secrets = w->repo.secrets};

    return roles_start(&w->roles, &ask, e);
}

/* Raw output of runs that died with an earlier process: nobody will ask for it. */
static int empty_dir(int at, const char *name, unsigned depth, struct err *e)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    int rc = 0;

    if (!d) {
        fd_close(&fd);
        return err_errno(e, "read '%s'", name);
    }
    for (const struct dirent *x; rc == 0 && (x = readdir(d));) {
        if (x->d_name[0] == '.') {
            continue;
        }
        if (unlinkat(dirfd(d), x->d_name, 0) < 0 && errno == EISDIR && depth > 0) {
            rc = empty_dir(dirfd(d), x->d_name, depth - 1, e);
        }
    }
    closedir(d);
    return rc;
}

static int make_dir(const char *dir, struct err *e)
{
    return mkdir(dir, 0700) < 0 && errno != EEXIST ? err_errno(e, "make the directory '%s'", dir)
                                                   : 0;
}

/* The random id of the data directory: whoever holds its lock is the only one with it. */
static int know_home(struct work *w, struct err *e)
{
    auto_free char *path = str_fmt("%s/worker-id", w->dir);
    auto_fd int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    char text[ID_TEXT + 1] = "";
    struct id id;

    if (fd < 0) {
        return err_errno(e, "open '%s'", path);
    }
    if (read(fd, text, ID_TEXT) != ID_TEXT || !id_parse(text, &id)) {
        random_bytes(&id, sizeof id);
        id_text(&id, text);
        if (ftruncate(fd, 0) < 0 || pwrite(fd, text, ID_TEXT, 0) != ID_TEXT || fsync(fd) < 0) {
            return err_errno(e, "write '%s'", path);
        }
    }
    w->home = xstrdup(text);
    return 0;
}

static int start_worker(struct work *w, struct err *e)
{
    struct worker_config wc = {
        .runner_fd = take_fd(&w->roles.runner_fd),
        .blob_dir = w->blob_dir,
        .dispatch = means_dispatch(w->settings),
        .scope = w->scope,
        .programs = w->programs,
        .repo = &w->repo,
        .ready = on_ready,
        .ready_arg = w,
    };
    struct reports to = reports_station(&w->reports);
    int rc;

    wc.dispatch.nse = w->nse;
    wc.dispatch.slots = w->slots;
    wc.dispatch.budget = w->budget;
    w->reports.blob_dir = w->blob_dir;
    if ((rc = worker_new(w->loop, NULL, &wc, &w->worker, e)) == 0) {
        worker_report_to(w->worker, &to);
        worker_on_runner_gone(w->worker, on_runner_gone, w);
        w->hook.fn = on_turn_end;
        loop_at_turn_end(w->loop, &w->hook);
    }
    return rc;
}

static int start_unprivileged(struct work *w, struct err *e)
{
    const struct option_set *o = w->settings;
    int rc;

    if ((rc = privilege_drop(&w->user, e)) != 0 || (rc = logging_to_file(o, e)) != 0 ||
        (rc = in_force_open(option_str(o, "scope"), w->user.uid, &w->scope, e)) != 0 ||
        (rc = data_dir_check(w->dir, &w->user, e)) != 0 || (rc = loop_new(&w->loop, e)) != 0 ||
        (rc = on_signals(w, e)) != 0 || (rc = make_dir(w->blob_dir, e)) != 0 ||
        (rc = make_dir(w->spool_dir, e)) != 0 ||
        (rc = empty_dir(AT_FDCWD, w->blob_dir, 1, e)) != 0 || (rc = know_home(w, e)) != 0 ||
        (rc = resolver_connect(w->loop, take_fd(&w->roles.resolver_fd), &w->resolver, e)) != 0) {
        return rc;
    }
    if ((rc = logging_ship(w->loop, o, w->resolver, &w->syslog, e)) != 0) {
        return rc;
    }
    w->nse = means_scripts(o);
    w->programs = programs_new(o);
    w->budget = budget_new((uint32_t)option_int(o, "network-pps"));
    rc = start_worker(w, e);
    return rc == 0 ? seccomp_role(ROLE_DAEMON, e) : rc;
}

static void work_done(struct work *w)
{
    timer_stop(&w->step);
    timer_stop(&w->look);
    worker_free(w->worker);
    station_reports_done(&w->reports);
    station_free(w->station);
    syslog_stop(w->syslog);
    resolver_free(w->resolver);
    in_force_close(w->scope);
    budget_free(w->budget);
    programs_free(w->programs);
    repo_means_done(&w->repo);
    nse_free(w->nse);
    loop_free(w->loop);
    roles_done(&w->roles);
    fd_close(&w->lock_fd);
    redis_url_done(&w->url);
    free(w->blob_dir);
    free(w->work_dir);
    free(w->spool_dir);
    free(w->home);
}

static void log_start(const struct work *w)
{
    auto_buf url = {0};

    redis_url_text(&w->url, &url);
    log_info("working", KV("name", w->name), KV("transport", url.data), KV("slots", w->slots),
             KV("data_dir", w->dir), KV("scope", policy_source(in_force_policy(w->scope))));
}

int work_main(struct option_set *settings)
{
    struct work w = {.settings = settings, .lock_fd = -1, .roles = ROLES_NONE};
    struct err e = {0};
    int rc;

    logging_set_up(settings);
    if ((rc = start_privileged(&w, &e)) != 0 || (rc = start_unprivileged(&w, &e)) != 0) {
        fprintf(stderr, "error: cannot start: %s\n", e.msg);
        work_done(&w);
        return err_exit_status(rc);
    }
    log_start(&w);
    rc = loop_run(w.loop, &e);
    if (rc != 0 || w.refused[0]) {
        log_error("stopped", KV("error", rc != 0 ? e.msg : w.refused));
        fprintf(stderr, "error: %s\n", rc != 0 ? e.msg : w.refused);
    } else {
        log_info("stopped");
    }
    work_done(&w);
    return rc != 0        ? err_exit_status(rc)
           : w.refused[0] ? 1
           : w.failed     ? err_exit_status(ERR_SANDBOX)
                          : 0;
}
