/*
 * request - validation of what clients send, with the old service's words, and the stricter rules
 * of /api/v1 beside it.
 *
 * Old surface (reference: seed-interfaces 4.1): targets, ports and arguments are strings; the
 * beginnings of the messages are part of the contract. Tightened on purpose: targets follow the
 * grammar of model/target.h, in which no spelling has two readings; digits are ASCII, a trailing
 * newline in `ports` is refused, port numbers are at most 65535 and ranges go upwards. Widened on
 * purpose: IPv6 addresses and prefixes are targets (not together with IPv4 in one run: nmap reads
 * one family).
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/target.h"

/*
 * Splits like a POSIX shell (quotes, backslashes; '#' is no comment). Errors:
 * "No closing quotation", "No escaped character".
 */
int shell_split(const char *s, struct strvec *out, struct err *e);
/* Appends a token, behind a space if something is there, so that shell_split() gives it back. */
void shell_quote(struct buf *out, const char *token);

enum { TARGET_ADDRESSES_MAX = 1 << 20, TARGETS_TEXT_MAX = 1 << 20 };
#define TARGET_SWEEP_MAX (UINT64_C(1) << 32)

/*
 * Splits and checks targets. Messages: "targets must not be empty", "invalid target: '<token>'"
 * with the reason behind it, or "too many addresses: ..." when the set holds more than
 * TARGET_ADDRESSES_MAX; a name counts as one. target_set_done() *out, also after an error.
 */
int targets_parse(const char *s, struct target_set *out, struct err *e);
/* The same for the old routes: exclusions are no targets there, and the text is at most
 * JOB_TARGETS_MAX bytes (else TARGETS_TEXT_MAX). */
int targets_parse_old(const char *s, struct target_set *out, struct err *e);
/* As targets_parse(), for tools that sweep large ranges: up to TARGET_SWEEP_MAX addresses. */
int targets_parse_sweep(const char *s, struct target_set *out, struct err *e);
/* The same for jobs of a plan, whose tasks have one family each: both families are taken. */
int targets_parse_planned(const char *s, struct target_set *out, struct err *e);

/* "22,80,T:1-1000,U:53"; without a letter a range is for every protocol, a letter holds until the
 * next one. Message: "invalid ports specification: '<whole string>'". */
int ports_parse(const char *s, struct err *e);

/* The others are for what ports_parse() accepted. */

/* Sorted and merged: what is for every protocol first, then T:, U:, S: with what is only theirs.
 * Two lists of the same ports have the same text. Caller frees. */
char *ports_canonical(const char *s);

enum port_protocol { PORTS_TCP, PORTS_UDP, PORTS_SCTP, PORTS_PROTOCOLS };
/* How many distinct ports each protocol has. */
void ports_count(const char *s, uint32_t n[PORTS_PROTOCOLS]);
