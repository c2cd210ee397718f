/*
 * From a fork of the daemon to the runner: its own descriptors and the service user. What it may
 * keep of root's capabilities is settled in caps.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/role.h"
#include "ipc/chan.h"
#include "runner/caps.h"
#include "runner/process.h"

/* Seven descriptors a run: as many as the system lets us have. */
static void raise_descriptor_limit(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
        l.rlim_cur = MIN(l.rlim_max, (rlim_t)65536);
        (void)setrlimit(RLIMIT_NOFILE, &l);
    }
}

static void become_runner(const void *config, int chan_fd)
{
    const struct runner_config *c = config;
    const struct role_start role = {
        .change_user = c->change_user, .uid = c->uid, .gid = c->gid, .caps = CAPS_KEPT};
    int keep[] = {STDERR_FILENO,
                  chan_fd,
                  c->hold_fd,
                  c->netd_fd,
                  c->proxy_fd > 0 ? c->proxy_fd : -1,
                  c->cgroups ? cgroup_fd(c->cgroups) : -1};
    const char *failed = role_apart("scanpod-runner", keep, ARRAY_LEN(keep));

    if (!failed) {
        failed = role_drop(&role);
    }
    if (failed) {
        fprintf(stderr, "runner: %s: %s\n", failed, strerror(errno));
        _exit(1);
    }
    raise_descriptor_limit();
    runner_process(c, chan_fd);
}

int runner_spawn(const struct runner_config *c, int *out_fd, int *out_pidfd, struct err *e)
{
    return chan_spawn("the runner", become_runner, c, out_fd, out_pidfd, e);
}
