/*
 * netd without privilege: in a network namespace of its own, whose uplink is slirp4netns. Order:
 * netd forks slirp4netns-to-be, makes the namespace, lets it start, and waits until it is ready.
 * Each holds a pipe to the other: when one is gone, so is the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "ipc/chan.h"
#include "netd/server.h"
#include "netd/spawn.h"

enum { READY_MS = 3000 };

/* Out of everybody's way: the half of the benchmark range that is not the default pool's. */
static const char SLIRP_NET[] = "198.19.255.0/24";

struct uplink {
    int go[2];    /* netd writes: the namespace is there */
    int ready[2]; /* slirp4netns writes; its end is kept open until it ends */
    int stop[2];  /* closed by netd's end: slirp4netns ends */
    pid_t pid;
};

static void uplink_done(struct uplink *u)
{
    for (int i = 0; i < 2; i++) {
        fd_close(&u->go[i]);
        fd_close(&u->ready[i]);
        fd_close(&u->stop[i]);
    }
}

static int uplink_pipes(struct uplink *u, struct err *e)
{
    *u = (struct uplink){.go = {-1, -1}, .ready = {-1, -1}, .stop = {-1, -1}};
    if (pipe2(u->go, O_CLOEXEC) < 0 || pipe2(u->ready, O_CLOEXEC) < 0 ||
        pipe2(u->stop, O_CLOEXEC) < 0) {
        int rc = err_errno(e, "make pipes for slirp4netns");

        uplink_done(u);
        return rc;
    }
    return 0;
}

/* It has to enter the namespace, and keeps what it needs for that also if it is not user 0. */
static bool keep_for_exec(void)
{
    static const int kept[] = {CAP_SYS_ADMIN, CAP_NET_ADMIN};
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};

    if (syscall(SYS_capget, &head, data) < 0) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        data[0].inheritable |= data[0].permitted & 1U << kept[i];
    }
    if (syscall(SYS_capset, &head, data) < 0) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept[i], 0, 0);
    }
    return true;
}

static _Noreturn void be_slirp(struct uplink *u, const char *path, pid_t netd)
{
    auto_free char *theirs = str_fmt("/proc/%d/ns/net", (int)netd);
    char ready[32], stop[32], cidr[64], ns[32], byte;
    int ns_fd;
    char *argv[16];
    char *env[] = {NULL};
    const char *words[] = {path,
                           "--configure",
                           "--mtu=1500",
                           cidr,
                           "--disable-host-loopback",
                           "--disable-dns",
                           "--enable-seccomp",
                           ready,
                           stop,
                           "--netns-type=path",
                           ns,
                           "tap0"};

    fd_close(&u->go[1]);
    fd_close(&u->ready[0]);
    fd_close(&u->stop[1]);
    snprintf(cidr, sizeof cidr, "--cidr=%s", SLIRP_NET);
    snprintf(ready, sizeof ready, "--ready-fd=%d", u->ready[1]);
    snprintf(stop, sizeof stop, "--exit-fd=%d", u->stop[0]);
    if (read(u->go[0], &byte, 1) != 1) {
        _exit(126);
    }
    /* Opened here: after exec it would not be allowed to look into a process with more rights. */
    ns_fd = open(theirs, O_RDONLY);
    snprintf(ns, sizeof ns, "/proc/self/fd/%d", ns_fd);
    for (size_t i = 0; i <= ARRAY_LEN(words); i++) {
        argv[i] = i < ARRAY_LEN(words) ? xstrdup(words[i]) : NULL;
    }
    if (ns_fd < 0 || !keep_for_exec() || fcntl(u->ready[1], F_SETFD, 0) < 0 ||
        fcntl(u->stop[0], F_SETFD, 0) < 0 ||
        dup(u->ready[1]) < 0 || /* it closes the one it knows: this one ends with it */
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) {
        _exit(126);
    }
    (void)dup2(STDOUT_FILENO, STDERR_FILENO); /* it talks; what counts is told by its pipe */
    execve(path, argv, env);
    _exit(127);
}

/* Not for longer than there is somebody at `peer` who wants it. */
static int wait_ready(const struct uplink *u, int peer, struct err *e)
{
    int64_t until = boot_ms() + READY_MS;

    for (;;) {
        struct pollfd p[2] = {{.fd = u->ready[0], .events = POLLIN}, {.fd = peer}};
        int64_t left = until - boot_ms();
        int n = poll(p, 2, left > 0 ? (int)left : 0);
        char byte;

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return err_set(e, ERR_SANDBOX, "slirp4netns was not ready in %d ms", READY_MS);
        }
        if (p[1].revents) {
            return err_set(e, ERR_SANDBOX, "the runner has ended");
        }
        if (read(u->ready[0], &byte, 1) == 1) {
            return 0;
        }
        return err_set(e, ERR_SANDBOX,
                       "slirp4netns could not start: it needs /dev/net/tun and a user namespace");
    }
}

/* Afterwards we are in a network namespace of our own, with an uplink. */
static int make_uplink(struct uplink *u, const char *slirp4netns, int peer, struct err *e)
{
    pid_t self = getpid();
    int rc = uplink_pipes(u, e);

    if (rc != 0) {
        return rc;
    }
    u->pid = fork();
    if (u->pid == 0) {
        be_slirp(u, slirp4netns, self);
    }
    fd_close(&u->go[0]);
    fd_close(&u->ready[1]);
    fd_close(&u->stop[0]);
    if (u->pid < 0) {
        return err_errno(e, "fork slirp4netns");
    }
    if (unshare(CLONE_NEWNET) < 0) {
        return err_set(e, ERR_SANDBOX, "make a network namespace: %s", strerror(errno));
    }
    if (write(u->go[1], "", 1) != 1) {
        return err_errno(e, "start slirp4netns");
    }
    return wait_ready(u, peer, e);
}

struct rootless {
    const struct netd_config *config;
    const char *slirp4netns;
};

static void be_netd(const void *arg, int chan_fd)
{
    const struct rootless *r = arg;
    struct netd_config config = *r->config;
    struct link around;
    struct netd_start start = {
        .config = &config, .peer_fd = chan_fd, .listen_fd = -1, .around = &around};
    struct uplink u = {0};
    struct err e = {0}, why = {0};
    int rc = netd_apart(chan_fd, &e);

    config.rootless = true;
    config.change_user = false;
    config.addresses = NULL;
    start.uplink_fd = -1;
    (void)net_range_parse(SLIRP_NET, false, &start.uplink_net);
    if (rc == 0) {
        rc = link_open(&around, &e);
    }
    if (rc == 0) {
        if (make_uplink(&u, r->slirp4netns, chan_fd, &why) != 0) {
            start.broken = why.msg;
        } else {
            start.uplink_fd = u.ready[0];
        }
        rc = netd_become(&config, &e);
    }
    if (rc == 0) {
        rc = netd_serve(&start, &e);
    }
    if (rc != 0) {
        fprintf(stderr, "netd: %s\n", e.msg);
    }
    _exit(rc == 0 ? 0 : 1); /* closes the pipe, which ends slirp4netns */
}

int netd_spawn_rootless(const struct netd_config *c, const char *slirp4netns, int *out_fd,
                        int *out_pidfd, struct err *e)
{
    const struct rootless r = {.config = c, .slirp4netns = slirp4netns};

    if (access(slirp4netns, X_OK) < 0) {
        return err_set(e, ERR_SANDBOX, "'%s' cannot be run: %s", slirp4netns, strerror(errno));
    }
    return chan_spawn("netd", be_netd, &r, out_fd, out_pidfd, e);
}
