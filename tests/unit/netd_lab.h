/*
 * netd_lab - network namespaces to try netd in, made of nothing that outlives the test:
 *
 *   "in"  10.77.1.2  fd77:1::2  --- h-in  10.77.1.1  host  h-out 10.77.2.1 --- "out" 10.77.2.2  ...
 *
 * "host" is a namespace of this process alone, in which netd runs. What arrives at the far ends is
 * counted by packet sockets there. Boxes are empty namespaces; what leaves them is written frame
 * by frame.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "box/box.h"
#include "event/loop.h"
#include "model/sandbox.h"
#include "netd/link.h"
#include "netd/netd.h"

struct far_end {
    int ns, witness;
};

struct lab {
    bool made, root; /* root: of the machine, not of a user namespace */
    int host;
    struct far_end in, out;
};

/* Skips the test when the kernel makes no namespaces (fails if SCANPOD_MUST_SANDBOX=1). */
struct lab *lab_get(void);
int lab_namespace(void); /* a new, empty one; the caller closes */
/* IPv4 and IPv6 packets that arrived since the last call, without neighbour discovery. */
unsigned lab_arrived(const struct far_end *f);
/* The last of them that lab_arrived() counted: its IP header. */
const uint8_t *lab_last(size_t *n);
void lab_write(const char *path, const char *text); /* a switch of the host */
char lab_read(const char *path);
unsigned lab_count_ours(void); /* interfaces and tables of netd in the host namespace */

/* ---- netd and what it says ---- */

struct rig {
    struct loop *loop;
    struct netd *netd;
    int pidfd, fd;
    bool ready, usable, gone;
    bool raw; /* what rig_up() asks for from here on */
    char why[600];
    bool forward_v4, forward_v6;
    uint32_t dedicated_v4, dedicated_v6;
    unsigned n_up, n_counts, n_lost;
    uint64_t run;
    int code;
    struct box_address address;
    bool dedicated;
    struct egress_counts counts;
};

struct netd_config rig_config(void);
void rig_start(struct rig *r, const struct netd_config *c);
void rig_attach(struct rig *r, int fd, int pidfd);
void rig_stop(struct rig *r); /* waits for its end */
void rig_turn(struct rig *r, int ms);
/* "10.77.1.0/24,fd77:1::/64". Returns the code. */
int rig_up(struct rig *r, uint64_t run, int ns, const char *targets);
int rig_ask(struct rig *r, const struct netd_ask *ask);
struct egress_counts rig_down(struct rig *r, uint64_t run);
int rig_pid(const struct rig *r);

/* ---- a box ---- */

struct lab_box {
    int ns, sock, index;
    uint8_t mac[6];
    struct box_address a;
};

void lab_box_open(struct lab_box *b, const struct rig *r, int ns);
void lab_box_done(struct lab_box *b);

/* One packet as it leaves a box. Zeroed members are what an honest one has. */
struct packet {
    const char *to, *from;
    const uint8_t *to_mac; /* NULL: the gateway's */
    uint16_t type;         /* 0: IPv4 or IPv6 */
    bool vlan;
    uint8_t proto;     /* 0: UDP */
    uint16_t port;     /* 0: 9 */
    uint16_t source;   /* 0: 40000 */
    uint16_t fragment; /* flags and offset */
    bool options;
    uint8_t icmp_type; /* with one of the two ICMPs */
    uint8_t tcp_flags; /* 0: SYN */
};
void lab_send(const struct lab_box *b, const struct packet *p);
/* To what a frame comes back: false if none did within 200 ms. */
bool lab_heard(const struct lab_box *b, uint8_t *frame, size_t size, size_t *n);
