#include "runner/broker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/mem.h"

enum {
    A_TURN = 64,       /* calls answered before others of the runner have their turn */
    PENDING_MAX = 256, /* calls that wait for their socket; a tool may have so many threads */
    DATA_MAX = 65536,  /* bytes of one send; a datagram is never larger, a stream sends the rest */
    IOV_MAX_HERE = 64,
    MESSAGES_MAX = 8, /* of one sendmmsg() */
    DNS_PORT = 53
};

/* What a tool may ask of a send. No MSG_ZEROCOPY: the bytes are ours, and soon others. */
static const int SEND_FLAGS = MSG_OOB | MSG_DONTROUTE | MSG_DONTWAIT | MSG_EOR | MSG_MORE |
                              MSG_NOSIGNAL | MSG_CONFIRM | MSG_FASTOPEN;

/* A call that waits until its socket is ready. */
struct pending {
    struct pending *next;
    struct broker *broker;
    struct watch watch; /* its fd is the duplicate; owned */
    struct timer until; /* SO_SNDTIMEO of the socket */
    uint64_t id;
    bool connecting;
    int flags; /* of the file: put back at the end */
    /* A send that found no room. */
    struct sockaddr_storage to;
    socklen_t to_len;
    int send_flags;
    struct buf data;
};

struct broker {
    struct loop *loop;
    struct watch watch; /* the listener; borrowed */
    struct broker_scope scope;
    struct egress_counts counts;
    struct pending *pending;
    unsigned n_pending;
    pid_t pid; /* whose pidfd we have: mostly the same process calls again and again */
    int pidfd;
    size_t req_size;
    struct seccomp_notif *req;       /* owned; as large as the kernel says */
    struct seccomp_notif_resp *resp; /* owned */
    size_t resp_size;
    char data[DATA_MAX];
};

/* One call as it is being looked at. */
struct call {
    uint64_t id;
    pid_t pid;
    struct sockaddr_storage to;
    socklen_t to_len; /* 0: no address */
    size_t n;         /* bytes to send, in broker.data */
    bool cut;         /* there are more: only a stream may be sent in parts */
    int flags;
};

/* ---- judging ---- */

enum broker_verdict broker_judge(const struct broker_scope *scope, const void *address, size_t len,
                                 bool is_connect)
{
    struct sockaddr_storage ss = {0};
    struct sockaddr_nl nl = {0};
    struct net_ip ip;
    uint16_t port;

    if (len < sizeof ss.ss_family || len > sizeof ss) {
        return BROKER_REFUSED;
    }
    memcpy(&ss, address, len);
    switch (ss.ss_family) {
    case AF_UNSPEC:
        /* In connect() it dissolves an association; a send would take it for AF_INET. */
        return is_connect ? BROKER_LOCAL : BROKER_REFUSED;
    case AF_NETLINK: /* the kernel, which asks what the sender may; no other process */
        memcpy(&nl, address, MIN(len, sizeof nl));
        return len >= sizeof nl && nl.nl_pid == 0 && nl.nl_groups == 0 ? BROKER_LOCAL
                                                                       : BROKER_REFUSED;
    case AF_INET:
        port = ((const struct sockaddr_in *)(const void *)&ss)->sin_port;
        break;
    case AF_INET6:
        port = ((const struct sockaddr_in6 *)(const void *)&ss)->sin6_port;
        break;
    default:
        return BROKER_REFUSED;
    }
    if (!net_ip_from((const struct sockaddr *)&ss, (socklen_t)len, &ip)) {
        return BROKER_REFUSED;
    }
    if (scope->has_dns && ntohs(port) == DNS_PORT && net_ip_cmp(&ip, &scope->dns) == 0) {
        return BROKER_PASS;
    }
    return scope->targets && netset_has(scope->targets, &ip) ? BROKER_PASS : BROKER_SCOPE;
}

/* ---- answering ---- */

static void answer(struct broker *b, uint64_t id, long result)
{
    memset(b->resp, 0, b->resp_size);
    b->resp->id = id;
    if (result < 0) {
        b->resp->error = (int32_t)result;
    } else {
        b->resp->val = result;
    }
    /* ENOENT: the caller has been killed or interrupted in the meantime. */
    (void)ioctl(b->watch.fd, SECCOMP_IOCTL_NOTIF_SEND, b->resp);
}

