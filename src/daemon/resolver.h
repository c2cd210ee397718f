/*
 * resolver - host names to addresses, without waiting: a role of its own (no capability, no files
 * but those of the resolver library) that asks with getaddrinfo() in a child for each name.
 */
#pragma once

#include <sys/types.h>

#include "base/err.h"
#include "event/loop.h"
#include "model/target.h"

/* In the parent, early. The child never returns. Ends when its channel closes. */
int resolver_spawn(bool change_user, uid_t uid, gid_t gid, int *out_fd, int *out_pidfd,
                   struct err *e);

struct resolver;
int resolver_connect(struct loop *l, int fd, struct resolver **out, struct err *e); /* takes fd */
void resolver_free(struct resolver *r);

/*
 * Resolves every name of `t` that has no pin yet (5 s, at most 64 at a time) and pins it; `done` is
 * called later, never from inside: 0, or ERR_INVALID naming the name that has no address. `t` must
 * stay until then. IPv4-mapped answers are folded. Returns a handle for resolver_cancel().
 */
struct resolve;
struct resolve *resolver_pin(struct resolver *r, struct target_set *t,
                             void (*done)(void *arg, int code, const char *why), void *arg);
void resolver_cancel(struct resolve *q); /* no call-back then */
/* The same, blocking: for `scanpod run` before its loop turns. */
int resolver_pin_now(struct target_set *t, struct err *e);
