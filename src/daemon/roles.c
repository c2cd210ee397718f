#include "daemon/roles.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "daemon/repo_means.h"
#include "daemon/resolver.h"
#include "proxy/proxy.h"
#include "runner/runner.h"

enum { PATHS_MAX = 64, END_MS = 5000 };

/* ---- from the settings ---- */

void netd_settings(const struct option_set *settings, const struct service_user *user,
                   struct netd_config *out)
{
    *out = (struct netd_config){
        .uid = user->uid,
        .gid = user->gid,
        .change_user = user->change,
        .scope_file = option_str(settings, "scope"),
        .scope_owner = user->uid,
        .pool_v4 = option_str(settings, "pool-v4"),
        .pool_v6 = option_str(settings, "pool-v6"),
        .addresses = option_str(settings, "scan-addresses"),
        .proxy_neighbours = option_bool(settings, "proxy-neighbours"),
        .forward = option_bool(settings, "net-forwarding"),
    };
}

/* Calls fn for each part of a list by commas, spaces around it left out. */
static int each_part(const char *list, int (*fn)(void *arg, const char *part, struct err *e),
                     void *arg, struct err *e)
{
    auto_free char *copy = xstrdup(list ? list : "");
    int rc = 0;

    for (char *save, *p = strtok_r(copy, ", ", &save); p && rc == 0;
         p = strtok_r(NULL, ", ", &save)) {
        rc = fn(arg, p, e);
    }
    return rc;
}

static int count_address(void *arg, const char *part, struct err *e)
{
    uint32_t *n = arg; /* IPv4, IPv6 */
    struct net_ip ip;

    if (!net_ip_parse(part, &ip)) {
        return err_set(e, ERR_INVALID, "scan-addresses: '%s' is not an IP address", part);
    }
    n[ip.v6]++;
    return 0;
}

int scan_addresses_count(const struct option_set *settings, uint32_t *out, struct err *e)
{
    uint32_t n[2] = {0};
    int rc = each_part(option_str(settings, "scan-addresses"), count_address, n, e);

    if (rc == 0) {
        *out = n[0] && n[1] ? MIN(n[0], n[1]) : MAX(n[0], n[1]);
    }
    return rc;
}

static int add_without(void *arg, const char *part, struct err *e)
{
    static const struct {
        const char *word;
        unsigned bit;
    } words[] = {
        {"userns", BOX_WITHOUT_USERNS}, {"privilege", BOX_WITHOUT_PRIVILEGE},
        {"mount", BOX_WITHOUT_MOUNT},   {"net", BOX_WITHOUT_NET},
        {"notify", BOX_WITHOUT_NOTIFY}, {"landlock", BOX_WITHOUT_LANDLOCK},
        {"cgroup", BOX_WITHOUT_CGROUP},
    };
    struct runner_config *c = arg;

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_eq(words[i].word, part)) {
            c->without |= words[i].bit;
            return 0;
        }
    }
    if (str_eq(part, "nft")) {
        c->without_nft = true;
    } else if (str_eq(part, "slirp")) {
        c->without_slirp = true;
    } else {
        return err_set(e, ERR_INVALID,
                       "without: there is no feature '%s': userns, privilege, mount, net, notify, "
                       "landlock, cgroup, nft, slirp",
                       part);
    }
    return 0;
}

struct paths {
    struct box_bind v[PATHS_MAX];
    size_t n;
};

static int add_path(void *arg, const char *part, struct err *e)
{
    struct paths *p = arg;
    size_t len = strlen(part);
    bool write = len > 3 && strcmp(part + len - 3, ":rw") == 0;

    if (part[0] != '/' || p->n == PATHS_MAX) {
        return err_set(e, ERR_INVALID, "box-paths: '%s' %s", part,
                       part[0] != '/' ? "is not an absolute path" : "is one path too many");
    }
    p->v[p->n++] = (struct box_bind){.path = xstrndup(part, write ? len - 3 : len), .write = write};
    return 0;
}

static void paths_done(struct paths *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free((void *)(uintptr_t)p->v[i].path);
    }
}

static const char *find_slirp(const struct option_set *settings)
{
    static const char *const places[] = {"/usr/bin/slirp4netns", "/usr/local/bin/slirp4netns"};
    const char *set = option_str(settings, "slirp4netns");

    for (size_t i = 0; !set && i < ARRAY_LEN(places); i++) {
        if (access(places[i], X_OK) == 0) {
            return places[i];
        }
    }
    return set;
}

/* ---- starting ---- */

static int start_netd(struct roles *r, const struct option_set *settings,
                      const struct netd_config *c, struct err *e)
{
    const char *where = option_str(settings, "netd");

    if (where) {
        return netd_dial(str_starts(where, "unix:") ? where + strlen("unix:") : where, &r->netd_fd,
                         e);
    }
    return geteuid() == 0 ? netd_spawn(c, &r->netd_fd, &r->netd_pidfd, e) : 0;
}

/* What the runner is told, and what that borrows. */
struct start {
    struct runner_config runner;
    struct netd_config netd;
    struct paths paths;
    char *scope_file; /* owned */
    struct err cgroups_why;
};

/* The roles work in "/". */
static char *absolute(const char *path)
{
    auto_free char *here = path && path[0] != '/' ? getcwd(NULL, 0) : NULL;

    return here ? str_fmt("%s/%s", here, path) : path ? xstrdup(path) : NULL;
}