static bool still_waits(const struct broker *b, uint64_t id)
{
    return ioctl(b->watch.fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

/* ---- the tool's memory and sockets ---- */

static bool copy_in(pid_t pid, uint64_t from, void *to, size_t n)
{
    struct iovec here = {to, n};
    struct iovec there = {(void *)(uintptr_t)from, n};

    return n == 0 || process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)n;
}

/* The process that a thread belongs to: not every kernel gives a pidfd for any other. */
static pid_t process_of(pid_t tid)
{
    auto_free char *path = str_fmt("/proc/%d/status", tid);
    FILE *f = fopen(path, "re");
    char line[256];
    long pid = tid;

    while (f && fgets(line, sizeof line, f)) {
        if (str_starts(line, "Tgid:")) {
            pid = strtol(line + strlen("Tgid:"), NULL, 10);
            break;
        }
    }
    if (f) {
        fclose(f);
    }
    return (pid_t)pid;
}

static void forget_process(struct broker *b)
{
    fd_close(&b->pidfd);
    b->pid = 0;
}

static int dup_from(struct broker *b, pid_t pid, int fd)
{
    if (b->pid != pid) {
        forget_process(b);
        b->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (b->pidfd < 0) {
            b->pidfd = (int)syscall(SYS_pidfd_open, process_of(pid), 0);
        }
        b->pid = pid;
    }
    return b->pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, b->pidfd, fd, 0);
}

/* -1 with errno. */
static int take_socket(struct broker *b, pid_t pid, int fd)
{
    int got = dup_from(b, pid, fd);

    if (got < 0 && errno == ESRCH) { /* the number was another process's before */
        forget_process(b);
        got = dup_from(b, pid, fd);
    }
    return got;
}

static int socket_option(int fd, int name)
{
    int v = -1;
    socklen_t len = sizeof v;

    return getsockopt(fd, SOL_SOCKET, name, &v, &len) == 0 ? v : -1;
}

/* ---- calls that wait ---- */

static void pending_free(struct pending *p)
{
    struct pending **at = &p->broker->pending;

    while (*at != p) {
        at = &(*at)->next;
    }
    *at = p->next;
    p->broker->n_pending--;
    timer_stop(&p->until);
    watch_del(&p->watch);
    if (p->connecting) {
        (void)fcntl(p->watch.fd, F_SETFL, p->flags);
    }
    fd_close(&p->watch.fd);
    buf_done(&p->data);
    free(p);
}

static void pending_over(struct pending *p, long result)
{
    struct broker *b = p->broker;
    uint64_t id = p->id;

    pending_free(p); /* first: the tool finds its socket as it was */
    answer(b, id, result);
}

static void on_pending(struct watch *w, uint32_t events)
{
    struct pending *p = container_of(w, struct pending, watch);
    long n;

    (void)events;
    if (p->connecting) {
        int error = socket_option(w->fd, SO_ERROR);

        pending_over(p, error < 0 ? -EIO : -error);
        return;
    }
    n = sendto(w->fd, p->data.data, p->data.len, p->send_flags | MSG_DONTWAIT | MSG_NOSIGNAL,
               p->to_len ? (const struct sockaddr *)&p->to : NULL, p->to_len);
    if (n >= 0 || errno != EAGAIN) {
        pending_over(p, n < 0 ? -errno : n);
    }
}

static void on_pending_late(struct timer *t)
{
    struct pending *p = container_of(t, struct pending, until);

    pending_over(p, p->connecting ? -EINPROGRESS : -EAGAIN);
}

/* Callers that were killed leave their calls behind. */
static void drop_stale(struct broker *b)
{
    struct pending *next;

    for (struct pending *p = b->pending; p; p = next) {
        next = p->next;
        if (!still_waits(b, p->id)) {
            pending_free(p);
        }
    }
}

static void arm_send_timeout(struct pending *p)
{
    struct timeval tv = {0};
    socklen_t len = sizeof tv;

    p->until.fn = on_pending_late;
    if (getsockopt(p->watch.fd, SOL_SOCKET, SO_SNDTIMEO, &tv, &len) == 0 &&
        (tv.tv_sec > 0 || tv.tv_usec > 0)) {
        timer_arm(p->broker->loop, &p->until, (int64_t)tv.tv_sec * 1000 + tv.tv_usec / 1000);
    }
}

/* Takes *fd. NULL: too many wait already. */
static struct pending *wait_for(struct broker *b, uint64_t id, int *fd)
{
    struct pending *p;

    if (b->n_pending == PENDING_MAX) {
        drop_stale(b);
    }
    if (b->n_pending == PENDING_MAX) {
        return NULL;
    }
    p = xcalloc(1, sizeof *p);
    p->broker = b;
    p->id = id;
    p->watch = (struct watch){.fd = *fd, .events = EPOLLOUT, .fn = on_pending};
    if (watch_add(b->loop, &p->watch, NULL) != 0) {
        free(p);
        return NULL;
    }
    *fd = -1;
    p->next = b->pending;
    b->pending = p;
    b->n_pending++;
    arm_send_timeout(p);
    return p;
}

/* ---- the calls ---- */

