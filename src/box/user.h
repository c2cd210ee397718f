/* user - who a box's processes are, and what they may do. Private to box/. */
#pragma once

#include "box/init.h"

/* In the caller, when it is root: gives the new user namespace of `pid` the tool's user and
 * group. False: not allowed to. */
bool user_map(pid_t pid);
/* In init: becomes the tool's user, with every capability it had. */
const char *user_become(const struct box_plan *plan);
/* In init: a second lock beside the system call filter. The user namespace, where there is one,
 * gets no descendants, in which the tool would have capabilities. */
void user_forbid_namespaces(const struct box_plan *plan);
/* In init, when all is built: nothing but the tool's capabilities is left, in every set, and no
 * way to more. */
const char *user_restrict(const struct box_plan *plan);
/* In init, once the tool runs. */
const char *user_drop(void);
/* True if the calling process may use the capability. */
bool user_has_cap(int cap);
