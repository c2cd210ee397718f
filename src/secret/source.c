/* Where secrets come from: files that nobody else can read, and the environment. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/mem.h"
#include "secret/secret_priv.h"

#define PREFIX "SCANPOD_SECRET_"

extern char **environ;

/* ---- files ---- */

/* Links may stay inside of the directory: that is how orchestrators mount secrets. */
static int open_inside(int dir, const char *name)
{
    const struct open_how how = {
        .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    int fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof how);

    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) { /* an older kernel, a container's filter */
        fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
    }
    return fd;
}

static int check_owner(const struct stat *st, const char *what, struct err *e)
{
    if (st->st_uid != 0 && st->st_uid != geteuid()) {
        return err_set(e, ERR_INVALID,
                       "%s belongs to user %u: it has to belong to root or to user %u, who runs "
                       "this (chown)",
                       what, st->st_uid, geteuid());
    }
    return 0;
}

static int check_file(int fd, const char *what, struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return err_errno(e, "%s", what);
    }
    if (!S_ISREG(st.st_mode)) {
        return err_set(e, ERR_INVALID, "%s is not a file: remove it, one file is one secret", what);
    }
    if ((st.st_mode & (S_IRWXO | S_IWGRP)) != 0) {
        return err_set(e, ERR_INVALID, "%s is open to others (mode %04o): chmod 0400", what,
                       (unsigned)st.st_mode & 07777);
    }
    if (st.st_size > SECRET_MAX) {
        return err_set(e, ERR_LIMIT, "%s has more than 64 KiB: that is no secret", what);
    }
    return check_owner(&st, what, e);
}

static int read_file(struct secrets *s, int dir, const char *name, const char *what, struct err *e)
{
    auto_fd int fd = open_inside(dir, name);
    char *text;
    size_t n = 0;
    ssize_t got;
    int rc;

    if (fd < 0 && (errno == EXDEV || errno == ELOOP)) {
        return err_set(e, ERR_INVALID,
                       "%s is a link that leads out of its directory: put the file itself there",
                       what);
    }
    if (fd < 0) {
        return err_errno(e, "open %s", what);
    }
    rc = check_file(fd, what, e);
    if (rc != 0) {
        return rc;
    }
    text = xmalloc(SECRET_MAX + 1);
    while ((got = read(fd, text + n, SECRET_MAX + 1 - n)) > 0) {
        n += (size_t)got;
    }
    rc = got < 0 ? err_errno(e, "read %s", what) : secrets_add(s, name, text, n, what, e);
    secure_zero(text, n);
    free(text);
    return rc;
}

static int check_dir(int fd, const char *path, struct err *e)
{
    auto_free char *what = str_fmt("the directory of secrets '%.200s'", path);
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return err_errno(e, "%s", what);
    }
    /* A sticky one gives nobody else's files away. */
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0 && !(st.st_mode & S_ISVTX)) {
        return err_set(e, ERR_INVALID, "others can write into %s (mode %04o): chmod 0700", what,
                       (unsigned)st.st_mode & 07777);
    }
    return check_owner(&st, what, e);
}

static int read_entry(struct secrets *s, int dir, const char *path, const char *name, bool any,
                      struct err *e)
{
    auto_free char *what = str_fmt("the secret's file '%.200s/%.100s'", path, name);

    if (name[0] == '.' || (any && !secret_name_ok(name))) {
        return 0;
    }
    if (!secret_name_ok(name)) {
        return err_set(e, ERR_INVALID,
                       "%s cannot be the name of a secret: a-z, then a-z, 0-9 and '-', at most 63",
                       what);
    }
    return read_file(s, dir, name, what, e);
}

int secrets_from_dir(struct secrets *s, const char *path, bool any, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct dirent *entry;
    DIR *d;
    int rc;

    if (fd < 0) {
        return any && errno == ENOENT ? 0 : err_errno(e, "the directory of secrets '%s'", path);
    }
    rc = check_dir(fd, path, e);
    d = rc == 0 ? fdopendir(fd) : NULL;
    if (!d) {
        close(fd);
        return rc ? rc : err_errno(e, "the directory of secrets '%s'", path);
    }
    while (rc == 0 && (entry = readdir(d))) {
        rc = read_entry(s, fd, path, entry->d_name, any, e);
    }
    closedir(d);
    return rc;
}

/* ---- the environment ---- */

/* "ANTHROPIC_KEY" as "anthropic-key". */
static bool name_of(const char *upper, size_t n, char out[SECRET_NAME_MAX + 1])
{
    if (n > SECRET_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char c = upper[i];

        if ((c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_') {
            return false;
        }
        out[i] = c == '_' ? '-' : (char)(c >= 'A' ? c - 'A' + 'a' : c);
    }
    out[n] = '\0';
    return secret_name_ok(out);
}

/* Takes it out of the environment, and out of what /proc shows of it. */
static int take_variable(struct secrets *s, char *entry, struct err *e)
{
    size_t n = strcspn(entry, "=");
    auto_free char *variable = xstrndup(entry, n);
    auto_free char *what = str_fmt("the variable %.200s", variable);
    char name[SECRET_NAME_MAX + 1];
    int rc = 0;

    if (!name_of(entry + sizeof PREFIX - 1, n - (sizeof PREFIX - 1), name)) {
        rc = err_set(e, ERR_INVALID,
                     "%s does not name a secret: " PREFIX
                     "NAME, where NAME has A-Z, 0-9 and '_' and begins with a letter",
                     what);
    } else {
        rc = secrets_add(s, name, entry + n + 1, strlen(entry + n + 1), what, e);
    }
    secure_zero(entry + n + 1, strlen(entry + n + 1));
    unsetenv(variable);
    return rc;
}

int secrets_from_environment(struct secrets *s, struct err *e)
{
    int rc = 0;

    for (char **v = environ; rc == 0 && v && *v;) {
        if (str_starts(*v, PREFIX) && strchr(*v, '=')) {
            rc = take_variable(s, *v, e);
            v = environ; /* it closed the gap */
        } else {
            v++;
        }
    }
    return rc;
}
