#include "base/json.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"

struct json json_to(struct buf *b)
{
    return (struct json){.b = b};
}

/* 0: copy as it is; 1: needs an escape or a UTF-8 check */
static inline bool plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static size_t add_special(struct buf *b, const char *s, size_t n)
{
    unsigned char c = (unsigned char)*s;
    size_t k;

    switch (c) {
    case '"':
        buf_add(b, "\\\"", 2);
        return 1;
    case '\\':
        buf_add(b, "\\\\", 2);
        return 1;
    case '\n':
        buf_add(b, "\\n", 2);
        return 1;
    case '\r':
        buf_add(b, "\\r", 2);
        return 1;
    case '\t':
        buf_add(b, "\\t", 2);
        return 1;
    default:
        break;
    }
    if (c < 0x20 || c == 0x7f) {
        buf_addf(b, "\\u%04x", c);
        return 1;
    }
    k = utf8_len(s, n);
    if (k == 0) {
        buf_add(b, "\xef\xbf\xbd", 3);
        return 1;
    }
    buf_add(b, s, k);
    return k;
}

void buf_add_json_string(struct buf *b, const char *s, size_t n)
{
    size_t start = 0;
    size_t i = 0;

    buf_addc(b, '"');
    while (i < n) {
        if (plain((unsigned char)s[i])) {
            i++;
            continue;
        }
        if (i > start) {
            buf_add(b, s + start, i - start);
        }
        i += add_special(b, s + i, n - i);
        start = i;
    }
    if (i > start) {
        buf_add(b, s + start, i - start);
    }
    buf_addc(b, '"');
}

static void sep(struct json *j, const char *key)
{
    uint64_t bit = UINT64_C(1) << j->depth;

    if (j->depth > 0) {
        if (j->has & bit) {
            buf_addc(j->b, ',');
        }
        j->has |= bit;
    }
    if (key) {
        buf_addc(j->b, '"');
        buf_adds(j->b, key); /* keys are ours: no escapes needed */
        buf_add(j->b, "\":", 2);
    }
}

static void open_in(struct json *j, const char *key, char c)
{
    uint64_t bit;

    sep(j, key);
    buf_addc(j->b, c);
    assert(j->depth < 63);
    j->depth++;
    bit = UINT64_C(1) << j->depth;
    j->has &= ~bit;
    j->array = c == '[' ? j->array | bit : j->array & ~bit;
}

void json_obj(struct json *j)
{
    open_in(j, NULL, '{');
}

void json_obj_in(struct json *j, const char *key)
{
    open_in(j, key, '{');
}

void json_arr(struct json *j)
{
    open_in(j, NULL, '[');
}

void json_arr_in(struct json *j, const char *key)
{
    open_in(j, key, '[');
}

void json_end(struct json *j)
{
    assert(j->depth > 0);
    buf_addc(j->b, j->array & (UINT64_C(1) << j->depth) ? ']' : '}');
    j->depth--;
}

void json_strn(struct json *j, const char *key, const char *s, size_t n)
{
    sep(j, key);
    buf_add_json_string(j->b, s, n);
}

void json_str(struct json *j, const char *key, const char *s)
{
    if (!s) {
        json_nil(j, key);
        return;
    }
    json_strn(j, key, s, strlen(s));
}

void json_int(struct json *j, const char *key, int64_t v)
{
    sep(j, key);
    if (v < 0) {
        buf_addc(j->b, '-');
    }
    buf_addu(j->b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void json_num(struct json *j, const char *key, double v, int decimals)
{
    sep(j, key);
    buf_addf(j->b, "%.*f", decimals, v);
}

void json_bool(struct json *j, const char *key, bool v)
{
    sep(j, key);
    buf_adds(j->b, v ? "true" : "false");
}

void json_nil(struct json *j, const char *key)
{
    sep(j, key);
    buf_add(j->b, "null", 4);
}

void json_raw(struct json *j, const char *key, const char *text)
{
    sep(j, key);
    buf_adds(j->b, text && *text ? text : "null");
}

void json_time(struct json *j, const char *key, int64_t us)
{
    char when[RFC3339_LEN + 1];

    if (!us) {
        json_nil(j, key);
        return;
    }
    rfc3339_us(us, when);
    json_strn(j, key, when, RFC3339_LEN);
}
