/*
 * places - a sorted list of numbers, each once: most come at the end and go at the start, but any
 * may. Eight bytes each, and at most as many again for what is to come.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Zeroed it is empty; whoever has it frees v. */
struct places {
    int64_t *v; /* those that are there: from [start] on */
    size_t start, n, size;
};

size_t places_rank(const struct places *p, int64_t place); /* how many come before */
void places_put(struct places *p, int64_t place);          /* it is not there */
void places_cut(struct places *p, size_t at, size_t n);    /* removes some that follow each other */
/* In any order; then places_sort(). */
void places_append(struct places *p, int64_t place);
void places_sort(struct places *p);

static inline int64_t places_at(const struct places *p, size_t at)
{
    return p->v[p->start + at];
}
