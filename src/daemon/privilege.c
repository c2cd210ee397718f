#include "daemon/privilege.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "box/role.h"
#include "store/store.h"

int service_user_find(const char *configured, struct service_user *out, struct err *e)
{
    const struct passwd *pw;

    *out = (struct service_user){.uid = geteuid(), .gid = getegid()};
    if (geteuid() != 0) {
        return 0;
    }
    pw = getpwnam(configured ? configured : "scanpod");
    if (!pw && !configured) {
        pw = getpwnam("nobody");
    }
    if (!pw) {
        return err_set(e, ERR_INVALID, "there is no user '%s' to run as (setting: user)",
                       configured ? configured : "nobody");
    }
    if (pw->pw_uid == 0) {
        return err_set(e, ERR_INVALID, "the service must not run as root (setting: user)");
    }
    out->change = true;
    out->uid = pw->pw_uid;
    out->gid = pw->pw_gid;
    snprintf(out->name, sizeof out->name, "%s", pw->pw_name);
    return 0;
}

int privilege_drop(const struct service_user *u, struct err *e)
{
    role_bound(0);
    if (u->change && (setgroups(0, NULL) < 0 || setresgid(u->gid, u->gid, u->gid) < 0 ||
                      setresuid(u->uid, u->uid, u->uid) < 0)) {
        return err_errno(e, "become user '%s'", u->name);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        return err_errno(e, "give up new privileges");
    }
    /* A service manager may have given some to a user that is not root. */
    return role_hold(0, 0) ? 0 : err_errno(e, "drop capabilities");
}

static int make_parents(const char *dir, struct err *e)
{
    auto_free char *path = xstrdup(dir);

    for (char *p = path + 1; *p; p++) {
        if (*p != '/') {
            continue;
        }
        *p = '\0';
        if (mkdir(path, 0755) < 0 && errno != EEXIST) {
            return err_errno(e, "make directory '%s'", path);
        }
        *p = '/';
    }
    return 0;
}

static bool dir_is_empty(const char *path)
{
    DIR *d = opendir(path);
    const struct dirent *entry;
    bool empty = d != NULL;

    while (empty && (entry = readdir(d)) != NULL) {
        empty = str_eq(entry->d_name, ".") || str_eq(entry->d_name, "..");
    }
    if (d) {
        closedir(d);
    }
    return empty;
}

/* A directory with something in it that is not the user's is not ours: --data-dir /etc is a slip.
 */
static int hand_over(const char *path, const struct service_user *u, struct err *e)
{
    if (!dir_is_empty(path)) {
        return err_set(e, ERR_INVALID,
                       "'%s' is not empty and does not belong to user '%s': choose another "
                       "directory, or hand it over with: chown -R %s '%s'",
                       path, u->name, u->name, path);
    }
    if (lchown(path, u->uid, u->gid) < 0) {
        return err_errno(e, "give '%s' to user '%s'", path, u->name);
    }
    return 0;
}

static int prepare_part(const char *path, const struct service_user *u, struct err *e)
{
    struct stat st;

    if (mkdir(path, 0700) < 0 && errno != EEXIST) {
        return err_errno(e, "make directory '%s'", path);
    }
    if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
        return err_set(e, ERR_INVALID, "'%s' is not a directory", path);
    }
    if (st.st_mode & 022) {
        return err_set(e, ERR_INVALID, "others may write to '%s'; close it with: chmod go-w '%s'",
                       path, path);
    }
    return u->change && st.st_uid != u->uid ? hand_over(path, u, e) : 0;
}

int data_dir_prepare(const char *dir, const struct service_user *u, struct err *e)
{
    static const char *const parts[] = {"", "/blob", "/work"};
    mode_t mask = umask(022); /* the user has to get through the parents */
    int rc = make_parents(dir, e);

    umask(mask);
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(parts); i++) {
        auto_free char *path = str_fmt("%s%s", dir, parts[i]);

        rc = prepare_part(path, u, e);
    }
    return rc;
}

int blob_dir_prepare(const char *dir, const struct service_user *u, struct err *e)
{
    mode_t mask;
    int rc;

    if (!dir) {
        return 0;
    }
    mask = umask(022);
    rc = make_parents(dir, e);
    umask(mask);
    return rc == 0 ? prepare_part(dir, u, e) : rc;
}

int data_dir_lock(const char *dir, const struct service_user *u, int *out_fd, struct err *e)
{
    auto_fd int fd = -1;
    struct stat st;
    int rc = store_lock(dir, &fd, e);

    if (rc != 0) {
        return rc;
    }
    /* The directory is the user's: what lies there under this name need not be our lock. */
    if (u->change && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink != 1)) {
        return err_set(e, ERR_INVALID, "'%s/lock' is not a file of its own", dir);
    }
    if (u->change && fchown(fd, u->uid, u->gid) < 0) {
        return err_errno(e, "give '%s/lock' to user '%s'", dir, u->name);
    }
    *out_fd = take_fd(&fd);
    return 0;
}

int data_dir_check(const char *dir, const struct service_user *u, struct err *e)
{
    if (access(dir, R_OK | W_OK | X_OK) == 0) {
        return 0;
    }
    if (errno == EACCES && u->change) {
        return err_set(e, ERR_INVALID,
                       "user '%s' cannot reach the data directory '%s': choose another one with "
                       "--data-dir, such as /var/lib/scanpod",
                       u->name, dir);
    }
    return err_errno(e, "use data directory '%s'", dir);
}

int file_keep(const char *file, char **path, int *out_fd, struct err *e)
{
    auto_fd int in = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    auto_fd int mem = -1;
    struct stat st;

    if (in < 0 || fstat(in, &st) < 0) {
        return err_errno(e, "open '%s'", file);
    }
    if (!S_ISREG(st.st_mode) || st.st_size > 1 << 20) {
        return err_set(e, ERR_INVALID, "'%s' is not a file of at most 1 MiB", file);
    }
    mem = memfd_create("scanpod", MFD_CLOEXEC);
    if (mem < 0) {
        return err_errno(e, "keep '%s'", file);
    }
    for (off_t left = st.st_size; left > 0;) {
        ssize_t n = sendfile(mem, in, NULL, (size_t)left);

        if (n < 0) {
            return err_errno(e, "read '%s'", file);
        }
        if (n == 0) {
            return err_set(e, ERR_IO, "read '%s': it became shorter meanwhile", file);
        }
        left -= n;
    }
    /* Opened again by path after the drop: the file then has to be the service user's to read. */
    if (fchmod(mem, 0444) < 0) {
        return err_errno(e, "keep '%s'", file);
    }
    *path = str_fmt("/proc/self/fd/%d", mem);
    *out_fd = take_fd(&mem);
    return 0;
}
