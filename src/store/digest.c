#include "store/digest.h"

#include <assert.h>
#include <gnutls/crypto.h>
#include <stdlib.h>

#include "base/mem.h"

struct sha256 {
    gnutls_hash_hd_t h;
};

struct sha256 *sha256_new(void)
{
    struct sha256 *s = xmalloc(sizeof *s);
    int rc = gnutls_hash_init(&s->h, GNUTLS_DIG_SHA256);

    if (rc < 0) {
        abort(); /* memory, or a library without SHA-256: nothing can go on */
    }
    return s;
}

void sha256_add(struct sha256 *h, const void *p, size_t n)
{
    if (n > 0 && gnutls_hash(h->h, p, n) < 0) {
        abort();
    }
}

void sha256_end(struct sha256 *h, uint8_t out[32])
{
    gnutls_hash_deinit(h->h, out);
    free(h);
}

void sha256_of(const void *p, size_t n, uint8_t out[32])
{
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, n ? p : "", n, out) < 0) {
        abort();
    }
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
    return gnutls_memcmp(a, b, n) == 0;
}
