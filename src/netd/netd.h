/*
 * netd - the role that holds CAP_NET_ADMIN and nothing else: it gives a box its way out.
 *
 * For each run: a veth whose inner end (eth0) goes into the box's network namespace, and an
 * nf_tables table "netdev sp_II_N" (as the veth's outer end is called) at ingress of that end,
 * which drops and counts every frame that is not to the run's targets: before ARP, routing and
 * conntrack (filter.h). Behind it NAT (tables "ip" and "ip6" sp_II_nat), or a scan address of the
 * machine's own that is routed to the box (proxy ARP and ND). II is the number of this netd:
 * several can share a network namespace (instance.h).
 *
 * netd believes nobody: every range is checked again against the scope file, which it reads itself
 * (again whenever it changed), and against the machine's own addresses; loopback and the networks
 * of boxes are refused whatever the file says, and a resolver has to be one that a policy names, or
 * a target that is allowed. The runner is the only one who can talk to it: by an inherited socket,
 * or by SO_PEERCRED on a listening one. What it made is removed when the run is over, when the
 * peer goes away, and at its start what a former netd left. A netd that is killed leaves filters in
 * force: a box does not get out because of it.
 *
 * Everything goes through netlink in this process (libmnl); no command is run, no rule is parsed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/netset.h"
#include "box/box.h"
#include "event/loop.h"
#include "model/sandbox.h"

/*
 * What every box sees of its link: the name of its end, and the hardware address of ours, which is
 * the same on all links (locally administered, and each link has two ends only). So command lines
 * can name them before there is a link.
 */
#define NETD_INTERFACE   "eth0"
#define NETD_GATEWAY_MAC "02:5c:a1:7e:00:01"

/*
 * Source ports for tools that speak TCP by themselves over raw sockets: what a box's kernel says to
 * answers that it does not know (RST) does not leave the box from these.
 */
enum { NETD_SILENT_PORT = 61440, NETD_SILENT_PORTS = 16 };

struct netd_config {
    uid_t uid; /* to become, keeping CAP_NET_ADMIN, when root */
    gid_t gid;
    bool change_user;
    const char *scope_file; /* NULL: the built-in policy */
    uid_t scope_owner;      /* who may own it beside root */
    const char *pool_v4;    /* "198.18.0.0/16": a /30 for each box */
    const char *pool_v6;    /* "fd5c:a17e::/64": a /126 for each box */
    const char *addresses;  /* scan addresses of our own, by commas; NULL: NAT */
    bool proxy_neighbours;  /* answer ARP and ND for them on the uplink */
    /*
     * Turn IPv4 forwarding on when it is off, with a rule that forwards nothing but boxes' packets,
     * and off again at the end. IPv6 forwarding is never touched: it changes how the machine
     * itself learns its routes.
     */
    bool forward;
    bool rootless; /* we are in a user namespace behind slirp4netns; see netd_spawn_rootless() */
};

/* In the parent, early; *out_fd is for the runner (netd_connect). The child never returns. */
int netd_spawn(const struct netd_config *c, int *out_fd, int *out_pidfd, struct err *e);
/* `scanpod netd`: serves one peer of `peer_uid` at a time on a unix socket until a signal. */
int netd_listen(const struct netd_config *c, const char *path, uid_t peer_uid, struct err *e);
/* The peer's side of that. */
int netd_dial(const char *path, int *out_fd, struct err *e);
/*
 * EGRESS_ROOTLESS, from the unprivileged runner once it is in its own user namespace: netd in a
 * network namespace of its own with slirp4netns (full path) as uplink. ERR_SANDBOX: why not.
 */
int netd_spawn_rootless(const struct netd_config *c, const char *slirp4netns, int *out_fd,
                        int *out_pidfd, struct err *e);

/* ---- the runner's side ---- */

struct netd;

struct netd_ask {
    uint64_t run;
    int netns_fd;                 /* of the box; borrowed */
    const struct netset *targets; /* what may be sent to */
    bool has_dns;
    struct net_ip dns; /* with has_dns: udp and tcp 53 to it, too */
    uint32_t rate_pps; /* more is dropped and counted; 0: no limit */
    bool dedicated;    /* needs an address of its own */
    bool raw;          /* the tool has raw sockets: beat.h, and NETD_SILENT_PORT */
};

/* Call-backs come later, never from inside a call. */
struct netd_events {
    /* Once, first: what it can do. why is "" if usable. */
    void (*ready)(void *arg, bool usable, const char *why, bool forward_v4, bool forward_v6,
                  uint32_t dedicated_v4, uint32_t dedicated_v6);
    /* The way is there: for box_go(). Or why not: code is an ERR_* then. */
    void (*up)(void *arg, uint64_t run, int code, const char *why, const struct box_address *a,
               bool dedicated);
    /* After netd_down(): the last counters. NULL: somebody else removed the filter. */
    void (*counts)(void *arg, uint64_t run, const struct egress_counts *c);
    void (*gone)(void *arg);
    void *arg;
};

/* Takes fd, also on failure. */
int netd_connect(struct loop *l, int fd, const struct netd_events *ev, struct netd **out,
                 struct err *e);
int netd_up(struct netd *n, const struct netd_ask *ask, struct err *e);
/* After the tool's end: reads the counters, then removes table and veth. Each up() needs one. */
void netd_down(struct netd *n, uint64_t run);
void netd_free(struct netd *n);
