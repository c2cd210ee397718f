/*
 * From a fork of the daemon to the runner: its own descriptors and the service user. What it may
 * keep of root's capabilities is settled in caps.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/close_fds.h"
#include "ipc/chan.h"
#include "runner/process.h"

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "runner: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static void become(uid_t uid, gid_t gid)
{
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
        setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0) {
        give_up("become the service user");
    }
}

/* What the terminal or a service manager sends to all is for the daemon: it tells us. */
static void ignore_signals(void)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT};
    sigset_t none;

    for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
        signal(ignored[i], SIG_IGN);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Seven descriptors a run: as many as the system lets us have. */
static void raise_descriptor_limit(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
        l.rlim_cur = MIN(l.rlim_max, (rlim_t)65536);
        (void)setrlimit(RLIMIT_NOFILE, &l);
    }
}

static _Noreturn void become_runner(const struct runner_config *c, int chan_fd)
{
    int keep[] = {STDERR_FILENO,
                  chan_fd,
                  c->hold_fd,
                  c->netd_fd,
                  c->proxy_fd > 0 ? c->proxy_fd : -1,
                  c->cgroups ? cgroup_fd(c->cgroups) : -1};
    int null;

    if (c->change_user) {
        become(c->uid, c->gid);
    }
    if (!close_all_but(keep, ARRAY_LEN(keep))) {
        give_up("close descriptors");
    }
    /* The numbers 0 and 1 must mean nothing that a later descriptor would be taken for. */
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null != STDIN_FILENO || fcntl(null, F_DUPFD_CLOEXEC, STDOUT_FILENO) != STDOUT_FILENO) {
        give_up("open /dev/null");
    }
    (void)setsid();
    prctl(PR_SET_NAME, "scanpod-runner", 0, 0, 0);
    ignore_signals();
    raise_descriptor_limit();
    runner_process(c, chan_fd);
}

int runner_spawn(const struct runner_config *c, int *out_fd, int *out_pidfd, struct err *e)
{
    int fds[2];
    int pidfd;
    pid_t pid;
    int rc = chan_pair(fds, e);

    if (rc != 0) {
        return rc;
    }
    pid = fork();
    if (pid == 0) {
        become_runner(c, fds[1]);
    }
    close(fds[1]);
    if (pid < 0) {
        rc = err_errno(e, "fork the runner");
        close(fds[0]);
        return rc;
    }
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        rc = err_errno(e, "open the runner's pidfd");
        close(fds[0]); /* which ends it */
        return rc;
    }
    *out_fd = fds[0];
    *out_pidfd = pidfd;
    return 0;
}
