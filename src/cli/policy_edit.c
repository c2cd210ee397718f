/*
 * policy edit - the scope file in an editor, on a copy beside it that takes its place when it is
 * right.
 *
 * A server never sees a half-written or broken file: the copy is parsed first, gets the owner and
 * the mode of the file, is made durable, and then renamed over it. What the user wrote is never
 * thrown away: when the copy cannot be used, it stays and is named.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "model/request.h"
#include "policy/policy.h"

extern char **environ;
extern const struct command command_policy_edit;

enum { TEXT_MAX = 1 << 20 };

static const struct flag flags[] = {
    {.name = "scope", .value = "FILE", .help = "this file instead of the configured one"},
    {0},
};

static const char template_text[] =
    "version: 1\n"
    "scope:\n"
    "  allow:\n"
    "    - target: 127.0.0.0/8\n"
    "      note: this machine\n"
    "    # - target: 10.20.0.0/16          # prefix, address, range; or a host name with `within`\n"
    "    #   note: production\n"
    "    #   authorised_by: J. Doe, change 4711\n"
    "    #   expires: 2027-01-31           # last day\n"
    "  # deny:                             # deny wins\n"
    "  #   - {target: 10.20.9.0/24, note: payment}\n"
    "# policies and keys: docs/policy.md\n";

struct edit {
    struct cli *c;
    char path[PATH_MAX]; /* the file itself, no link to it */
    char *copy;          /* owned */
    bool exists;
    struct stat before;
    struct buf old, text;
};

static int read_file(const char *path, struct buf *out, struct stat *st, struct err *e)
{
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = 1;

    if (fd < 0 || fstat(fd, st) < 0) {
        return err_errno(e, "open '%s'", path);
    }
    if (!S_ISREG(st->st_mode) || st->st_size > TEXT_MAX) {
        return err_set(e, ERR_INVALID, "'%s' is not a file of at most 1 MiB", path);
    }
    while (n > 0) {
        char *room = buf_space(out, 65536);

        n = room ? read(fd, room, 65536) : 0;
        if (n < 0) {
            return err_errno(e, "read '%s'", path);
        }
        out->len += (size_t)n;
    }
    return 0;
}

static int write_all(int fd, const struct buf *text)
{
    for (size_t at = 0; at < text->len;) {
        ssize_t n = write(fd, text->data + at, text->len - at);

        if (n < 0 && errno != EINTR) {
            return -1;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int find(struct edit *ed, struct err *e)
{
    struct cli *c = ed->c;
    const char *given = args_value(&c->args, "scope");
    int rc = 0;

    if (!given) {
        given = c->args.n ? c->args.operands[0] : option_str(cli_settings(c), "scope");
    }
    if (!given) {
        return err_set(e, ERR_INVALID,
                       "no scope file is configured; name one: scanpod policy edit FILE");
    }
    ed->exists = realpath(given, ed->path) != NULL;
    if (ed->exists) {
        rc = read_file(ed->path, &ed->old, &ed->before, e);
    } else if (errno != ENOENT || strlen(given) >= sizeof ed->path) {
        return err_errno(e, "find '%s'", given);
    } else {
        snprintf(ed->path, sizeof ed->path, "%s", given);
        buf_adds(&ed->old, template_text);
    }
    return rc;
}

static int make_copy(struct edit *ed, struct err *e)
{
    auto_free char *copy = str_fmt("%s.edit-XXXXXX", ed->path);
    auto_fd int fd = mkostemp(copy, O_CLOEXEC);

    if (fd < 0) {
        return err_errno(e, "make a copy beside '%s'", ed->path);
    }
    ed->copy = take_ptr(&copy);
    if (write_all(fd, &ed->old) < 0) {
        return err_errno(e, "write '%s'", ed->copy);
    }
    return 0;
}

/* $VISUAL, $EDITOR: words as a shell would split them, but no shell. */
static int editor_argv(struct strvec *argv, struct err *e)
{
    const char *editor = getenv("VISUAL");

    if (!editor || !*editor) {
        editor = getenv("EDITOR");
    }
    if (!editor || !*editor) {
        editor = "vi";
    }
    if (shell_split(editor, argv, e) < 0 || argv->n == 0) {
        return err_set(e, ERR_INVALID, "$VISUAL or $EDITOR cannot be read: '%s'", editor);
    }
    return 0;
}

/* Ctrl-C is for the editor. */
static int run_editor(struct edit *ed, struct err *e)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, old_int, old_quit;
    auto_strvec argv = {0};
    posix_spawnattr_t attr;
    sigset_t both;
    int status = 0;
    pid_t pid;
    int rc = editor_argv(&argv, e);

    if (rc < 0) {
        return rc;
    }
    strvec_push(&argv, ed->copy);
    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGQUIT);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setsigdefault(&attr, &both);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
    sigaction(SIGINT, &ignore, &old_int);
    sigaction(SIGQUIT, &ignore, &old_quit);
    errno = posix_spawnp(&pid, argv.v[0], NULL, &attr, argv.v, environ);
    if (errno) {
        rc = err_errno(e, "start the editor '%s' (set EDITOR)", argv.v[0]);
    } else {
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
        }
        if (!WIFEXITED(status) || WEXITSTATUS(status)) {
            rc = err_set(e, ERR_INVALID, "the editor '%s' failed", argv.v[0]);
        }
    }
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGQUIT, &old_quit, NULL);
    posix_spawnattr_destroy(&attr);
    return rc;
}

