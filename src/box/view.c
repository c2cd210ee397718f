/*
 * Mounts are cloned as detached trees by their path outside, made read-only while nobody sees them,
 * and attached by their path inside, after pivot_root: so no path is ever a mix of both worlds.
 */
#include "box/view.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/mem.h"

enum { DISK_MB = 64, INODES = 4096 };

/* What dynamic programs, nmap and TLS need. Nothing of /etc that names users or secrets. */
const char *const view_system[] = {
    "/usr",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/services",
    "/etc/protocols",
    "/etc/ssl/openssl.cnf",
    NULL,
};
const char *const view_devices[] = {
    "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", NULL,
};
/* Links into /usr, or directories where the system is not merged. */
static const char *const roots[] = {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};
/* Of /proc: what tells about the machine or acts on it. */
static const char *const masked[] = {
    "/proc/kcore",
    "/proc/keys",
    "/proc/timer_list",
    "/proc/sysrq-trigger",
};

static bool hold(struct view *v, const char *path)
{
    struct view_tree t = {.path = path};
    struct stat st;

    t.fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (t.fd < 0 || fstat(t.fd, &st) < 0) {
        return false;
    }
    t.dir = S_ISDIR(st.st_mode);
    v->trees[v->n++] = t;
    return true;
}

static bool hold_if_there(struct view *v, const char *path)
{
    return hold(v, path) || errno == ENOENT;
}

bool view_is_program(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static bool is_held(const struct view *v, const char *path)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct view_tree *t = &v->trees[i];
        size_t n = strlen(t->path);

        if (!t->device && strncmp(t->path, path, n) == 0 &&
            (path[n] == '\0' || (t->dir && path[n] == '/'))) {
            return true;
        }
    }
    return false;
}

/* The tool may be anywhere. What it needs besides its own file is named by `binds`. */
static bool hold_program(struct view *v, const char *path)
{
    return is_held(v, path) || !view_is_program(path) || hold(v, path);
}

const char *view_hold(struct view *v, const struct box_spec *spec)
{
    char link[8];

    v->trees = xcalloc(32 + spec->n_binds, sizeof *v->trees);
    for (const char *const *p = view_system; *p; p++) {
        if (!hold_if_there(v, *p)) {
            return "view";
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
        if (readlink(roots[i], link, sizeof link) < 0 && errno == EINVAL && !hold(v, roots[i])) {
            return "view";
        }
    }
    for (const char *const *p = view_devices; *p; p++) {
        if (!hold(v, *p)) {
            return "device";
        }
        v->trees[v->n - 1].device = true;
    }
    for (size_t i = 0; i < spec->n_binds; i++) {
        const struct box_bind *b = &spec->binds[i];

        if (!hold(v, b->from ? b->from : b->path)) {
            return "bind";
        }
        v->trees[v->n - 1].path = b->path;
        v->trees[v->n - 1].write = b->write;
    }
    return spec->argv && !hold_program(v, spec->argv[0]) ? "bind" : NULL;
}

/* The directories above a path. */
static bool make_parents(const char *path)
{
    char part[PATH_MAX];
    size_t n = strlen(path);

    if (n >= sizeof part) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(part, path, n + 1);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0755) < 0 && errno != EEXIST) {
            return false;
        }
        *slash = '/';
    }
    return true;
}

static bool make_node(const char *path, bool dir)
{
    int rc = dir ? mkdir(path, 0755) : mknod(path, S_IFREG | 0444, 0);

    return rc == 0 || errno == EEXIST;
}

/* Something to mount on. */
static bool make_point(const char *path, bool dir)
{
    return make_node(path, dir) || (errno == ENOENT && make_parents(path) && make_node(path, dir));
}

static bool attach(const struct view_tree *t)
{
    struct mount_attr attr = {
        .attr_set = MOUNT_ATTR_NOSUID | (t->device ? MOUNT_ATTR_NOEXEC : MOUNT_ATTR_NODEV) |
                    (t->write || t->device ? 0 : MOUNT_ATTR_RDONLY),
    };

    return mount_setattr(t->fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) == 0 &&
           make_point(t->path, t->dir) &&
           move_mount(t->fd, "", AT_FDCWD, t->path, MOVE_MOUNT_F_EMPTY_PATH) == 0;
}

static const char *attach_all(struct view *v)
{
    for (size_t i = 0; i < v->n; i++) {
        struct view_tree *t = &v->trees[i];

        if (!attach(t)) {
            return t->device ? "device" : "bind";
        }
        fd_close(&t->fd);
    }
    return NULL;
}

/* The box's own /dev/null, with its attributes, over each of them that there is. */
static const char *mask_all(void)
{
    for (size_t i = 0; i < ARRAY_LEN(masked); i++) {
        if (mount("/dev/null", masked[i], NULL, MS_BIND, NULL) < 0 && errno != ENOENT) {
            return "mask";
        }
    }
    return NULL;
}

