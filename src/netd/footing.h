/*
 * footing - what all runs of a netd stand on: its number, the scope, pools, NAT, forwarding and
 * scan addresses. Whether it works is found out by doing. Private to the room.
 */
#pragma once

#include "netd/gate.h"
#include "netd/netd.h"
#include "netd/way.h"

/* A switch of the kernel that was turned. */
struct setting {
    char *path; /* owned */
    char was[16];
};

struct footing {
    const struct netd_config *config; /* borrowed */
    struct ways ways;
    struct gate gate;
    struct setting *settings; /* owned: to turn back, the last first */
    size_t n_settings;
    char nat_table[NAME_LEN];
    char why[512]; /* why it cannot be used; "" if it can */
    bool forward_v4, forward_v6;
};

/* `broken`: why it cannot work, as was found out before; NULL: try. Failure is told in f->why. */
void footing_make(struct footing *f, const struct netd_config *c, const char *broken);
/* Removes every way and all that was made; the last netd here turns off what was turned on. */
void footing_done(struct footing *f);
