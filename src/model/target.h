/*
 * target - what may be scanned, made unambiguous: every spelling becomes addresses or a host name.
 *
 * Accepted: IPv4, IPv4/len (host bits zeroed), a.b.c.d-e.f.g.h, a.b.c.d-e, octet lists
 * ("10.0.0-5.1,3-254", "10.0.0.*"), IPv6, IPv6/len, host names (LDH labels, at most 253 bytes). The
 * same with '!' before it takes away: addresses, also from what names are pinned to, or a name that
 * is among the targets. What is taken away is not in the set, whatever the order of the tokens.
 * Refused, each with its reason: leading zeros, octal, hexadecimal and integer spellings
 * ("127.1", "0x7f.1", "2130706433"), zone ids, IPv4-mapped IPv6, "name/len", empty sets.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/netset.h"

/* A name and the addresses it is pinned to for this run. */
struct target_pin {
    char *name;        /* owned, lower case */
    struct net_ip *ip; /* owned */
    size_t n;          /* 0: not resolved yet */
};

struct target_set {
    struct netset addresses; /* written as addresses; without those of names */
    struct target_pin *pins; /* owned */
    size_t n_pins;
    struct netset excluded; /* written with '!': pins of names are never among them */
};

#define auto_targets __attribute__((cleanup(target_set_done))) struct target_set

void target_set_done(struct target_set *t);
/* True if the name may be sent to at this address: no exclusion holds it. */
bool target_pin_allowed(const struct target_set *t, const struct net_ip *ip);
/* A host name by the rules above, in lower case and without a trailing dot. The caller frees *out;
 * false: *why says what is wrong with it. */
bool target_name(const char *token, char **out, const char **why);
/* Adds one token. ERR_INVALID: "invalid target: '<token>': why". */
int target_add(struct target_set *t, const char *token, struct err *e);
/* All tokens, exclusions among them. ERR_INVALID also when nothing is left. */
int target_set_parse(const struct strvec *tokens, struct target_set *out, struct err *e);
/* The tokens of a list: blanks and line ends between them, from '#' to the end of the line a
 * comment. Each is checked. ERR_INVALID: "line 3: invalid target: ...". */
int target_list_read(const char *text, size_t n, struct strvec *tokens, struct err *e);
/* Everything that may be sent to: addresses and pinned ones without those that are excluded. */
void target_set_all(const struct target_set *t, struct netset *out);
/* How many targets: addresses plus names. */
uint64_t target_set_count(const struct target_set *t);
bool target_set_has_v6(const struct target_set *t); /* after pinning */
bool target_set_has_v4(const struct target_set *t);
/* The addresses a tool is started with, canonical, one a line: prefixes and ranges that nmap,
 * masscan and zmap read alike, and pinned names (or, with `numeric`, the first address of each). */
void target_set_lines(const struct target_set *t, bool numeric, struct buf *out);
/* "name address\n" for each pin: the box's /etc/hosts. */
void target_set_hosts(const struct target_set *t, struct buf *out);

/* Pins as they are stored with the job: "name=addr+addr,name=addr". */
void pins_put(const struct target_set *t, struct buf *out);
/* Fills the pins of names that t has. ERR_INVALID: a pin that cannot be read, of a name that is
 * not in t, or a name of t without one. */
int pins_apply(struct target_set *t, const char *text, struct err *e);
