/* Is a text of the other side JSON? Answers carry it as it is: what is none would break them. */
#include <string.h>

#include "transport/message_inside.h"

struct scan {
    const char *p, *end;
};

static void blanks(struct scan *s)
{
    while (s->p < s->end && strchr(" \t\r\n", *s->p) && *s->p) {
        s->p++;
    }
}

static bool take(struct scan *s, char c)
{
    blanks(s);
    if (s->p < s->end && *s->p == c) {
        s->p++;
        return true;
    }
    return false;
}

static bool word(struct scan *s, const char *w)
{
    size_t n = strlen(w);

    if ((size_t)(s->end - s->p) < n || memcmp(s->p, w, n) != 0) {
        return false;
    }
    s->p += n;
    return true;
}

static bool hex4(const char *p)
{
    for (unsigned i = 0; i < 4; i++) {
        if (!p[i] || !strchr("0123456789abcdefABCDEF", p[i])) {
            return false;
        }
    }
    return true;
}

static bool string(struct scan *s)
{
    if (!take(s, '"')) {
        return false;
    }
    while (s->p < s->end && *s->p != '"') {
        unsigned char c = (unsigned char)*s->p++;

        if (c < 0x20) {
            return false;
        }
        if (c != '\\') {
            continue;
        }
        if (s->p == s->end || !*s->p || !strchr("\"\\/bfnrtu", *s->p)) {
            return false;
        }
        if (*s->p++ == 'u') {
            if (s->end - s->p < 4 || !hex4(s->p)) {
                return false;
            }
            s->p += 4;
        }
    }
    return take(s, '"');
}

static bool digits(struct scan *s)
{
    const char *from = s->p;

    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') {
        s->p++;
    }
    return s->p > from;
}

static bool number(struct scan *s)
{
    const char *from;

    if (s->p < s->end && *s->p == '-') {
        s->p++;
    }
    from = s->p;
    if (!digits(s) || (*from == '0' && s->p - from > 1)) {
        return false;
    }
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        if (!digits(s)) {
            return false;
        }
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-')) {
            s->p++;
        }
        return digits(s);
    }
    return true;
}

static bool value(struct scan *s, unsigned depth);

static bool members(struct scan *s, char close, unsigned depth)
{
    if (depth == 0) {
        return false;
    }
    if (take(s, close)) {
        return true;
    }
    do {
        if ((close == '}' && !(string(s) && take(s, ':'))) || !value(s, depth - 1)) {
            return false;
        }
    } while (take(s, ','));
    return take(s, close);
}

static bool value(struct scan *s, unsigned depth)
{
    blanks(s);
    if (s->p == s->end) {
        return false;
    }
    switch (*s->p) {
    case '{':
        s->p++;
        return members(s, '}', depth);
    case '[':
        s->p++;
        return members(s, ']', depth);
    case '"':
        return string(s);
    case 't':
        return word(s, "true");
    case 'f':
        return word(s, "false");
    case 'n':
        return word(s, "null");
    default:
        return number(s);
    }
}

bool message_json_ok(const char *text, size_t n)
{
    struct scan s = {text, text + n};

    if (!value(&s, MESSAGE_JSON_DEPTH)) {
        return false;
    }
    blanks(&s);
    return s.p == s.end;
}
