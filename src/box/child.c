/*
 * The tool's first steps, in memory shared with init: only system calls, no allocation, nothing
 * that changes memory of the init process but what struct box_child is for. With BOX_CALLS_BROKER
 * the descriptor table is shared, too: init, which has no filter, passes the listener on. exec
 * gives the tool a table of its own, in which nothing but 0, 1 and 2 is open.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/ioprio.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <netinet/in.h>

#include "base/mem.h"
#include "box/init.h"
#include "box/landlock.h"
#include "box/seccomp.h"

enum { NICE = 10 };

static bool limit(int which, uint64_t soft, uint64_t hard)
{
    struct rlimit now;
    struct rlimit want = {soft, hard};

    /* Never above what the caller has: raising needs a privilege. */
    if (getrlimit(which, &now) == 0 && now.rlim_max != RLIM_INFINITY) {
        want.rlim_max = MIN(want.rlim_max, now.rlim_max);
        want.rlim_cur = MIN(want.rlim_cur, want.rlim_max);
    }
    return setrlimit(which, &want) == 0;
}

static bool set_limits(const struct box_plan *plan)
{
    const struct box_limits *l = &plan->spec->limits;
    const uint64_t mb = UINT64_C(1) << 20;
    /* The caller's own may be far above what programs count on (select). */
    const uint64_t files = l->files ? l->files : 1024;
    /* Counted in the user namespace, where init is one, or with all others of the user. */
    const uint64_t procs = (uint64_t)l->procs + (plan->level == BOX_USERNS ? 1 : 0);

    /* Some runtimes reserve a hundred gigabytes of addresses; and what makes boxes must not take
     * theirs away. */
    const bool by_data = plan->spec->nest || plan->spec->calls == BOX_CALLS_AGENT;

    /* After the soft CPU limit the tool gets SIGXCPU, a little later SIGKILL. */
    return limit(RLIMIT_CORE, 0, 0) && limit(RLIMIT_MSGQUEUE, 0, 0) &&
           (!l->cpu_s || limit(RLIMIT_CPU, l->cpu_s, (uint64_t)l->cpu_s + 5)) &&
           (!l->mem_mb ||
            limit(by_data ? RLIMIT_DATA : RLIMIT_AS, l->mem_mb * mb, l->mem_mb * mb)) &&
           limit(RLIMIT_NOFILE, files, files) && (!l->procs || limit(RLIMIT_NPROC, procs, procs)) &&
           (!l->file_mb || limit(RLIMIT_FSIZE, l->file_mb * mb, l->file_mb * mb));
}

/* Behind everybody else. A caller that is already is left alone. */
static void set_priority(void)
{
    (void)setpriority(PRIO_PROCESS, 0, NICE);
    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 7));
}

static bool set_stdio(const int stdio[3])
{
    for (int i = 0; i < 3; i++) {
        int fd = stdio[i];

        if (fd < 0) {
            fd = open("/dev/null", (i == 0 ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
        }
        if (fd < 0 || (fd == i ? fcntl(fd, F_SETFD, 0) : dup2(fd, i)) < 0) {
            return false;
        }
    }
    return true;
}

static bool reset_signals(void)
{
    struct sigaction dfl = {.sa_handler = SIG_DFL};
    sigset_t none;

    for (int signo = 1; signo <= SIGRTMAX; signo++) {
        (void)sigaction(signo, &dfl, NULL); /* some cannot be changed: they are what they are */
    }
    sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL) == 0;
}

/* The probe's whole work: what raw sockets need, tried by doing. */
static bool probe_raw(bool raw)
{
    int fd = raw ? socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP) : -1;

    return !raw || fd >= 0;
}

/* After the last change of credentials, which would clear it. */
static bool follow_init(pid_t init)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) {
        return false;
    }
    errno = ESRCH;
    return getppid() == init; /* else it died before the signal was set */
}

static const char *confine(struct box_child *c)
{
    const struct box_plan *plan = c->plan;
    int notify_fd = -1;

    if (c->landlock_fd >= 0 && !landlock_enter(c->landlock_fd)) {
        return "landlock";
    }
    if (close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) < 0) {
        return "close_range";
    }
    if (!plan->spec->argv && plan->spec->nest) {
        return seccomp_tool(plan->spec->calls, NULL) < 0 ? "seccomp" : box_probe_inside();
    }
    if (!plan->spec->argv) {
        return probe_raw(plan->raw_sockets) ? NULL : "raw socket";
    }
    if (seccomp_tool(plan->spec->calls, &notify_fd) < 0) {
        return "seccomp";
    }
    c->notify_fd = notify_fd;
    execve(plan->spec->argv[0], plan->spec->argv, plan->spec->env);
    return "exec";
}

static const char *first_failed_step(struct box_child *c)
{
    if (setpgid(0, 0) < 0) {
        return "setpgid";
    }
    if (!set_stdio(c->stdio)) {
        return "stdio";
    }
    if (c->plan->view && chdir(c->plan->spec->start ? c->plan->spec->start : "/tmp") < 0) {
        return "chdir";
    }
    umask(077);
    set_priority();
    if (!set_limits(c->plan)) {
        return "setrlimit";
    }
    if (!reset_signals()) {
        return "signals";
    }
    if (!follow_init(c->init)) {
        return "pdeathsig";
    }
    return confine(c);
}

int box_child(void *child)
{
    struct box_child *c = child;
    const char *step = first_failed_step(c);

    c->errnum = errno;
    c->step = step;
    return step ? 127 : 0;
}
