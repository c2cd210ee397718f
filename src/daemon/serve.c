/*
 * How the server comes up: what needs root first (data directory, lock, listener, TLS files), then
 * the other roles are forked off (netd, resolver, proxy, runner), then this process becomes the
 * service user without any capability, and only then it opens the store, reads what a network can
 * send, and turns its loop, behind a filter for what it never does.
 */
#include "daemon/serve.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "box/seccomp.h"
#include "daemon/access.h"
#include "daemon/conduct.h"
#include "daemon/imports.h"
#include "daemon/in_force.h"
#include "daemon/intake.h"
#include "daemon/logging.h"
#include "daemon/means.h"
#include "daemon/outposts.h"
#include "daemon/planning.h"
#include "daemon/privilege.h"
#include "daemon/programs.h"
#include "daemon/repo_means.h"
#include "daemon/resolver.h"
#include "daemon/roles.h"
#include "daemon/shipping.h"
#include "daemon/turn.h"
#include "daemon/worker.h"
#include "tool/nse.h"
#include "version.h"

enum { DRAIN_MS = 5000, DRAIN_STEP_MS = 20 };

struct server {
    struct option_set *settings;
    struct service_user user;
    const char *dir; /* data directory */
    char *blob_dir, *work_dir, *import_dir;
    struct depot_config blob_to;
    struct shipping *shipping; /* NULL: raw output stays here */
    struct api_depot depot;
    int lock_fd, listen_fd;
    struct roles roles;
    struct in_force *scope;
    struct resolver *resolver;
    struct syslog *syslog; /* NULL: none is named */
    struct nse_db *nse;
    uint32_t scan_addresses;
    int cert_fd, key_fd;
    char *cert_path, *key_path;
    const char **hosts; /* points into hosts_text */
    char *hosts_text;
    struct programs *programs;
    struct repo_means repo;
    struct profiles *profiles;
    struct budget *budget;
    struct conduct *conduct;
    struct outposts *outposts; /* NULL: scans run here */
    struct intakes *intakes;   /* NULL: no message queues */
    struct planning planning;
    struct loop *loop;
    struct store *store;
    struct sched *sched;
    struct worker *worker;
    struct api *api;
    struct http_server *http;
    struct turn turn;
    struct timer drain_timer;
    int64_t drain_end_ms;
    bool asked; /* for the tools' versions */
    bool draining, failed;
    char unfit[512]; /* why the transport cannot be used */
};

/* ---- while still privileged ---- */

static void split_hosts(struct server *s)
{
    const char *text = option_str(s->settings, "hosts");
    size_t n = 0;

    s->hosts = xcalloc(1, sizeof(char *));
    if (!text) {
        return;
    }
    s->hosts_text = xstrdup(text);
    for (char *save, *h = strtok_r(s->hosts_text, ", ", &save); h;
         h = strtok_r(NULL, ", ", &save)) {
        s->hosts = xrealloc(s->hosts, (n + 2) * sizeof(char *));
        s->hosts[n++] = h;
        s->hosts[n] = NULL;
    }
}

static int keep_tls(struct server *s, struct err *e)
{
    const char *cert = option_str(s->settings, "tls-cert");
    int rc;

    if (!cert) {
        return 0;
    }
    rc = file_keep(cert, &s->cert_path, &s->cert_fd, e);
    return rc == 0 ? file_keep(option_str(s->settings, "tls-key"), &s->key_path, &s->key_fd, e)
                   : rc;
}

/* Where raw output goes: always through a directory. */
static int read_blob(struct server *s, struct err *e)
{
    const char *text = option_str(s->settings, "blob");
    int rc;

    text = text ? text : option_str(s->settings, "blob-config");
    rc = depot_config_parse(text ? text : "", &s->blob_to, e);

    s->blob_dir = s->blob_to.path ? xstrdup(s->blob_to.path) : str_fmt("%s/blob", s->dir);
    return rc;
}

