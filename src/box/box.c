/*
 * The caller's side of a box. Signals are blocked around the clone, so that the init process is
 * born deaf and hears what was sent meanwhile once it listens.
 */
#include "box/box.h"

#include <assert.h>
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/init.h"
#include "box/seccomp.h"
#include "box/user.h"

const char *box_level_name(enum box_level l)
{
    static const char *const names[] = {"userns", "namespaces", "plain"};

    return names[l];
}

static uint64_t namespaces(const struct box_plan *plan)
{
    uint64_t flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

    if (plan->level == BOX_PLAIN) {
        return 0;
    }
    return flags | (plan->level == BOX_USERNS ? CLONE_NEWUSER : 0) |
           (plan->spec->net == BOX_NET_SHARED ? 0 : CLONE_NEWNET);
}

/* Like fork(). Container runtimes answer ENOSYS to clone3, whose flags they cannot filter. */
static pid_t clone_process(uint64_t flags, int cgroup_fd, int *pidfd)
{
    struct clone_args args = {
        .flags = flags | CLONE_PIDFD | (cgroup_fd < 0 ? 0 : CLONE_INTO_CGROUP),
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
        .cgroup = cgroup_fd < 0 ? 0 : (uint64_t)cgroup_fd,
    };
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);

    if (pid < 0 && errno == ENOSYS && cgroup_fd < 0) {
        pid = (pid_t)syscall(SYS_clone, flags | CLONE_PIDFD | SIGCHLD, NULL, pidfd, NULL, NULL);
    }
    return pid;
}

static bool send_word(int fd, const struct box_word *word)
{
    return send(fd, word, sizeof *word, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof *word;
}

/* Root's tool is somebody else: its user is mapped here, where root may do that. */
static void map_for(const struct box *b)
{
    const struct box_word word = {.kind = user_map(b->pid) ? WORD_MAPPED : WORD_NOT_MAPPED};

    (void)send_word(b->report_fd, &word); /* if it does not hear, it is dead */
}

int box_start_plan(struct box_plan *plan, struct box *out, struct err *e)
{
    auto_fd int caller_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    struct box b = {
        .level = box_level_name(plan->level),
        .raw_sockets = plan->raw_sockets,
        .pidfd = -1,
        .netns_fd = -1,
        .notify_fd = -1,
        .listen_fd = -1,
        .end = {.exit_status = -1, .disk_bytes = -1, .disk_files = -1},
    };
    sigset_t all;
    sigset_t before;
    int report[2];

    seccomp_prepare();
    if (caller_fd < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, report) < 0) {
        return err_set(e, ERR_SANDBOX, "cannot prepare a box: %s", strerror(errno));
    }
    plan->uid = geteuid();
    plan->gid = getegid();
    plan->root = plan->uid == 0;
    plan->caller_fd = caller_fd;
    plan->report_fd = report[1];
    b.report_fd = report[0];
    if (plan->root && !plan->view && plan->spec->dir) {
        /* Private to this run, and the tool is not the user who made it. If it cannot be given
         * away, the tool cannot write there, and says so. */
        (void)!chown(plan->spec->dir, BOX_UID, BOX_UID);
    }
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    b.pid = clone_process(namespaces(plan), plan->spec->cgroup_fd, &b.pidfd);
    if (b.pid == 0) {
        box_init(plan);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    if (b.pid < 0) {
        close(report[0]);
        return err_set(e, ERR_SANDBOX, "cannot make a box at level %s: %s", b.level,
                       strerror(errno));
    }
    if (plan->root && plan->level == BOX_USERNS) {
        map_for(&b);
    }
    *out = b;
    return 0;
}

int box_start(const struct box_spec *spec, struct box *out, struct err *e)
{
    const struct box_can *can = box_probe();
    bool own_net = spec->net != BOX_NET_SHARED;
    struct box_plan plan = {
        .spec = spec,
        .level = can->level,
        .view = can->view,
        .landlock = can->landlock,
        .raw_sockets = spec->raw_sockets && (own_net || can->raw_shared),
        .net_admin = spec->net_admin && own_net,
    };

    assert(spec->argv && spec->argv[0] && spec->env);
    assert(spec->net == BOX_NET_EMPTY || spec->listen_port == 0);
    if (own_net && !can->own_net) {
        return err_set(e, ERR_SANDBOX, "no network namespace can be made here (level %s%s%s)",
                       box_level_name(can->level), can->why[0] ? ": " : "", can->why);
    }
    if (spec->nest && (can->level != BOX_USERNS || !can->view)) {
        return err_set(e, ERR_SANDBOX, "no boxes can be made in a box here (level %s%s)",
                       box_level_name(can->level), can->view ? "" : ", without a view");
    }
    if (spec->calls == BOX_CALLS_BROKER && !can->notify) {
        return err_set(e, ERR_SANDBOX, "system calls cannot be brokered here");
    }
    return box_start_plan(&plan, out, e);
}

int box_go(struct box *b, const struct box_address *a, struct err *e)
{
    const struct box_word word = {.kind = WORD_GO, .address = *a};

    if (!send_word(b->report_fd, &word)) {
        return err_set(e, ERR_SANDBOX, "the box is gone: %s", strerror(errno));
    }
    return 0;
}

/* Descriptors come in the order of the note's members. */
static void take_note(struct box *b, const struct box_note *note, const int *fds, size_t n)
{
    const bool has[] = {note->netns, note->notify, note->listen};
    int *const place[] = {&b->netns_fd, &b->notify_fd, &b->listen_fd};
    size_t used = 0;

    for (size_t i = 0; i < ARRAY_LEN(has); i++) {
        if (has[i] && used < n) {
            *place[i] = fds[used++];
        }
    }
    b->told = note->told;
    b->end = note->end;
}

bool box_poll(struct box *b)
{
    struct box_note note;
    union {
        struct cmsghdr head;
        char data[CMSG_SPACE(2 * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = &note, .iov_len = sizeof note};

    for (;;) {
        struct msghdr m = {
            .msg_iov = &iov,
            .msg_iovlen = 1,
            .msg_control = control.data,
            .msg_controllen = sizeof control.data,
        };
        int fds[2];
        size_t n = 0;
        ssize_t got = recvmsg(b->report_fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

        if (got < 0 && errno == ECONNRESET) {
            continue; /* said once, if it died without listening: what it told comes next */
        }
        if (got != (ssize_t)sizeof note) {
            break;
        }
        if (CMSG_FIRSTHDR(&m)) {
            n = (control.head.cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(fds, CMSG_DATA(&control.head), n * sizeof(int));
        }
        take_note(b, &note, fds, n);
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
    bool can_hear = b->level == box_level_name(BOX_PLAIN) || b->told == BOX_STARTED;
    bool ask = can_hear && !b->asked;

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
    } else if (b->told == BOX_SILENT || b->told == BOX_WAITING) {
        /* Killed before it came to start anything. */
        snprintf(b->end.step, sizeof b->end.step, b->told == BOX_SILENT ? "init" : "network");
        b->end.errnum = ECANCELED;
    }
    *end = b->end;
    return 0;
}

void box_done(struct box *b)
{
    fd_close(&b->pidfd);
    fd_close(&b->report_fd);
    fd_close(&b->netns_fd);
    fd_close(&b->notify_fd);
    fd_close(&b->listen_fd);
}