static bool copy_address(const struct broker *b, struct call *c, uint64_t from, uint64_t len)
{
    (void)b;
    if (len > sizeof c->to) {
        return false;
    }
    c->to_len = (socklen_t)len;
    return copy_in(c->pid, from, &c->to, len);
}

static bool copy_data(struct broker *b, struct call *c, uint64_t from, uint64_t len)
{
    size_t n = (size_t)MIN(len, (uint64_t)(DATA_MAX - c->n));

    c->cut = c->cut || n < len;
    if (!copy_in(c->pid, from, b->data + c->n, n)) {
        return false;
    }
    c->n += n;
    return true;
}

/* 0, or -errno. */
static int copy_message(struct broker *b, struct call *c, uint64_t from)
{
    struct msghdr m;
    struct iovec iov[IOV_MAX_HERE];

    if (!copy_in(c->pid, from, &m, sizeof m)) {
        return -EFAULT;
    }
    if (m.msg_controllen > 0) { /* routes, extension headers, descriptors */
        b->counts.options++;
        return -EACCES;
    }
    if (m.msg_iovlen > IOV_MAX_HERE) {
        return -EMSGSIZE;
    }
    if (!copy_in(c->pid, (uintptr_t)m.msg_iov, iov, m.msg_iovlen * sizeof *iov) ||
        (m.msg_name && !copy_address(b, c, (uintptr_t)m.msg_name, m.msg_namelen))) {
        return -EFAULT;
    }
    for (size_t i = 0; i < m.msg_iovlen; i++) {
        if (!copy_data(b, c, (uintptr_t)iov[i].iov_base, iov[i].iov_len)) {
            return -EFAULT;
        }
    }
    return 0;
}

/* Counts; 0, or the error that the tool gets. */
static int judge(struct broker *b, const struct call *c, bool is_connect)
{
    switch (broker_judge(&b->scope, &c->to, c->to_len, is_connect)) {
    case BROKER_PASS:
        b->counts.passed++;
        return 0;
    case BROKER_LOCAL:
        return 0;
    case BROKER_SCOPE:
        b->counts.out_of_scope++;
        return -ENETUNREACH;
    default:
        b->counts.protocol++;
        return -EACCES;
    }
}

