#include "http/target.h"

#include <string.h>

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes [from, to) onto itself and ends it with a NUL. Length, or -1: bad escape. */
static ptrdiff_t unescape(char *from, const char *to, bool query)
{
    char *out = from;
    const char *p = from;

    while (p < to) {
        int c = (unsigned char)*p;

        if (c == '%') {
            int hi = to - p > 2 ? hex(p[1]) : -1, lo = hi >= 0 ? hex(p[2]) : -1;

            if (hi < 0 || lo < 0 || (hi | lo) == 0) {
                return -1;
            }
            c = hi << 4 | lo;
            if (c != '/' || query) {
                p += 2;
            } else {
                c = '%';
            }
        } else if (c == '+' && query) {
            c = ' ';
        }
        *out++ = (char)c;
        p++;
    }
    *out = '\0';
    return out - from;
}

static bool has_dot_segment(const char *path)
{
    for (const char *s = strchr(path, '/'); s; s = strchr(s + 1, '/')) {
        size_t n = strcspn(s + 1, "/");

        if ((n == 1 && s[1] == '.') || (n == 2 && s[1] == '.' && s[2] == '.')) {
            return true;
        }
    }
    return false;
}

static const char *query_decode(char *base, char *p, char *end, struct target *t)
{
    while (p < end) {
        char *amp = memchr(p, '&', (size_t)(end - p));
        char *stop = amp ? amp : end;
        char *eq = memchr(p, '=', (size_t)(stop - p));
        char *value = eq ? eq + 1 : stop;

        if (stop > p) {
            if (t->n == TARGET_QUERY_MAX) {
                return "too many query parameters";
            }
            t->q[t->n].name = (uint16_t)(p - base);
            t->q[t->n].value = (uint16_t)(value - base);
            t->n++;
            if (unescape(p, eq ? eq : stop, true) < 0 || unescape(value, stop, true) < 0) {
                return "bad percent escape in the query";
            }
        }
        p = stop + 1;
    }
    return NULL;
}

const char *target_decode(char *base, size_t at, size_t n, struct target *t)
{
    char *p = base + at, *end = p + n;
    char *mark = memchr(p, '?', n);
    ptrdiff_t len;

    t->n = 0;
    t->path = (uint16_t)at;
    len = unescape(p, mark ? mark : end, false);
    if (len < 0) {
        return "bad percent escape in the path";
    }
    t->path_len = (uint16_t)len;
    if (has_dot_segment(p)) {
        return "dot segment in the path";
    }
    return mark ? query_decode(base, mark + 1, end, t) : NULL;
}
