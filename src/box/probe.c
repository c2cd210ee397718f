/* What box_start() can do, tried by doing: from the best level down, until a box works. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/box.h"
#include "box/init.h"
#include "box/landlock.h"
#include "box/seccomp.h"
#include "box/user.h"

enum { NOTIFY_PATIENCE_MS = 2000, INSIDE_STACK = 256 << 10 };

/* What box_probe() found; forks inherit it, until they become another user. */
static struct {
    bool known;
    uid_t uid;
    unsigned without;
    struct box_can can;
} probed;

void box_without(unsigned features)
{
    probed.without = features;
    probed.known = false;
}

bool box_is_without(unsigned feature)
{
    return (probed.without & feature) != 0;
}

/* Boxes. */

static bool works(const struct box_can *can, enum box_net net, bool raw, char *why, size_t size)
{
    const struct box_spec nothing = {
        .in = -1, .out = -1, .err = -1, .hold_fd = -1, .cgroup_fd = -1, .net = net};
    struct box_plan plan = {
        .spec = &nothing,
        .level = can->level,
        .view = can->view,
        .landlock = can->landlock,
        .raw_sockets = raw,
    };
    struct box_end end = {0};
    struct box b;
    struct err e;

    if (box_start_plan(&plan, &b, &e) != 0 || box_wait(&b, &end, &e) != 0) {
        snprintf(why, size, "%.*s", (int)size - 1, e.msg);
        return false;
    }
    box_done(&b);
    if (end.started && end.exit_status == 0) {
        return true;
    }
    snprintf(why, size, "%s: %s: %s", box_level_name(can->level), end.step, strerror(end.errnum));
    return false;
}

static unsigned level_feature(enum box_level l)
{
    static const unsigned features[] = {BOX_WITHOUT_USERNS, BOX_WITHOUT_PRIVILEGE, 0};

    return features[l];
}

/* One way to make boxes, if that is not excluded. */
static bool try_one(struct box_can *can, enum box_level level, bool view, bool own_net, char *why,
                    size_t size)
{
    unsigned needs =
        level_feature(level) | (view ? BOX_WITHOUT_MOUNT : 0) | (own_net ? BOX_WITHOUT_NET : 0);

    if (box_is_without(needs)) {
        snprintf(why, size, "%s: turned off",
                 box_is_without(level_feature(level))        ? box_level_name(level)
                 : view && box_is_without(BOX_WITHOUT_MOUNT) ? "view"
                                                             : "network");
        return false;
    }
    can->level = level;
    can->view = view;
    can->own_net = own_net;
    return works(can, own_net ? BOX_NET_EMPTY : BOX_NET_SHARED, false, why, size);
}

/* A view is worth more than a network of its own, and both more than the level. */
static bool try_namespaces(struct box_can *can)
{
    for (int way = 3; way >= 0; way--) {
        for (int l = BOX_USERNS; l <= BOX_NAMESPACES; l++) {
            char why[sizeof can->why] = "";
            /* The reason that is told is why the best was not to be had. */
            bool first = can->why[0] == '\0';

            if (try_one(can, (enum box_level)l, (way & 2) != 0, (way & 1) != 0, why, sizeof why)) {
                return true;
            }
            if (first) {
                snprintf(can->why, sizeof can->why, "%s", why);
            }
        }
    }
    return false;
}

/* Boxes in a box. */

static int make_inside(void *unused)
{
    struct box_can can = {.level = BOX_USERNS, .view = true, .own_net = true};
    char why[sizeof can.why] = "";

    (void)unused;
    if (works(&can, BOX_NET_EMPTY, false, why, sizeof why)) {
        return 0;
    }
    (void)!write(STDOUT_FILENO, why, strlen(why));
    return 1;
}

/* In a copy of the memory that the tool of a probe shares with its init; and on another stack, as
 * this one is where the tool's first steps of the inner box will run. */
const char *box_probe_inside(void)
{
    char *stack =
        mmap(NULL, INSIDE_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int status = -1;
    pid_t pid;

    if (stack == MAP_FAILED) {
        return "stack";
    }
    pid = clone(make_inside, stack + INSIDE_STACK, SIGCHLD, NULL);
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        return "fork";
    }
    errno = EOPNOTSUPP;
    return status == 0 ? NULL : "a box inside";
}

/* Why the box inside could not be made, or at which step the outer one failed. */
static bool try_nest(int in, int out, char why[160])
{
    const struct box_spec spec = {.in = -1,
                                  .out = out,
                                  .err = -1,
                                  .hold_fd = -1,
                                  .cgroup_fd = -1,
                                  .net = BOX_NET_EMPTY,
                                  .calls = BOX_CALLS_NESTING,
                                  .nest = true};
    struct box_plan plan = {.spec = &spec, .level = BOX_USERNS, .view = true};
    struct box_end end = {0};
    char said[128] = "";
    struct box b;
    struct err e;

    if (box_start_plan(&plan, &b, &e) != 0 || box_wait(&b, &end, &e) != 0) {
        snprintf(why, 160, "%.159s", e.msg);
        return false;
    }
    box_done(&b);
    if (end.started && end.exit_status == 0) {
        return true;
    }
    (void)!read(in, said, sizeof said - 1);
    snprintf(why, 160, "%.31s: %.120s", end.step, said[0] ? said : strerror(end.errnum));
    return false;
}

