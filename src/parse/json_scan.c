#include "parse/json_scan.h"

#include <string.h>

static bool bad(struct json_scan *j, const char *why)
{
    j->why = j->why ? j->why : why;
    return false;
}

char json_scan_peek(struct json_scan *j)
{
    while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' || *j->p == '\n' || *j->p == '\r')) {
        j->p++;
    }
    return (char)(j->p < j->end ? *j->p : 0);
}

static bool take(struct json_scan *j, char c, const char *why)
{
    if (json_scan_peek(j) != c || j->p == j->end) {
        return bad(j, why);
    }
    j->p++;
    return true;
}

/* --- strings --- */

static bool hex4(struct json_scan *j, unsigned *out)
{
    unsigned v = 0;

    if (j->end - j->p < 4) {
        return bad(j, "a \\u escape is cut");
    }
    for (int i = 0; i < 4; i++) {
        char c = *j->p++;
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                : 16;

        if (digit == 16) {
            return bad(j, "a \\u escape is not hexadecimal");
        }
        v = v << 4 | digit;
    }
    *out = v;
    return true;
}

static void add_code(struct buf *out, unsigned c)
{
    if (!out) {
        return;
    }
    if (c < 0x100) {
        buf_addc(out, (char)c);
    } else if (c < 0x800) {
        buf_addc(out, (char)(0xc0 | c >> 6));
        buf_addc(out, (char)(0x80 | (c & 63)));
    } else if (c < 0x10000) {
        buf_addc(out, (char)(0xe0 | c >> 12));
        buf_addc(out, (char)(0x80 | (c >> 6 & 63)));
        buf_addc(out, (char)(0x80 | (c & 63)));
    } else {
        buf_addc(out, (char)(0xf0 | c >> 18));
        buf_addc(out, (char)(0x80 | (c >> 12 & 63)));
        buf_addc(out, (char)(0x80 | (c >> 6 & 63)));
        buf_addc(out, (char)(0x80 | (c & 63)));
    }
}

/* Behind \u. A surrogate without its partner becomes U+FFFD. */
static bool unicode_escape(struct json_scan *j, struct buf *out)
{
    unsigned c = 0;
    unsigned low = 0;

    if (!hex4(j, &c)) {
        return false;
    }
    if (c >= 0xd800 && c < 0xdc00 && j->end - j->p >= 6 && j->p[0] == '\\' && j->p[1] == 'u') {
        const char *before = j->p;

        j->p += 2;
        if (!hex4(j, &low)) {
            return false;
        }
        if (low >= 0xdc00 && low < 0xe000) {
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        } else {
            j->p = before;
        }
    }
    add_code(out, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
    return true;
}

static bool escape(struct json_scan *j, struct buf *out)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    const char *at;
    char c;

    if (j->p == j->end) {
        return bad(j, "a string has no end");
    }
    c = *j->p++;
    if (c == 'u') {
        return unicode_escape(j, out);
    }
    at = c ? strchr(names, c) : NULL;
    if (!at) {
        return bad(j, "a string has an unknown escape");
    }
    add_code(out, (unsigned char)values[at - names]);
    return true;
}

bool json_scan_string(struct json_scan *j, struct buf *out)
{
    if (out) {
        buf_reset(out);
    }
    if (!take(j, '"', "a string is expected")) {
        return false;
    }
    for (;;) {
        const char *from = j->p;

        while (j->p < j->end && *j->p != '"' && *j->p != '\\' && (unsigned char)*j->p >= 0x20) {
            j->p++;
        }
        if (out) {
            buf_add(out, from, (size_t)(j->p - from));
        }
        if (j->p == j->end) {
            return bad(j, "a string has no end");
        }
        if (*j->p == '"') {
            j->p++;
            return true;
        }
        if (*j->p != '\\') {
            return bad(j, "a string has a control byte");
        }
        j->p++;
        if (!escape(j, out)) {
            return false;
        }
    }
}

/* --- numbers and words --- */

/* The word or number at hand: everything up to what cannot be in one. */
static size_t word(struct json_scan *j, const char **at)
{
    *at = j->p;
    while (j->p < j->end &&
           ((*j->p >= '0' && *j->p <= '9') || (*j->p >= 'a' && *j->p <= 'z') ||
            (*j->p >= 'A' && *j->p <= 'Z') || *j->p == '-' || *j->p == '+' || *j->p == '.')) {
        j->p++;
    }
    return (size_t)(j->p - *at);
}

static bool is_word(const char *s, size_t n, const char *want)
{
    return strlen(want) == n && memcmp(s, want, n) == 0;
}

