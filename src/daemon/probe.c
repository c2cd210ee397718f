#include "daemon/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum { PROBE_MS = 2000, PROBE_BYTES = 4096 };

static int spawn_probe(const struct tool *t, const char *program, int out, pid_t *pid,
                       struct err *e)
{
    static char *const env[] = {(char *)(uintptr_t) "PATH=/usr/bin:/bin", NULL};
    auto_strvec argv = {0};
    posix_spawn_file_actions_t fa;
    int rc;

    strvec_push(&argv, program);
    for (const char *const *a = t->version_args; a && *a; a++) {
        strvec_push(&argv, *a);
    }
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&fa, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&fa, out, STDERR_FILENO);
    rc = posix_spawn(pid, program, &fa, NULL, argv.v, env);
    posix_spawn_file_actions_destroy(&fa);
    errno = rc;
    return rc ? err_errno(e, "start '%s'", program) : 0;
}

static void read_until(int fd, int64_t deadline, struct buf *out)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = deadline - boot_ms();
        char chunk[1024];
        ssize_t n;

        if (left <= 0 || poll(&p, 1, (int)left) <= 0) {
            return;
        }
        n = read(fd, chunk, sizeof chunk);
        if (n <= 0) {
            return;
        }
        buf_add(out, chunk, MIN((size_t)n, PROBE_BYTES - MIN(out->len, (size_t)PROBE_BYTES)));
    }
}

int tool_probe(const struct tool *t, const char *configured, char *version, size_t size,
               struct err *e)
{
    auto_free char *program = NULL;
    auto_buf text = {0};
    int fds[2];
    pid_t pid;
    int status;
    int rc = tool_path(t, configured, &program, e);

    if (rc != 0) {
        return rc;
    }
    if (pipe2(fds, O_CLOEXEC) < 0) {
        return err_errno(e, "make a pipe");
    }
    rc = spawn_probe(t, program, fds[1], &pid, e);
    close(fds[1]);
    if (rc == 0) {
        read_until(fds[0], boot_ms() + PROBE_MS, &text);
        kill(pid, SIGKILL); /* our own child, not yet waited for: the number is still its */
        waitpid(pid, &status, 0);
    }
    close(fds[0]);
    if (rc != 0) {
        return rc;
    }
    if (!text.data || !t->read_version || !t->read_version(text.data, version, size)) {
        return err_set(e, ERR_TOOL, "'%s' does not tell its version", program);
    }
    return 0;
}

static void look_at(const struct tool *t, const char *configured, struct stat *file, struct err *e)
{
    auto_free char *program = NULL;

    *file = (struct stat){0};
    if (tool_path(t, configured, &program, e) == 0 && stat(program, file) < 0) {
        err_errno(e, "look at '%s'", program);
    }
}

int tool_see(const struct tool *t, const char *configured, struct tool_seen *seen, struct err *e)
{
    *seen = (struct tool_seen){0};
    look_at(t, configured, &seen->file, &seen->wrong);
    *e = seen->wrong;
    return e->code;
}

int tool_answered(const struct tool *t, struct tool_seen *seen, const char *text, struct err *e)
{
    if (t->read_version && t->read_version(text, seen->version, sizeof seen->version)) {
        return 0;
    }
    err_set(&seen->wrong, ERR_TOOL, "'%s' does not tell its version", t->program);
    *e = seen->wrong;
    return e->code;
}

const char *tool_look(const struct tool *t, const char *configured, struct tool_seen *seen,
                      const char **version)
{
    struct err now = {0};
    struct stat file;

    look_at(t, configured, &file, &now);
    if (now.code || file.st_dev != seen->file.st_dev || file.st_ino != seen->file.st_ino ||
        file.st_size != seen->file.st_size || file.st_ctim.tv_sec != seen->file.st_ctim.tv_sec ||
        file.st_ctim.tv_nsec != seen->file.st_ctim.tv_nsec) {
        *seen = (struct tool_seen){.file = file, .wrong = now};
    }
    *version = seen->version[0] ? seen->version : NULL;
    return seen->wrong.code ? seen->wrong.msg : NULL;
}
