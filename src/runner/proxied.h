/* proxied - the runner's side of the proxy, for egress level proxy. Private to runner/. */
#pragma once

#include <stdbool.h>

#include "base/err.h"

struct run;
struct runner_process;

/* Connects to it, and calls caps_found() when it is known whether it serves, perhaps from inside.
 */
void proxied_begin(struct runner_process *rp);
/* Hands the box's listener to it, under the number r->net_id. */
int proxied_open(struct run *r, struct err *e);
/* Its counters come with run_net_counts(). False: it is gone. */
bool proxied_close(struct run *r);
