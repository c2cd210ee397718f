#include "daemon/privilege.h"

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
    if (u->change && (setgroups(0, NULL) < 0 || setresgid(u->gid, u->gid, u->gid) < 0 ||
                      setresuid(u->uid, u->uid, u->uid) < 0)) {
        return err_errno(e, "become user '%s'", u->name);
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        return err_errno(e, "give up new privileges");
    }
    return 0;
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

int data_dir_prepare(const char *dir, const struct service_user *u, struct err *e)
{
    static const char *const parts[] = {"", "/blob", "/work"};
    struct stat st;
    int rc = make_parents(dir, e);

    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(parts); i++) {
        auto_free char *path = str_fmt("%s%s", dir, parts[i]);

        if (mkdir(path, 0700) < 0 && errno != EEXIST) {
            return err_errno(e, "make directory '%s'", path);
        }
        if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
            return err_set(e, ERR_INVALID, "'%s' is not a directory", path);
        }
        if (st.st_mode & 022) {
            return err_set(e, ERR_INVALID,
                           "others may write to '%s'; close it with: chmod go-w '%s'", path, path);
        }
        if (u->change && st.st_uid != u->uid && lchown(path, u->uid, u->gid) < 0) {
            return err_errno(e, "give '%s' to user '%s'", path, u->name);
        }
    }
    return rc;
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
    auto_fd int in = open(file, O_RDONLY | O_CLOEXEC);
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

        if (n <= 0) {
            return err_errno(e, "read '%s'", file);
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
