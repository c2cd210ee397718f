/*
 * Packing. The walk holds one directory at a time and opens each by its path beneath the root,
 * never through a link, so that somebody who moves things about meanwhile gains nothing.
 */
#include "repo/pack.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "repo/tree_write.h"

enum { CHUNK = 256 * 1024, LINK_MAX_ = 4096, CONFIG_MAX = 1024 * 1024 };

struct packing {
    const struct pack_limits *limits;
    const char *dir; /* for messages */
    bool git;
    int root, out;
    dev_t device;
    struct strvec todo; /* directories, as paths from the root; "": the root */
    uint64_t bytes, left_out;
    uint32_t n;
    struct buf ahead; /* heads and small files that are not written yet */
};

/* ---- writing ---- */

static int flush(struct packing *p, struct err *e)
{
    int rc = write_whole(p->out, p->ahead.data ? p->ahead.data : "", p->ahead.len, e);

    buf_reset(&p->ahead);
    return rc ? err_prefix(e, rc, "pack '%s'", p->dir) : 0;
}

static int over(const struct packing *p, bool bytes, struct err *e)
{
    if (bytes) {
        return err_set(e, ERR_LIMIT,
                       "'%s' has more than %llu MiB, which is the limit: raise max_bytes (setting "
                       "repo-max-mb), or scan a "
                       "part of it",
                       p->dir, (unsigned long long)(p->limits->max_bytes >> 20));
    }
    return err_set(e, ERR_LIMIT,
                   "'%s' has more than %u files, which is the limit: raise max_files (setting "
                   "repo-max-files), or scan a "
                   "part of it",
                   p->dir, p->limits->max_files);
}

static int put_head(struct packing *p, char kind, const char *path, uint64_t size, struct err *e)
{
    uint16_t n = htobe16((uint16_t)strlen(path));
    uint64_t be = htobe64(size);

    if (kind != 'E' && ++p->n > p->limits->max_files) {
        return over(p, false, e);
    }
    if (size > p->limits->max_bytes - MIN(p->bytes, p->limits->max_bytes)) {
        return over(p, true, e);
    }
    p->bytes += size;
    buf_addc(&p->ahead, kind);
    buf_add(&p->ahead, &n, sizeof n);
    buf_adds(&p->ahead, path);
    buf_add(&p->ahead, &be, sizeof be);
    return 0;
}

static int put_small(struct packing *p, char kind, const char *path, const char *text, size_t size,
                     struct err *e)
{
    int rc = put_head(p, kind, path, size, e);

    if (rc == 0) {
        buf_add(&p->ahead, text, size);
        rc = p->ahead.len > CHUNK ? flush(p, e) : 0;
    }
    return rc;
}

static int leave(struct packing *p, const char *path, const char *why, struct err *e)
{
    p->left_out++;
    return p->git ? 0 : put_small(p, 'o', path, why, strlen(why), e);
}

/* What it has now: a file that grows is cut at `size`, and one that shrinks gets its size after the
 * fact. */
static int copy(struct packing *p, int fd, uint64_t size, struct err *e)
{
    static char chunk[CHUNK];
    uint64_t done = 0;
    off_t at;
    int rc = flush(p, e);

    if (rc != 0) {
        return rc;
    }
    at = lseek(p->out, 0, SEEK_CUR);
    while (rc == 0 && done < size) {
        ssize_t n = read(fd, chunk, (size_t)MIN(size - done, (uint64_t)CHUNK));

        if (n <= 0) {
            break;
        }
        rc = write_whole(p->out, chunk, (size_t)n, e);
        done += (uint64_t)n;
    }
    if (rc == 0 && done < size) {
        uint64_t be = htobe64(done);

        if (pwrite(p->out, &be, sizeof be, at - (off_t)sizeof be) != (ssize_t)sizeof be) {
            return err_errno(e, "pack '%s'", p->dir);
        }
        p->bytes -= size - done;
    }
    return rc;
}

/* ---- reading ---- */

