/*
 * server - netd once it is what it should be: one loop, one peer, its runs. Private to the room.
 */
#pragma once

#include "netd/link.h"
#include "netd/netd.h"

/* Before capabilities and system calls are given up: what only then can be made. */
struct netd_start {
    const struct netd_config *config;
    int peer_fd;         /* the peer's channel; -1: wait for peers on listen_fd */
    int listen_fd;       /* -1: none */
    uid_t peer_uid;      /* of listen_fd */
    const char *broken;  /* why it cannot work, as was found out before; NULL: try */
    struct link *around; /* rootless: a socket in the namespace that slirp4netns speaks for */
    int uplink_fd;       /* rootless: becomes readable when slirp4netns ends; -1 */
    struct net_range uplink_net; /* rootless: slirp's own network */
};

/* Returns when the peer is gone, or (listen_fd) on SIGTERM or SIGINT; nothing is left over. */
int netd_serve(const struct netd_start *s, struct err *e);
