/*
 * netset - IP addresses, ranges of them, and sets of ranges.
 *
 * A set is kept sorted and disjoint (neighbours are merged), IPv4 before IPv6, so that asking is a
 * binary search and two sets with the same addresses are equal. Text is parsed strictly: dotted
 * quads in decimal without leading zeros, RFC 4291 for IPv6 without zone ids. IPv4-mapped IPv6
 * addresses are not addresses here: net_ip_parse() refuses them, net_ip_from() folds them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/buf.h"

struct net_ip {
    bool v6;
    uint64_t hi, lo; /* host order; IPv4 in the low 32 bits of lo */
};

struct net_range {
    struct net_ip first, last; /* same family, first <= last */
};

struct netset {
    struct net_range *v; /* owned */
    size_t n, size;
};

enum { NET_TEXT = 96 }; /* room for any address, prefix or range */

bool net_ip_parse(const char *s, struct net_ip *out);
/* From a socket address; IPv4-mapped is folded to IPv4. False: another family, or too short. */
bool net_ip_from(const struct sockaddr *sa, socklen_t len, struct net_ip *out);
/* Port in host order. Returns the length. */
socklen_t net_ip_to(const struct net_ip *ip, uint16_t port, struct sockaddr_storage *out);
void net_ip_text(const struct net_ip *ip, char out[NET_TEXT]);
int net_ip_cmp(const struct net_ip *a, const struct net_ip *b); /* IPv4 before IPv6 */

/* "A", "A/len" (host bits must be zero unless `fold`), "A-B". */
bool net_range_parse(const char *s, bool fold, struct net_range *out);
/* As one prefix where it is one, else "first-last". */
void net_range_text(const struct net_range *r, char out[NET_TEXT]);
bool net_range_has(const struct net_range *r, const struct net_ip *ip);
struct net_range net_prefix(const struct net_ip *ip, unsigned len); /* host bits are ignored */

#define auto_netset __attribute__((cleanup(netset_done))) struct netset

void netset_done(struct netset *s);
void netset_add(struct netset *s, const struct net_range *r);
/* All of v, which is sorted on the way: for ranges in any order, where one by one takes n * n. */
void netset_add_many(struct netset *s, struct net_range *v, size_t n);
void netset_remove(struct netset *s, const struct net_range *r);
void netset_add_set(struct netset *s, const struct netset *other);
void netset_remove_set(struct netset *s, const struct netset *other);
bool netset_has(const struct netset *s, const struct net_ip *ip);
/* True if all of r is in s; else *outside (may be NULL) is the first part of r that is not. */
bool netset_covers(const struct netset *s, const struct net_range *r, struct net_range *outside);
/* True if any of r is in s; *part (may be NULL) is the first such part. */
bool netset_meets(const struct netset *s, const struct net_range *r, struct net_range *part);
bool netset_equal(const struct netset *a, const struct netset *b);
uint64_t netset_count(const struct netset *s); /* addresses; UINT64_MAX: that or more */
/* Calls fn for the fewest prefixes that make up r. */
void net_range_prefixes(const struct net_range *r,
                        void (*fn)(void *arg, const struct net_ip *ip, unsigned len), void *arg);
