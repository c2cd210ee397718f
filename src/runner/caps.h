/* caps - what this machine can do for runs, found out by doing. Private to runner/. */
#pragma once

struct runner_process;

/* In the runner, after its change of user: which capabilities it may keep, if any. Ends the process
 * when privileges cannot be dropped. */
void caps_settle(unsigned without);
/* Starts finding out; caps_found() then tells the daemon. */
void caps_begin(struct runner_process *rp);
/* Tells the daemon anew, if it was told before: something is not there any more. */
void caps_tell(struct runner_process *rp);
/* Called by net.c, once. From here on the runner makes no other calls than its role has. */
void caps_found(struct runner_process *rp);
