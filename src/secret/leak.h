/*
 * leak - finds one secret in a stream, in any form in which secrets_redact() would find it, also
 * when it comes in pieces: what may be its beginning is to be held back until more is known.
 */
#pragma once

#include <stdint.h>

#include "secret/secret.h"

struct leak; /* what to look for */

enum { LEAK_FORMS = 10 };
struct leak_stream {
    uint32_t at[LEAK_FORMS]; /* how much of each form the end of the stream is; zeroes at first */
};

/* Borrows s. NULL: there is no such secret, or it has less than 8 bytes. */
struct leak *leak_new(const struct secrets *s, const char *name);
void leak_free(struct leak *l); /* NULL is fine */
/* True: it is there. Else *held of the last bytes of the stream may be its beginning. NULL finds
 * nothing. */
bool leak_feed(const struct leak *l, struct leak_stream *st, const char *p, size_t n, size_t *held);
