/*
 * roles - starts the processes beside the daemon, each with the least it needs: netd, resolver,
 * proxy, runner. What the settings say about them is read here and nowhere else.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "base/option.h"
#include "box/cgroup.h"
#include "daemon/privilege.h"
#include "edge/depot.h"
#include "netd/netd.h"
#include "secret/secret.h"

struct roles {
    int runner_fd, netd_fd, proxy_fd, resolver_fd,
        depot_fd; /* channels; owned until taken; -1: none */
    int runner_pidfd, netd_pidfd, proxy_pidfd, resolver_pidfd, depot_pidfd;
    struct cgroup_tree *cgroups;
};

#define ROLES_NONE                                                                             \
    {                                                                                          \
        .runner_fd = -1, .netd_fd = -1, .proxy_fd = -1, .resolver_fd = -1, .runner_pidfd = -1, \
        .netd_pidfd = -1, .proxy_pidfd = -1, .resolver_pidfd = -1, .depot_fd = -1,             \
        .depot_pidfd = -1                                                                      \
    }

/*
 * While still privileged, before any thread and before the store is open: the runner keeps hold_fd
 * (the lock). A netd is started by root, or dialled where the settings name its socket. On failure
 * what was started is ended.
 */
struct roles_ask {
    const struct option_set *settings;
    const struct service_user *user;
    int hold_fd; /* -1: none */
    const char *work_dir;
    struct secrets *secrets; /* the proxy alone has them; NULL: none */
};
int roles_start(struct roles *r, const struct roles_ask *ask, struct err *e);
/* The depot, at the same time: the data directory is there. */
int roles_start_depot(struct roles *r, const struct depot_config *to,
                      const struct service_user *user, const char *blob_dir, struct err *e);
/* Closes what was not taken, and waits for the ends of the roles, 5 s each at most: what was taken
 * has to be closed before. */
void roles_done(struct roles *r);

/* netd_config from the settings; points into them. */
void netd_settings(const struct option_set *settings, const struct service_user *user,
                   struct netd_config *out);
/* How many scans have an address of their own at the same time, of whichever family they need;
 * 0: NAT. ERR_INVALID: one is no address. */
int scan_addresses_count(const struct option_set *settings, uint32_t *out, struct err *e);