static int start_privileged(struct server *s, struct err *e)
{
    int rc;

    s->dir = option_str(s->settings, "data-dir");
    s->work_dir = str_fmt("%s/work", s->dir);
    if ((rc = access_check(s->settings, e)) != 0 || (rc = read_blob(s, e)) != 0 ||
        (rc = service_user_find(option_str(s->settings, "user"), &s->user, e)) != 0 ||
        (rc = data_dir_prepare(s->dir, &s->user, e)) != 0 ||
        (rc = blob_dir_prepare(s->blob_to.path, &s->user, e)) != 0 ||
        (rc = scan_addresses_count(s->settings, &s->scan_addresses, e)) != 0 ||
        (rc = data_dir_lock(s->dir, &s->user, &s->lock_fd, e)) != 0 || (rc = keep_tls(s, e)) != 0 ||
        (rc = http_listen(option_str(s->settings, "listen"), &s->listen_fd, e)) != 0) {
        return rc;
    }

    if ((rc = roles_start_depot(&s->roles, &s->blob_to, &s->user, s->blob_dir, e)) != 0 ||
        (rc = intakes_spawn(option_str(s->settings, "intake"), s->dir, &s->user, &s->intakes, e)) !=
            0) {
        return rc;
    }
    if ((rc = repo_means_open(s->settings, &s->repo, e)) != 0) {
        return rc;
    }
    const struct roles_ask ask = {.settings = s->settings,
                                  .user = &s->user,
                                  .hold_fd = s->lock_fd,
                                  .work_dir = s->work_dir,
                                  .secrets = s->repo.secrets};

    return roles_start(&s->roles, &ask, e);
}

/* ---- as the service user ---- */

static void first_key(struct server *s, struct err *e, int *rc)
{
    char secret[SECRET_TEXT + 1];
    bool made = false;

    if (option_str(s->settings, "api-key")) {
        if (strcmp(option_str(s->settings, "api-key"), "changeme") == 0) {
            log_warn("default_key", KV("hint", "SCANPOD_API_KEY is 'changeme': set a secret one"));
        }
        return;
    }
    *rc = key_first(s->store, s->dir, secret, &made, e);
    if (*rc == 0 && made) {
        fprintf(stderr, "first start: API key %s (kept in %s/key)\n", secret, s->dir);
    }
    secure_zero(secret, sizeof secret);
}

static int open_store(struct server *s, struct err *e)
{
    auto_free char *url = str_fmt("sqlite:%s", s->dir);
    struct store_limits limits = {.max_waiting = option_int(s->settings, "max-waiting")};
    int rc = store_open_locked(url, s->lock_fd, &s->store, e);

    if (rc != 0) {
        return rc;
    }
    s->lock_fd = -1;
    if (option_is_set(s->settings, "max-jobs")) {
        limits.max_jobs = option_int(s->settings, "max-jobs");
    }
    store_set_limits(s->store, &limits);
    first_key(s, e, &rc);
    return rc;
}

static int64_t ttl_us(const struct option_set *o)
{
    return option_is_set(o, "job-ttl-seconds") ? option_int(o, "job-ttl-seconds") * 1000000 : 0;
}

static int64_t retention_us(const struct option_set *o)
{
    int64_t ttl = ttl_us(o);

    return ttl ? ttl : option_int(o, "retention-days") * 86400 * 1000000;
}

/* ---- what can be run ---- */

/* The runner has tried what it can do. */
static void on_ready(void *arg, const struct sandbox_caps *caps)
{
    struct server *s = arg;

    means_log(caps);
    if (!s->asked) { /* it tells again when a way out is lost */
        s->asked = true;
        programs_ask(s->programs, s->worker);
    }
    loop_again(s->loop);
}

static uint32_t max_concurrent(void *arg, const char *key_id)
{
    struct server *s = arg;

    return in_force_rules(s->scope, s->store, key_id)->max_concurrent;
}

enum { IMPORT_SLOTS = 2 };

