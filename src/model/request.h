/*
 * request - validation of what clients send, word for word as the old service did it, and the
 * stricter rules of /api/v1 beside it.
 *
 * Old surface (reference: seed-interfaces 4.1): targets, ports and arguments are strings; the
 * messages are part of the contract. Tightened on purpose: digits are ASCII, a trailing newline
 * in `ports` is refused, port numbers are at most 65535 and ranges go upwards; dotted quads have
 * octets up to 255, prefix lengths exist. Widened on purpose: IPv6 addresses and prefixes are
 * targets (no scope ids, nothing IPv4-mapped, not together with IPv4: nmap reads one family).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * Splits like a POSIX shell (quotes, backslashes; '#' is no comment). Errors:
 * "No closing quotation", "No escaped character".
 */
int shell_split(const char *s, struct strvec *out, struct err *e);

enum { TARGET_ADDRESSES_MAX = 1 << 20 };

/*
 * Splits and checks targets: host names, IPv4, octet ranges, CIDR, `*`, IPv6 and IPv6 prefixes.
 * Appends the tokens. Messages: "targets must not be empty", "invalid target: '<token>'", or
 * "too many addresses: ..." when the set holds more than TARGET_ADDRESSES_MAX.
 * *addresses (may be NULL) is how many addresses the set stands for; a name counts as one.
 */
int targets_parse(const char *s, struct strvec *tokens, uint64_t *addresses, struct err *e);
/* True if any token is an IPv6 address or prefix (nmap then needs -6). */
bool targets_have_ipv6(const struct strvec *tokens);

/* "22,80,T:1-1000,U:53". Message: "invalid ports specification: '<whole string>'". */
int ports_parse(const char *s, struct err *e);
/* How many distinct (protocol, port) pairs; after a successful ports_parse. */
uint32_t ports_count(const char *s);
