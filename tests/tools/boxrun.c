/*
 * boxrun - runs one program as the server runs a scanner: runner, box, parser process and, where
 * the level asks for it, netd. For tests of the sandbox.
 *
 *   boxrun [OPTIONS] -- PROGRAM [ARGUMENT...]
 *     --egress none|proxy|nft|rootless|broker|unconfined    default none
 *     --proxy-allow ENTRY       "HOST:PORT" or "HOST:PORT=RANGE,RANGE"; may be repeated
 *     --raw                     raw sockets
 *     --admin                   CAP_NET_ADMIN in the box's own network namespace
 *     --dedicated               an address of its own (with --addresses)
 *     --targets LIST            "10.0.0.0/24,2001:db8::1": what may be sent to; also ./targets
 *     --dns ADDRESS             the one resolver that may be asked
 *     --hosts TEXT              /etc/hosts, "\n" between lines
 *     --limit NAME=VALUE        memory_mb, processes, cpu_s, file_mb, disk_mb, inodes, rate_pps,
 *                               wall_s, output_mb; may be repeated
 *     --grace MS                between TERM and KILL; default 500
 *     --scope FILE              netd's scope file; default the built-in policy
 *     --user NAME               who root becomes; default nobody
 *     --without WORDS           userns,privilege,mount,net,notify,landlock,nft,slirp
 *     --addresses LIST --neighbours --pool-v4 P --pool-v6 P --no-forward    netd's settings
 *     --bind PATH[:rw]          more of the view; may be repeated
 *     --slirp PATH              default /usr/bin/slirp4netns
 *     --cgroups                 use a delegated cgroup
 *     --kill-netd MS            kill netd so long after the tool's start
 *     --kill-proxy MS           the same with the proxy
 *     --netd                    as root: with a netd, which works in the network namespace that we
 *                               are in: one of the test's own, never the machine's
 *     --caps                    only print what this machine can do, as JSON, on stdout
 *
 * The program's stdout is printed when it is over; then one line of JSON on descriptor 3 if it is
 * open, else on stderr: how it ended and the sandbox report. Status: the program's, 128 + signal,
 * 125 if it was not started, 2 for a usage error.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "proxy/proxy.h"
#include "runner/runner.h"
#include "store/blob.h"

enum { BINDS_MAX = 32, REPORT_FD = 3, NOT_STARTED = 125, USAGE = 2 };

struct options {
    struct runner_config runner;
    struct netd_config netd;
    struct runner_launch launch;
    struct box_bind binds[BINDS_MAX];
    struct netset targets;
    struct buf lines, hosts;
    struct strvec argv, proxy_allow;
    bool cgroups, caps_only, with_netd;
    int kill_netd_ms, kill_proxy_ms; /* -1: not */
};

struct state {
    struct options *o;
    struct loop *l;
    struct runner *r;
    int netd_pidfd, proxy_pidfd;
    struct timer kill_netd, kill_proxy;
    bool launched;
    int status;
};

static int report_fd = STDERR_FILENO;

static _Noreturn void die(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void die(int status, const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "boxrun: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n");
    exit(status);
}

/* ---- a parser that keeps nothing: what the tool printed is in the stored output ---- */

static void *pass_new(const struct parse_sink *sink)
{
    return (void *)(uintptr_t)sink;
}

static int pass_feed(void *p, const char *data, size_t n, struct err *e)
{
    (void)p;
    (void)data;
    (void)n;
    (void)e;
    return 0;
}

static int pass_finish(void *p, struct err *e)
{
    (void)p;
    (void)e;
    return 0;
}

static void pass_free(void *p)
{
    (void)p;
}

static const struct parser pass = {"pass", pass_new, pass_feed, pass_finish, pass_free};

/* ---- what comes out ---- */

static void print_output(int blob_fd)
{
    struct blob_reader *r = blob_reader_new(blob_fd);
    char chunk[65536];
    struct err e = {0};
    size_t n;

    while (blob_read(r, chunk, sizeof chunk, &n, &e) == 0 && n > 0) {
        fwrite(chunk, 1, n, stdout);
    }
    if (e.code != 0) {
        fprintf(stderr, "boxrun: stored output: %s\n", e.msg);
    }
    blob_reader_free(r);
    fflush(stdout);
}