static int start_shipping(struct server *s, struct err *e)
{
    const struct shipping_config c = {.loop = s->loop,
                                      .store = s->store,
                                      .to = &s->blob_to,
                                      .blob_dir = s->blob_dir,
                                      .depot_fd = take_fd(&s->roles.depot_fd)};
    int rc = c.depot_fd >= 0 ? shipping_new(&c, &s->shipping, e) : 0;

    if (s->shipping) {
        s->depot = shipping_api(s->shipping);
    }
    return rc;
}

/* Each of the scan addresses serves one scan at a time. */
static uint32_t slots(const struct server *s)
{
    uint32_t n = (uint32_t)option_int(s->settings, "max-scan-workers");

    if (outposts_own_queues(s->outposts)) {
        return IMPORT_SLOTS;
    }
    return s->scan_addresses ? MIN(n, s->scan_addresses) : n;
}

static int start_work(struct server *s, struct err *e)
{
    const struct option_set *o = s->settings;
    int64_t scale = option_int(o, "lease-scale");
    struct worker_config wc = {
        .runner_fd = take_fd(&s->roles.runner_fd),
        .blob_dir = s->blob_dir,
        .import_dir = s->import_dir,
        .dispatch = means_dispatch(o),
        .scope = s->scope,
        .programs = s->programs,
        .repo = &s->repo,
        .ready = on_ready,
        .ready_arg = s,
    };
    struct sched_config sc = {
        .slots = slots(s),
        .retry_base_ms = (uint32_t)option_int(o, "retry-delay-ms"),
        .beat_ms = (uint32_t)(10000 / scale),
        .retention_us = retention_us(o),
        .queues = outposts_own_queues(s->outposts),
        .worker = "local",
        .blob_dir = s->blob_dir,
        .max_concurrent = max_concurrent,
        .arg = s,
    };
    struct worker_link link;
    struct planner_link planner;
    int rc;

    wc.dispatch.nse = s->nse;
    wc.dispatch.slots = slots(s);
    wc.dispatch.budget = s->budget;
    if ((rc = worker_new(s->loop, s->store, &wc, &s->worker, e)) != 0) {
        return rc;
    }
    link = worker_link(s->worker);
    if ((rc = sched_new(s->loop, s->store, &sc, &link, &s->sched, e)) != 0) {
        return rc;
    }
    worker_attach(s->worker, s->sched);
    if ((rc = imports_open(s->import_dir, e)) != 0) {
        return rc;
    }
    imports_sweep(s->store, s->import_dir, 0);
    s->conduct = conduct_new(s->store);
    planner = conduct_link(s->conduct);
    sched_plan_with(s->sched, &planner);
    s->planning = (struct planning){.programs = s->programs,
                                    .worker = s->worker,
                                    .scope = s->scope,
                                    .store = s->store,
                                    .dispatch = wc.dispatch,
                                    .slots = sc.slots};
    if (s->outposts && (rc = outposts_start(s->outposts, s->sched, e)) != 0) {
        return rc;
    }
    if (outposts_own_queues(s->outposts)) {
        s->planning.elsewhere = outposts_facts;
        s->planning.elsewhere_arg = s->outposts;
    }
    return sched_recover(s->sched, e);
}

/* Only before anything was pushed: a server whose Redis becomes unfit later waits for a better one.
 */
static void on_unfit(void *arg, const char *why)
{
    struct server *s = arg;

    snprintf(s->unfit, sizeof s->unfit, "%s", why);
    s->failed = true;
    loop_stop(s->loop);
}

static int start_outposts(struct server *s, struct err *e)
{
    const struct outposts_config c = {.settings = s->settings,
                                      .scope = s->scope,
                                      .resolver = s->resolver,
                                      .blob_dir = s->blob_dir,
                                      .unfit = on_unfit,
                                      .arg = s};

    return outposts_new(s->loop, s->store, &c, &s->outposts, e);
}

/* ---- what the API asks of us ---- */

static const struct sandbox_caps *sandbox_hook(void *arg)
{
    const struct server *s = arg;

    return worker_caps(s->worker);
}

