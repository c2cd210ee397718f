/*
 * link - interfaces, addresses, neighbours and routes over rtnetlink. Private to the room.
 *
 * Each call is one or a few requests with an answer; the kernel answers at once.
 */
#pragma once

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/netset.h"

struct link {
    struct mnl_socket *sock; /* owned */
    struct buf batch;
    uint32_t seq;
};

enum { MAC_LEN = 6 };

int link_open(struct link *l, struct err *e);
void link_close(struct link *l); /* zeroed is fine */

struct veth {
    const char *name, *peer; /* of the outer and the inner end */
    int peer_ns;             /* a descriptor; -1: here */
    uint8_t mac[MAC_LEN], peer_mac[MAC_LEN];
};
/* Both ends are down. *index is the outer end's. */
int link_veth(struct link *l, const struct veth *v, int *index, struct err *e);
/* One end takes the other with it. Not there is fine. */
int link_del(struct link *l, int index, struct err *e);
int link_index(struct link *l, const char *name, int *index, struct err *e);
int link_name(struct link *l, int index, char out[16], struct err *e);

/* Several requests, sent together by link_flush(), which names the first that failed. */
void link_up(struct link *l, int index);
void link_address(struct link *l, int index, const struct net_ip *ip, uint8_t prefix);
/* A neighbour for ever: nobody is asked on the wire. */
void link_neighbour(struct link *l, int index, const struct net_ip *ip, const uint8_t *mac);
/* ip/32 or /128 through the interface. */
void link_route(struct link *l, int index, const struct net_ip *ip);
void link_proxy(struct link *l, int index, const struct net_ip *ip, bool add);
int link_flush(struct link *l, struct err *e);

/* Where packets to ip go: the interface, and whether it is on that link itself. */
int link_way(struct link *l, const struct net_ip *ip, int *index, bool *on_link, struct err *e);
/* Calls fn for each interface. */
int link_list(struct link *l, void (*fn)(void *arg, int index, const char *name), void *arg,
              struct err *e);
/* Adds the addresses of all interfaces of the namespace in which `l` was opened. */
int link_addresses(struct link *l, struct netset *out, struct err *e);
