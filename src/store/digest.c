#include "store/digest.h"

#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <stdlib.h>

#include "base/mem.h"

struct sha256 {
    struct sha256_ctx c;
};

struct sha256 *sha256_new(void)
{
    struct sha256 *s = xmalloc(sizeof *s);

    sha256_init(&s->c);
    return s;
}

void sha256_add(struct sha256 *h, const void *p, size_t n)
{
    if (n > 0) {
        sha256_update(&h->c, n, p);
    }
}

void sha256_end(struct sha256 *h, uint8_t out[32])
{
    sha256_digest(&h->c, SHA256_DIGEST_SIZE, out);
    free(h);
}

void sha256_of(const void *p, size_t n, uint8_t out[32])
{
    struct sha256 h;

    sha256_init(&h.c);
    sha256_add(&h, p, n);
    sha256_digest(&h.c, SHA256_DIGEST_SIZE, out);
}

void sha256_hex(const uint8_t hash[32], char out[65])
{
    static const char digits[] = "0123456789abcdef";

    for (int i = 0; i < 32; i++) {
        out[2 * i] = digits[hash[i] >> 4];
        out[2 * i + 1] = digits[hash[i] & 15];
    }
    out[64] = '\0';
}

bool equal_secret(const void *a, const void *b, size_t n)
{
    return memeql_sec(a, b, n);
}
