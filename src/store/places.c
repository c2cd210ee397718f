#include "store/places.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { SMALL = 64 };

size_t places_rank(const struct places *p, int64_t place)
{
    const int64_t *v;
    size_t lo = 0;
    size_t hi = p->n;

    if (hi == 0 || places_at(p, hi - 1) < place) {
        return hi;
    }
    v = p->v + p->start;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (v[mid] < place) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static void move(struct places *p, size_t to, size_t from, size_t n)
{
    if (n > 0) {
        memmove(p->v + to, p->v + from, n * sizeof *p->v);
    }
}

static void resize(struct places *p, size_t size)
{
    move(p, 0, p->start, p->n);
    p->start = 0;
    p->size = size;
    p->v = xrealloc(p->v, size * sizeof *p->v);
}

static void make_room_behind(struct places *p)
{
    if (p->start + p->n < p->size) {
        return;
    }
    if (p->start > p->size / 2) {
        move(p, 0, p->start, p->n);
        p->start = 0;
    } else {
        resize(p, MAX(p->size + p->size / 2, 4));
    }
}

void places_put(struct places *p, int64_t place)
{
    size_t at = places_rank(p, place);

    assert(at == p->n || p->v[p->start + at] != place);
    if (p->start > 0 && at < p->n / 2) {
        move(p, p->start - 1, p->start, at);
        p->start--;
    } else {
        make_room_behind(p);
        move(p, p->start + at + 1, p->start + at, p->n - at);
    }
    p->v[p->start + at] = place;
    p->n++;
}

void places_cut(struct places *p, size_t at, size_t n)
{
    if (at < p->n / 2) {
        move(p, p->start + n, p->start, at);
        p->start += n;
    } else {
        move(p, p->start + at, p->start + at + n, p->n - at - n);
    }
    p->n -= n;
    if (p->n == 0) {
        p->start = 0;
    }
    if (p->size > SMALL && p->n < p->size / 8) {
        resize(p, p->size / 4);
    }
}

void places_append(struct places *p, int64_t place)
{
    make_room_behind(p);
    p->v[p->start + p->n++] = place;
}

static int by_place(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

void places_sort(struct places *p)
{
    for (size_t i = 1; i < p->n; i++) {
        if (p->v[p->start + i - 1] > p->v[p->start + i]) {
            qsort(p->v + p->start, p->n, sizeof *p->v, by_place);
            return;
        }
    }
}
