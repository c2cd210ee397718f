/*
 * id - 128-bit identifiers that sort by the time they were made (UUID version 7, RFC 9562).
 *
 * Stored as 16 bytes, shown as 32 lower-case hex digits (what clients of the old service expect).
 * Ids made by one process increase strictly, also within one millisecond.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { ID_LEN = 16, ID_TEXT = 32 };

struct id {
    uint8_t b[ID_LEN];
};

struct id id_new(void);
void id_text(const struct id *id, char out[ID_TEXT + 1]);
/* 32 hex digits of either case; the 8-4-4-4-12 form too. */
bool id_parse(const char *s, struct id *out);
int id_cmp(const struct id *a, const struct id *b);
bool id_is_zero(const struct id *id);
/* Fills with bytes from the kernel; never fails, may block at early boot only. */
void random_bytes(void *p, unsigned n);
