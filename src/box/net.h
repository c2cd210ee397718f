/* net - the inside of a box's own network namespace. Private to box/. */
#pragma once

#include "box/init.h"

const char *net_loopback_up(void);
/* A listener on 127.0.0.1. */
const char *net_listen(uint16_t port, int *out_fd);
/* eth0 as told, lo, and what of /proc/sys goes with it. Needs CAP_NET_ADMIN over the namespace. */
const char *net_configure(const struct box_address *a);
