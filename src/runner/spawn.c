/*
 * From a fork of the daemon to the runner: its own descriptors, the service user, two
 * capabilities at most.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
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

/* CAP_SYS_ADMIN makes pid namespaces, CAP_NET_RAW is handed on to tools. */
static const uint64_t KEPT = UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_NET_RAW;

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "runner: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static void become(const char *user)
{
    const struct passwd *pw = getpwnam(user);

    if (!pw) {
        pw = getpwnam("nobody");
    }
    if (!pw) {
        errno = ENOENT;
        give_up("find the service user");
    }
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++) {
        if (!(KEPT & UINT64_C(1) << cap)) {
            (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* a second lock: no exec gets it back */
        }
    }
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
        setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
        setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0) {
        give_up("become the service user");
    }
}

static void trim_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};

    if (syscall(SYS_capget, &head, data) < 0) {
        give_up("read capabilities");
    }
    for (int i = 0; i < 2; i++) {
        data[i].permitted &= (uint32_t)(KEPT >> (32 * i));
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    if (syscall(SYS_capset, &head, data) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        give_up("drop capabilities");
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

/* Four descriptors a run: as many as the system lets us have. */
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
    int keep[] = {STDERR_FILENO, chan_fd, c->hold_fd};
    int null;

    if (geteuid() == 0 && c->user) {
        become(c->user);
    }
    if (!close_all_but(keep, ARRAY_LEN(keep))) {
        give_up("close descriptors");
    }
    /* The numbers 0 and 1 must mean nothing that a later descriptor would be taken for. */
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null != STDIN_FILENO || fcntl(null, F_DUPFD_CLOEXEC, STDOUT_FILENO) != STDOUT_FILENO) {
        give_up("open /dev/null");
    }
    trim_capabilities();
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
