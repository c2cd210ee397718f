#include "runner/broker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runner/broker_inside.h"

enum {
    A_TURN = 64,      /* calls answered before others of the runner have their turn */
    MESSAGES_MAX = 8, /* of one sendmmsg() */
    DNS_PORT = 53
};

/* What a tool may ask of a send. No MSG_ZEROCOPY: the bytes are ours, and soon others. */
static const int SEND_FLAGS = MSG_OOB | MSG_DONTROUTE | MSG_DONTWAIT | MSG_EOR | MSG_MORE |
                              MSG_NOSIGNAL | MSG_CONFIRM | MSG_FASTOPEN;

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

void broker_answer(struct broker *b, uint64_t id, long result)
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

bool broker_still_waits(const struct broker *b, uint64_t id)
{
    return ioctl(b->watch.fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

int broker_socket_option(int fd, int name)
{
    int v = -1;
    socklen_t len = sizeof v;

    return getsockopt(fd, SOL_SOCKET, name, &v, &len) == 0 ? v : -1;
}

/* ---- the calls ---- */

/* Counts; 0, or the error that the tool gets. */
static int judge(struct broker *b, const struct call *c, bool is_connect)
{
    switch (broker_judge(&b->scope, &c->to, c->to_len, is_connect)) {
    case BROKER_PASS:
        b->counts.passed++;
        bucket_take(&b->bucket);
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

    if (blocks && fcntl(*fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        *result = -errno;
        return true;
    }
    *result = connect(*fd, (const struct sockaddr *)&c->to, c->to_len) < 0 ? -errno : 0;
    if (!blocks) {
        return true;
    }
    if (*result == -EINPROGRESS || *result == -EALREADY) {
        struct pending *p = broker_wait_for(b, c->id, fd);

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

    if (c->cut && broker_socket_option(*fd, SO_TYPE) != SOCK_STREAM) {
        *result = -EMSGSIZE;
        return true;
    }
    *result = sendto(*fd, b->data, c->n, send_flags | MSG_DONTWAIT | MSG_NOSIGNAL, to, c->to_len);
    *result = *result < 0 ? -errno : *result;
    flags = *result == -EAGAIN ? fcntl(*fd, F_GETFL) : O_NONBLOCK;
    if ((flags & O_NONBLOCK) || (c->flags & MSG_DONTWAIT)) {
        return true;
    }
    p = broker_wait_for(b, c->id, fd);
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
    *result = 0;
    if (c->to_len) {
        *result = judge(b, c, false);
    } else {
        bucket_take(&b->bucket); /* to where a connect() led */
    }
    return *result < 0 || make_send(b, c, fd, result);
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
        if (!broker_note_sent(c, at, 0)) {
            result = -ENOSYS; /* before anything is sent: programs fall back to sendmsg() */
            break;
        }
        result = broker_copy_message(b, c, at);
        if (result == 0 && broker_still_waits(b, c->id) && send_one(b, c, fd, &result) &&
            result >= 0) {
            (void)broker_note_sent(c, at, (unsigned)result);
            sent++;
        }
    }
    return sent > 0 ? sent : result;
}

static void serve(struct broker *b)
{
    const struct seccomp_data *data = &b->req->data;
    const __u64 *args = data->args;
    struct call c = {.id = b->req->id, .pid = (pid_t)b->req->pid};
    auto_fd int fd = -1;
    long result = broker_copy_call(b, &c, data->nr, args);
    bool answered_now = true;

    if (result == 0) {
        fd = broker_take_socket(b, c.pid, (int)args[0]);
        result = fd < 0 ? -errno : 0;
    }
    /* What was read and taken was the caller's only if the caller is still there. */
    if (!broker_still_waits(b, c.id)) {
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
        broker_answer(b, c.id, result);
    }
}

static void on_refill(struct timer *t)
{
    struct broker *b = container_of(t, struct broker, refill);

    if (b->watch.loop) {
        watch_events(&b->watch, EPOLLIN);
    }
}

/* True: calls stay in the kernel for a while. */
static bool hold_back(struct broker *b)
{
    int64_t wait_ms = bucket_wait_ms(&b->bucket, boot_us());

    if (wait_ms > 0) {
        watch_events(&b->watch, 0);
        timer_arm(b->loop, &b->refill, wait_ms);
    }
    return wait_ms > 0;
}

static void on_notify(struct watch *w, uint32_t events)
{
    struct broker *b = container_of(w, struct broker, watch);
    struct pollfd p = {.fd = w->fd, .events = POLLIN};

    /* RECV waits when there is nothing: asked before each. */
    for (int i = 0; i < A_TURN && poll(&p, 1, 0) > 0 && (p.revents & POLLIN); i++) {
        if (hold_back(b)) {
            return;
        }
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
    bucket_init(&b->bucket, scope->rate_pps, boot_us());
    b->refill.fn = on_refill;
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
    for (struct pending *next, *p = b->pending; p; p = next) {
        next = p->next;
        broker_pending_free(p);
    }
    timer_stop(&b->refill);
    watch_del(&b->watch);
    fd_close(&b->pidfd);
    free(b->req);
    free(b->resp);
    free(b);
}
