/*
 * nat - what all boxes of a netd have in common: translation of the pools' addresses, guards on
 * the way through this machine, and forwarding itself. Private to the room.
 *
 * Tables "ip sp_II_nat" and "ip6 sp_II_nat": packets of the pools leave with the machine's address;
 * boxes do not reach each other; what conntrack cannot translate is dropped, since it would leave
 * with a private source; nobody opens a connection to a box behind NAT; probes without an answer
 * are forgotten by conntrack within seconds.
 *
 * Table "ip scanpod_guard": there only where IPv4 forwarding was off and was turned on here. It
 * forwards nothing but boxes' packets. The last netd of the namespace removes it and turns
 * forwarding off again; one that was killed leaves both to the next.
 */
#pragma once

#include "netd/nft.h"
#include "netd/pool.h"

/* Survives its owner and cannot be flushed by others, where the kernel knows that (6.9). */
uint32_t nft_lasting(struct nft *n);

int nat_load(struct nft *n, const char *table, const struct pool *pool, bool v6, struct err *e);
void nat_remove(struct nft *n, const char *table);

bool forwarding(bool v6);
/* IPv4: guard first, then the switch. */
int forward_turn_on(struct nft *n, bool has_guard, struct err *e);
void forward_turn_off(struct nft *n);
#define GUARD_TABLE "scanpod_guard"
