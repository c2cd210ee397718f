#include "store/secret.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/digest.h"

static void base64url(const unsigned char *in, size_t n, char *out)
{
    static const char abc[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)in[i] << 16 | (i + 1 < n ? (unsigned)in[i + 1] << 8 : 0) |
                     (i + 2 < n ? in[i + 2] : 0);

        *out++ = abc[v >> 18];
        *out++ = abc[v >> 12 & 63];
        if (i + 1 < n) {
            *out++ = abc[v >> 6 & 63];
        }
        if (i + 2 < n) {
            *out++ = abc[v & 63];
        }
    }
    *out = '\0';
}

void key_make(const char *name, char secret[SECRET_TEXT + 1], struct key *k)
{
    unsigned char raw[32];
    unsigned char id[8];

    random_bytes(raw, sizeof raw);
    random_bytes(id, sizeof id);
    memcpy(secret, "sp_", 3);
    base64url(raw, sizeof raw, secret + 3);
    secure_zero(raw, sizeof raw);
    *k = (struct key){.scopes = KEY_ALL, .created_us = wall_us()};
    for (size_t i = 0; i < sizeof id; i++) {
        snprintf(k->id + 2 * i, 3, "%02x", id[i]);
    }
    snprintf(k->name, sizeof k->name, "%s", name);
    sha256_of(secret, strlen(secret), k->hash);
}
