/*
 * The tool's first steps, in the child of a vfork: only system calls, no allocation, nothing that
 * changes memory of the init process but the note about what failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <netinet/in.h>

#include "base/mem.h"
#include "box/init.h"

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

static bool set_limits(const struct box_limits *l)
{
    const uint64_t mb = UINT64_C(1) << 20;
    /* The caller's own may be far above what programs count on (select). */
    const uint64_t files = l->files ? l->files : 1024;

    /* After the soft CPU limit the tool gets SIGXCPU, a little later SIGKILL. */
    return limit(RLIMIT_CORE, 0, 0) &&
           (!l->cpu_s || limit(RLIMIT_CPU, l->cpu_s, (uint64_t)l->cpu_s + 5)) &&
           (!l->mem_mb || limit(RLIMIT_AS, l->mem_mb * mb, l->mem_mb * mb)) &&
           limit(RLIMIT_NOFILE, files, files) &&
           (!l->procs || limit(RLIMIT_NPROC, l->procs, l->procs)) &&
           (!l->file_mb || limit(RLIMIT_FSIZE, l->file_mb * mb, l->file_mb * mb));
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

static const char *first_failed_step(const struct box_plan *plan, const int stdio[3])
{
    const struct box_spec *spec = plan->spec;

    if (setpgid(0, 0) < 0) {
        return "setpgid";
    }
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) {
        return "pdeathsig";
    }
    if (!set_stdio(stdio)) {
        return "stdio";
    }
    if (close_range(3, ~0U, 0) < 0) {
        return "close_range";
    }
    if (chdir(spec->dir ? spec->dir : "/") < 0) {
        return "chdir";
    }
    umask(077);
    if (!set_limits(&spec->limits)) {
        return "setrlimit";
    }
    if (!reset_signals()) {
        return "signals";
    }
    if (!spec->argv) {
        if (!probe_raw(plan->raw_sockets)) {
            return "raw socket";
        }
        _exit(0);
    }
    execve(spec->argv[0], spec->argv, spec->env);
    return "exec";
}

_Noreturn void box_child(const struct box_plan *plan, const int stdio[3],
                         struct box_failure *failed)
{
    const char *step = first_failed_step(plan, stdio);

    failed->errnum = errno;
    failed->step = step;
    _exit(127);
}
