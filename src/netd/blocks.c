#include "netd/blocks.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

enum {
    SMALL = 256,        /* ranges that a tree finds as fast as a hash does */
    EACH_MAX = 64,      /* blocks of one range */
    ALL_MAX = 256 << 10 /* blocks of a set: they are loaded in a fifth of a second */
};

/* How many blocks make up `r`; 0: it has other ends, or they are too many. */
static uint64_t blocks_of(const struct net_range *r, unsigned len)
{
    uint64_t size = UINT64_C(1) << (32 - len), addresses = r->last.lo - r->first.lo + 1;

    if (r->first.v6 || r->first.lo % size || addresses % size || addresses / size > EACH_MAX) {
        return 0;
    }
    return addresses / size;
}

struct choice {
    unsigned len;
    size_t ranges, blocks;
};

static struct choice try_length(const struct netset *s, unsigned len, size_t room)
{
    struct choice c = {.len = len};

    for (size_t i = 0; i < s->n && !s->v[i].first.v6; i++) {
        uint64_t n = blocks_of(&s->v[i], len);

        if (n > 0 && c.blocks + n <= room) {
            c.ranges++;
            c.blocks += n;
        }
    }
    return c;
}

/* The length that takes the most ranges out of the tree, by the fewest blocks. */
static struct choice choose(const struct netset *s, size_t room)
{
    struct choice best = {0};

    for (unsigned len = 8; len <= 32; len++) {
        struct choice c = try_length(s, len, room);

        if (c.ranges > best.ranges || (c.ranges == best.ranges && c.blocks < best.blocks)) {
            best = c;
        }
    }
    return best;
}

static void fill(struct blocks *b, const struct choice *c, struct netset *s)
{
    struct netset rest = {0};

    b->len = c->len;
    b->v = xcalloc(c->blocks, sizeof *b->v);
    for (size_t i = 0; i < s->n; i++) {
        uint64_t n = blocks_of(&s->v[i], c->len);

        if (n == 0 || b->n + n > c->blocks) {
            netset_add(&rest, &s->v[i]);
            continue;
        }
        for (uint64_t k = 0; k < n; k++) {
            b->v[b->n++] = htonl((uint32_t)(s->v[i].first.lo + (k << (32 - c->len))));
        }
    }
    netset_done(s);
    *s = rest;
}

void division_make(struct division *d, const struct netset *targets)
{
    size_t room = ALL_MAX;

    *d = (struct division){0};
    netset_add_set(&d->rest, targets);
    while (d->n < BLOCKS_MAX && d->rest.n > SMALL) {
        struct choice c = choose(&d->rest, room);
        struct blocks *b = &d->blocks[d->n];

        if (c.ranges <= SMALL) {
            break;
        }
        snprintf(b->name, sizeof b->name, "b%zu", d->n++);
        fill(b, &c, &d->rest);
        room -= b->n;
    }
}

void division_done(struct division *d)
{
    for (size_t i = 0; i < d->n; i++) {
        free(d->blocks[i].v);
    }
    netset_done(&d->rest);
    *d = (struct division){0};
}
