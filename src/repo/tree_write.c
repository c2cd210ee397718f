#include "repo/tree_write.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

/* ---- names ---- */

/* HFS+ takes these for nothing: U+200C-F, U+202A-E, U+206A-F, U+FEFF. */
static bool ignored_by_hfs(uint32_t c)
{
    return (c >= 0x200c && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x206a && c <= 0x206f) || c == 0xfeff;
}

/* The name in lower case as HFS+ and NTFS compare it: without what they ignore. */
static size_t folded(const char *s, size_t n, char out[16])
{
    size_t len = 0;

    for (size_t i = 0; i < n && len < 15;) {
        size_t k = utf8_len(s + i, n - i);

        if (k < 2) {
            out[len++] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + 32) : s[i];
        } else if (!ignored_by_hfs(utf8_code(s + i, k))) {
            out[len++] = '?';
        }
        i += k ? k : 1;
    }
    out[len] = '\0';
    return len;
}

static bool is_git_dir(const char *s, size_t n)
{
    char name[16];
    size_t len = folded(s, n, name);

    if (len < 4 || (strncmp(name, ".git", 4) != 0 && strncmp(name, "git~1", 5) != 0)) {
        return false;
    }
    len = name[0] == '.' ? 4 : 5;
    /* NTFS drops dots and blanks at the end, and ":..." names a stream of the same file. */
    len += strspn(name + len, ". ");
    return name[len] == '\0' || name[len] == ':' || name[len] == '\\';
}

const char *tree_path_wrong(const char *path)
{
    if (strlen(path) > TREE_PATH_MAX) {
        return "its path is too long";
    }
    for (const char *p = path;; p++) {
        size_t n = strcspn(p, "/");

        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.')) {
            return "its path is not one of a tree";
        }
        if (n > TREE_NAME_MAX) {
            return "its name is too long";
        }
        if (is_git_dir(p, n)) {
            return "its name is that of git's own directory";
        }
        p += n;
        if (!*p) {
            return NULL;
        }
    }
}

/* ---- making ---- */

static int open_beneath(int dir, const char *path, uint64_t flags, uint64_t mode)
{
    struct open_how how = {
        .flags = flags | O_CLOEXEC | O_NOFOLLOW,
        .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };

    return (int)syscall(SYS_openat2, dir, path, &how, sizeof how);
}

/* Each directory of the path that is not there yet. -1: errno. */
static int make_dirs(int root, const char *path)
{
    char part[TREE_PATH_MAX + 1];
    auto_fd int at = open_beneath(root, ".", O_PATH | O_DIRECTORY, 0);
    size_t n;

    for (const char *p = path; at >= 0 && *p; p += n + (p[n] == '/')) {
        int next;

        n = strcspn(p, "/");
        memcpy(part, p, n);
        part[n] = '\0';
        if (mkdirat(at, part, 0755) < 0 && errno != EEXIST) {
            return -1;
        }
        next = open_beneath(at, part, O_PATH | O_DIRECTORY, 0);
        close(at);
        at = next;
    }
    return take_fd(&at);
}

static bool enter(struct tree_writer *w, const char *path, size_t n)
{
    if (w->has_dir && strlen(w->dir) == n && memcmp(w->dir, path, n) == 0) {
        return true;
    }
    tree_writer_done(w);
    memcpy(w->dir, path, n);
    w->dir[n] = '\0';
    w->dir_fd = open_beneath(w->root_fd, n ? w->dir : ".", O_PATH | O_DIRECTORY, 0);
    if (w->dir_fd < 0 && errno == ENOENT) {
        w->dir_fd = make_dirs(w->root_fd, w->dir);
    }
    w->has_dir = w->dir_fd >= 0;
    return w->has_dir;
}

void tree_writer_done(struct tree_writer *w)
{
    if (w->has_dir) {
        fd_close(&w->dir_fd);
    }
    w->has_dir = false;
}

static int not_made(const char *path, const char **why, struct err *e)
{
    auto_buf shown = {0};
    int errnum = errno;

    if (errnum == EEXIST || errnum == ENOTDIR || errnum == EISDIR) {
        *why = "something else in the tree has its name";
        return 0;
    }
    if (errnum == ENAMETOOLONG || errnum == EINVAL || errnum == ELOOP || errnum == EXDEV) {
        *why = "its name is not one of a file here";
        return 0;
    }
    buf_add_escaped(&shown, path, strnlen(path, 120));
    errno = errnum;
    return err_errno(e, "make '%s'", shown.data);
}

int tree_create(struct tree_writer *w, const char *path, int *out_fd, const char **why,
                struct err *e)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    int fd = -1;

    *out_fd = -1;
    *why = tree_path_wrong(path);
    if (*why) {
        return 0;
    }
    if (enter(w, path, n)) {
        fd = open_beneath(w->dir_fd, slash ? slash + 1 : path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    }
    if (fd < 0) {
        return not_made(path, why, e);
    }
    *out_fd = fd;
    return 0;
}

int write_whole(int fd, const char *p, size_t n, struct err *e)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);

        if (done < 0 && errno != EINTR) {
            return err_errno(e, "write a file of the tree");
        }
        if (done > 0) {
            p += done;
            n -= (size_t)done;
        }
    }
    return 0;
}

/* ---- removing ---- */

/* Removes what is in the directory but directories; name of one of those in `name`, "": none. */
static int clear_dir(int fd, char name[256], struct err *e)
{
    int again = dup(fd);
    DIR *d = again < 0 ? NULL : fdopendir(again);
    const struct dirent *row;
    int rc = 0;

    name[0] = '\0';
    if (!d) {
        return err_errno(e, "read a directory of the checkout");
    }
    rewinddir(d);
    while (rc == 0 && !name[0] && (row = readdir(d))) {
        if (str_eq(row->d_name, ".") || str_eq(row->d_name, "..") ||
            unlinkat(fd, row->d_name, 0) == 0) {
            continue;
        }
        if (errno != EISDIR && errno != EPERM) {
            rc = err_errno(e, "remove a file of the checkout");
        } else {
            memcpy(name, row->d_name, strlen(row->d_name) + 1);
        }
    }
    closedir(d);
    return rc;
}

/* Goes down with one descriptor at a time, and up by "..": these directories are nobody else's. */
int tree_remove(const char *path, struct err *e)
{
    auto_fd int at = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct strvec names = {0};
    char name[256];
    int rc = 0;

    if (at < 0) {
        return errno == ENOENT ? 0 : err_errno(e, "open '%s'", path);
    }
    while (rc == 0) {
        int next;

        rc = clear_dir(at, name, e);
        if (rc != 0 || (!name[0] && names.n == 0)) {
            break;
        }
        if (name[0]) {
            strvec_push(&names, name);
        }
        next = openat(at, name[0] ? name : "..", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0) {
            rc = err_errno(e, "open a directory of the checkout");
            break;
        }
        close(at);
        at = next;
        if (!name[0]) {
            names.n--;
            if (unlinkat(at, names.v[names.n], AT_REMOVEDIR) < 0) {
                rc = err_errno(e, "remove a directory of the checkout");
            }
            free(names.v[names.n]);
            names.v[names.n] = NULL;
        }
    }
    strvec_done(&names);
    return rc ? rc : rmdir(path) < 0 ? err_errno(e, "remove '%s'", path) : 0;
}