static void print_report(const struct runner_end *end)
{
    static const char *const causes[] = {"itself", "stopped", "wall", "output", "parser", "netd"};
    auto_buf sandbox = {0};
    auto_buf text = {0};
    struct json j = json_to(&text);

    sandbox_json(&end->sandbox, NULL, &sandbox);
    json_obj(&j);
    json_bool(&j, "started", end->started);
    json_str(&j, "step", end->step);
    json_str(&j, "error", end->started ? NULL : strerror(end->errnum));
    json_int(&j, "exit_status", end->exit_status);
    json_int(&j, "exit_signal", end->exit_signal);
    json_str(&j, "cause", causes[end->cause]);
    json_str(&j, "why", end->why);
    json_bool(&j, "parser_failed", end->parser_failed);
    json_str(&j, "stderr", end->stderr_tail);
    json_raw(&j, "sandbox", sandbox.data);
    json_end(&j);
    dprintf(report_fd, "%s\n", text.data);
}

static void print_caps(const struct sandbox_caps *c)
{
    auto_buf text = {0};
    struct json j = json_to(&text);

    json_obj(&j);
    json_str(&j, "box", c->box);
    json_str(&j, "limits", c->limits);
    json_bool(&j, "view", c->view);
    json_bool(&j, "landlock", c->landlock);
    json_bool(&j, "forward_v4", c->forward_v4);
    json_bool(&j, "forward_v6", c->forward_v6);
    json_int(&j, "dedicated_v4", c->dedicated_v4);
    json_int(&j, "dedicated_v6", c->dedicated_v6);
    json_obj_in(&j, "egress");
    for (int i = 0; i < EGRESS_LEVELS; i++) { /* "" if it is usable, else why not */
        json_str(&j, egress_name((enum egress)i), c->usable[i] ? "" : c->why[i]);
    }
    json_end(&j);
    json_end(&j);
    printf("%s\n", text.data);
}

/* ---- the run ---- */

static void on_ready(void *arg, const struct sandbox_caps *caps)
{
    struct state *s = arg;
    struct err e = {0};

    if (s->o->caps_only) {
        print_caps(caps);
        s->status = 0;
        loop_stop(s->l);
    } else if (!s->launched && runner_launch(s->r, &s->o->launch, &e) != 0) {
        fprintf(stderr, "boxrun: %s\n", e.msg);
        loop_stop(s->l);
    }
    s->launched = true;
}

static void on_kill_netd(struct timer *t)
{
    struct state *s = container_of(t, struct state, kill_netd);

    (void)syscall(SYS_pidfd_send_signal, s->netd_pidfd, SIGKILL, NULL, 0);
}

static void on_kill_proxy(struct timer *t)
{
    struct state *s = container_of(t, struct state, kill_proxy);

    (void)syscall(SYS_pidfd_send_signal, s->proxy_pidfd, SIGKILL, NULL, 0);
}

static void on_started(void *arg, uint64_t run)
{
    struct state *s = arg;

    (void)run;
    if (s->o->kill_netd_ms >= 0 && s->netd_pidfd >= 0) {
        s->kill_netd.fn = on_kill_netd;
        timer_arm(s->l, &s->kill_netd, s->o->kill_netd_ms);
    }
    if (s->o->kill_proxy_ms >= 0 && s->proxy_pidfd >= 0) {
        s->kill_proxy.fn = on_kill_proxy;
        timer_arm(s->l, &s->kill_proxy, s->o->kill_proxy_ms);
    }
}

static void on_ended(void *arg, const struct runner_end *end)
{
    struct state *s = arg;

    if (lseek(s->o->launch.blob_fd, 0, SEEK_END) > 0) {
        lseek(s->o->launch.blob_fd, 0, SEEK_SET);
        print_output(dup(s->o->launch.blob_fd));
    }
    print_report(end);
    s->status = !end->started           ? NOT_STARTED
                : end->exit_signal      ? 128 + end->exit_signal
                : end->exit_status >= 0 ? end->exit_status
                                        : NOT_STARTED;
    loop_stop(s->l);
}

static void on_gone(void *arg)
{
    fprintf(stderr, "boxrun: the runner is gone\n");
    loop_stop(((struct state *)arg)->l);
}

static void on_signal(int signo, void *arg)
{
    struct state *s = arg;

    (void)signo;
    runner_stop(s->r, s->o->launch.run);
}

static void await(int pidfd)
{
    siginfo_t info;

    if (pidfd >= 0) {
        (void)waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED);
        close(pidfd);
    }
}

static void start_netd(struct options *o, struct state *s)
{
    struct err e = {0};

    if (!o->with_netd) {
        return;
    }
    if (netd_spawn(&o->netd, &o->runner.netd_fd, &s->netd_pidfd, &e) != 0) {
        die(NOT_STARTED, "netd: %s", e.msg);
    }
}

