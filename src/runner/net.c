#include "runner/net.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/role.h"
#include "runner/process.h"

enum { READY_MS = 10000 };

struct netd *net_of(const struct runner_process *rp, enum egress level)
{
    const struct net *n = level == EGRESS_NFT ? &rp->nft : &rp->rootless;

    return (level == EGRESS_NFT || level == EGRESS_ROOTLESS) && rp->caps.usable[level] ? n->netd
                                                                                       : NULL;
}

static void set_why(struct runner_process *rp, enum egress level, const char *why)
{
    rp->caps.usable[level] = false;
    snprintf(rp->caps.why[level], sizeof rp->caps.why[level], "%.*s",
             (int)sizeof rp->caps.why[level] - 1, why);
}

static void try_rootless(struct runner_process *rp);

/* The way is there, or it is known why not. */
static void known(struct net *n)
{
    struct runner_process *rp = n->rp;

    if (n->told) {
        return;
    }
    n->told = true;
    timer_stop(&rp->net_late);
    if (n->level == EGRESS_NFT && !rp->caps.usable[EGRESS_NFT]) {
        try_rootless(rp);
    } else {
        caps_found(rp, CAPS_NET);
    }
}

/* ---- what netd tells ---- */

static void on_ready(void *arg, bool usable, const char *why, bool forward_v4, bool forward_v6,
                     uint32_t dedicated_v4, uint32_t dedicated_v6)
{
    struct net *n = arg;
    struct sandbox_caps *caps = &n->rp->caps;

    if (n->told) {
        return;
    }
    set_why(n->rp, n->level, usable ? "" : why);
    caps->usable[n->level] = usable;
    if (usable) {
        caps->forward_v4 = forward_v4;
        caps->forward_v6 = forward_v6;
        caps->dedicated_v4 = n->level == EGRESS_NFT ? dedicated_v4 : 0;
        caps->dedicated_v6 = n->level == EGRESS_NFT ? dedicated_v6 : 0;
    }
    known(n);
}

static void on_up(void *arg, uint64_t run, int code, const char *why, const struct box_address *a,
                  bool dedicated)
{
    struct run *r = run_find_net(((struct net *)arg)->rp, run);

    if (r) {
        run_net_up(r, code, why, a, dedicated);
    }
}

static void on_counts(void *arg, uint64_t run, const struct egress_counts *c)
{
    struct run *r = run_find_net(((struct net *)arg)->rp, run);

    if (r) {
        run_net_counts(r, c);
    }
}

static void on_gone(void *arg)
{
    struct net *n = arg;

    n->netd = NULL; /* freed by whoever ends the process: this is one of its own call-backs */
    set_why(n->rp, n->level, "netd has ended");
    if (n->level == EGRESS_NFT && n->told) {
        set_why(n->rp, EGRESS_ROOTLESS, "is looked for at the start only; restart the server");
    }
    run_net_gone_all(n->rp, n->level);
    if (n->told) {
        caps_tell(n->rp);
    } else {
        known(n);
    }
}

static void on_late(struct timer *t)
{
    struct runner_process *rp = container_of(t, struct runner_process, net_late);
    struct net *n = rp->nft.told ? &rp->rootless : &rp->nft;

    set_why(rp, n->level,
            n->level == EGRESS_NFT ? "netd does not answer: it serves one server at a time"
                                   : "netd does not answer");
    known(n);
}

static int connect_to(struct net *n, int fd, struct err *e)
{
    const struct netd_events ev = {
        .ready = on_ready, .up = on_up, .counts = on_counts, .gone = on_gone, .arg = n};
    int rc = netd_connect(n->rp->loop, fd, &ev, &n->netd, e);

    if (rc == 0) {
        n->rp->net_late.fn = on_late;
        timer_arm(n->rp->loop, &n->rp->net_late, READY_MS);
    }
    return rc;
}

/* ---- the way of our own ---- */

static bool write_file(const char *path, const char *text)
{
    auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
    size_t n = strlen(text);

    return fd >= 0 && write(fd, text, n) == (ssize_t)n;
}

static bool map_one(const char *kind, unsigned inside, unsigned outside)
{
    auto_free char *path = str_fmt("/proc/self/%s_map", kind);
    auto_free char *line = str_fmt("%u %u 1\n", inside, outside);

    return write_file(path, line);
}

