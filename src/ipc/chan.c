/*
 * A packet is the type (u16, little-endian) and the body. An empty packet is never sent: a read of
 * nothing is the end. A peer that sends something else (too short, too long, too many descriptors)
 * is not one of ours any more: the channel is closed.
 */
#include "ipc/chan.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

enum { TYPE_LEN = 2, PER_EVENT = 32 };

struct chan_msg {
    struct chan_msg *next;
    unsigned n_fds;
    int fds[CHAN_FDS_MAX]; /* owned: duplicates */
    size_t n;              /* with type */
    uint8_t data[];
};

union control {
    struct cmsghdr align;
    char space[CMSG_SPACE(CHAN_FDS_MAX * sizeof(int))];
};

int chan_pair(int fds[2], struct err *e)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0) {
        return err_errno(e, "make a socket pair");
    }
    return 0;
}

int chan_spawn(const char *what, void (*role)(const void *arg, int fd), const void *arg,
               int *out_fd, int *out_pidfd, struct err *e)
{
    int fds[2];
    int pidfd, rc = chan_pair(fds, e);
    pid_t pid;

    if (rc != 0) {
        return rc;
    }
    pid = fork();
    if (pid == 0) {
        role(arg, fds[1]);
        _exit(1);
    }
    close(fds[1]);
    pidfd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0) {
        rc = err_errno(e, "start %s", what);
        close(fds[0]); /* which ends it */
        return rc;
    }
    *out_fd = fds[0];
    *out_pidfd = pidfd;
    return 0;
}

static void msg_free(struct chan_msg *m)
{
    for (unsigned i = 0; i < m->n_fds; i++) {
        fd_close(&m->fds[i]);
    }
    free(m);
}

/* 1: sent; 0: does not fit now; ERR_*. */
static int send_packet(int fd, const struct iovec *iov, unsigned n_iov, const int *fds,
                       unsigned n_fds, struct err *e)
{
    union control control;
    struct msghdr mh = {.msg_iovlen = n_iov};

    memcpy(&mh.msg_iov, &iov, sizeof iov); /* the kernel only reads it */
    if (n_fds) {
        struct cmsghdr *c;

        memset(&control, 0, sizeof control);
        mh.msg_control = &control;
        mh.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        c = CMSG_FIRSTHDR(&mh);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    for (;;) {
        if (sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) {
            return 1;
        }
        if (errno == EAGAIN || errno == ENOBUFS) {
            return 0;
        }
        if (errno != EINTR) {
            return err_errno(e, "send a message");
        }
    }
}

static int enqueue(struct chan *c, const struct iovec iov[2], const int *fds, unsigned n_fds,
                   struct err *e)
{
    size_t n = iov[0].iov_len + iov[1].iov_len;
    struct chan_msg *m;

    if (c->queued + n > CHAN_QUEUE_MAX) {
        return err_set(e, ERR_LIMIT, "the peer does not read: %zu bytes are waiting", c->queued);
    }
    m = xmalloc(sizeof *m + n);
    m->next = NULL;
    m->n = n;
    memcpy(m->data, iov[0].iov_base, iov[0].iov_len);
    if (iov[1].iov_len) {
        memcpy(m->data + iov[0].iov_len, iov[1].iov_base, iov[1].iov_len);
    }
    for (m->n_fds = 0; m->n_fds < n_fds; m->n_fds++) {
        int dup_fd = fcntl(fds[m->n_fds], F_DUPFD_CLOEXEC, 3);

        if (dup_fd < 0) {
            int rc = err_errno(e, "keep descriptor %d for a message", fds[m->n_fds]);

            msg_free(m);
            return rc;
        }
        m->fds[m->n_fds] = dup_fd;
    }
    *c->queue_tail = m;
    c->queue_tail = &m->next;
    c->queued += n;
    watch_events(&c->watch, EPOLLIN | EPOLLOUT);
    return 0;
}

int chan_send(struct chan *c, uint16_t type, const void *body, size_t n, const int *fds,
              unsigned n_fds, struct err *e)
{
    uint16_t le_type = htole16(type);
    struct iovec iov[2] = {{&le_type, TYPE_LEN}, {NULL, n}};
    int rc = 0;

    assert(n_fds <= CHAN_FDS_MAX);
    memcpy(&iov[1].iov_base, &body, sizeof body); /* the kernel only reads it */
    if (n > CHAN_BODY_MAX) {
        return err_set(e, ERR_LIMIT, "a message of %zu bytes is too long", n);
    }
    if (c->watch.fd < 0) {
        return err_set(e, ERR_IO, "the channel is closed");
    }
    if (!c->queue) {
        rc = send_packet(c->watch.fd, iov, 2, fds, n_fds, e);
    }
    if (rc == 0) {
        return enqueue(c, iov, fds, n_fds, e);
    }
    return rc < 0 ? rc : 0;
}

/* False when the peer is gone. */
static bool flush(struct chan *c)
{
    while (c->queue) {
        struct chan_msg *m = c->queue;
        struct iovec iov = {m->data, m->n};
        int rc = send_packet(c->watch.fd, &iov, 1, m->fds, m->n_fds, NULL);

        if (rc < 0) {
            return false;
        }
        if (rc == 0) {
            return true;
        }
        c->queue = m->next;
        c->queued -= m->n;
        msg_free(m);
    }
    c->queue_tail = &c->queue;
    watch_events(&c->watch, EPOLLIN);
    return true;
}

struct packet {
    uint8_t *data;
    ssize_t n;
    int fds[CHAN_FDS_MAX];
    unsigned n_fds;
};

static void take_fds(struct msghdr *mh, struct packet *p)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
        unsigned n;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        n = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        assert(p->n_fds + n <= CHAN_FDS_MAX); /* more does not fit into the space given */
        memcpy(p->fds + p->n_fds, CMSG_DATA(c), n * sizeof(int));
        p->n_fds += n;
    }
}