static bool is_initial_ramfs(void)
{
    struct statfs s;

    return statfs("/", &s) == 0 && (s.f_type == RAMFS_MAGIC || s.f_type == TMPFS_MAGIC);
}

/* The new root, with /proc and /tmp; what was there is gone. */
static const char *change_root(const struct box_plan *plan)
{
    const struct box_limits *l = &plan->spec->limits;
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    char options[96];

    /* Mounts copied into another user's namespace are told nothing and tell nothing. */
    if (plan->level != BOX_USERNS && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        return "private mounts";
    }
    /* There always is a /usr, and what we want of it is held. */
    if (mount("scanpod", "/usr", "tmpfs", flags, "mode=0755,size=64m") < 0 || chdir("/usr") < 0 ||
        mkdir("proc", 0555) < 0 || mkdir("dev", 0755) < 0 || mkdir("tmp", 0755) < 0 ||
        mkdir("etc", 0755) < 0) {
        return "root";
    }
    /* Not allowed in a user namespace once no other /proc is to be seen. */
    if (mount("proc", "proc", "proc", flags, "hidepid=2") < 0 &&
        mount("proc", "proc", "proc", flags, NULL) < 0) {
        return "proc";
    }
    snprintf(options, sizeof options, "mode=0700,size=%um,nr_inodes=%u",
             l->disk_mb ? l->disk_mb : DISK_MB, l->inodes ? l->inodes : INODES);
    if (mount("scanpod", "tmp", "tmpfs", flags, options) < 0) {
        return "tmp";
    }
    /* Old and new root on top of each other, the old one above: no directory for it is needed. */
    if (syscall(SYS_pivot_root, ".", ".") < 0) {
        int errnum = errno;
        bool ramfs = errnum == EINVAL && is_initial_ramfs();

        errno = errnum;
        return ramfs ? "pivot_root (initial ramfs)" : "pivot_root";
    }
    return umount2(".", MNT_DETACH) < 0 || chdir("/") < 0 ? "umount" : NULL;
}

static bool write_file(const char *path, const struct box_file *f, mode_t mode)
{
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    size_t done = 0;

    while (fd >= 0 && done < f->n) {
        ssize_t n = write(fd, f->text + done, f->n - done);

        if (n < 0 && errno != EINTR) {
            return false;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return fd >= 0;
}

static bool in_tmp(const char *path)
{
    return strncmp(path, "/tmp/", 5) == 0;
}

static const char *write_files(const struct box_spec *spec)
{
    for (size_t i = 0; i < spec->n_files; i++) {
        const struct box_file *f = &spec->files[i];

        if (!make_parents(f->path) || !write_file(f->path, f, in_tmp(f->path) ? 0600 : 0444)) {
            return "file";
        }
    }
    return NULL;
}

/* Whatever of `roots` is a link outside is the same link inside. */
static bool make_links(char links[ARRAY_LEN(roots)][64])
{
    for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
        if (links[i][0] && symlink(links[i], roots[i]) < 0) {
            return false;
        }
    }
    return true;
}

static void read_links(char links[ARRAY_LEN(roots)][64])
{
    for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
        ssize_t n = readlink(roots[i], links[i], 63);

        links[i][n > 0 ? n : 0] = '\0';
    }
}

const char *view_make(struct view *v, const struct box_plan *plan)
{
    char links[ARRAY_LEN(roots)][64];
    const char *step;

    umask(0);
    read_links(links);
    step = change_root(plan);
    if (!step && !make_links(links)) {
        step = "root";
    }
    if (!step) {
        step = write_files(plan->spec);
    }
    if (!step) {
        step = attach_all(v);
    }
    return step || plan->spec->nest ? step : mask_all();
}

static bool make_read_only(int fd, const char *path, unsigned flags)
{
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};

    return mount_setattr(fd, path, flags, &attr, sizeof attr) == 0;
}

const char *view_seal(const struct box_spec *spec)
{
    auto_fd int sys = -1;

    if (spec->nest) {
        return make_read_only(AT_FDCWD, "/", 0) ? NULL : "read-only root";
    }
    sys = open_tree(AT_FDCWD, "/proc/sys", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (sys < 0 || !make_read_only(sys, "", AT_EMPTY_PATH) ||
        move_mount(sys, "", AT_FDCWD, "/proc/sys", MOVE_MOUNT_F_EMPTY_PATH) < 0) {
        return "mask";
    }
    return make_read_only(AT_FDCWD, "/", 0) ? NULL : "read-only root";
}

const char *view_write_in_dir(const struct box_spec *spec)
{
    for (size_t i = 0; i < spec->n_files; i++) {
        const struct box_file *f = &spec->files[i];

        if (in_tmp(f->path) && !write_file(f->path + strlen("/tmp/"), f, 0600)) {
            return "file";
        }
    }
    return NULL;
}
