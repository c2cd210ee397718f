/* digest - SHA-256 (nettle, hardware accelerated) and constant-time comparison. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sha256; /* running hash */

struct sha256 *sha256_new(void);
void sha256_add(struct sha256 *h, const void *p, size_t n);
void sha256_end(struct sha256 *h, uint8_t out[32]); /* frees */
void sha256_of(const void *p, size_t n, uint8_t out[32]);
void sha256_hex(const uint8_t hash[32], char out[65]);
bool equal_secret(const void *a, const void *b, size_t n);