static struct policy *policy_hook(void *arg)
{
    const struct server *s = arg;

    return in_force_policy(s->scope);
}

static int policy_reload_hook(void *arg, struct err *e)
{
    struct server *s = arg;
    int rc = in_force_reload(s->scope, e);

    if (rc == 0) {
        sched_wake(s->sched); /* a window may be open that was closed */
    }
    return rc;
}

static void *pin_hook(void *arg, struct target_set *t,
                      void (*done)(void *done_arg, int code, const char *why), void *done_arg)
{
    struct server *s = arg;

    return resolver_pin(s->resolver, t, done, done_arg);
}

static void unpin_hook(void *arg, void *handle)
{
    (void)arg;
    resolver_cancel(handle);
}

static int reparse_hook(void *arg, const struct id *job,
                        void (*done)(void *done_arg, int rc, const char *message), void *done_arg,
                        struct err *e)
{
    struct server *s = arg;

    return shipping_reparse(s->shipping, s->worker, job, done, done_arg, e);
}

static const char *tool_hook(void *arg, const char **version)
{
    struct server *s = arg;

    const char *why = NULL;

    (void)programs_look(s->programs, &tool_nmap, version, &why);
    return why;
}

static const char *program_hook(void *arg, const struct tool *t, const char **version,
                                const char **why)
{
    struct server *s = arg;

    return programs_look(s->programs, t, version, why);
}

static bool agent_model_hook(void *arg, const char *model)
{
    return repo_means_model(arg, model);
}

static bool has_secret_hook(void *arg, const char *name)
{
    const struct repo_means *m = arg;

    return secrets_get(m->secrets, name, NULL) != NULL;
}

static int start_http(struct server *s, struct err *e)
{
    const struct option_set *o = s->settings;
    struct api_config ac = {
        .legacy_key = option_str(o, "api-key"),
        .allow_unsafe_args = option_bool(o, "allow-unsafe-args"),
        .scan_timeout_s = (int32_t)option_int(o, "scan-timeout"),
        .queue_timeout_s = (int32_t)option_int(o, "queue-timeout"),
        .retries = (int32_t)option_int(o, "retries"),
        .old_retries =
            option_from(o, "retries", NULL) == FROM_DEFAULT ? 0 : (int32_t)option_int(o, "retries"),
        .blob_dir = s->blob_dir,
        .version = SCANPOD_VERSION,
        .nmap = tool_hook,
        .nmap_arg = s,
        .sandbox = sandbox_hook,
        .sandbox_arg = s,
        .policy = policy_hook,
        .policy_reload = policy_reload_hook,
        .policy_arg = s,
        .allow_unconfined = option_bool(o, "allow-unconfined"),
        .nse = s->nse,
        .pin = pin_hook,
        .unpin = unpin_hook,
        .pin_arg = s,
        .ttl_us = ttl_us(o),
        .reparse = reparse_hook,
        .reparse_arg = s,
        .depot = s->shipping ? &s->depot : NULL,
        .profiles = s->profiles,
        .plan_facts = planning_facts,
        .dry_run = planning_dry_run,
        .plan_arg = &s->planning,
        .program = program_hook,
        .program_arg = s,
        .import_dir = s->import_dir,
        .import_max = (uint64_t)option_int(o, "max-import-mb") << 20,
        .elsewhere = outposts_own_queues(s->outposts) != NULL,
        .fleet = outposts_fleet(s->outposts),
        .intake = intakes_stats,
        .intake_arg = s->intakes,
        .repo_timeout_s = (int32_t)option_int(o, "repo-timeout"),
        .agent_ready = repo_means_agent(&s->repo),
        .agent_model = agent_model_hook,
        .has_secret = has_secret_hook,
        .agent_arg = &s->repo,
        .declared_engines = s->repo.declared,
        .cors_origins = option_str(o, "cors-origins"),
        .anonymous_repo_key = option_str(o, "anonymous-repo-key"),
        .scan_orchestrator = str_eq(option_str(o, "old-health"), "scan-orchestrator"),
    };
    struct http_config hc = {
        .hosts = s->hosts,
        .header_timeout_ms = 10000,
        .idle_timeout_ms = 75000,
        .body_timeout_ms = 60000,
        .max_conns = (uint32_t)option_int(o, "max-conns"),
        .max_conns_per_address = (uint32_t)option_int(o, "max-conns-per-address"),
        .tls_cert = s->cert_path,
        .tls_key = s->key_path,
    };
    int rc = api_new(s->loop, s->store, s->sched, &ac, &s->api, e);

    if (rc != 0) {
        return rc;
    }
    api_http_config(s->api, &hc);
    if ((rc = http_server_new(s->loop, &hc, &s->http, e)) != 0) {
        return s->cert_path ? err_prefix(e, rc, "'%s', '%s'", option_str(o, "tls-cert"),
                                         option_str(o, "tls-key"))
                            : rc;
    }
    api_set_server(s->api, s->http);
    return http_server_listen(s->http, take_fd(&s->listen_fd), e);
}