static int open_beneath(int dir, const char *path, uint64_t flags)
{
    struct open_how how = {
        .flags = flags | O_CLOEXEC | O_NOFOLLOW,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
    };

    return (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
}

static int put_file(struct packing *p, int dir, const char *name, const char *path, struct err *e)
{
    const uint32_t max = p->git ? 0 : p->limits->max_file_bytes;
    auto_fd int fd = open_beneath(dir, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    char why[64];
    int rc;

    if (fd < 0 || fstat(fd, &st) < 0) {
        return leave(p, path, errno == EXDEV ? "on another file system" : "cannot be read", e);
    }
    if (!S_ISREG(st.st_mode)) {
        return leave(p, path, "not a file", e);
    }
    if (max && (uint64_t)st.st_size > max) {
        snprintf(why, sizeof why, "larger than %u KiB", max >> 10);
        return leave(p, path, why, e);
    }
    rc = put_head(p, st.st_mode & 0111 ? 'x' : 'f', path, (uint64_t)st.st_size, e);
    return rc ? rc : copy(p, fd, (uint64_t)st.st_size, e);
}

static int put_link(struct packing *p, int dir, const char *name, const char *path, struct err *e)
{
    char text[LINK_MAX_];
    ssize_t n = readlinkat(dir, name, text, sizeof text);

    return n < 0 ? leave(p, path, "cannot be read", e)
                 : put_small(p, 'l', path, text, (size_t)n, e);
}

/* Of a repository: what objects and names are kept in, and nothing that is written meanwhile. */
static bool is_of_git(const char *path, bool dir)
{
    static const char *const heads[] = {"HEAD", "packed-refs", "shallow"};
    size_t n = strlen(path);

    for (size_t i = 0; i < ARRAY_LEN(heads) && !dir; i++) {
        if (str_eq(path, heads[i])) {
            return true;
        }
    }
    if (str_starts(path, "refs/") || str_eq(path, "refs")) {
        return n < 5 || strcmp(path + n - 5, ".lock") != 0;
    }
    if (dir) {
        return str_eq(path, "objects") || str_eq(path, "objects/pack") ||
               (n == 10 && str_starts(path, "objects/") &&
                strspn(path + 8, "0123456789abcdef") == 2);
    }
    if (str_starts(path, "objects/pack/pack-")) {
        return strcmp(path + n - 5, ".pack") == 0 || strcmp(path + n - 4, ".idx") == 0;
    }
    return (n == 49 || n == 73) && str_starts(path, "objects/") &&
           strspn(path + 11, "0123456789abcdef") == n - 11;
}

static bool below(const char *path, const char *dir)
{
    size_t n = dir ? strlen(dir) : 0;

    return !dir || (strncmp(path, dir, n) == 0 && path[n] == '/');
}

/* A directory on the way to the one that is wanted, or in it. */
static bool leads_to(const char *path, const char *dir)
{
    size_t n = strlen(path);

    return below(path, dir) || str_eq(path, dir) || (strncmp(dir, path, n) == 0 && dir[n] == '/');
}

static int put_row(struct packing *p, int dir, const char *name, const char *path, struct err *e)
{
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        return 0; /* gone since */
    }
    if (S_ISDIR(st.st_mode)) {
        if (p->git ? !is_of_git(path, true) : !leads_to(path, p->limits->subdir)) {
            return 0;
        }
        if (st.st_dev != p->device) {
            return leave(p, path, "on another file system", e);
        }
        strvec_push(&p->todo, path);
        return 0;
    }
    if (p->git ? !is_of_git(path, false) : !below(path, p->limits->subdir)) {
        return 0;
    }
    if (tree_path_wrong(path)) {
        return strlen(path) > TREE_PATH_MAX ? (p->left_out++, 0)
                                            : leave(p, path, tree_path_wrong(path), e);
    }
    return S_ISREG(st.st_mode)   ? put_file(p, dir, name, path, e)
           : S_ISLNK(st.st_mode) ? put_link(p, dir, name, path, e)
                                 : leave(p, path, "not a file", e);
}

static int put_dir(struct packing *p, const char *path, struct err *e)
{
    int fd = open_beneath(p->root, *path ? path : ".", O_RDONLY | O_DIRECTORY);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *row;
    int rc = 0;

    if (!d) {
        fd_close(&fd);
        return *path ? leave(p, path, "cannot be read", e) : err_errno(e, "read '%s'", p->dir);
    }
    while (rc == 0 && (row = readdir(d))) {
        const char *name = row->d_name;

        /* git's own, at any depth: also the file of a submodule or a worktree */
        if (!str_eq(name, ".") && !str_eq(name, "..") && !str_eq(name, ".git")) {
            auto_free char *full = *path ? str_fmt("%s/%s", path, name) : xstrdup(name);

            rc = put_row(p, fd, name, full, e);
        }
    }
    closedir(d);
    return rc;
}

static int walk(struct packing *p, struct err *e)
{
    int rc = 0;

    strvec_push(&p->todo, "");
    while (rc == 0 && p->todo.n > 0) {
        auto_free char *path = p->todo.v[--p->todo.n];

        p->todo.v[p->todo.n] = NULL;
        rc = put_dir(p, path, e);
    }
    rc = rc ? rc : put_head(p, 'E', "", 0, e);
    return rc ? rc : flush(p, e);
}

/* ---- repositories ---- */

/* "objectformat = sha256" of its configuration, of which nothing else is taken. */
static bool has_sha256(int root)
{
    auto_fd int fd = open_beneath(root, "config", O_RDONLY | O_NONBLOCK);
    auto_free char *text = xcalloc(1, CONFIG_MAX + 1);
    ssize_t n = fd < 0 ? -1 : read(fd, text, CONFIG_MAX);

    for (const char *p = text; n > 0 && (p = strcasestr(p, "objectformat")); p++) {
        const char *value = p + strlen("objectformat");

        value += strspn(value, " \t=");
        if (strncasecmp(value, "sha256", 6) == 0) {
            return true;
        }
    }
    return false;
}

static bool has(int root, const char *path)
{
    struct stat st;

    return fstatat(root, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* root becomes the repository's directory. */
static int enter_repository(struct packing *p, struct err *e)
{
    struct stat st;
    int inner;

    if (fstatat(p->root, ".git", &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (!S_ISDIR(st.st_mode)) {
            return err_set(e, ERR_INVALID,
                           "'%s/.git' is not a directory, but names a repository elsewhere (a "
                           "worktree or a submodule): scan that one, or this directory as plain "
                           "files",
                           p->dir);
        }
        inner = open_beneath(p->root, ".git", O_RDONLY | O_DIRECTORY);
        if (inner < 0) {
            return err_errno(e, "open '%s/.git'", p->dir);
        }
        close(p->root);
        p->root = inner;
    }
    if (!has(p->root, "HEAD") || !has(p->root, "objects")) {
        return err_set(e, ERR_NOT_FOUND, "there is no git repository in '%s'", p->dir);
    }
    if (has(p->root, "objects/info/alternates")) {
        return err_set(e, ERR_INVALID,
                       "the repository in '%s' borrows objects of another one: make it whole with "
                       "'git repack -a -d', or scan the directory as plain files",
                       p->dir);
    }
    if (has(p->root, "reftable")) {
        return err_set(e, ERR_INVALID,
                       "the repository in '%s' keeps its branches as a reftable, which is not "
                       "read: scan the directory as plain files",
                       p->dir);
    }
    return has_sha256(p->root) ? put_small(p, 'f', "sha256", "", 0, e) : 0;
}

static int open_out(const char *dir, int *out, struct err *e)
{
    const char *tmp = getenv("TMPDIR");
    int fd = open(tmp && *tmp ? tmp : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0) {
        fd = memfd_create("pack", MFD_CLOEXEC);
    }
    if (fd < 0) {
        return err_errno(e, "make a file for the pack of '%s'", dir);
    }
    *out = fd;
    return 0;
}

int pack_directory(const char *dir, bool git, const struct pack_limits *l, int *out_fd,
                   uint64_t *left_out, struct err *e)
{
    struct packing p = {.limits = l, .dir = dir, .git = git, .out = -1};
    struct stat st;
    int rc;

    p.root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p.root < 0 || fstat(p.root, &st) < 0) {
        rc = err_errno(e, "open the directory '%s'", dir);
        fd_close(&p.root);
        return rc;
    }
    rc = open_out(dir, &p.out, e);
    rc = rc || !git ? rc : enter_repository(&p, e);
    if (rc == 0) {
        p.device = fstat(p.root, &st) == 0 ? st.st_dev : 0;
        rc = walk(&p, e);
    }
    if (rc == 0 && lseek(p.out, 0, SEEK_SET) < 0) {
        rc = err_errno(e, "pack '%s'", dir);
    }
    if (rc == 0) {
        *out_fd = take_fd(&p.out);
        *left_out = p.left_out;
    }
    fd_close(&p.out);
    fd_close(&p.root);
    buf_done(&p.ahead);
    strvec_done(&p.todo);
    return rc;
}