bool box_can_nest(char why[160])
{
    const struct box_can *can = box_probe();
    int said[2];
    bool ok;

    why[0] = '\0';
    if (can->level != BOX_USERNS || !can->view || !can->own_net) {
        snprintf(why, 160,
                 "repository scans need user namespaces, and a view and networks in them: %.80s",
                 can->why[0] ? can->why : box_level_name(can->level));
        return false;
    }
    if (pipe2(said, O_CLOEXEC | O_NONBLOCK) < 0) {
        snprintf(why, 160, "pipe: %s", strerror(errno));
        return false;
    }
    seccomp_prepare();
    ok = try_nest(said[0], said[1], why);
    close(said[0]);
    close(said[1]);
    return ok;
}

/* The broker's ways into the tool: a notification, its memory, its socket. */

static const uint16_t notify_port = 9;

/* Shares our table of descriptors: only the listener's number has to be told. */
static _Noreturn void notify_child(int s, int told)
{
    const struct sockaddr_in sa = {
        .sin_family = AF_INET,
        .sin_port = htons(notify_port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int listener;

    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* like a tool after exec */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        seccomp_tool(BOX_CALLS_BROKER, &listener) < 0 ||
        write(told, &listener, sizeof listener) != (ssize_t)sizeof listener) {
        _exit(1);
    }
    (void)connect(s, (const struct sockaddr *)&sa, sizeof sa);
    _exit(errno == EXDEV ? 0 : 1); /* as we answered */
}

static bool hear_notification(int listener, pid_t pid, int pidfd, int socket_number)
{
    /* The kernel's own structs may be longer than our headers'. */
    union {
        struct seccomp_notif n;
        char room[1024];
    } in = {0};
    union {
        struct seccomp_notif_resp r;
        char room[1024];
    } out = {0};
    struct pollfd p = {.fd = listener, .events = POLLIN};
    struct sockaddr_in sa = {0};
    auto_fd int taken = -1;

    if (poll(&p, 1, NOTIFY_PATIENCE_MS) != 1 ||
        ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &in.n) < 0) {
        return false;
    }

    struct iovec here = {.iov_base = &sa, .iov_len = sizeof sa};
    struct iovec there = {.iov_base = (void *)(uintptr_t)in.n.data.args[1], .iov_len = sizeof sa};
    bool read_it = process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)sizeof sa &&
                   sa.sin_port == htons(notify_port);

    taken = (int)syscall(SYS_pidfd_getfd, pidfd, socket_number, 0);
    out.r.id = in.n.id;
    out.r.error = -EXDEV;
    return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &out.r) == 0 && read_it && taken >= 0;
}

/* Its own table of descriptors, or a table shared with it, makes no difference to the broker. */
static bool try_notify(int s, const int told[2])
{
    int listener = -1;
    int pidfd = -1;
    int status = -1;
    pid_t pid =
        (pid_t)syscall(SYS_clone, CLONE_FILES | CLONE_PIDFD | SIGCHLD, NULL, &pidfd, NULL, NULL);
    bool ok;

    if (pid == 0) {
        notify_child(s, told[1]);
    }
    if (pid < 0) {
        return false;
    }

    /* The pipe does not end while we hold its other end: the pidfd tells that the child died. */
    struct pollfd p[2] = {{.fd = told[0], .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};

    ok = poll(p, 2, NOTIFY_PATIENCE_MS) > 0 && (p[0].revents & POLLIN) &&
         read(told[0], &listener, sizeof listener) == (ssize_t)sizeof listener &&
         hear_notification(listener, pid, pidfd, s);
    if (!ok) {
        (void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    }
    ok = waitpid(pid, &status, 0) == pid && ok && status == 0;
    fd_close(&listener);
    close(pidfd);
    return ok;
}

static bool can_notify(void)
{
    auto_fd int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int told[2];
    bool ok;

    seccomp_prepare();
    if (s < 0 || pipe2(told, O_CLOEXEC) < 0) {
        return false;
    }
    ok = try_notify(s, told);
    close(told[0]);
    close(told[1]);
    return ok;
}

const struct box_can *box_probe(void)
{
    struct box_can can = {0};
    char why[sizeof can.why];

    if (probed.known && probed.uid == geteuid()) {
        return &probed.can;
    }
    can.landlock = !box_is_without(BOX_WITHOUT_LANDLOCK) && landlock_abi() > 0;
    if (!try_namespaces(&can)) {
        can.level = BOX_PLAIN;
        can.view = can.own_net = false; /* if even that fails, box_start() will say why */
    }
    if (can.level == BOX_USERNS && can.view && can.own_net) {
        can.why[0] = '\0';
    }
    /* A user namespace of its own has no say over the network's. */
    can.raw_shared = can.level != BOX_USERNS && user_has_cap(CAP_NET_RAW) &&
                     works(&can, BOX_NET_SHARED, true, why, sizeof why);
    can.notify = !box_is_without(BOX_WITHOUT_NOTIFY) && can_notify();
    probed.can = can;
    probed.uid = geteuid();
    probed.known = true;
    return &probed.can;
}
