#include "daemon/look.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/roles.h"
#include "event/loop.h"
#include "runner/runner.h"

enum { LOOK_MS = 5000, FILTER_MS = 2000, STEP_MS = 5 };

struct looking {
    struct look *look;
    bool ready, gone;
};

static void on_ready(void *arg, const struct sandbox_caps *caps)
{
    struct looking *l = arg;

    l->look->caps = *caps;
    l->ready = true;
}

static void on_gone(void *arg)
{
    struct looking *l = arg;

    l->gone = true;
}

/* The number after `name` in a file of /proc, in that base. */
static uint64_t field(const char *text, const char *name, int base)
{
    const char *at = strstr(text, name);

    return at ? strtoull(at + strlen(name), NULL, base) : 0;
}

static bool read_file(const char *path, char text[4096])
{
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, 4095, f) : 0;

    if (f) {
        fclose(f);
    }
    text[n] = '\0';
    return n > 0;
}

/* The role as it works: one that nobody has asked anything yet may still be starting. */
static bool read_status(const char *path, char text[4096])
{
    int64_t deadline = boot_ms() + FILTER_MS;

    while (read_file(path, text)) {
        if (field(text, "\nSeccomp:", 10) != 0 || boot_ms() >= deadline) {
            return true;
        }
        (void)poll(NULL, 0, STEP_MS);
    }
    return false;
}

static void see(struct look *look, const char *name, int pidfd)
{
    char path[64];
    char text[4096];
    long pid;

    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
    if (pidfd < 0 || !read_file(path, text)) {
        return;
    }
    pid = (long)field(text, "\nPid:", 10);
    snprintf(path, sizeof path, "/proc/%ld/status", pid);
    if (pid <= 0 || !read_status(path, text)) {
        return;
    }
    look->roles[look->n++] = (struct role_seen){
        .name = name,
        .uid = (unsigned)field(text, "\nUid:", 10),
        .capabilities = field(text, "\nCapEff:", 16) | field(text, "\nCapPrm:", 16),
        .no_new_privs = field(text, "\nNoNewPrivs:", 10) != 0,
        .filter = field(text, "\nSeccomp:", 10) != 0,
    };
}

static int wait_ready(struct roles *roles, struct looking *l, struct err *e)
{
    const struct runner_events ev = {.ready = on_ready, .gone = on_gone, .arg = l};
    int64_t deadline = boot_ms() + LOOK_MS;
    struct runner *runner = NULL;
    struct loop *loop = NULL;
    int rc = loop_new(&loop, e);

    if (rc == 0) {
        rc = runner_connect(loop, take_fd(&roles->runner_fd), &ev, &runner, e);
    }
    while (rc == 0 && !l->ready && !l->gone && boot_ms() < deadline) {
        rc = loop_turn(loop, 100, e);
    }
    if (rc == 0 && !l->ready) {
        rc = err_set(e, ERR_SANDBOX, "the runner process %s",
                     l->gone ? "ended at its start" : "does not answer");
    }
    if (rc == 0) {
        see(l->look, "runner", roles->runner_pidfd);
        see(l->look, "netd", roles->netd_pidfd);
        see(l->look, "proxy", roles->proxy_pidfd);
        see(l->look, "resolver", roles->resolver_pidfd);
    }
    runner_free(runner);
    loop_free(loop);
    return rc;
}

int sandbox_look(const struct option_set *settings, struct look *out, struct err *e)
{
    char dir[] = "/tmp/scanpod-look-XXXXXX";
    struct roles roles = ROLES_NONE;
    struct looking l = {.look = out};
    struct service_user user;
    int rc = service_user_find(option_str(settings, "user"), &user, e);

    *out = (struct look){.n = 0};
    if (rc != 0) {
        return rc;
    }
    if (!mkdtemp(dir)) {
        return err_errno(e, "make '%s'", dir);
    }
    if (user.change && chown(dir, user.uid, user.gid) < 0) {
        rc = err_errno(e, "give '%s' to user '%s'", dir, user.name);
    }
    const struct roles_ask ask = {
        .settings = settings, .user = &user, .hold_fd = -1, .work_dir = dir};

    if (rc == 0 && (rc = roles_start(&roles, &ask, e)) == 0) {
        rc = wait_ready(&roles, &l, e);
        roles_done(&roles);
    }
    rmdir(dir);
    return rc;
}