static int read_settings(struct start *st, const struct option_set *settings,
                         const struct service_user *user, struct err *e)
{
    uint32_t n;
    int rc = scan_addresses_count(settings, &n, e);

    if (rc == 0) {
        rc = each_part(option_str(settings, "without"), add_without, &st->runner, e);
    }
    if (rc == 0) {
        rc = each_part(option_str(settings, "box-paths"), add_path, &st->paths, e);
    }
    netd_settings(settings, user, &st->netd);
    st->netd.scope_file = st->scope_file = absolute(st->netd.scope_file);
    st->runner.netd = &st->netd;
    st->runner.allow_unconfined = option_bool(settings, "allow-unconfined");
    st->runner.slirp4netns = st->runner.without_slirp ? NULL : find_slirp(settings);
    st->runner.binds = st->paths.v;
    st->runner.n_binds = st->paths.n;
    return rc;
}

/* Moves this process: before the others are forked from it. */
static void open_cgroups(struct roles *r, struct start *st, uid_t uid)
{
    if (st->runner.without & BOX_WITHOUT_CGROUP) {
        err_set(&st->cgroups_why, ERR_SANDBOX, "switched off by the setting 'without'");
    } else if (cgroup_open(uid, &r->cgroups, &st->cgroups_why) != 0) {
        r->cgroups = NULL;
    }
    st->runner.cgroups = r->cgroups;
    st->runner.cgroups_why = st->cgroups_why.msg;
}

/* No other role has the secrets: what is forked without being told to share sees zeroes. */
static int start_proxy(struct roles *r, const struct roles_ask *ask, struct err *e)
{
    auto_free char *agent_ca = repo_means_ca(ask->settings, "agent-ca-file");
    auto_free char *git_ca = repo_means_ca(ask->settings, "repo-ca-file");
    const struct proxy_config proxy = {.change_user = ask->user->change,
                                       .uid = ask->user->uid,
                                       .gid = ask->user->gid,
                                       .secrets = ask->secrets,
                                       .ca_file = {agent_ca, git_ca}};
    int rc;

    secrets_share(ask->secrets, true);
    rc = proxy_spawn(&proxy, &r->proxy_fd, &r->proxy_pidfd, e);
    secrets_share(ask->secrets, false);
    return rc;
}

static int start_all(struct roles *r, const struct roles_ask *ask, struct start *st, struct err *e)
{
    const struct option_set *settings = ask->settings;
    const struct service_user *user = ask->user;
    int rc = read_settings(st, settings, user, e);

    if (rc != 0) {
        return rc;
    }
    open_cgroups(r, st, user->uid);
    if (!st->runner.without_nft && (rc = start_netd(r, settings, &st->netd, e)) != 0) {
        return rc;
    }
    if ((rc = resolver_spawn(user->change, user->uid, user->gid, &r->resolver_fd,
                             &r->resolver_pidfd, e)) != 0 ||
        (rc = start_proxy(r, ask, e)) != 0) {
        return rc;
    }
    st->runner.netd_fd = r->netd_fd;
    st->runner.proxy_fd = r->proxy_fd;
    rc = runner_spawn(&st->runner, &r->runner_fd, &r->runner_pidfd, e);
    fd_close(&r->netd_fd); /* the runner's alone: nobody else can ask netd for anything */
    fd_close(&r->proxy_fd);
    return rc;
}

int roles_start(struct roles *r, const struct roles_ask *ask, struct err *e)
{
    struct start st = {
        .runner = {.change_user = ask->user->change,
                   .uid = ask->user->uid,
                   .gid = ask->user->gid,
                   .hold_fd = ask->hold_fd,
                   .work_dir = ask->work_dir},
    };
    int rc = start_all(r, ask, &st, e);

    paths_done(&st.paths);
    free(st.scope_file);
    if (rc != 0) {
        roles_done(r);
    }
    return rc;
}

int roles_start_depot(struct roles *r, const struct depot_config *to,
                      const struct service_user *user, const char *blob_dir, struct err *e)
{
    auto_free char *dir = absolute(blob_dir);
    const struct depot_start start = {
        .config = to, .dir = dir, .change_user = user->change, .uid = user->uid, .gid = user->gid};

    return to->local ? 0 : depot_spawn(&start, &r->depot_fd, &r->depot_pidfd, e);
}

/* It is told by the end of its channel, netd and the proxy by the runner's. */
static void await(int pidfd)
{
    struct pollfd p = {.fd = pidfd, .events = POLLIN};

    if (pidfd >= 0) {
        (void)poll(&p, 1, END_MS);
    }
}

void roles_done(struct roles *r)
{
    fd_close(&r->runner_fd);
    fd_close(&r->netd_fd);
    fd_close(&r->proxy_fd);
    fd_close(&r->resolver_fd);
    fd_close(&r->depot_fd);
    await(r->runner_pidfd);
    await(r->resolver_pidfd);
    await(r->netd_pidfd);
    await(r->proxy_pidfd);
    await(r->depot_pidfd);
    fd_close(&r->runner_pidfd);
    fd_close(&r->netd_pidfd);
    fd_close(&r->proxy_pidfd);
    fd_close(&r->resolver_pidfd);
    fd_close(&r->depot_pidfd);
    cgroup_close(r->cgroups);
    r->cgroups = NULL;
}