/* The text of the copy, in ed->text, is a policy? */
static int check_copy(struct edit *ed, struct err *e)
{
    struct policy *p = NULL;
    struct stat st;
    int rc;

    buf_reset(&ed->text);
    rc = read_file(ed->copy, &ed->text, &st, e);
    if (rc == 0) {
        rc = policy_parse(ed->text.len ? ed->text.data : "", ed->text.len, ed->path, &p, e);
        policy_unref(p);
    }
    return rc;
}

static bool ask_again(const struct edit *ed, const struct err *e)
{
    char line[16];

    say_error(&ed->c->term, e->msg, NULL);
    if (!isatty(STDIN_FILENO)) {
        return false;
    }
    fputs("edit again? [Y/n] ", stderr);
    return fgets(line, sizeof line, stdin) && line[0] != 'n' && line[0] != 'N';
}

/* Has nobody changed the file while it was edited? */
static bool unchanged_below(const struct edit *ed)
{
    struct stat now;
    bool there = lstat(ed->path, &now) == 0;

    if (!ed->exists || !there) {
        return ed->exists == there;
    }
    return now.st_ino == ed->before.st_ino && now.st_dev == ed->before.st_dev &&
           now.st_size == ed->before.st_size && now.st_mtim.tv_sec == ed->before.st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == ed->before.st_mtim.tv_nsec;
}

static int sync_directory(const char *path)
{
    auto_free char *dir = xstrdup(path);
    char *slash = strrchr(dir, '/');
    auto_fd int fd = -1;

    if (slash) {
        slash[slash == dir] = '\0';
    }
    fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -1 : fsync(fd);
}

static int replace(struct edit *ed, struct err *e)
{
    auto_fd int fd = open(ed->copy, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    mode_t mode = ed->exists ? ed->before.st_mode & 0777 & ~(mode_t)(S_IWGRP | S_IWOTH) : 0644;

    if (!unchanged_below(ed)) {
        return err_set(e, ERR_CONFLICT, "'%s' was changed by somebody else meanwhile", ed->path);
    }
    if (fd < 0 || (ed->exists && fchown(fd, ed->before.st_uid, ed->before.st_gid) < 0) ||
        fchmod(fd, mode) < 0 || fsync(fd) < 0) {
        return err_errno(e, "give '%s' the owner and mode of '%s'", ed->copy, ed->path);
    }
    if (rename(ed->copy, ed->path) < 0 || sync_directory(ed->path) < 0) {
        return err_errno(e, "replace '%s'", ed->path);
    }
    return 0;
}

static bool same_text(const struct edit *ed)
{
    return ed->text.len == ed->old.len &&
           (ed->old.len == 0 || memcmp(ed->text.data, ed->old.data, ed->old.len) == 0);
}

/* An editor that failed, or a text that is wrong: the copy stays, if it says anything new. */
static int keep_copy(struct edit *ed, const struct err *e, bool told)
{
    auto_free char *hint = str_fmt("what you wrote is in %s", ed->copy);
    struct stat st;
    struct err unused;

    buf_reset(&ed->text);
    if (read_file(ed->copy, &ed->text, &st, &unused) == 0 && same_text(ed)) {
        unlink(ed->copy);
        return told ? err_exit_status(e->code) : cli_fail(ed->c, e, NULL);
    }
    if (told) {
        say(&ed->c->term, "%s", hint);
        return err_exit_status(e->code);
    }
    return cli_fail(ed->c, e, hint);
}

static int edit_copy(struct edit *ed)
{
    struct err e = {0};
    int rc;

    do {
        if (run_editor(ed, &e) != 0) {
            return keep_copy(ed, &e, false);
        }
        rc = check_copy(ed, &e);
    } while (rc != 0 && ask_again(ed, &e));
    if (rc != 0) {
        return keep_copy(ed, &e, true);
    }
    if (ed->exists && same_text(ed)) {
        unlink(ed->copy);
        say(&ed->c->term, "%s: not changed", ed->path);
        return STATUS_OK;
    }
    if (replace(ed, &e) != 0) {
        return keep_copy(ed, &e, false);
    }
    say(&ed->c->term, "%s is in place; a running server reads it on SIGHUP", ed->path);
    return STATUS_OK;
}

static int edit(struct cli *c)
{
    struct edit ed = {.c = c};
    struct err e = {0};
    int status = STATUS_OK;

    if (find(&ed, &e) != 0 || make_copy(&ed, &e) != 0) {
        status = cli_fail(c, &e, NULL);
    } else {
        status = edit_copy(&ed);
    }
    free(ed.copy);
    buf_done(&ed.old);
    buf_done(&ed.text);
    return status;
}

const struct command command_policy_edit = {
    .name = "edit",
    .operands = "[FILE]",
    .summary = "edit the scope file; it is replaced only by one that is right",
    .more = "Starts $VISUAL or $EDITOR on a copy beside the file. The copy is checked, gets the\n"
            "owner and mode of the file, and takes its place at once.\n",
    .flags = flags,
    .max = 1,
    .formats = 1u << FORMAT_TABLE,
    .run = edit,
};
