/*
 * scope - the policy in force in this process: read from the administrator's file, read anew when
 * asked; a file that is wrong leaves the old one in force.
 */
#pragma once

#include <sys/types.h>

#include "base/err.h"
#include "base/netset.h"
#include "policy/policy.h"
#include "store/store.h"

struct scope;

/* path NULL: the built-in policy. `owner` may own the file beside root. Copies path. */
int scope_open(const char *path, uid_t owner, struct scope **out, struct err *e);
int scope_reload(struct scope *s, struct err *e);
void scope_close(struct scope *s);                  /* NULL is fine */
struct policy *scope_policy(const struct scope *s); /* borrowed until the next reload */
/* What the key may do. NULL and "": the configured key. Names come from `st`, once for each key. */
const struct policy_rules *scope_rules(struct scope *s, struct store *st, const char *key_id);
/* The key's name for policy_judge(); NULL: none. */
const char *scope_key_name(struct scope *s, struct store *st, const char *key_id);
/* The machine's own addresses, at most a second old. */
const struct netset *scope_own(struct scope *s);