static void start_proxy(struct options *o, struct state *s)
{
    const struct proxy_config c = {
        .change_user = o->runner.change_user, .uid = o->runner.uid, .gid = o->runner.gid};
    struct err e = {0};

    if ((o->caps_only || o->launch.egress == EGRESS_PROXY) &&
        proxy_spawn(&c, &o->runner.proxy_fd, &s->proxy_pidfd, &e) != 0) {
        die(NOT_STARTED, "proxy: %s", e.msg);
    }
}

static int run(struct options *o)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct state s = {.o = o, .netd_pidfd = -1, .proxy_pidfd = -1, .status = NOT_STARTED};
    const struct runner_events ev = {
        .ready = on_ready, .started = on_started, .ended = on_ended, .gone = on_gone, .arg = &s};
    struct err e = {0}, why = {0};
    int fd, pidfd;

    if (o->cgroups && cgroup_open(o->runner.uid, &o->runner.cgroups, &why) != 0) {
        fprintf(stderr, "boxrun: no cgroups: %s\n", why.msg);
    }
    o->runner.cgroups_why = why.msg;
    start_netd(o, &s);
    start_proxy(o, &s);
    runner_add_parser(&pass);
    if (runner_spawn(&o->runner, &fd, &pidfd, &e) != 0 || loop_new(&s.l, &e) != 0) {
        die(NOT_STARTED, "%s", e.msg);
    }
    fd_close(&o->runner.netd_fd);
    fd_close(&o->runner.proxy_fd);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) {
        (void)loop_signal(s.l, signals[i], on_signal, &s, NULL);
    }
    if (runner_connect(s.l, fd, &ev, &s.r, &e) != 0 || loop_run(s.l, &e) != 0) {
        die(NOT_STARTED, "%s", e.msg);
    }
    timer_stop(&s.kill_netd);
    timer_stop(&s.kill_proxy);
    runner_free(s.r);
    await(pidfd);
    await(s.proxy_pidfd);
    await(s.netd_pidfd); /* it ends with the runner, when it has removed everything */
    cgroup_close(o->runner.cgroups);
    loop_free(s.l);
    return s.status;
}

/* ---- options ---- */

