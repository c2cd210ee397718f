/*
 * scope - the policy in force in this process: read from the administrator's file, read anew when
 * asked; a file that is wrong leaves the old one in force.
 */
#pragma once

#include <sys/types.h>

#include "base/err.h"
#include "base/netset.h"
#include "policy/policy.h"

struct scope;

/* path NULL: the built-in policy. `owner` may own the file beside root. Copies path. */
int scope_open(const char *path, uid_t owner, struct scope **out, struct err *e);
int scope_reload(struct scope *s, struct err *e);
void scope_close(struct scope *s);                  /* NULL is fine */
struct policy *scope_policy(const struct scope *s); /* borrowed until the next reload */
/* The machine's own addresses, at most a second old. */
const struct netset *scope_own(struct scope *s);
