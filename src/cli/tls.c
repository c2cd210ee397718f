/* tls - a self-signed pair for this machine, so that a server can be reached beyond loopback. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/connect.h"
#include "cli/pair.h"
#include "daemon/privilege.h"

enum { DAYS_DEFAULT = 397, DAYS_MAX = 3650 };

static const struct flag flags[] = {
    {.name = "dir", .value = "DIR", .help = "where to write cert.pem and key.pem (DATA_DIR/tls)"},
    {.name = "host", .value = "NAME", .help = "a further host name or address of this server"},
    {.name = "days", .value = "N", .help = "how long the certificate is valid (397)"},
    {.name = "force", .help = "replace a pair that is there"},
    {0},
};

/* Below the data directory everything belongs to the user that the server works as. */
static int prepare_own(struct cli *c, struct err *e)
{
    struct option_set *s = cli_settings(c);
    const char *dir = option_str(s, "data-dir");
    struct service_user user;
    int rc;

    if (!dir) {
        return err_set(e, ERR_INVALID, "there is no data directory; use --dir");
    }
    if ((rc = service_user_find(option_str(s, "user"), &user, e)) != 0 ||
        (rc = data_dir_prepare(dir, &user, e)) != 0) {
        return rc;
    }
    return privilege_drop(&user, e);
}

/* Written beside and moved into place: a server never reads half a file. */
static int write_file(int dir, const char *name, mode_t mode, const struct buf *text, bool force,
                      struct err *e)
{
    auto_free char *tmp = str_fmt(".%s.%d", name, (int)getpid());
    auto_fd int fd = -1;

    if (!force && faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        return err_set(e, ERR_CONFLICT, "'%s' is there already", name);
    }
    unlinkat(dir, tmp, 0);
    fd = openat(dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0 || write(fd, text->data, text->len) != (ssize_t)text->len || fchmod(fd, mode) < 0 ||
        fsync(fd) < 0 || renameat(dir, tmp, dir, name) < 0) {
        int rc = err_errno(e, "write '%s'", name);

        unlinkat(dir, tmp, 0);
        return rc;
    }
    return 0;
}

static int write_pair(const char *path, const struct pair *p, bool force, struct err *e)
{
    auto_fd int dir = -1;
    int rc = 0;

    if (mkdir(path, 0700) < 0 && errno != EEXIST) {
        return err_errno(e, "make directory '%s'", path);
    }
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0) {
        return err_errno(e, "open directory '%s'", path);
    }
    if (!force && faccessat(dir, "cert.pem", F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        rc = err_set(e, ERR_CONFLICT, "'%s/cert.pem' is there already", path);
    }
    if (rc == 0) {
        rc = write_file(dir, "key.pem", 0600, &p->key, force, e);
    }
    if (rc == 0) {
        rc = write_file(dir, "cert.pem", 0644, &p->cert, force, e);
    }
    return rc;
}

static int init(struct cli *c)
{
    const char *dir = args_value(&c->args, "dir");
    const char *days_text = args_value(&c->args, "days");
    auto_free char *own = NULL;
    struct pair p = {0};
    struct err e = {0};
    uint64_t days = DAYS_DEFAULT;
    int rc = 0;

    if (days_text && !str_to_u64(days_text, 1, DAYS_MAX, &days)) {
        rc = err_set(&e, ERR_INVALID, "--days '%s': expected 1 to %d", days_text, DAYS_MAX);
    }
    if (rc == 0 && !dir) {
        rc = prepare_own(c, &e);
        own = connect_data_path(c, "tls");
        dir = own;
    }
    if (rc == 0) {
        rc = pair_make(args_value(&c->args, "host"), (unsigned)days, &p, &e);
    }
    if (rc == 0) {
        rc = write_pair(dir, &p, args_has(&c->args, "force"), &e);
    }
    if (rc == 0) {
        auto_free char *lines = str_fmt("%s/cert.pem\n%s/key.pem\n", dir, dir);

        out_write(lines, strlen(lines));
        say(&c->term, "fingerprint (SHA-256): %s", p.fingerprint);
        say(&c->term, "use it: scanpod serve --tls-cert %s/cert.pem --tls-key %s/key.pem", dir,
            dir);
    }
    pair_done(&p);
    return rc == 0 ? STATUS_OK
                   : cli_fail(c, &e, rc == ERR_CONFLICT ? "scanpod tls init --force" : NULL);
}

static const struct command command_tls_init = {
    .name = "init",
    .summary = "make a self-signed certificate and its key",
    .flags = flags,
    .formats = 1u << FORMAT_TABLE,
    .run = init,
};

static const struct command *const subs[] = {&command_tls_init, NULL};

const struct command command_tls = {
    .name = "tls",
    .summary = "certificates: init",
    .subs = subs,
};
