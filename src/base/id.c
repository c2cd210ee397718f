#include "base/id.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

void random_bytes(void *p, unsigned n)
{
    uint8_t *at = p;

    while (n) {
        ssize_t k = getrandom(at, n, 0);

        if (k < 0) {
            if (errno == EINTR) {
                continue;
            }
            abort();
        }
        at += k;
        n -= (unsigned)k;
    }
}

/* Random bytes are drawn a block at a time: one system call for 32 ids. */
static void pool_take(uint8_t *out, unsigned n)
{
    static uint8_t pool[256];
    static unsigned left;

    if (left < n) {
        random_bytes(pool, sizeof pool);
        left = sizeof pool;
    }
    left -= n;
    memcpy(out, pool + left, n);
}

struct id id_new(void)
{
    static uint64_t last; /* milliseconds << 12 | counter */
    uint64_t now = (uint64_t)(wall_us() / 1000) << 12;
    struct id id;
    uint64_t ms;

    if (now <= last) {
        now = last + 1; /* same millisecond, or the clock was set back: stay ahead of ourselves */
    }
    last = now;
    ms = now >> 12;
    for (int i = 0; i < 6; i++) {
        id.b[i] = (uint8_t)(ms >> (40 - 8 * i));
    }
    id.b[6] = (uint8_t)(0x70 | (now >> 8 & 0x0f));
    id.b[7] = (uint8_t)now;
    pool_take(id.b + 8, 8);
    id.b[8] = (uint8_t)(0x80 | (id.b[8] & 0x3f));
    return id;
}

void id_text(const struct id *id, char out[ID_TEXT + 1])
{
    static const char hex[] = "0123456789abcdef";

    for (int i = 0; i < ID_LEN; i++) {
        out[2 * i] = hex[id->b[i] >> 4];
        out[2 * i + 1] = hex[id->b[i] & 15];
    }
    out[ID_TEXT] = '\0';
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool id_parse(const char *s, struct id *out)
{
    bool dashed = strlen(s) == 36;
    struct id id;

    if (!dashed && strlen(s) != ID_TEXT) {
        return false;
    }
    for (int i = 0; i < ID_LEN; i++) {
        int hi;
        int lo;

        if (dashed && (i == 4 || i == 6 || i == 8 || i == 10) && *s++ != '-') {
            return false;
        }
        hi = nibble(s[0]);
        lo = hi < 0 ? -1 : nibble(s[1]);
        if (lo < 0) {
            return false;
        }
        id.b[i] = (uint8_t)(hi << 4 | lo);
        s += 2;
    }
    *out = id;
    return true;
}

int id_cmp(const struct id *a, const struct id *b)
{
    return memcmp(a->b, b->b, ID_LEN);
}

bool id_is_zero(const struct id *id)
{
    static const struct id zero;

    return id_cmp(id, &zero) == 0;
}
