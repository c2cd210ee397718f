/*
 * lookup - a host name to addresses without waiting: getaddrinfo() in a child, which is killed
 * when it takes too long. For the roles that ask; names come to it checked (model/target.h).
 */
#pragma once

#include "base/netset.h"
#include "event/loop.h"

enum { LOOKUP_MAX = 64 /* addresses of one name; more are left out */ };

/* Blocks. In the order of RFC 6724, as programs would try them; IPv4-mapped answers are folded.
 * Returns how many, 0: none. */
size_t lookup_now(const char *name, struct net_ip out[LOOKUP_MAX]);

struct lookup;
typedef size_t lookup_fn(const char *name, struct net_ip out[LOOKUP_MAX]);
/*
 * `ask` (lookup_now, or a test's own) runs in the child, which has no descriptor but its pipe and
 * stderr. `done` is called once, later, never from inside: with what was found, n 0: nothing, or
 * not within 5 s. NULL: no process could be made.
 */
struct lookup *lookup_start(struct loop *l, lookup_fn *ask, const char *name,
                            void (*done)(void *arg, const struct net_ip *ip, size_t n), void *arg);
void lookup_cancel(struct lookup *q); /* no call-back then */
