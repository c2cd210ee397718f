/*
 * sweep - what masscan and zmap have in common: raw sockets or nothing, a rate instead of a pace
 * of their own, and a time that can be told beforehand. Private to the room.
 */
#pragma once

#include "model/request.h"
#include "tool/tool.h"

enum {
    SWEEP_RATE = 1000,       /* packets a second, when neither request nor limits say one */
    SWEEP_RATE_SURE = 25000, /* what any machine reaches: deadlines count on no more */
};

/* The rate in force; a note says when it is less than was asked. asked 0: not asked. */
uint64_t sweep_rate(const struct tool_start *s, uint64_t asked, struct strvec *notes);
/* How long `probes` take at `rate`, rounded up; at most UINT32_MAX. */
uint64_t sweep_seconds(uint64_t probes, uint64_t rate);
/* a * b without going round. */
uint64_t sweep_times(uint64_t a, uint64_t b);
uint64_t sweep_addresses(const struct tool_plan *p, const struct tool_start *s);

/* What neither of them can do without: ERR_INVALID with the reason and what to do. */
int sweep_may_start(const struct tool *t, const struct tool_plan *p, const struct tool_start *s,
                    struct err *e);
/* What they need of the network: the same for both. */
void sweep_need(const struct tool *t, struct egress_need *need);

/* The value of an option of the plan by its field: NULL if it is not there, "" for a flag. */
const char *sweep_value(const struct tool *t, const struct tool_plan *p, const char *field);
uint64_t sweep_number(const struct tool *t, const struct tool_plan *p, const char *field,
                      uint64_t otherwise);

/* The version behind `intro`, which begins with a digit. False: it is not there, or too long. */
bool sweep_version(const char *output, const char *intro, char *version, size_t size);

/*
 * The ports of one protocol in a list that ports_parse() took: those with its letter, and with
 * `plain` those without a letter; without letters, canonical. NULL: none. Caller frees. A list that
 * ports_canonical() wrote no longer has a letter's port that stood without a letter, too.
 */
char *tool_ports_of(const char *ports, enum port_protocol protocol, bool plain);
