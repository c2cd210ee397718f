#include "netd/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/close_fds.h"
#include "ipc/chan.h"
#include "netd/server.h"

static int change_user(const struct netd_config *c, struct err *e)
{
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
        setresgid(c->gid, c->gid, c->gid) < 0 || setresuid(c->uid, c->uid, c->uid) < 0) {
        return err_errno(e, "become the user of netd");
    }
    return 0;
}

int netd_become(const struct netd_config *c, struct err *e)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    int rc = 0;

    for (int cap = 0; cap <= CAP_LAST_CAP; cap++) {
        if (cap != CAP_NET_ADMIN) {
            (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* a second lock: no exec gets it back */
        }
    }
    if (c->change_user && geteuid() == 0) {
        rc = change_user(c, e);
    }
    if (rc != 0) {
        return rc;
    }
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capget, &head, data) < 0) {
        return err_errno(e, "read capabilities");
    }
    data[0].permitted &= 1U << CAP_NET_ADMIN;
    data[0].effective = data[0].permitted;
    data[0].inheritable = 0;
    data[1] = (struct __user_cap_data_struct){0};
    if (syscall(SYS_capset, &head, data) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        return err_errno(e, "drop capabilities");
    }
    return 0;
}

int netd_close_all(int a, int b, struct err *e)
{
    int keep[] = {STDERR_FILENO, a, b};
    int null;

    if (!close_all_but(keep, ARRAY_LEN(keep))) {
        return err_errno(e, "close descriptors");
    }
    /* The numbers 0 and 1 must mean nothing that a later descriptor would be taken for. */
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null != STDIN_FILENO || fcntl(null, F_DUPFD_CLOEXEC, STDOUT_FILENO) != STDOUT_FILENO) {
        return err_errno(e, "open /dev/null");
    }
    return 0;
}

void netd_ignore_signals(void)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT};
    sigset_t none;

    for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
        signal(ignored[i], SIG_IGN);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void be_netd(const struct netd_config *c, int chan_fd)
{
    const struct netd_start start = {
        .config = c, .peer_fd = chan_fd, .listen_fd = -1, .uplink_fd = -1};
    struct err e = {0};
    int rc = netd_close_all(chan_fd, -1, &e);

    if (rc == 0) {
        rc = netd_become(c, &e);
    }
    if (rc == 0) {
        (void)setsid();
        prctl(PR_SET_NAME, "scanpod-netd", 0, 0, 0);
        netd_ignore_signals();
        rc = chdir("/") < 0 ? err_errno(&e, "change directory") : netd_serve(&start, &e);
    }
    if (rc != 0) {
        fprintf(stderr, "netd: %s\n", e.msg);
    }
    _exit(rc == 0 ? 0 : 1);
}

int netd_spawn(const struct netd_config *c, int *out_fd, int *out_pidfd, struct err *e)
{
    int fds[2];
    int pidfd, rc = chan_pair(fds, e);
    pid_t pid;

    if (rc != 0) {
        return rc;
    }
    pid = fork();
    if (pid == 0) {
        be_netd(c, fds[1]);
    }
    close(fds[1]);
    pidfd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        rc = err_errno(e, "%s", pid < 0 ? "fork netd" : "open the pidfd of netd");
        close(fds[0]); /* which ends it */
        return rc;
    }
    *out_fd = fds[0];
    *out_pidfd = pidfd;
    return 0;
}
