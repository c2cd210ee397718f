#include "event/child.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

int child_reap(struct child *c)
{
    siginfo_t info = {0};
    int rc;

    watch_del(&c->watch);
    do {
        rc = waitid((idtype_t)P_PIDFD, (id_t)c->watch.fd, &info, WEXITED);
    } while (rc < 0 && errno == EINTR);
    fd_close(&c->watch.fd);
    return rc == 0 && info.si_code == CLD_EXITED ? info.si_status : -1;
}

int child_fork(struct child *c, struct loop *l, void (*fn)(struct watch *w, uint32_t events))
{
    pid_t pid = fork();
    int pidfd;

    if (pid <= 0) {
        return pid;
    }
    pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    c->pid = pid;
    c->watch = (struct watch){.fd = pidfd, .events = EPOLLIN, .fn = fn};
    if (pidfd < 0 || watch_add(l, &c->watch, NULL) != 0) {
        kill(pid, SIGKILL); /* not reaped yet: the number is still its own */
        waitpid(pid, NULL, 0);
        fd_close(&c->watch.fd);
        return -1;
    }
    return 1;
}

void child_kill(const struct child *c)
{
    if (c->watch.fd >= 0) {
        (void)syscall(SYS_pidfd_send_signal, c->watch.fd, SIGKILL, NULL, 0);
    }
}
