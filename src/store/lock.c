/*
 * The lock of a data directory: flock on DIR/lock, with the pid of whoever holds it inside.
 *
 * The lock lives as long as any descriptor that was inherited from ours. So a lock that is held
 * although the process named in it is dead means that tools of that process are still about to
 * go; they are waited for.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/internal.h"

enum { WAIT_MS = 5000, STEP_MS = 10 };

/* The pid in the file; 0 if there is none (yet, or no longer). */
static int64_t holder(int fd)
{
    char text[24] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    int64_t pid = 0;

    if (n > 0) {
        text[n] = '\0';
        text[strcspn(text, "\n")] = '\0';
        if (!str_to_i64(text, 1, INT32_MAX, &pid)) {
            pid = 0;
        }
    }
    return pid;
}

static bool alive(int64_t pid)
{
    return pid > 0 && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

static int refuse(const char *dir, int64_t pid, struct err *e)
{
    if (alive(pid)) {
        return err_set(e, ERR_CONFLICT,
                       "data directory '%s' is in use by process %lld: stop it (kill %lld), or "
                       "choose another directory",
                       dir, (long long)pid, (long long)pid);
    }
    return err_set(e, ERR_CONFLICT,
                   "data directory '%s' is still locked by children of process %lld, which has "
                   "ended: find them with 'fuser -v %s/lock' and stop them",
                   dir, (long long)pid, dir);
}

static int take(int fd, const char *dir, struct err *e)
{
    int64_t end_ms = boot_ms() + WAIT_MS;

    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int64_t pid;

        if (errno == EINTR) {
            continue;
        }
        if (errno != EWOULDBLOCK) {
            return err_errno(e, "lock data directory '%s'", dir);
        }
        pid = holder(fd);
        if (alive(pid) || boot_ms() >= end_ms) {
            return refuse(dir, pid, e);
        }
        nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000}, NULL);
    }
    return 0;
}

static int sign(int fd, const char *dir, struct err *e)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());

    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n) {
        return err_errno(e, "write '%s/lock'", dir);
    }
    return 0;
}

int store_lock(const char *dir, int *fd, struct err *e)
{
    auto_free char *path = str_fmt("%s/lock", dir);
    auto_fd int lock = -1;
    int rc;

    if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
        return err_errno(e, "create data directory '%s'", dir);
    }
    lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (lock < 0) {
        return err_errno(e, "open '%s'", path);
    }
    rc = take(lock, dir, e);
    if (rc == 0) {
        rc = sign(lock, dir, e);
    }
    if (rc == 0) {
        *fd = take_fd(&lock);
    }
    return rc;
}

void lock_release(int fd)
{
    int rc;

    if (fd >= 0) {
        rc = ftruncate(fd, 0); /* if that fails, the name of one who has gone stays: harmless */
        (void)rc;
        close(fd);
    }
}
