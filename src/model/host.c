#include "model/host.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/netset.h"

/* A scan of a few ports fits into the first block, so that most hosts allocate nothing. */
enum { BLOCK_SIZE = 32 * 1024 };

struct block {
    struct block *next;
    size_t len, size;
    char data[];
};

struct arena {
    struct block *first, *last;
    size_t used;
};

static struct block *block_new(size_t size)
{
    struct block *b = xmalloc(sizeof *b + size);

    b->next = NULL;
    b->len = 0;
    b->size = size;
    return b;
}

static void blocks_free(struct block *b)
{
    while (b) {
        struct block *next = b->next;

        free(b);
        b = next;
    }
}

struct arena *arena_new(void)
{
    struct arena *a = xcalloc(1, sizeof *a);

    a->first = a->last = block_new(BLOCK_SIZE);
    return a;
}

void arena_free(struct arena *a)
{
    if (a) {
        blocks_free(a->first);
        free(a);
    }
}

void arena_reset(struct arena *a)
{
    blocks_free(a->first->next);
    a->first->next = NULL;
    a->first->len = 0;
    a->last = a->first;
    a->used = 0;
}

char *arena_strn(struct arena *a, const char *s, size_t n)
{
    struct block *b = a->last;
    char *at;

    if (n >= b->size - b->len) {
        size_t size = n + 1 > BLOCK_SIZE ? n + 1 : BLOCK_SIZE;

        b = block_new(size);
        a->last->next = b;
        a->last = b;
    }
    at = b->data + b->len;
    if (n) {
        memcpy(at, s, n);
    }
    at[n] = '\0';
    b->len += n + 1;
    a->used += n + 1;
    return at;
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}

void host_done(struct host *h)
{
    free(h->addrs);
    free(h->names);
    free(h->ports);
    arena_free(h->arena);
    *h = (struct host){0};
}

/*
 * Room for one more element after n. The capacity is not stored: it is `least` until n reaches
 * that, and doubles whenever n is a power of two from there on. `least` is a power of two.
 */
static void *grow(void *p, size_t n, size_t least, size_t size)
{
    if (n == 0) {
        return xrealloc(p, least * size);
    }
    if (n >= least && (n & (n - 1)) == 0) {
        return xrealloc(p, 2 * n * size);
    }
    return p;
}

struct host_addr *host_add_addr(struct host *h)
{
    struct host_addr *a;

    h->addrs = grow(h->addrs, h->n_addrs, 2, sizeof *h->addrs);
    a = &h->addrs[h->n_addrs++];
    *a = (struct host_addr){0};
    return a;
}

struct host_name *host_add_name(struct host *h)
{
    struct host_name *name;

    h->names = grow(h->names, h->n_names, 2, sizeof *h->names);
    name = &h->names[h->n_names++];
    *name = (struct host_name){0};
    return name;
}

struct port *host_add_port(struct host *h)
{
    struct port *p;

    h->ports = grow(h->ports, h->n_ports, 16, sizeof *h->ports);
    p = &h->ports[h->n_ports++];
    *p = (struct port){.reason_ttl = -1, .conf = -1};
    return p;
}

const char *host_address(const struct host *h)
{
    static const char *const order[] = {"ipv4", "ipv6", "mac"};

    for (size_t k = 0; k < ARRAY_LEN(order); k++) {
        for (size_t i = 0; i < h->n_addrs; i++) {
            if (h->addrs[i].addr && str_eq(h->addrs[i].type, order[k])) {
                return h->addrs[i].addr;
            }
        }
    }
    return NULL;
}

bool host_key(const char *text, uint8_t out[HOST_KEY])
{
    struct net_ip ip;

    if (!text || !net_ip_parse(text, &ip)) {
        return false;
    }
    memset(out, 0, HOST_KEY);
    out[0] = ip.v6 ? 6 : 4;
    for (unsigned i = 0; i < (ip.v6 ? 16u : 4u); i++) {
        uint64_t word = ip.v6 && i < 8 ? ip.hi : ip.lo;
        unsigned width = ip.v6 ? 8 : 4;

        out[1 + i] = (uint8_t)(word >> 8 * (width - 1 - i % width));
    }
    return true;
}
