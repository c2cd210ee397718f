/*
 * rules_literals - where in a text any of some hundred literals stands, in one pass.
 *
 * Letters of ASCII are the same in both cases. The pass looks at three bytes at a time: whether any
 * literal begins with them is one bit of a table that fits in the nearest cache. Only where one
 * does, a trie is walked, which is as deep as the longest literal: the time is bounded by the
 * length of the text times that, whatever the text is.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { LITERAL_MIN = 3, LITERAL_MAX = 48, LITERALS_MAX = 4096 };

struct literals;

/* Literals of LITERAL_MIN to LITERAL_MAX bytes; of[i] is what hits of v[i] are called. */
struct literals *literals_new(const char *const *v, const uint32_t *of, size_t n);
void literals_free(struct literals *l); /* NULL is fine */

/* In the order of their starts. A return that is not 0 ends it and is returned. */
typedef int (*literal_fn)(void *arg, size_t at, uint32_t of);
int literals_find(const struct literals *l, const char *text, size_t n, literal_fn fn, void *arg);
