/*
 * The init process of a box: our code, no exec, pid 1 where there is a pid namespace.
 *
 * All signals are blocked from before it exists, so none is lost: SIGTERM (forwarded to the tool's
 * process group), SIGUSR1 (kill the tree: asked by box_kill() at level subreaper, or by the kernel
 * when the caller died), SIGCHLD. The box is over when the tool itself is: what it left behind is
 * killed, reaped and only then the last note is written and init exits, which is what the caller's
 * pidfd shows. In a pid namespace the kernel guarantees the same when init is killed.
 */
#include "box/init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/close_fds.h"

static void tell(const struct box_plan *plan, int told, const struct box_end *end)
{
    struct box_note note = {.told = (uint8_t)told, .end = *end};

    /* Less than PIPE_BUF into an empty pipe: whole or not at all. A dead caller hears nothing. */
    (void)!write(plan->report_fd, &note, sizeof note);
}

static _Noreturn void not_started(const struct box_plan *plan, const char *step, int errnum)
{
    struct box_end end = {.errnum = errnum, .exit_status = -1};

    snprintf(end.step, sizeof end.step, "%s", step);
    tell(plan, BOX_NOT_STARTED, &end);
    _exit(1);
}

static bool write_file(const char *path, const char *text)
{
    auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
    size_t n = strlen(text);

    return fd >= 0 && write(fd, text, n) == (ssize_t)n;
}

/* In a new user namespace: the caller's user stays who it is. */
static bool map_ids(const struct box_plan *plan)
{
    char line[64];
    bool done;
    int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);

    /* The files below belong to root while the process may not be dumped. */
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    done = write_file("/proc/self/setgroups", "deny");
    snprintf(line, sizeof line, "%u %u 1\n", plan->gid, plan->gid);
    done = done && write_file("/proc/self/gid_map", line);
    snprintf(line, sizeof line, "%u %u 1\n", plan->uid, plan->uid);
    done = done && write_file("/proc/self/uid_map", line);
    (void)prctl(PR_SET_DUMPABLE, dumpable == 1 ? 1 : 0, 0, 0, 0);
    return done;
}

/* Init needs none, and the tool inherits: no capabilities, or CAP_NET_RAW alone, in every set; and
 * no way to more. */
static bool set_capabilities(bool raw)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    uint32_t bit = raw ? UINT32_C(1) << CAP_NET_RAW : 0;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) {
        return false;
    }
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++) {
        /* Needs CAP_SETPCAP, and is a second lock only. */
        if (!(raw && cap == CAP_NET_RAW) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
            break;
        }
    }
    data[0].effective = data[0].permitted = data[0].inheritable = bit;
    return syscall(SYS_capset, &head, data) == 0 &&
           (!raw || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0) == 0);
}

/* Out of the way of 0, 1, 2, which the tool's first steps overwrite. */
static int above_stdio(int fd)
{
    return fd < 0 || fd > STDERR_FILENO ? fd : fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

static void follow_caller(const struct box_plan *plan)
{
    struct pollfd caller = {.fd = plan->caller_fd, .events = POLLIN};
    /* A namespace dies with its init; at level subreaper init has to do it. */
    int signo = plan->level == BOX_SUBREAPER ? SIGUSR1 : SIGKILL;

    if (prctl(PR_SET_PDEATHSIG, signo, 0, 0, 0) < 0) {
        not_started(plan, "pdeathsig", errno);
    }
    if (poll(&caller, 1, 0) != 0) {
        _exit(1); /* it died before the signal was set */
    }
}

static void prepare(struct box_plan *plan, int stdio[3], int *hold_fd)
{
    if (plan->level == BOX_USERNS && !map_ids(plan)) {
        not_started(plan, "userns", errno);
    }
    if (plan->level == BOX_SUBREAPER && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
        not_started(plan, "subreaper", errno);
    }
    if (!set_capabilities(plan->raw_sockets)) {
        not_started(plan, "capabilities", errno);
    }
    follow_caller(plan); /* after credentials: they clear it */
    if (setsid() < 0) {
        not_started(plan, "setsid", errno);
    }
    prctl(PR_SET_NAME, "scanpod-box", 0, 0, 0);

    plan->report_fd = above_stdio(plan->report_fd);
    *hold_fd = above_stdio(plan->spec->hold_fd);
    stdio[0] = above_stdio(plan->spec->in);
    stdio[1] = above_stdio(plan->spec->out);
    stdio[2] = above_stdio(plan->spec->err);

    int keep[] = {plan->report_fd, *hold_fd, stdio[0], stdio[1], stdio[2]};

    if (!close_all_but(keep, ARRAY_LEN(keep))) {
        not_started(plan, "close_range", errno);
    }
}

/* The vfork's own frame: the child returns from nothing. */
static __attribute__((noinline)) pid_t start_tool(const struct box_plan *plan, const int stdio[3],
                                                  struct box_failure *failed)
{
    pid_t pid = vfork();

    if (pid == 0) {
        box_child(plan, stdio, failed);
    }
    return pid;
}

/* Ending the tree. */

/* The parent and process group of a process, from /proc/PID/stat; false if it is gone. */
static bool read_stat(pid_t pid, pid_t *parent, pid_t *group)
{
    char path[64];
    char text[512];
    auto_fd int fd = -1;
    const char *after_name;
    char *end;
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0) {
        return false;
    }
    text[n] = '\0';
    after_name = strrchr(text, ')'); /* the name itself may hold anything */
    if (!after_name || strlen(after_name) < 4) {
        return false;
    }
    *parent = (pid_t)strtol(after_name + 4, &end, 10);
    *group = (pid_t)strtol(end, &end, 10);
    return true;
}