static void close_fds(struct packet *p)
{
    for (unsigned i = 0; i < p->n_fds; i++) {
        fd_close(&p->fds[i]);
    }
}

/* 1: a packet; 0: none now; -1: the end, or not one of our peers. */
static int receive(struct chan *c, struct packet *p)
{
    union control control;
    struct iovec iov = {c->in, TYPE_LEN + CHAN_BODY_MAX};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};

    do {
        mh.msg_controllen = sizeof control;
        p->n = recvmsg(c->watch.fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        /* A peer that closed with unread data resets us; what it sent before is still there. */
    } while (p->n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (p->n < 0) {
        return errno == EAGAIN ? 0 : -1;
    }
    p->data = c->in;
    p->n_fds = 0;
    take_fds(&mh, p);
    if (p->n < TYPE_LEN || (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
        close_fds(p);
        return -1;
    }
    return 1;
}

/* False when the channel ended in the handler: then `c` may be freed already. */
static bool deliver(struct chan *c, struct packet *p)
{
    bool gone = false;
    uint16_t type;

    memcpy(&type, p->data, TYPE_LEN);
    c->in = NULL; /* the body outlives a chan_done() in the handler */
    c->gone = &gone;
    c->on_message(c, le16toh(type), p->data + TYPE_LEN, (size_t)p->n - TYPE_LEN, p->fds, p->n_fds);
    close_fds(p);
    if (gone) {
        free(p->data);
        return false;
    }
    c->in = p->data;
    c->gone = NULL;
    return true;
}

static void on_ready(struct watch *w, uint32_t events)
{
    struct chan *c = container_of(w, struct chan, watch);
    struct packet p;
    int rc = 1;

    if ((events & EPOLLOUT) && !flush(c)) {
        c->on_close(c);
        return;
    }
    for (unsigned i = 0; i < PER_EVENT && rc > 0; i++) {
        rc = receive(c, &p);
        if (rc > 0 && !deliver(c, &p)) {
            return;
        }
    }
    if (rc < 0) {
        c->on_close(c);
    }
}

int chan_start(struct chan *c, struct loop *l, int fd, struct err *e)
{
    int rc;

    assert(c->on_message && c->on_close);
    c->watch = (struct watch){.fd = fd, .events = EPOLLIN, .fn = on_ready};
    c->queue = NULL;
    c->queue_tail = &c->queue;
    c->queued = 0;
    c->gone = NULL;
    c->in = xmalloc(TYPE_LEN + CHAN_BODY_MAX);
    rc = watch_add(l, &c->watch, e);
    if (rc != 0) {
        chan_done(c);
    }
    return rc;
}

void chan_done(struct chan *c)
{
    if (c->watch.fd < 0) {
        return;
    }
    watch_del(&c->watch);
    fd_close(&c->watch.fd);
    while (c->queue) {
        struct chan_msg *m = c->queue;

        c->queue = m->next;
        msg_free(m);
    }
    c->queue_tail = &c->queue;
    c->queued = 0;
    free(c->in);
    c->in = NULL;
    if (c->gone) {
        *c->gone = true;
        c->gone = NULL;
    }
}