static void add_targets(struct options *o, const char *list)
{
    auto_free char *copy = xstrdup(list);

    for (char *save, *p = strtok_r(copy, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
        struct net_range r;

        if (!net_range_parse(p, true, &r)) {
            die(USAGE, "'%s' is not an address, prefix or range", p);
        }
        netset_add(&o->targets, &r);
        buf_addf(&o->lines, "%s\n", p);
    }
    o->launch.targets = &o->targets;
    o->launch.target_lines = o->lines.data;
}

static void add_limit(struct options *o, const char *word)
{
    struct limits one, *all = &o->launch.limits;
    struct err e = {0};

    if (limits_parse(word, &one, &e) != 0) {
        die(USAGE, "%s", e.msg);
    }
    for (const struct limit_row *row = limit_rows; row->name; row++) {
        if (*limit_at(&one, row)) {
            *limit_at(all, row) = *limit_at(&one, row);
        }
    }
    o->launch.wall_ms = all->wall_s * 1000;
    o->launch.output_max = all->output_mb ? (uint64_t)all->output_mb << 20 : UINT64_MAX;
}

static void add_bind(struct options *o, const char *word)
{
    size_t n = strlen(word);
    bool rw = n > 3 && strcmp(word + n - 3, ":rw") == 0;

    if (o->runner.n_binds == BINDS_MAX) {
        die(USAGE, "%s: one path too many", word);
    }
    o->binds[o->runner.n_binds++] =
        (struct box_bind){.path = xstrndup(word, rw ? n - 3 : n), .write = rw};
}

static void add_without(struct options *o, const char *list)
{
    static const struct {
        const char *word;
        unsigned bit;
    } words[] = {{"userns", BOX_WITHOUT_USERNS}, {"privilege", BOX_WITHOUT_PRIVILEGE},
                 {"mount", BOX_WITHOUT_MOUNT},   {"net", BOX_WITHOUT_NET},
                 {"notify", BOX_WITHOUT_NOTIFY}, {"landlock", BOX_WITHOUT_LANDLOCK}};
    auto_free char *copy = xstrdup(list);

    for (char *save, *p = strtok_r(copy, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
        bool known = str_eq(p, "nft") || str_eq(p, "slirp");

        o->runner.without_nft = o->runner.without_nft || str_eq(p, "nft");
        o->runner.without_slirp = o->runner.without_slirp || str_eq(p, "slirp");
        for (size_t i = 0; i < ARRAY_LEN(words); i++) {
            if (str_eq(words[i].word, p)) {
                o->runner.without |= words[i].bit;
                known = true;
            }
        }
        if (!known) {
            die(USAGE, "--without: there is no feature '%s'", p);
        }
    }
}

static void set_user(struct options *o, const char *name)
{
    const struct passwd *pw = getpwnam(name);

    if (!pw) {
        die(USAGE, "there is no user '%s'", name);
    }
    o->runner.change_user = o->netd.change_user = geteuid() == 0;
    o->runner.uid = o->netd.uid = pw->pw_uid;
    o->runner.gid = o->netd.gid = pw->pw_gid;
}

static void set_hosts(struct options *o, const char *text)
{
    for (; *text; text++) {
        bool line = text[0] == '\\' && text[1] == 'n';

        buf_addc(&o->hosts, line ? '\n' : *text);
        text += line;
    }
    buf_addc(&o->hosts, '\n');
    o->launch.hosts = o->hosts.data;
}

/* A full path, as the runner wants it. */
static char *find_program(const char *name)
{
    static const char *const places[] = {"/usr/local/bin", "/usr/bin", "/usr/sbin", "/bin",
                                         "/sbin"};
    char full[PATH_MAX];

    if (strchr(name, '/')) {
        return xstrdup(realpath(name, full) ? full : name);
    }
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        snprintf(full, sizeof full, "%s/%s", places[i], name);
        if (access(full, X_OK) == 0) {
            return xstrdup(full);
        }
    }
    return str_fmt("/usr/bin/%s", name);
}

/* A program from elsewhere has to be in the view. */
static void set_program(struct options *o, char **argv)
{
    auto_free char *path = find_program(argv[0]);

    strvec_push(&o->argv, path);
    for (argv++; *argv; argv++) {
        strvec_push(&o->argv, *argv);
    }
    if (!str_starts(path, "/usr/") && !str_starts(path, "/bin/") && !str_starts(path, "/sbin/") &&
        access(path, F_OK) == 0) {
        add_bind(o, path);
    }
    o->launch.argv = &o->argv;
}

enum {
    OPT_EGRESS = 256,
    OPT_RAW,
    OPT_ADMIN,
    OPT_DEDICATED,
    OPT_TARGETS,
    OPT_DNS,
    OPT_HOSTS,
    OPT_LIMIT,
    OPT_GRACE,
    OPT_SCOPE,
    OPT_USER,
    OPT_WITHOUT,
    OPT_ADDRESSES,
    OPT_NEIGHBOURS,
    OPT_POOL_V4,
    OPT_POOL_V6,
    OPT_NO_FORWARD,
    OPT_BIND,
    OPT_SLIRP,
    OPT_CGROUPS,
    OPT_KILL_NETD,
    OPT_KILL_PROXY,
    OPT_PROXY_ALLOW,
    OPT_NETD,
    OPT_CAPS
};

static const struct option long_options[] = {
    {"egress", 1, NULL, OPT_EGRESS},
    {"raw", 0, NULL, OPT_RAW},
    {"admin", 0, NULL, OPT_ADMIN},
    {"dedicated", 0, NULL, OPT_DEDICATED},
    {"targets", 1, NULL, OPT_TARGETS},
    {"dns", 1, NULL, OPT_DNS},
    {"hosts", 1, NULL, OPT_HOSTS},
    {"limit", 1, NULL, OPT_LIMIT},
    {"grace", 1, NULL, OPT_GRACE},
    {"scope", 1, NULL, OPT_SCOPE},
    {"user", 1, NULL, OPT_USER},
    {"without", 1, NULL, OPT_WITHOUT},
    {"addresses", 1, NULL, OPT_ADDRESSES},
    {"neighbours", 0, NULL, OPT_NEIGHBOURS},
    {"pool-v4", 1, NULL, OPT_POOL_V4},
    {"pool-v6", 1, NULL, OPT_POOL_V6},
    {"no-forward", 0, NULL, OPT_NO_FORWARD},
    {"bind", 1, NULL, OPT_BIND},
    {"slirp", 1, NULL, OPT_SLIRP},
    {"cgroups", 0, NULL, OPT_CGROUPS},
    {"kill-netd", 1, NULL, OPT_KILL_NETD},
    {"kill-proxy", 1, NULL, OPT_KILL_PROXY},
    {"proxy-allow", 1, NULL, OPT_PROXY_ALLOW},
    {"netd", 0, NULL, OPT_NETD},
    {"caps", 0, NULL, OPT_CAPS},
    {0},
};

/* Those of the run; false: another one. */
static bool take_run_option(struct options *o, int opt, const char *value)
{
    switch (opt) {
    case OPT_EGRESS:
        if (!egress_parse(value, &o->launch.egress)) {
            die(USAGE, "there is no egress level '%s'", value);
        }
        return true;
    case OPT_RAW:
        return o->launch.raw_sockets = true;
    case OPT_DEDICATED:
        return o->launch.dedicated = true;
    case OPT_TARGETS:
        add_targets(o, value);
        return true;
    case OPT_DNS:
        if (!net_ip_parse(value, &o->launch.dns)) {
            die(USAGE, "'%s' is not an address", value);
        }
        return o->launch.has_dns = true;
    case OPT_HOSTS:
        set_hosts(o, value);
        return true;
    case OPT_LIMIT:
        add_limit(o, value);
        return true;
    case OPT_GRACE:
        o->launch.grace_ms = (uint32_t)atoi(value);
        return true;
    case OPT_KILL_NETD:
        o->kill_netd_ms = atoi(value);
        return true;
    case OPT_KILL_PROXY:
        o->kill_proxy_ms = atoi(value);
        return true;
    case OPT_PROXY_ALLOW:
        strvec_push(&o->proxy_allow, value);
        return true;
    default:
        return false;
    }
}

/* Those of the service; false: no such option. */
static bool take_option(struct options *o, int opt, const char *value)
{
    switch (opt) {
    case OPT_ADMIN:
        return o->runner.net_admin = true;
    case OPT_SCOPE:
        return (o->netd.scope_file = value) != NULL;
    case OPT_USER:
        set_user(o, value);
        return true;
    case OPT_WITHOUT:
        add_without(o, value);
        return true;
    case OPT_ADDRESSES:
        return (o->netd.addresses = value) != NULL;
    case OPT_NEIGHBOURS:
        return o->netd.proxy_neighbours = true;
    case OPT_POOL_V4:
        return (o->netd.pool_v4 = value) != NULL;
    case OPT_POOL_V6:
        return (o->netd.pool_v6 = value) != NULL;
    case OPT_NO_FORWARD:
        o->netd.forward = false;
        return true;
    case OPT_BIND:
        add_bind(o, value);
        return true;
    case OPT_SLIRP:
        return (o->runner.slirp4netns = value) != NULL;
    case OPT_CGROUPS:
        return o->cgroups = true;
    case OPT_NETD:
        return o->with_netd = true;
    case OPT_CAPS:
        return o->caps_only = true;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    char work_dir[] = "/tmp/boxrun-XXXXXX";
    static struct options o = {
        /* what it owns is for as long as the process lives */
        .runner = {.hold_fd = -1,
                   .netd_fd = -1,
                   .proxy_fd = -1,
                   .slirp4netns = "/usr/bin/slirp4netns",
                   .allow_unconfined = true},
        .netd = {.pool_v4 = "198.18.0.0/16", .pool_v6 = "fd5c:a17e::/64", .forward = true},
        .launch = {.run = 1,
                   .parser = "pass",
                   .grace_ms = 500,
                   .output_max = UINT64_MAX,
                   .files = 1024,
                   .input_fd = -1},
        .kill_netd_ms = -1,
        .kill_proxy_ms = -1,
    };
    int status;

    if (fcntl(REPORT_FD, F_GETFD) >= 0) { /* before anything else takes the number */
        report_fd = REPORT_FD;
    }
    o.runner.netd = &o.netd;
    o.launch.proxy_allow = &o.proxy_allow;
    o.runner.binds = o.binds;
    if (geteuid() == 0) {
        set_user(&o, "nobody");
    }
    for (int opt; (opt = getopt_long(argc, argv, "+", long_options, NULL)) != -1;) {
        if (!take_run_option(&o, opt, optarg) && !take_option(&o, opt, optarg)) {
            return USAGE;
        }
    }
    if (optind == argc && !o.caps_only) {
        die(USAGE, "no program; the comment in boxrun.c tells the options");
    }
    if (optind < argc) {
        set_program(&o, argv + optind);
    }
    if (!mkdtemp(work_dir) || (o.runner.change_user && chown(work_dir, o.runner.uid, -1U) < 0)) {
        die(NOT_STARTED, "working directory: %s", strerror(errno));
    }
    o.runner.work_dir = work_dir;
    o.launch.blob_fd = memfd_create("output", MFD_CLOEXEC);
    status = run(&o);
    rmdir(work_dir);
    return status;
}
