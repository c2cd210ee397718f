#include "base/buf.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void buf_done(struct buf *b)
{
    free(b->data);
    b->data = NULL;
    b->len = b->size = 0;
    b->over = false;
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->over = false;
    if (b->data) {
        b->data[0] = '\0';
    }
}

char *buf_space(struct buf *b, size_t n)
{
    if (n > SIZE_MAX / 2 - b->len || (b->cap && b->len + n > b->cap)) {
        b->over = true;
        return NULL;
    }
    if (b->len + n + 1 > b->size) {
        size_t size = b->size ? b->size : 64;

        while (size < b->len + n + 1) {
            size += size / 2 + 1;
        }
        b->data = xrealloc(b->data, size);
        b->size = size;
    }
    return b->data + b->len;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    char *at = buf_space(b, n);

    if (!at) {
        return;
    }
    if (n) {
        memcpy(at, p, n);
    }
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_adds(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_addc(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    int n;
    char *at;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (n < 0) {
        return;
    }
    at = buf_space(b, (size_t)n);
    if (at) {
        vsnprintf(at, (size_t)n + 1, fmt, ap);
        b->len += (size_t)n;
    }
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    buf_vaddf(b, fmt, ap);
    va_end(ap);
}

void buf_addu(struct buf *b, uint64_t v)
{
    char tmp[20];
    size_t i = sizeof tmp;

    do {
        tmp[--i] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    buf_add(b, tmp + i, sizeof tmp - i);
}

void buf_drop(struct buf *b, size_t n)
{
    if (n >= b->len) {
        buf_reset(b);
        return;
    }
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
    b->data[b->len] = '\0';
}

char *buf_take(struct buf *b)
{
    char *s = b->data ? b->data : xstrdup("");

    b->data = NULL;
    b->len = b->size = 0;
    return s;
}

static void strvec_own(struct strvec *sv, char *s)
{
    if (sv->n + 2 > sv->size) {
        sv->size = sv->size ? sv->size * 2 : 8;
        sv->v = xrealloc(sv->v, sv->size * sizeof *sv->v);
    }
    sv->v[sv->n++] = s;
    sv->v[sv->n] = NULL;
}

void strvec_push(struct strvec *sv, const char *s)
{
    strvec_own(sv, xstrdup(s));
}

void strvec_pushn(struct strvec *sv, const char *s, size_t n)
{
    strvec_own(sv, xstrndup(s, n));
}

void strvec_pushf(struct strvec *sv, const char *fmt, ...)
{
    struct buf b = {0};
    va_list ap;

    va_start(ap, fmt);
    buf_vaddf(&b, fmt, ap);
    va_end(ap);
    strvec_own(sv, buf_take(&b));
}

void strvec_done(struct strvec *sv)
{
    for (size_t i = 0; i < sv->n; i++) {
        free(sv->v[i]);
    }
    free(sv->v);
    *sv = (struct strvec){0};
}

char *str_fmt(const char *fmt, ...)
{
    struct buf b = {0};
    va_list ap;

    va_start(ap, fmt);
    buf_vaddf(&b, fmt, ap);
    va_end(ap);
    return buf_take(&b);
}

bool str_eq(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_to_u64(const char *s, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;

    if (!*s) {
        return false;
    }
    for (; *s; s++) {
        unsigned d = (unsigned)(*s - '0');

        if (d > 9 || v > (UINT64_MAX - d) / 10) {
            return false;
        }
        v = v * 10 + d;
    }
    if (v < min || v > max) {
        return false;
    }
    *out = v;
    return true;
}

bool str_to_i64(const char *s, int64_t min, int64_t max, int64_t *out)
{
    bool neg = *s == '-';
    uint64_t v;
    int64_t r;

    if (!str_to_u64(neg ? s + 1 : s, 0, (uint64_t)INT64_MAX, &v)) {
        return false;
    }
    r = neg ? -(int64_t)v : (int64_t)v;
    if (r < min || r > max) {
        return false;
    }
    *out = r;
    return true;
}

size_t utf8_len(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    uint32_t c;
    size_t len;

    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        len = 2;
        c = p[0] & 0x1fu;
    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        len = 3;
        c = p[0] & 0x0fu;
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        len = 4;
        c = p[0] & 0x07u;
    } else {
        return 0;
    }
    if (n < len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (p[i] & 0x3fu);
    }
    if ((len == 3 && c < 0x800) || (len == 4 && c < 0x10000) || c > 0x10ffff ||
        (c >= 0xd800 && c <= 0xdfff)) {
        return 0;
    }
    return len;
}

bool utf8_valid(const char *s, size_t n)
{
    while (n) {
        size_t k = utf8_len(s, n);

        if (!k) {
            return false;
        }
        s += k;
        n -= k;
    }
    return true;
}

uint32_t utf8_code(const char *s, size_t len)
{
    const unsigned char *p = (const unsigned char *)s;

    switch (len) {
    case 2:
        return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    case 3:
        return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    case 4:
        return (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
    default:
        return p[0];
    }
}

/* C1 controls, bidi controls (Trojan Source), line and paragraph separators, zero width, BOM. */
static bool code_hidden(uint32_t c)
{
    return (c >= 0x80 && c < 0xa0) || c == 0xad || c == 0x61c || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff ||
           (c >= 0xfff9 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe007f);
}

void buf_add_escaped(struct buf *b, const char *s, size_t n)
{
    while (n) {
        size_t k = utf8_len(s, n);
        unsigned char c = (unsigned char)*s;

        if (k == 0 || (k == 1 && (c < 0x20 || c == 0x7f))) {
            buf_addf(b, "\\x%02x", c);
            k = 1;
        } else if (k > 1 && code_hidden(utf8_code(s, k))) {
            buf_addf(b, "\\u{%" PRIx32 "}", utf8_code(s, k));
        } else {
            buf_add(b, s, k);
        }
        s += k;
        n -= k;
    }
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

char *str_percent_decode(const char *s, size_t n)
{
    auto_free char *out = xmalloc(n + 1);
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        char c = s[i];

        if (c == '%') {
            int high = n - i > 2 ? hex_digit(s[i + 1]) : -1;
            int low = n - i > 2 ? hex_digit(s[i + 2]) : -1;

            if (high < 0 || low < 0) {
                return NULL;
            }
            c = (char)(high << 4 | low);
            i += 2;
        }
        if ((unsigned char)c < ' ' || c == 0x7f) {
            return NULL;
        }
        out[len++] = c;
    }
    out[len] = 0;
    return take_ptr(&out);
}

unsigned str_distance(const char *a, const char *b)
{
    unsigned row[64];
    size_t n = strlen(b);

    if (n >= ARRAY_LEN(row) || strlen(a) >= ARRAY_LEN(row)) {
        return ARRAY_LEN(row);
    }
    for (size_t j = 0; j <= n; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; a[i - 1]; i++) {
        unsigned diag = row[0];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= n; j++) {
            unsigned change = diag + (a[i - 1] != b[j - 1]);

            diag = row[j];
            row[j] = MIN(change, MIN(row[j], row[j - 1]) + 1);
        }
    }
    return row[n];
}
