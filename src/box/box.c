/*
 * The caller's side of a box. Signals are blocked around the clone, so that the init process is
 * born deaf and hears what was sent meanwhile once it listens.
 */
#include "box/box.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/init.h"

/* What box_probe() found; forks inherit it, until they become another user. */
static struct {
    bool known, forced, raw;
    uid_t uid;
    enum box_level level;
} probed;

const char *box_level_name(enum box_level l)
{
    static const char *const names[] = {"pidns", "userns", "subreaper"};

    return names[l];
}

static uint64_t namespaces(enum box_level l)
{
    switch (l) {
    case BOX_PIDNS:
        return CLONE_NEWPID;
    case BOX_USERNS:
        return CLONE_NEWUSER | CLONE_NEWPID;
    default:
        return 0;
    }
}

/* Like fork(). Container runtimes answer ENOSYS to clone3, whose flags they cannot filter. */
static pid_t clone_process(uint64_t flags, int *pidfd)
{
    struct clone_args args = {
        .flags = flags | CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
    };
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);

    if (pid < 0 && errno == ENOSYS) {
        pid = (pid_t)syscall(SYS_clone, flags | CLONE_PIDFD | SIGCHLD, NULL, pidfd, NULL, NULL);
    }
    return pid;
}

static int start_at(enum box_level level, bool raw, const struct box_spec *spec, struct box *out,
                    struct err *e)
{
    auto_fd int caller_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    struct box_plan plan = {
        .spec = spec,
        .level = level,
        .raw_sockets = raw,
        .uid = geteuid(),
        .gid = getegid(),
        .caller_fd = caller_fd,
    };
    struct box b = {.level = box_level_name(level), .raw_sockets = raw, .pidfd = -1};
    sigset_t all;
    sigset_t before;
    int report[2];

    if (caller_fd < 0 || pipe2(report, O_CLOEXEC | O_NONBLOCK) < 0) {
        return err_set(e, ERR_SANDBOX, "cannot prepare a box: %s", strerror(errno));
    }
    plan.report_fd = report[1];
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    b.pid = clone_process(namespaces(level), &b.pidfd);
    if (b.pid == 0) {
        box_init(&plan);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    if (b.pid < 0) {
        close(report[0]);
        return err_set(e, ERR_SANDBOX, "cannot make a box at level %s: %s", b.level,
                       strerror(errno));
    }
    b.report_fd = report[0];
    b.end = (struct box_end){.exit_status = -1};
    *out = b;
    return 0;
}

/* Trying. */

static bool works(enum box_level level, bool raw)
{
    const struct box_spec nothing = {.in = -1, .out = -1, .err = -1, .hold_fd = -1};
    struct box_end end = {0};
    struct box b = {.pidfd = -1, .report_fd = -1};
    bool ok;

    if (start_at(level, raw, &nothing, &b, NULL) != 0) {
        return false;
    }
    ok = box_wait(&b, &end, NULL) == 0 && end.started && end.exit_status == 0;
    box_done(&b);
    return ok;
}

static bool have_net_raw(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};

    return syscall(SYS_capget, &head, data) == 0 &&
           (data[0].permitted & UINT32_C(1) << CAP_NET_RAW) != 0;
}

static bool try_level(enum box_level level)
{
    if (!works(level, false)) {
        return false;
    }
    probed.known = true;
    probed.uid = geteuid();
    probed.level = level;
    /* A user namespace of its own has no say over the network's. */
    probed.raw = level != BOX_USERNS && have_net_raw() && works(level, true);
    return true;
}

enum box_level box_probe(bool *raw)
{
    bool known = probed.forced || (probed.known && probed.uid == geteuid());

    if (!known && !try_level(BOX_PIDNS) && !try_level(BOX_USERNS) && !try_level(BOX_SUBREAPER)) {
        probed.level = BOX_SUBREAPER; /* nothing works: box_start() will say why */
    }
    if (raw) {
        *raw = probed.raw;
    }
    return probed.level;
}

bool box_force_level(enum box_level l)
{
    probed.forced = try_level(l);
    return probed.forced;
}

int box_start(const struct box_spec *spec, struct box *out, struct err *e)
{
    bool raw;
    enum box_level level = box_probe(&raw);

    assert(spec->argv && spec->argv[0] && spec->env);
    return start_at(level, raw && spec->raw_sockets, spec, out, e);
}

bool box_poll(struct box *b)
{
    struct box_note note;

    while (read(b->report_fd, &note, sizeof note) == (ssize_t)sizeof note) {
        b->told = note.told;
        b->end = note.end;
    }
    return b->told == BOX_STARTED || b->told == BOX_ENDED;
}

static void send_signal(const struct box *b, int signo)
{
    /* Fails only when it is dead already. */
    (void)syscall(SYS_pidfd_send_signal, b->pidfd, signo, NULL, 0);
}

void box_terminate(const struct box *b)
{
    send_signal(b, SIGTERM);
}

void box_kill(struct box *b)
{
    bool ask = b->level == box_level_name(BOX_SUBREAPER) && !b->asked;

    b->asked = true;
    send_signal(b, ask ? SIGUSR1 : SIGKILL);
}

int box_wait(struct box *b, struct box_end *end, struct err *e)
{
    siginfo_t info;

    while (waitid((idtype_t)P_PIDFD, (id_t)b->pidfd, &info, WEXITED) < 0) {
        if (errno != EINTR) {
            return err_errno(e, "wait for a box");
        }
    }
    (void)box_poll(b);
    if (b->told == BOX_STARTED) {
        b->end.exit_signal = SIGKILL; /* init was killed, and the tool with it */
    } else if (b->told == BOX_SILENT) {
        snprintf(b->end.step, sizeof b->end.step, "init");
        b->end.errnum = ECANCELED; /* killed before it came to start anything */
    }
    *end = b->end;
    return 0;
}

void box_done(struct box *b)
{
    fd_close(&b->pidfd);
    fd_close(&b->report_fd);
}
