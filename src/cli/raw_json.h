/*
 * raw_json - parts of a JSON text byte for byte as they stand in it: what a hash was made of.
 *
 * For texts that a real parser has accepted; in others it finds nothing, or the wrong part, but
 * never reads beyond the end.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct span {
    const char *p; /* borrowed */
    size_t n;
};

/* A member of an object; names with escapes are not found. Of two the first one. */
bool raw_member(struct span object, const char *name, struct span *out);
/* The next element of an array. *at is 0 at first and moves on. */
bool raw_element(struct span array, size_t *at, struct span *out);