/*
 * Without a namespace: kills our own children, which nobody but us reaps, so that their numbers
 * cannot mean others. Whatever they leave becomes our child, and the next round's. A group is
 * killed as a whole: it cannot fork its way out.
 */
static void kill_children(void)
{
    DIR *proc = opendir("/proc");
    const struct dirent *row;

    while (proc && (row = readdir(proc))) {
        pid_t pid = (pid_t)strtol(row->d_name, NULL, 10); /* 0: no process */
        pid_t parent, group;

        if (pid > 0 && read_stat(pid, &parent, &group) && parent == getpid()) {
            if (group > 1 && group != getpgrp()) {
                kill(-group, SIGKILL);
            }
            kill(pid, SIGKILL);
        }
    }
    if (proc) {
        closedir(proc);
    }
}

struct tree {
    pid_t tool;
    bool tool_ended, empty;
    int status; /* of the tool */
};

static void note_child(struct tree *t, pid_t pid, int status)
{
    if (pid == t->tool) {
        t->tool_ended = true;
        t->status = status;
    }
}

/* Reaps what has ended. */
static void reap(struct tree *t)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        note_child(t, pid, status);
    }
    t->empty = pid < 0 && errno == ECHILD;
}

static void kill_tree(const struct box_plan *plan, struct tree *t)
{
    const struct timespec pause = {.tv_nsec = 1000 * 1000};

    for (reap(t); !t->empty; reap(t)) {
        if (plan->level != BOX_SUBREAPER) {
            int status;
            pid_t pid;

            kill(-1, SIGKILL); /* everybody in the namespace but us, at one stroke */
            while ((pid = waitpid(-1, &status, 0)) > 0) {
                note_child(t, pid, status);
            }
        } else {
            sigset_t child;

            kill_children();
            sigemptyset(&child);
            sigaddset(&child, SIGCHLD);
            (void)sigtimedwait(&child, NULL, &pause);
        }
    }
}

static void serve(const struct box_plan *plan, struct tree *t)
{
    sigset_t heard;
    int signo = 0;

    sigemptyset(&heard);
    sigaddset(&heard, SIGCHLD);
    sigaddset(&heard, SIGTERM);
    sigaddset(&heard, SIGUSR1);
    for (reap(t); !t->tool_ended && signo != SIGUSR1; reap(t)) {
        signo = sigwaitinfo(&heard, NULL);
        if (signo == SIGTERM) {
            kill(-t->tool, SIGTERM);
        }
    }
    kill_tree(plan, t);
}

static int64_t cpu_us(const struct rusage *u)
{
    return (u->ru_utime.tv_sec + u->ru_stime.tv_sec) * INT64_C(1000000) + u->ru_utime.tv_usec +
           u->ru_stime.tv_usec;
}

_Noreturn void box_init(const struct box_plan *given)
{
    struct box_plan plan = *given;
    struct box_end end = {.exit_status = -1};
    struct box_failure failed = {0};
    struct tree t = {0};
    struct rusage usage;
    int stdio[3];
    int hold_fd;

    prepare(&plan, stdio, &hold_fd);
    t.tool = start_tool(&plan, stdio, &failed);
    if (t.tool < 0) {
        not_started(&plan, "fork", errno);
    }
    if (failed.step) {
        not_started(&plan, failed.step, failed.errnum);
    }
    for (int i = 0; i < 3; i++) {
        fd_close(&stdio[i]); /* the readers shall see the end when the tool is gone */
    }
    end.started = true;
    tell(&plan, BOX_STARTED, &end);
    serve(&plan, &t);
    if (WIFSIGNALED(t.status)) {
        end.exit_signal = WTERMSIG(t.status);
    } else {
        end.exit_status = WEXITSTATUS(t.status);
    }
    if (getrusage(RUSAGE_CHILDREN, &usage) == 0) {
        end.cpu_us = cpu_us(&usage);
        end.max_rss_kb = usage.ru_maxrss;
    }
    tell(&plan, BOX_ENDED, &end);
    _exit(0);
}
