/* The wire half of chan.h: fields in message bodies. */
#include <endian.h>
#include <string.h>

#include "base/mem.h"
#include "ipc/chan.h"

static const uint32_t NO_STRING = UINT32_MAX;

void wire_u8(struct buf *b, uint8_t v)
{
    buf_add(b, &v, sizeof v);
}

void wire_u16(struct buf *b, uint16_t v)
{
    v = htole16(v);
    buf_add(b, &v, sizeof v);
}

void wire_u32(struct buf *b, uint32_t v)
{
    v = htole32(v);
    buf_add(b, &v, sizeof v);
}

void wire_u64(struct buf *b, uint64_t v)
{
    v = htole64(v);
    buf_add(b, &v, sizeof v);
}

void wire_i32(struct buf *b, int32_t v)
{
    wire_u32(b, (uint32_t)v);
}

void wire_i64(struct buf *b, int64_t v)
{
    wire_u64(b, (uint64_t)v);
}

void wire_str(struct buf *b, const char *s)
{
    size_t n;

    if (!s) {
        wire_u32(b, NO_STRING);
        return;
    }
    n = strlen(s);
    wire_u32(b, (uint32_t)n);
    buf_add(b, s, n + 1);
}

/* The next n bytes, or NULL: then everything after is bad, too. */
static const uint8_t *take(struct wire *w, size_t n)
{
    const uint8_t *p = w->p;

    if (w->bad || n > (size_t)(w->end - w->p)) {
        w->bad = true;
        return NULL;
    }
    w->p += n;
    return p;
}

uint8_t wire_get_u8(struct wire *w)
{
    const uint8_t *p = take(w, 1);

    return p ? *p : 0;
}

uint16_t wire_get_u16(struct wire *w)
{
    const uint8_t *p = take(w, sizeof(uint16_t));
    uint16_t v = 0;

    if (p) {
        memcpy(&v, p, sizeof v);
    }
    return le16toh(v);
}

uint32_t wire_get_u32(struct wire *w)
{
    const uint8_t *p = take(w, sizeof(uint32_t));
    uint32_t v = 0;

    if (p) {
        memcpy(&v, p, sizeof v);
    }
    return le32toh(v);
}

uint64_t wire_get_u64(struct wire *w)
{
    const uint8_t *p = take(w, sizeof(uint64_t));
    uint64_t v = 0;

    if (p) {
        memcpy(&v, p, sizeof v);
    }
    return le64toh(v);
}

int32_t wire_get_i32(struct wire *w)
{
    return (int32_t)wire_get_u32(w);
}

int64_t wire_get_i64(struct wire *w)
{
    return (int64_t)wire_get_u64(w);
}

bool wire_get_str(struct wire *w, const char **s, size_t *n)
{
    uint32_t len = wire_get_u32(w);
    const uint8_t *p = NULL;

    *s = NULL;
    if (n) {
        *n = 0;
    }
    if (w->bad) {
        return false;
    }
    if (len == NO_STRING) {
        return true;
    }
    p = take(w, (size_t)len + 1);
    if (!p || memchr(p, '\0', (size_t)len + 1) != p + len) {
        w->bad = true;
        return false;
    }
    *s = (const char *)p;
    if (n) {
        *n = len;
    }
    return true;
}

char *wire_get_strdup(struct wire *w)
{
    const char *s;
    size_t n;

    return wire_get_str(w, &s, &n) && s ? xstrndup(s, n) : NULL;
}

bool wire_end(const struct wire *w)
{
    return !w->bad && w->p == w->end;
}
