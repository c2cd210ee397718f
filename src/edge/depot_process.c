/*
 * The depot's own process: one loop over the daemon's channel and libcurl's transfers. A message
 * that the daemon's side would not have sent ends it. When the channel closes, uploads in parts
 * that were begun are aborted, if the storage is quick.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "box/role.h"
#include "box/seccomp.h"
#include "edge/depot_item.h"

enum { TURN_MS = 1000, FLUSH_MS = 20, END_MS = 3000 };

static void on_message(struct chan *c, uint16_t type, const void *body, size_t n, int *fds,
                       unsigned n_fds)
{
    struct depot_process *dp = container_of(c, struct depot_process, chan);
    struct wire w = {.p = body, .end = (const uint8_t *)body + n};
    uint64_t id = wire_get_u64(&w);
    const char *name = NULL;

    (void)fds;
    if (n_fds != 0 || (type != DEPOT_STORE && type != DEPOT_FETCH && type != DEPOT_REMOVE) ||
        !wire_get_str(&w, &name, NULL) || !name || !wire_end(&w) || !depot_name_valid(name)) {
        fprintf(stderr, "depot: message %u is not one of ours\n", type);
        dp->stopping = true;
        return;
    }
    item_add(dp, type, id, name);
}

static void on_close(struct chan *c)
{
    container_of(c, struct depot_process, chan)->stopping = true;
}

static int turn(struct depot_process *dp, struct err *e)
{
    const struct curl_lib *lib = dp->http.lib;
    int wait = items_step(dp, dp->chan.queued ? FLUSH_MS : TURN_MS);
    struct curl_waitfd channel = {.fd = dp->chan.watch.fd, .events = CURL_WAIT_POLLIN};
    struct transfer *t;
    int running, rc = 0;

    if (lib->multi_perform(dp->http.multi, &running) != CURLM_OK) {
        return err_set(e, ERR_INTERNAL, "libcurl failed");
    }
    while ((t = transfer_ended(&dp->http)) != NULL) {
        item_answered(t);
        wait = 0;
    }
    lib->multi_poll(dp->http.multi, &channel, dp->stopping ? 0 : 1, wait, NULL);
    if (!dp->stopping) {
        rc = loop_turn(dp->loop, 0, e);
    }
    return rc;
}

static int work(struct depot_process *dp, struct err *e)
{
    int64_t end_ms;
    int rc = 0;

    while (rc == 0 && !dp->stopping) {
        rc = turn(dp, e);
    }
    items_stop(dp);
    end_ms = boot_ms() + END_MS;
    while (rc == 0 && !items_idle(dp) && boot_ms() < end_ms) {
        rc = turn(dp, e);
    }
    return rc;
}

static int set_up(struct depot_process *dp, int fd, struct err *e)
{
    int rc = curl_lib(&dp->http.lib, e);

    if (rc != 0) {
        return rc;
    }
    dp->http.multi = dp->http.lib->multi_init();
    if (!dp->http.multi) {
        return err_set(e, ERR_INTERNAL, "libcurl does not start");
    }
    dp->dir_fd = open(dp->start->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dp->dir_fd < 0) {
        return err_errno(e, "open '%s'", dp->start->dir);
    }
    if ((rc = loop_new(&dp->loop, e)) != 0 || (rc = chan_start(&dp->chan, dp->loop, fd, e)) != 0) {
        return rc;
    }
    return seccomp_role(ROLE_DEPOT, e);
}

static void depot_process(const void *arg, int fd)
{
    const struct depot_start *start = arg;
    const struct role_start role = {.name = "scanpod-depot",
                                    .change_user = start->change_user,
                                    .uid = start->uid,
                                    .gid = start->gid};
    struct depot_process dp = {.start = start,
                               .http = {.config = start->config},
                               .dir_fd = -1,
                               .random = (uint64_t)boot_us() ^ (uint64_t)getpid() << 32,
                               .chan = {.on_message = on_message, .on_close = on_close}};
    const char *failed = role_become(&role, fd);
    struct err e = {0};

    if (failed) {
        fprintf(stderr, "depot: %s: %s\n", failed, strerror(errno));
        _exit(1);
    }
    if (set_up(&dp, fd, &e) != 0 || work(&dp, &e) != 0) {
        fprintf(stderr, "depot: %s\n", e.msg);
        _exit(1);
    }
    _exit(0);
}

int depot_spawn(const struct depot_start *c, int *out_fd, int *out_pidfd, struct err *e)
{
    return chan_spawn("the depot", depot_process, c, out_fd, out_pidfd, e);
}
