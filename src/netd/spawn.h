/* spawn - from a fork of the runner's parent to netd: its own user, one capability. Private. */
#pragma once

#include "netd/netd.h"

/* Becomes the user of `c` (if it says so) and keeps at most CAP_NET_ADMIN; nothing comes back by
 * exec, and nobody may look into the process. */
int netd_become(const struct netd_config *c, struct err *e);
/* In a forked child: only stderr and what is named; 0 and 1 are /dev/null. */
int netd_close_all(int a, int b, struct err *e);
void netd_ignore_signals(void);
