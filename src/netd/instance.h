/*
 * instance - several netd in one network namespace: each has a number, which its interfaces and
 * tables carry in their names. Private to the room.
 *
 * The number is held by an empty table "netdev sp_II" that belongs to a socket of its holder: the
 * kernel removes it when the holder is gone, however it went. What carries a number that nobody
 * holds is left over from a former netd and may be removed.
 */
#pragma once

#include <stdbool.h>

#include "netd/link.h"
#include "netd/nft.h"

#define NETD_PREFIX "sp_"

enum { INSTANCES = 256, NAME_LEN = 16 };

/* Takes the first free number for as long as `n` is open. ERR_SANDBOX: the kernel cannot do it. */
int instance_take(struct nft *n, unsigned *out, struct err *e);
/* Interfaces first: at no time is there one without its filter. Tells on stderr what it found. */
int instance_sweep(struct nft *n, struct link *l, unsigned self, struct err *e);
/* Nobody else here? And is there a table of this name (family IPv4)? */
bool instance_alone(struct nft *n, unsigned self);
bool table_exists(struct nft *n, const char *name);
