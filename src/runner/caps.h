/* caps - what this machine can do for runs, found out by doing. Private to runner/. */
#pragma once

#include <linux/capability.h>
#include <stdint.h>

struct runner_process;

/* The most it keeps of root's: namespaces; addresses inside them; to be handed on to tools. */
#define CAPS_KEPT \
    (UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_NET_ADMIN | UINT64_C(1) << CAP_NET_RAW)

/* In the runner, after its change of user: which of them it needs, if any. Ends the process when
 * capabilities cannot be dropped. */
void caps_settle(unsigned without);
/* Starts finding out; caps_found() then tells the daemon. */
void caps_begin(struct runner_process *rp);
/* Tells the daemon anew, if it was told before: something is not there any more. */
void caps_tell(struct runner_process *rp);
/* Called once for each part. When all of them are known the daemon is told, and from then on the
 * runner makes no other calls than its role has. */
enum caps_part { CAPS_NET = 1, CAPS_PROXY = 2, CAPS_ALL = 3 };
void caps_found(struct runner_process *rp, enum caps_part part);
