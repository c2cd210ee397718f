/* What the broker takes from a tool: memory, and duplicates of its sockets. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "runner/broker_inside.h"

enum { IOV_MAX_HERE = 64 };

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

void broker_forget_process(struct broker *b)
{
    fd_close(&b->pidfd);
    b->pid = 0;
}

static int dup_from(struct broker *b, pid_t pid, int fd)
{
    if (b->pid != pid) {
        broker_forget_process(b);
        b->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        if (b->pidfd < 0) {
            b->pidfd = (int)syscall(SYS_pidfd_open, process_of(pid), 0);
        }
        b->pid = pid;
    }
    return b->pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, b->pidfd, fd, 0);
}

int broker_take_socket(struct broker *b, pid_t pid, int fd)
{
    int got = dup_from(b, pid, fd);

    if (got < 0 && errno == ESRCH) { /* the number was another process's before */
        broker_forget_process(b);
        got = dup_from(b, pid, fd);
    }
    return got;
}

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
int broker_copy_message(struct broker *b, struct call *c, uint64_t from)
{
    struct msghdr m = {0};
    struct iovec iov[IOV_MAX_HERE] = {0};

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

bool broker_note_sent(const struct call *c, uint64_t message, unsigned n)
{
    struct iovec here = {&n, sizeof n};
    struct iovec there = {(void *)(uintptr_t)(message + offsetof(struct mmsghdr, msg_len)),
                          sizeof n};

    return process_vm_writev(c->pid, &here, 1, &there, 1, 0) == (ssize_t)sizeof n;
}

/* Copies what the call is about; 0, or -errno. */
int broker_copy_call(struct broker *b, struct call *c, int nr, const __u64 *args)
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
        return broker_copy_message(b, c, args[1]);
    case SYS_sendmmsg:
        c->flags = (int)args[3];
        return 0;
    default:
        return -ENOSYS;
    }
}