static bool digits(const char *s, size_t n, int64_t *out)
{
    int64_t v = 0;
    size_t i = n && *s == '-' ? 1 : 0;

    if (i == n || n - i > 18) {
        return false;
    }
    for (; i < n; i++) {
        if (s[i] < '0' || s[i] > '9') {
            return false;
        }
        v = v * 10 + (s[i] - '0');
    }
    *out = *s == '-' ? -v : v;
    return true;
}

/* What is no number is one as well: what matters is where it ends. */
static bool scalar(struct json_scan *j, int64_t *out)
{
    const char *s;
    size_t n = word(j, &s);

    if (n == 0) {
        return bad(j, "a value is expected");
    }
    if (is_word(s, n, "true") || is_word(s, n, "false")) {
        *out = *s == 't';
    } else if ((*s >= '0' && *s <= '9') || *s == '-') {
        digits(s, n, out);
    } else if (!is_word(s, n, "null")) {
        return bad(j, "an unknown word");
    }
    return true;
}

bool json_scan_number(struct json_scan *j, int64_t *out)
{
    char c = json_scan_peek(j);

    if (c == '"') {
        const char *from = j->p + 1;

        if (!json_scan_string(j, NULL)) {
            return false;
        }
        digits(from, (size_t)(j->p - 1 - from), out);
        return true;
    }
    return c == '{' || c == '[' ? json_scan_skip(j) : scalar(j, out);
}

/* --- what holds others --- */

static bool skip_member(struct json_scan *j, void *arg)
{
    (void)arg;
    return json_scan_skip(j);
}

bool json_scan_skip(struct json_scan *j)
{
    int64_t v;

    switch (json_scan_peek(j)) {
    case '"':
        return json_scan_string(j, NULL);
    case '{':
        return json_scan_object(j, skip_member, NULL);
    case '[':
        return json_scan_array(j, skip_member, NULL);
    default:
        return scalar(j, &v);
    }
}

static bool read_key(struct json_scan *j)
{
    const char *from;
    size_t n;

    if (json_scan_peek(j) != '"') {
        return bad(j, "the name of a member is expected");
    }
    from = j->p + 1;
    if (!json_scan_string(j, NULL)) {
        return false;
    }
    n = (size_t)(j->p - 1 - from);
    n = n < sizeof j->key ? n : 0;
    memcpy(j->key, from, n);
    j->key[n] = '\0';
    return take(j, ':', "a colon is expected");
}

static bool members(struct json_scan *j, char close, bool (*fn)(struct json_scan *j, void *arg),
                    void *arg)
{
    if (++j->depth > JSON_SCAN_DEPTH) {
        return bad(j, "it is nested too deep");
    }
    j->p++;
    if (json_scan_peek(j) == close) {
        j->p++;
        j->depth--;
        return true;
    }
    for (;;) {
        if ((close == '}' && !read_key(j)) || !fn(j, arg)) {
            return bad(j, "a member is malformed");
        }
        if (json_scan_peek(j) == close && j->p < j->end) {
            j->p++;
            j->depth--;
            return true;
        }
        if (!take(j, ',', "a comma is expected")) {
            return false;
        }
    }
}

bool json_scan_object(struct json_scan *j, bool (*member)(struct json_scan *j, void *arg),
                      void *arg)
{
    if (json_scan_peek(j) != '{') {
        return bad(j, "an object is expected");
    }
    return members(j, '}', member, arg);
}

bool json_scan_array(struct json_scan *j, bool (*element)(struct json_scan *j, void *arg),
                     void *arg)
{
    if (json_scan_peek(j) != '[') {
        return bad(j, "an array is expected");
    }
    return members(j, ']', element, arg);
}

/* --- edges --- */

size_t json_edge_find(struct json_edge *e, const char *s, size_t n, bool *whole)
{
    size_t i = 0;

    *whole = false;
    while (i < n) {
        char c = s[i++];

        if (e->in_string) {
            if (e->escaped) {
                e->escaped = false;
            } else if (c == '\\') {
                e->escaped = true;
            } else if (c == '"') {
                e->in_string = false;
            }
            if (c == '\n') { /* never in a string: better noticed here than at the end of it all */
                e->broken = true;
                break;
            }
        } else if (c == '"') {
            e->in_string = true;
        } else if (c == '{' || c == '[') {
            e->depth++;
        } else if ((c == '}' || c == ']') && --e->depth == 0) {
            *whole = true;
            break;
        }
    }
    return i;
}
