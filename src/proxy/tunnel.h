/* tunnel - bytes both ways between two sockets, with a cap. Private to proxy/. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FLOW_SIZE = 16384 };

/* One way. */
struct flow {
    char *data; /* owned; FLOW_SIZE; made by flow_init() */
    size_t at, len;
    bool eof;      /* nothing more comes */
    bool shut;     /* and that was handed on */
    uint64_t sent; /* bytes */
};

enum flow_end {
    FLOW_OPEN,
    FLOW_BROKEN, /* one of the sockets is gone */
    FLOW_OVER,   /* there is more than the cap allows */
};

/* Begins with n <= FLOW_SIZE bytes that were read already. */
void flow_init(struct flow *f, const void *p, size_t n);
void flow_done(struct flow *f);
/*
 * Moves what can be moved now, in a few rounds, so that others get their turn. *left is how many
 * bytes may still be read, of all flows that share it. Sets *moved if anything was.
 */
enum flow_end flow_pump(struct flow *f, int from, int to, uint64_t *left, bool *moved);
static inline bool flow_wants_in(const struct flow *f)
{
    return !f->eof && f->len == 0;
}
