/*
 * clock - the two clocks, never mixed.
 *
 * boot_ms() is for deadlines and leases: it counts through suspend and never jumps. wall_us() is
 * for people: what a clock on the wall said. No decision about safety is made from wall time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t boot_ms(void); /* CLOCK_BOOTTIME */
int64_t boot_us(void);
int64_t wall_us(void); /* microseconds since 1970 UTC */

enum { RFC3339_LEN = 27 }; /* 2026-11-21T21:46:49.863097Z */

/* Always UTC with six digits and `Z`. `out` has room for RFC3339_LEN + 1. */
void rfc3339_us(int64_t us, char *out);
/* Days from 1970-01-01 on, of any date since the year 0. Not timegm(): that reads the time zone's
 * file, which a parser may not. */
int64_t date_days(int year, int month, int day);
/* Accepts a date, or date and time with optional fraction and Z or +hh:mm. */
bool rfc3339_parse(const char *s, int64_t *us);