/* There we are `uid` and `gid`, and nobody else is anybody. */
static int enter_user_namespace(uid_t uid, gid_t gid, struct err *e)
{
    uid_t own_uid = geteuid();
    gid_t own_gid = getegid();

    if (unshare(CLONE_NEWUSER) < 0 || !write_file("/proc/self/setgroups", "deny") ||
        !map_one("gid", gid, own_gid) || !map_one("uid", uid, own_uid)) {
        err_errno(e, "enter a user namespace");
        return ERR_SANDBOX;
    }
    return 0;
}

static void on_child_gone(struct watch *w, uint32_t events)
{
    siginfo_t info;

    (void)events;
    (void)waitid((idtype_t)P_PIDFD, (id_t)w->fd, &info, WEXITED);
    watch_del(w);
    fd_close(&w->fd);
}

/*
 * Two namespaces: netd stays in the outer one, as its root, because slirp4netns has to keep its
 * capabilities when it is executed. In the inner one we are who we were, and boxes are made below
 * it: netd may reach theirs, and nobody in them is its user.
 */
static int spawn_below(const struct netd_config *c, const char *slirp4netns, int *fd, int *pidfd,
                       struct err *e)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    struct err inner = {0};
    int rc = enter_user_namespace(0, 0, e);

    if (rc != 0) {
        return rc;
    }
    rc = netd_spawn_rootless(c, slirp4netns, fd, pidfd, e);
    if (enter_user_namespace(uid, gid, &inner) != 0) { /* no box could be made any more */
        fprintf(stderr, "runner: %s\n", inner.msg);
        _exit(1);
    }
    return rc;
}

static int start_rootless(struct runner_process *rp, struct err *e)
{
    struct net *n = &rp->rootless;
    struct netd_config c = rp->config->netd ? *rp->config->netd : (struct netd_config){0};
    int fd, pidfd, rc;

    c.rootless = true;
    c.change_user = false;
    /* What /proc shows of a process that may not be dumped is root's alone: our maps, and netd's
     * namespace, which slirp4netns has to enter. */
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    rc = spawn_below(&c, rp->config->slirp4netns, &fd, &pidfd, e);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (!role_hold(0, 0)) {
        fprintf(stderr, "runner: drop capabilities: %s\n", strerror(errno));
        _exit(1);
    }
    if (rc != 0) {
        return rc;
    }
    n->child = (struct watch){.fd = pidfd, .events = EPOLLIN, .fn = on_child_gone};
    (void)watch_add(rp->loop, &n->child, NULL);
    return connect_to(n, fd, e);
}

static void try_rootless(struct runner_process *rp)
{
    const struct box_can *can = box_probe();
    struct err e = {0};

    if (rp->config->without_slirp) {
        set_why(rp, EGRESS_ROOTLESS, "switched off by the setting 'without'");
    } else if (!rp->config->slirp4netns) {
        set_why(rp, EGRESS_ROOTLESS, "slirp4netns is not installed");
    } else if (can->level != BOX_USERNS || !can->own_net) {
        set_why(rp, EGRESS_ROOTLESS, can->why[0] ? can->why : "no user namespaces");
    } else if (start_rootless(rp, &e) != 0) {
        set_why(rp, EGRESS_ROOTLESS, e.msg);
    } else {
        return; /* it will tell */
    }
    known(&rp->rootless);
}

void net_begin(struct runner_process *rp)
{
    const struct runner_config *c = rp->config;
    struct err e = {0};

    rp->nft = (struct net){.rp = rp, .level = EGRESS_NFT, .child = {.fd = -1}};
    rp->rootless = (struct net){.rp = rp, .level = EGRESS_ROOTLESS, .child = {.fd = -1}};
    set_why(rp, EGRESS_ROOTLESS, "not needed: level nft is there");
    if (c->without_nft) {
        set_why(rp, EGRESS_NFT, "switched off by the setting 'without'");
    } else if (c->netd_fd < 0) {
        set_why(rp, EGRESS_NFT, "no netd: start as root, or name its socket (setting netd)");
    } else if (!box_probe()->own_net) {
        set_why(rp, EGRESS_NFT, box_probe()->why[0] ? box_probe()->why : "no network namespaces");
    } else if (connect_to(&rp->nft, c->netd_fd, &e) != 0) {
        set_why(rp, EGRESS_NFT, e.msg);
    } else {
        return;
    }
    known(&rp->nft);
}
