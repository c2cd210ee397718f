/*
 * in_force - the policy that this process goes by: read from the administrator's file, read anew
 * when asked; a file that is wrong leaves the old one in force.
 */
#pragma once

#include <sys/types.h>

#include "base/err.h"
#include "base/netset.h"
#include "policy/policy.h"
#include "store/store.h"

struct in_force;

/* path NULL: the built-in policy. `owner` may own the file beside root. Copies path. */
int in_force_open(const char *path, uid_t owner, struct in_force **out, struct err *e);
int in_force_reload(struct in_force *s, struct err *e);
void in_force_close(struct in_force *s);                  /* NULL is fine */
struct policy *in_force_policy(const struct in_force *s); /* borrowed until the next reload */
/* What the key may do. NULL and "": the configured key. Names come from `st`, once for each key. */
const struct policy_rules *in_force_rules(struct in_force *s, struct store *st, const char *key_id);
/* The key's name for policy_judge(); NULL: none. */
const char *in_force_key_name(struct in_force *s, struct store *st, const char *key_id);
/* The machine's own addresses, at most a second old. */
const struct netset *in_force_own(struct in_force *s);
