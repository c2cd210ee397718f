/* spawn - netd's own user, one capability. Private. */
#pragma once

#include "netd/netd.h"

/* Becomes the user of `c` (if it says so) and keeps at most CAP_NET_ADMIN; nothing comes back by
 * exec, and nobody may look into the process. */
int netd_become(const struct netd_config *c, struct err *e);
/* In a forked child: nothing open but the channel and stderr, a session of its own. */
int netd_apart(int chan_fd, struct err *e);