/* ---- the end ---- */

/* Tools have had their grace and then some: what is left goes with the runner. */
static void on_drain_tick(struct timer *t)
{
    struct server *s = container_of(t, struct server, drain_timer);
    bool late = loop_now_ms(s->loop) >= s->drain_end_ms;

    if (!late && !sched_idle(s->sched)) {
        timer_arm(s->loop, t, DRAIN_STEP_MS);
        return;
    }
    if (late) {
        log_warn("drain_timeout");
    }
    loop_stop(s->loop);
}

static void on_stop(int signo, void *arg)
{
    struct server *s = arg;

    if (s->draining) {
        loop_stop(s->loop); /* asked twice: leases and the lock keep everything right */
        return;
    }
    log_info("stopping", KV("signal", signo));
    s->draining = true;
    intakes_drain(s->intakes);
    sched_drain(s->sched);
    worker_stop_all(s->worker);
    http_server_drain(s->http);
    s->drain_end_ms = loop_now_ms(s->loop) + option_int(s->settings, "kill-grace-ms") + DRAIN_MS;
    timer_arm(s->loop, &s->drain_timer, 1);
}

static void on_runner_gone(void *arg)
{
    struct server *s = arg;

    if (!s->draining) {
        s->failed = true;
        loop_stop(s->loop);
    }
}

static void on_hangup(int signo, void *arg)
{
    struct err e = {0};

    (void)signo;
    (void)policy_reload_hook(arg, &e); /* it is logged how it went */
}

static int on_signals(struct server *s, struct err *e)
{
    int rc = loop_signal(s->loop, SIGTERM, on_stop, s, e);

    signal(SIGPIPE, SIG_IGN);
    s->drain_timer.fn = on_drain_tick;
    if (rc == 0) {
        rc = loop_signal(s->loop, SIGHUP, on_hangup, s, e);
    }
    return rc == 0 ? loop_signal(s->loop, SIGINT, on_stop, s, e) : rc;
}

static int start_intakes(struct server *s, struct err *e)
{
    const struct intakes_start c = {
        .loop = s->loop, .store = s->store, .api = s->api, .depot = s->shipping ? &s->depot : NULL};

    return intakes_start(s->intakes, &c, e);
}

