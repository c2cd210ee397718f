/*
 * From a fork of the daemon to the runner: its own descriptors and the service user. What it may
 * keep of root's capabilities is settled in caps.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/role.h"
#include "ipc/chan.h"
#include "runner/caps.h"
#include "runner/process.h"

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
    role_raise_descriptors();
    runner_process(c, chan_fd);
}

int runner_spawn(const struct runner_config *c, int *out_fd, int *out_pidfd, struct err *e)
{
    return chan_spawn("the runner", become_runner, c, out_fd, out_pidfd, e);
}
