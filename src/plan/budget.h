/*
 * budget - how many packets a second all tasks of all jobs together may send to one network: a
 * token bucket for each /24 (IPv4) and /64 (IPv6) of the targets.
 *
 * A task takes tokens for its first second when it starts and goes on taking them while it runs,
 * at the rate that it was granted: spread evenly over its addresses. The bucket of a network is
 * filled at its rate and holds one second of it. A task that would get less than an eighth of what
 * it asks for has to wait. In memory; a restart starts with full buckets and no tasks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/netset.h"

struct budget;
struct budget *budget_new(uint32_t pps); /* of each network; 0: no limit, everything is granted */
void budget_free(struct budget *b);
void budget_set(struct budget *b, uint32_t pps);
uint32_t budget_pps(const struct budget *b);
/*
 * Grants `task` (the caller's number, unique among those that run) a rate of at most `rate` (0: as
 * much as there is) over `targets`: *granted, 0 only when there is no limit and rate is 0. False:
 * *wait_ms is when to ask again. Large sets (more than 4096 networks) are looked at through 4096
 * random ones of them.
 */
bool budget_take(struct budget *b, uint64_t task, const struct netset *targets, uint32_t rate,
                 int64_t now_ms, uint32_t *granted, uint32_t *wait_ms);
/* It is over; unknown numbers are fine. */
void budget_give(struct budget *b, uint64_t task, int64_t now_ms);