static int start_unprivileged(struct server *s, struct err *e)
{
    int rc;

    if ((rc = privilege_drop(&s->user, e)) != 0 || (rc = logging_to_file(s->settings, e)) != 0 ||
        (rc = in_force_open(option_str(s->settings, "scope"), s->user.uid, &s->scope, e)) != 0 ||
        (rc = data_dir_check(s->dir, &s->user, e)) != 0 || (rc = loop_new(&s->loop, e)) != 0 ||
        (rc = on_signals(s, e)) != 0 || (rc = open_store(s, e)) != 0 ||
        (rc = resolver_connect(s->loop, take_fd(&s->roles.resolver_fd), &s->resolver, e)) != 0 ||
        (rc = logging_ship(s->loop, s->settings, s->resolver, &s->syslog, e)) != 0) {
        return rc;
    }
    s->nse = means_scripts(s->settings);
    s->programs = programs_new(s->settings);
    s->budget = budget_new((uint32_t)option_int(s->settings, "network-pps"));
    s->import_dir = str_fmt("%s/import", s->blob_dir);
    if ((rc = profiles_load(option_str(s->settings, "profiles"), &s->profiles, e)) != 0) {
        return rc;
    }
    if ((rc = start_shipping(s, e)) != 0 || (rc = start_outposts(s, e)) != 0 ||
        (rc = start_work(s, e)) != 0 || (rc = start_http(s, e)) != 0 ||
        (rc = start_intakes(s, e)) != 0 || (rc = seccomp_role(ROLE_DAEMON, e)) != 0) {
        return rc;
    }
    worker_on_runner_gone(s->worker, on_runner_gone, s);
    s->turn.loop = s->loop;
    s->turn.store = s->store;
    s->turn.sched = s->sched;
    s->turn.worker = s->worker;
    s->turn.shipping = s->shipping;
    s->turn.intakes = s->intakes;
    s->turn.api = s->api;
    s->turn.http = s->http;
    s->turn.fleet = outposts_fleet(s->outposts);
    turn_start(&s->turn);
    return 0;
}

static void server_done(struct server *s)
{
    timer_stop(&s->drain_timer);
    http_server_free(s->http);
    intakes_free(s->intakes);
    api_free(s->api);
    sched_free(s->sched); /* tells the outposts of each run that it drops */
    outposts_free(s->outposts);
    shipping_free(s->shipping);
    worker_free(s->worker);
    syslog_stop(s->syslog);
    resolver_free(s->resolver);
    in_force_close(s->scope);
    conduct_free(s->conduct);
    profiles_free(s->profiles);
    budget_free(s->budget);
    programs_free(s->programs);
    repo_means_done(&s->repo);
    nse_free(s->nse);
    store_close(s->store);
    loop_free(s->loop);
    fd_close(&s->lock_fd);
    fd_close(&s->listen_fd);
    roles_done(&s->roles);
    fd_close(&s->cert_fd);
    fd_close(&s->key_fd);
    free(s->cert_path);
    free(s->key_path);
    depot_config_done(&s->blob_to);
    free(s->blob_dir);
    free(s->import_dir);
    free(s->work_dir);
    free((void *)s->hosts);
    free(s->hosts_text);
}

int serve_main(struct option_set *settings)
{
    struct server s = {.settings = settings,
                       .lock_fd = -1,
                       .listen_fd = -1,
                       .roles = ROLES_NONE,
                       .cert_fd = -1,
                       .key_fd = -1};
    struct err e = {0};
    int rc;

    split_hosts(&s);
    logging_set_up(settings);
    if ((rc = start_privileged(&s, &e)) != 0 || (rc = start_unprivileged(&s, &e)) != 0) {
        fprintf(stderr, "error: cannot start: %s\n", e.msg);
        server_done(&s);
        return err_exit_status(rc);
    }
    log_info("listening", KV("address", option_str(settings, "listen")),
             KV("tls", s.cert_path ? "yes" : "no"), KV("data_dir", s.dir),
             KV("scope", policy_source(in_force_policy(s.scope))));
    loop_again(s.loop); /* what an earlier server left waiting need not wait for a request */
    rc = loop_run(s.loop, &e);
    if (rc == 0 && store_dirty(s.store)) {
        rc = store_commit(s.store, &e);
    }
    if (rc == 0 && *s.unfit) {
        rc = err_set(&e, ERR_INVALID, "%s", s.unfit);
        fprintf(stderr, "error: cannot start: %s\n", e.msg);
    }
    if (rc != 0) {
        log_error("stopped", KV("error", e.msg));
    } else {
        log_info("stopped");
    }
    server_done(&s);
    return rc != 0 ? err_exit_status(rc) : s.failed ? err_exit_status(ERR_SANDBOX) : 0;
}