/* False: it waits. Else *result is the answer. */
static bool make_connect(struct broker *b, const struct call *c, int *fd, long *result)
{
    int flags = fcntl(*fd, F_GETFL);
    bool blocks = flags >= 0 && !(flags & O_NONBLOCK);
    struct pending *p;

    if (blocks && fcntl(*fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        *result = -errno;
        return true;
    }
    *result = connect(*fd, (const struct sockaddr *)&c->to, c->to_len) < 0 ? -errno : 0;
    if (!blocks) {
        return true;
    }
    if (*result == -EINPROGRESS || *result == -EALREADY) {
        p = wait_for(b, c->id, fd);
        if (p) {
            p->connecting = true;
            p->flags = flags;
            return false;
        }
        *result = -EAGAIN;
    }
    (void)fcntl(*fd, F_SETFL, flags);
    return true;
}

static bool make_send(struct broker *b, const struct call *c, int *fd, long *result)
{
    const struct sockaddr *to = c->to_len ? (const struct sockaddr *)&c->to : NULL;
    int send_flags = c->flags & SEND_FLAGS;
    struct pending *p;
    int flags;

    if (c->cut && socket_option(*fd, SO_TYPE) != SOCK_STREAM) {
        *result = -EMSGSIZE;
        return true;
    }
    *result = sendto(*fd, b->data, c->n, send_flags | MSG_DONTWAIT | MSG_NOSIGNAL, to, c->to_len);
    *result = *result < 0 ? -errno : *result;
    flags = *result == -EAGAIN ? fcntl(*fd, F_GETFL) : O_NONBLOCK;
    if ((flags & O_NONBLOCK) || (c->flags & MSG_DONTWAIT)) {
        return true;
    }
    p = wait_for(b, c->id, fd);
    if (p) {
        p->to = c->to;
        p->to_len = c->to_len;
        p->send_flags = send_flags;
        buf_add(&p->data, b->data, c->n);
    }
    return !p;
}

static bool send_one(struct broker *b, struct call *c, int *fd, long *result)
{
    *result = c->to_len ? judge(b, c, false) : 0;
    return *result < 0 || make_send(b, c, fd, result);
}

/* Tells how much of a message of sendmmsg() was sent. */
static bool note_sent(const struct call *c, uint64_t message, unsigned n)
{
    struct iovec here = {&n, sizeof n};
    struct iovec there = {(void *)(uintptr_t)(message + offsetof(struct mmsghdr, msg_len)),
                          sizeof n};

    return process_vm_writev(c->pid, &here, 1, &there, 1, 0) == (ssize_t)sizeof n;
}

/* As many as go at once: the tool comes again for the rest. */
static long send_many(struct broker *b, struct call *c, const __u64 *args, int *fd)
{
    uint64_t at = args[1];
    unsigned n = MIN((unsigned)args[2], (unsigned)MESSAGES_MAX);
    long result = 0;
    long sent = 0;

    c->flags |= MSG_DONTWAIT;
    for (; sent < (long)n && result >= 0; at += sizeof(struct mmsghdr)) {
        c->n = c->to_len = 0;
        c->cut = false;
        if (!note_sent(c, at, 0)) {
            result = -ENOSYS; /* before anything is sent: programs fall back to sendmsg() */
            break;
        }
        result = copy_message(b, c, at);
        if (result == 0 && still_waits(b, c->id) && send_one(b, c, fd, &result) && result >= 0) {
            (void)note_sent(c, at, (unsigned)result);
            sent++;
        }
    }
    return sent > 0 ? sent : result;
}

/* Copies what the call is about; 0, or -errno. */
static int copy_call(struct broker *b, struct call *c, int nr, const __u64 *args)
{
    switch (nr) {
    case SYS_connect:
        return copy_address(b, c, args[1], (uint32_t)args[2]) ? 0 : -EFAULT;
    case SYS_sendto:
        c->flags = (int)args[3];
        return copy_address(b, c, args[4], (uint32_t)args[5]) && copy_data(b, c, args[1], args[2])
                   ? 0
                   : -EFAULT;
    case SYS_sendmsg:
        c->flags = (int)args[2];
        return copy_message(b, c, args[1]);
    case SYS_sendmmsg:
        c->flags = (int)args[3];
        return 0;
    default:
        return -ENOSYS;
    }
}

static void serve(struct broker *b)
{
    const struct seccomp_data *data = &b->req->data;
    const __u64 *args = data->args;
    struct call c = {.id = b->req->id, .pid = (pid_t)b->req->pid};
    auto_fd int fd = -1;
    long result = copy_call(b, &c, data->nr, args);
    bool answered_now = true;

    if (result == 0) {
        fd = take_socket(b, c.pid, (int)args[0]);
        result = fd < 0 ? -errno : 0;
    }
    /* What was read and taken was the caller's only if the caller is still there. */
    if (!still_waits(b, c.id)) {
        return;
    }
    if (result == 0) {
        if (data->nr == SYS_connect) {
            result = judge(b, &c, true);
            answered_now = result < 0 || make_connect(b, &c, &fd, &result);
        } else if (data->nr == SYS_sendmmsg) {
            result = send_many(b, &c, args, &fd);
        } else {
            answered_now = send_one(b, &c, &fd, &result);
        }
    }
    if (answered_now) {
        fd_close(&fd);
        answer(b, c.id, result);
    }
}

static void on_notify(struct watch *w, uint32_t events)
{
    struct broker *b = container_of(w, struct broker, watch);
    struct pollfd p = {.fd = w->fd, .events = POLLIN};

    /* RECV waits when there is nothing: asked before each. */
    for (int i = 0; i < A_TURN && poll(&p, 1, 0) > 0 && (p.revents & POLLIN); i++) {
        memset(b->req, 0, b->req_size);
        if (ioctl(w->fd, SECCOMP_IOCTL_NOTIF_RECV, b->req) == 0) {
            serve(b);
        } else if (errno != EINTR && errno != ENOENT) {
            break;
        }
    }
    if ((events & (EPOLLHUP | EPOLLERR)) && !(p.revents & POLLIN)) {
        watch_del(w); /* nobody is left who could call */
    }
}

struct broker *broker_new(struct loop *l, int notify_fd, const struct broker_scope *scope)
{
    struct broker *b = xcalloc(1, sizeof *b);
    struct seccomp_notif_sizes sizes = {0};

    (void)syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes);
    b->req_size = MAX(sizeof *b->req, (size_t)sizes.seccomp_notif);
    b->resp_size = MAX(sizeof *b->resp, (size_t)sizes.seccomp_notif_resp);
    b->req = xcalloc(1, b->req_size);
    b->resp = xcalloc(1, b->resp_size);
    b->loop = l;
    b->pidfd = -1;
    b->scope = *scope;
    b->watch = (struct watch){.fd = notify_fd, .events = EPOLLIN, .fn = on_notify};
    if (watch_add(l, &b->watch, NULL) != 0) {
        broker_free(b);
        return NULL;
    }
    return b;
}

const struct egress_counts *broker_counts(const struct broker *b)
{
    return &b->counts;
}

void broker_free(struct broker *b)
{
    if (!b) {
        return;
    }
    while (b->pending) {
        pending_free(b->pending);
    }
    watch_del(&b->watch);
    fd_close(&b->pidfd);
    free(b->req);
    free(b->resp);
    free(b);
}
