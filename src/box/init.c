/*
 * The init process of a box: our code, no exec, pid 1 where there is a pid namespace.
 *
 * It is born with every capability over its namespaces, builds the box with them, and gives them up
 * when the tool runs. All signals are blocked from before it exists, so none is lost: SIGTERM
 * (forwarded to the tool's process group), SIGUSR1 (kill the tree: asked by box_kill() at level
 * plain, or by the kernel when the caller died), SIGCHLD, SIGALRM (the box's time may have passed:
 * its own timer). The box is over when the tool itself is:
 * what it left behind is killed, reaped and only then the last note is written and init exits,
 * which is what the caller's pidfd shows. In a pid namespace the kernel guarantees the same when
 * init is killed.
 */
#include "box/init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/close_fds.h"
#include "box/landlock.h"
#include "box/net.h"
#include "box/tree.h"
#include "box/user.h"
#include "box/view.h"

/* A dead caller hears nothing. */
static void tell(const struct box_plan *plan, struct box_note *note, const int *fds)
{
    union {
        struct cmsghdr head;
        char data[CMSG_SPACE(2 * sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = note, .iov_len = sizeof *note};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    size_t n = fds ? (size_t)note->netns + note->notify + note->listen : 0;

    if (n > 0) {
        m.msg_control = control.data;
        m.msg_controllen = CMSG_SPACE(n * sizeof(int));
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
    }
    (void)sendmsg(plan->report_fd, &m, MSG_NOSIGNAL);
}

static _Noreturn void not_started(const struct box_plan *plan, const char *step, int errnum,
                                  bool late)
{
    struct box_note note = {
        .told = BOX_NOT_STARTED,
        .end =
            {.errnum = errnum, .exit_status = -1, .disk_bytes = -1, .disk_files = -1, .late = late},
    };

    snprintf(note.end.step, sizeof note.end.step, "%s", step);
    tell(plan, &note, NULL);
    _exit(1);
}

/* Out of the way of 0, 1, 2, which the tool's first steps overwrite. */
static int above_stdio(int fd)
{
    return fd < 0 || fd > STDERR_FILENO ? fd : fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

static const char *take_descriptors(struct box_plan *plan, int stdio[3], int *hold_fd)
{
    const struct box_spec *spec = plan->spec;

    plan->report_fd = above_stdio(plan->report_fd);
    plan->caller_fd = above_stdio(plan->caller_fd);
    *hold_fd = above_stdio(spec->hold_fd);
    stdio[0] = above_stdio(spec->in);
    stdio[1] = above_stdio(spec->out);
    stdio[2] = above_stdio(spec->err);

    int keep[] = {plan->report_fd, plan->caller_fd, *hold_fd, stdio[0], stdio[1], stdio[2]};

    if (!close_all_but(keep, ARRAY_LEN(keep))) {
        return "close_range";
    }
    /* Nor may anything opened from now on be in its way. */
    return dup(plan->report_fd) == STDIN_FILENO && dup(plan->report_fd) == STDOUT_FILENO &&
                   dup(plan->report_fd) == STDERR_FILENO
               ? NULL
               : "stdio";
}

static const char *follow_caller(const struct box_plan *plan)
{
    struct pollfd caller = {.fd = plan->caller_fd, .events = POLLIN};
    /* A namespace dies with its init; without one init has to do it. */
    int signo = plan->level == BOX_PLAIN ? SIGUSR1 : SIGKILL;

    if (prctl(PR_SET_PDEATHSIG, signo, 0, 0, 0) < 0) {
        return "pdeathsig";
    }
    if (poll(&caller, 1, 0) != 0) {
        _exit(1); /* it died before the signal was set */
    }
    return NULL;
}

/* Ready but for the network: hands out the namespace, and hears how to configure it. */
static const char *await_network(const struct box_plan *plan)
{
    struct box_note note = {.told = BOX_WAITING, .netns = true, .end = {.exit_status = -1}};
    auto_fd int ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    struct box_word word;
    const char *step = follow_caller(plan); /* it may take its time, or die */

    if (step || ns < 0) {
        return step ? step : "netns";
    }
    tell(plan, &note, &ns);
    if (recv(plan->report_fd, &word, sizeof word, 0) != (ssize_t)sizeof word ||
        word.kind != WORD_GO) {
        _exit(1); /* the caller is dead */
    }
    return net_configure(&word.address);
}

static const char *make_network(const struct box_plan *plan, int *listen_fd)
{
    const struct box_spec *spec = plan->spec;
    const char *step;

    switch (spec->net) {
    case BOX_NET_EMPTY:
        step = net_loopback_up();
        return step || spec->listen_port == 0 ? step : net_listen(spec->listen_port, listen_fd);
    case BOX_NET_OWN:
        return await_network(plan);
    default:
        return NULL;
    }
}

static const char *make_view(const struct box_plan *plan, struct view *view)
{
    const char *step = view_make(view, plan);

    if (!step && sethostname("scanpod", strlen("scanpod")) < 0) {
        step = "hostname";
    }
    return step;
}

/* Without a view: the directory, once we are its owner, and what guards the other files. */
static const char *enter_dir(const struct box_plan *plan, int dir_fd, int *landlock_fd)
{
    const char *step;

    if (fchdir(dir_fd) < 0) {
        return "chdir";
    }
    step = view_write_in_dir(plan->spec);
    return step || !plan->landlock ? step : landlock_make(plan->spec, landlock_fd);
}

/* Everything with capabilities. What the caller named is opened as the caller, all else is done as
 * the tool's user. */
static const char *build(const struct box_plan *plan, int *listen_fd, int *landlock_fd)
{
    const struct box_spec *spec = plan->spec;
    struct view view = {0};
    auto_fd int dir_fd = -1;
    const char *step = NULL;

    if (plan->level == BOX_PLAIN && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
        step = "subreaper";
    } else if (plan->view) {
        step = view_hold(&view, spec);
    } else {
        dir_fd = open(spec->dir ? spec->dir : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        step = dir_fd < 0 ? "chdir" : NULL;
    }
    step = step ? step : user_become(plan);
    if (!step) {
        step = plan->view ? make_view(plan, &view) : enter_dir(plan, dir_fd, landlock_fd);
    }
    step = step ? step : make_network(plan, listen_fd);
    if (!step && !spec->nest) {
        user_forbid_namespaces(plan);
    }
    if (!step && plan->view) {
        step = view_seal(spec);
    }
    return step ? step : user_restrict(plan);
}

/* Returns like vfork(): when the tool runs or has failed. */
static pid_t start_tool(struct box_child *c)
{
    static char stack[256 * 1024] __attribute__((aligned(16)));
    int files = c->plan->spec->calls == BOX_CALLS_BROKER ? CLONE_FILES : 0;

    return clone(box_child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | files | SIGCHLD, c);
}

static int64_t cpu_us(const struct rusage *u)
{
    return (u->ru_utime.tv_sec + u->ru_stime.tv_sec) * INT64_C(1000000) + u->ru_utime.tv_usec +
           u->ru_stime.tv_usec;
}

static void note_use(const struct box_plan *plan, struct box_end *end)
{
    struct rusage usage;
    struct statvfs disk;

    if (getrusage(RUSAGE_CHILDREN, &usage) == 0) {
        end->cpu_us = cpu_us(&usage);
        end->max_rss_kb = usage.ru_maxrss;
    }
    if (plan->view && statvfs("/tmp", &disk) == 0) {
        end->disk_bytes = (int64_t)((disk.f_blocks - disk.f_bfree) * disk.f_frsize);
        end->disk_files = (int64_t)(disk.f_files - disk.f_ffree) - 1; /* but /tmp itself */
        end->disk_full = disk.f_bfree == 0;
        end->inodes_full = disk.f_ffree == 0;
    }
}

static void note_status(int status, struct box_end *end)
{
    if (WIFSIGNALED(status)) {
        end->exit_signal = WTERMSIG(status);
    } else {
        end->exit_status = WEXITSTATUS(status);
    }
}

/* The tool runs: nothing stays open or allowed that it could profit from, or a reader wait for. */
static void retire(const struct box_plan *plan, int hold_fd)
{
    int keep[] = {plan->report_fd, hold_fd};

    if (user_drop() || !close_all_but(keep, ARRAY_LEN(keep))) {
        _exit(1);
    }
}

_Noreturn void box_init(const struct box_plan *given)
{
    struct box_plan plan = *given;
    struct box_child child = {.plan = &plan, .landlock_fd = -1, .notify_fd = -1};
    struct box_note note = {.end = {.exit_status = -1, .disk_bytes = -1, .disk_files = -1}};
    struct tree t = {.own_pids = plan.level != BOX_PLAIN, .until_ms = plan.spec->until_ms};
    int hold_fd = -1, listen_fd = -1;
    const char *step;

    prctl(PR_SET_NAME, "scanpod-box", 0, 0, 0);
    child.init = getpid();
    step = take_descriptors(&plan, child.stdio, &hold_fd);
    step = step ? step : build(&plan, &listen_fd, &child.landlock_fd);
    step = step ? step : follow_caller(&plan); /* after credentials: they clear it */
    if (!step && setsid() < 0) {
        step = "setsid";
    }
    step = step ? step : tree_watch_time(&t);
    if (step) {
        not_started(&plan, step, errno, t.late);
    }
    t.tool = start_tool(&child);
    if (t.tool < 0) {
        not_started(&plan, "fork", errno, false);
    }
    if (child.step) {
        not_started(&plan, child.step, child.errnum, false);
    }

    int fds[2] = {child.notify_fd, listen_fd};

    note.told = BOX_STARTED;
    note.notify = child.notify_fd >= 0;
    note.listen = listen_fd >= 0;
    note.end.started = true;
    tell(&plan, &note, note.notify ? fds : fds + 1);
    retire(&plan, hold_fd);
    tree_serve(&t);
    note = (struct box_note){.told = BOX_ENDED, .end = note.end};
    note.end.late = t.late;
    note_status(t.status, &note.end);
    note_use(&plan, &note.end);
    tell(&plan, &note, NULL);
    _exit(0);
}
