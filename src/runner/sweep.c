/*
 * Nothing of the tool lives any more when this runs, so names do not change under it. Folders are
 * not walked down, which a hostile tool can make arbitrarily deep, but flattened: what is inside a
 * folder moves up to the root of the tree until there is nothing but empty folders.
 */
#include "runner/sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

static DIR *open_dir(int dir_fd, const char *name)
{
    int fd;
    DIR *d;

    /* The tool may have closed it to us; what is a link makes open() fail. */
    fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && fchmodat(dir_fd, name, 0700, 0) == 0) {
        fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (fd < 0) {
        return NULL;
    }
    (void)fchmod(fd, 0700);
    d = fdopendir(fd);
    if (!d) {
        close(fd);
    }
    return d;
}

static bool is_self(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Makes a folder writable, which moving it needs, and moves it to the root under a new name. */
static int move_up(int from_fd, const char *name, int root_fd, uint64_t *count)
{
    char fresh[32];
    DIR *d = open_dir(from_fd, name);

    if (!d) {
        return -1;
    }
    closedir(d);
    do {
        snprintf(fresh, sizeof fresh, "%llu", (unsigned long long)++*count);
    } while (faccessat(root_fd, fresh, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
    return renameat(from_fd, name, root_fd, fresh);
}

/* Removes the files in a folder of the root, moves its folders to the root, removes it. */
static int flatten(int root_fd, const char *name, uint64_t *count)
{
    DIR *d = open_dir(root_fd, name);
    const struct dirent *row;
    int rc = d ? 0 : -1;

    while (rc == 0 && (row = readdir(d))) {
        if (is_self(row->d_name)) {
            continue;
        }
        rc = unlinkat(dirfd(d), row->d_name, 0);
        if (rc < 0 && errno == EISDIR) {
            rc = move_up(dirfd(d), row->d_name, root_fd, count);
        }
    }
    if (d) {
        closedir(d);
    }
    return rc < 0 ? rc : unlinkat(root_fd, name, AT_REMOVEDIR);
}

/* One pass over the root; *more: there were folders, whose contents may be in the root now. */
static int sweep_root(DIR *root, uint64_t *count, bool *more)
{
    const struct dirent *row;
    int rc = 0;

    *more = false;
    rewinddir(root);
    while (rc == 0 && (row = readdir(root))) {
        if (is_self(row->d_name)) {
            continue;
        }
        rc = unlinkat(dirfd(root), row->d_name, 0);
        if (rc < 0 && errno == EISDIR) {
            rc = flatten(dirfd(root), row->d_name, count);
            *more = true;
        }
    }
    return rc;
}

int sweep_tree(int dir_fd, const char *name)
{
    uint64_t count = 0;
    bool more = true;
    DIR *root;
    int rc = unlinkat(dir_fd, name, AT_REMOVEDIR);

    if (rc == 0 || (errno != ENOTEMPTY && errno != EEXIST)) {
        return rc;
    }
    root = open_dir(dir_fd, name);
    rc = root ? 0 : -1;
    while (rc == 0 && more) {
        rc = sweep_root(root, &count, &more);
    }
    if (root) {
        closedir(root);
    }
    return rc < 0 ? rc : unlinkat(dir_fd, name, AT_REMOVEDIR);
}

void sweep_numbers(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *row;

    while (d && (row = readdir(d))) {
        if (row->d_name[strspn(row->d_name, "0123456789")] == '\0') {
            (void)sweep_tree(dir_fd, row->d_name);
        }
    }
    if (d) {
        closedir(d);
    } else {
        fd_close(&fd);
    }
}
