#include "netd/spawn.h"

#include <linux/capability.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/role.h"
#include "ipc/chan.h"
#include "netd/server.h"

int netd_become(const struct netd_config *c, struct err *e)
{
    const struct role_start role = {.change_user = c->change_user && geteuid() == 0,
                                    .uid = c->uid,
                                    .gid = c->gid,
                                    .caps = UINT64_C(1) << CAP_NET_ADMIN};
    const char *failed = role_drop(&role);

    return failed ? err_errno(e, "%s", failed) : 0;
}

int netd_apart(int chan_fd, struct err *e)
{
    int keep[] = {STDERR_FILENO, chan_fd};
    const char *failed = role_apart("scanpod-netd", keep, ARRAY_LEN(keep));

    return failed ? err_errno(e, "%s", failed) : 0;
}

static void be_netd(const void *config, int chan_fd)
{
    const struct netd_start start = {
        .config = config, .peer_fd = chan_fd, .listen_fd = -1, .uplink_fd = -1};
    struct err e = {0};
    int rc = netd_apart(chan_fd, &e);

    if (rc == 0) {
        rc = netd_become(config, &e);
    }
    if (rc == 0) {
        rc = chdir("/") < 0 ? err_errno(&e, "change directory") : netd_serve(&start, &e);
    }
    if (rc != 0) {
        fprintf(stderr, "netd: %s\n", e.msg);
    }
    _exit(rc == 0 ? 0 : 1);
}

int netd_spawn(const struct netd_config *c, int *out_fd, int *out_pidfd, struct err *e)
{
    return chan_spawn("netd", be_netd, c, out_fd, out_pidfd, e);
}
