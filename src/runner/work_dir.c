#include "runner/work_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "runner/sweep.h"

/* The daemon made it; a one-shot run may not have. */
void work_dirs_open(struct work_dirs *ds, const char *path)
{
    char *full;

    *ds = (struct work_dirs){.fd = -1};
    if (mkdir(path, 0700) == 0 || errno == EEXIST) {
        ds->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    ds->errnum = errno;
    full = ds->fd >= 0 ? realpath(path, NULL) : NULL;
    ds->path = full ? full : xstrdup(path);
    if (ds->fd >= 0) {
        sweep_numbers(ds->fd);
    }
}

bool work_dir_take(struct work_dirs *ds, uint64_t id, struct work_dir *out)
{
    struct stat st;

    if (ds->fd < 0) {
        errno = ds->errnum;
        return false;
    }
    if (ds->n_spare > 0) {
        *out = ds->spare[--ds->n_spare];
        return true;
    }
    snprintf(out->name, sizeof out->name, "%llu", (unsigned long long)id);
    if (mkdirat(ds->fd, out->name, 0700) < 0) {
        return false;
    }
    if (fstatat(ds->fd, out->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        (void)unlinkat(ds->fd, out->name, AT_REMOVEDIR);
        return false;
    }
    out->changed = st.st_ctim;
    return true;
}

/* Of two entries, "." and "..", and no more. */
static bool is_empty(int dir_fd)
{
    enum { SELF_AND_PARENT = 48 };
    char rows[4096];
    long n = syscall(SYS_getdents64, dir_fd, rows, sizeof rows);

    return n == SELF_AND_PARENT;
}

/*
 * The inode's time of change tells of every change, but in coarse steps on older kernels: a tool
 * that was fast enough could hide one. So what would matter to the next run is looked at as well.
 */
static bool untouched(const struct work_dirs *ds, const struct work_dir *d)
{
    auto_fd int fd = openat(ds->fd, d->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0700 &&
           st.st_ctim.tv_sec == d->changed.tv_sec && st.st_ctim.tv_nsec == d->changed.tv_nsec &&
           is_empty(fd);
}

bool work_dir_give(struct work_dirs *ds, const struct work_dir *d)
{
    if (!ds->closed && ds->n_spare < SPARE_DIRS && untouched(ds, d)) {
        ds->spare[ds->n_spare++] = *d;
        return true;
    }
    return unlinkat(ds->fd, d->name, AT_REMOVEDIR) == 0;
}

void work_dirs_close(struct work_dirs *ds)
{
    while (ds->n_spare > 0) {
        (void)unlinkat(ds->fd, ds->spare[--ds->n_spare].name, AT_REMOVEDIR);
    }
    ds->closed = true;
}
