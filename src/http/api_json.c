/*
 * JSON in. A scan of our own goes first: it refuses what must not reach a parser (bytes that are no
 * UTF-8, NUL, deep nesting) and says what is wrong in the words that clients of the old service
 * know from Python's decoder. Then jansson builds the values and refuses duplicate members.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "http/api_priv.h"

struct scan {
    const char *p, *at, *end;
    uint64_t array; /* bit d: level d is an array */
    unsigned depth;
    const char *bad; /* where the fault is */
    const char *msg;
};

static bool fault(struct scan *s, const char *at, const char *msg)
{
    s->bad = at;
    s->msg = msg;
    return false;
}

static void blanks(struct scan *s)
{
    while (s->at < s->end &&
           (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r')) {
        s->at++;
    }
}

static bool at_char(const struct scan *s, char c)
{
    return s->at < s->end && *s->at == c;
}

static bool hex4(const char *p, const char *end)
{
    for (int i = 0; i < 4; i++) {
        if (p + i >= end || !memchr("0123456789abcdefABCDEF", p[i], 22)) {
            return false;
        }
    }
    return true;
}

static bool scan_string(struct scan *s)
{
    const char *start = s->at++;

    while (s->at < s->end) {
        unsigned char c = (unsigned char)*s->at;

        if (c == '"') {
            s->at++;
            return true;
        }
        if (c < 0x20) {
            return fault(s, s->at, "Invalid control character at");
        }
        if (c != '\\') {
            s->at++;
            continue;
        }
        if (s->at + 1 == s->end) {
            break;
        }
        if (s->at[1] == 'u') {
            if (!hex4(s->at + 2, s->end)) {
                return fault(s, s->at + 1, "Invalid \\uXXXX escape");
            }
            s->at += 6;
        } else if (memchr("\"\\/bfnrt", s->at[1], 8)) {
            s->at += 2;
        } else {
            return fault(s, s->at, "Invalid \\escape");
        }
    }
    return fault(s, start, "Unterminated string starting at");
}

static const char *digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9') {
        p++;
    }
    return p;
}

static bool scan_number(struct scan *s)
{
    const char *p = s->at + (*s->at == '-');
    const char *q = p < s->end && *p == '0' ? p + 1 : digits(p, s->end);

    if (q == p) {
        return fault(s, s->at, "Expecting value");
    }
    p = q;
    if (p < s->end && *p == '.' && (q = digits(p + 1, s->end)) > p + 1) {
        p = q;
    }
    if (p < s->end && (*p == 'e' || *p == 'E')) {
        const char *sign = p + 1;

        sign += sign < s->end && (*sign == '+' || *sign == '-');
        q = digits(sign, s->end);
        p = q > sign ? q : p;
    }
    s->at = p;
    return true;
}

static bool scan_word(struct scan *s)
{
    static const char *const words[] = {"null", "true", "false"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t n = strlen(words[i]);

        if ((size_t)(s->end - s->at) >= n && memcmp(s->at, words[i], n) == 0) {
            s->at += n;
            return true;
        }
    }
    return fault(s, s->at, "Expecting value");
}

/* "name": of an object */
static bool scan_name(struct scan *s)
{
    if (!at_char(s, '"')) {
        return fault(s, s->at, "Expecting property name enclosed in double quotes");
    }
    if (!scan_string(s)) {
        return false;
    }
    blanks(s);
    if (!at_char(s, ':')) {
        return fault(s, s->at, "Expecting ':' delimiter");
    }
    s->at++;
    blanks(s);
    return true;
}

/* After a value: closes levels, and goes to where the next value starts. False with no message:
 * the document is complete. */
static bool scan_after(struct scan *s)
{
    while (s->depth > 0) {
        bool array = s->array >> s->depth & 1;

        blanks(s);
        if (at_char(s, array ? ']' : '}')) {
            s->at++;
            s->depth--;
            continue;
        }
        if (!at_char(s, ',')) {
            return fault(s, s->at, "Expecting ',' delimiter");
        }
        s->at++;
        blanks(s);
        return array || scan_name(s);
    }
    blanks(s);
    return s->at == s->end ? false : fault(s, s->at, "Extra data");
}

/* Goes into an array or object. *empty: it has closed again. */
static bool scan_enter(struct scan *s, bool *empty)
{
    bool array = *s->at == '[';
    uint64_t bit;

    if (s->depth == API_JSON_DEPTH) {
        return fault(s, s->at, "Nested too deeply");
    }
    s->at++;
    blanks(s);
    *empty = at_char(s, array ? ']' : '}');
    if (*empty) {
        s->at++;
        return true;
    }
    s->depth++;
    bit = UINT64_C(1) << s->depth;
    s->array = array ? s->array | bit : s->array & ~bit;
    return array || scan_name(s);
}

static bool scan_value(struct scan *s, bool *entered)
{
    bool empty = false;

    *entered = false;
    if (s->at == s->end) {
        return fault(s, s->at, "Expecting value");
    }
    switch (*s->at) {
    case '"':
        return scan_string(s);
    case '{':
    case '[':
        if (!scan_enter(s, &empty)) {
            return false;
        }
        *entered = !empty;
        return true;
    case '-':
    case '0' ... '9':
        return scan_number(s);
    default:
        return scan_word(s);
    }
}

static bool scan_document(struct scan *s)
{
    blanks(s);
    for (;;) {
        bool entered;

        if (!scan_value(s, &entered)) {
            return false;
        }
        if (!entered && !scan_after(s)) {
            return s->msg == NULL;
        }
    }
}

static size_t characters(const char *p, const char *end)
{
    size_t n = 0;

    for (; p < end; p++) {
        n += ((unsigned char)*p & 0xc0) != 0x80;
    }
    return n;
}

json_t *api_json_load(const char *p, size_t n, struct json_fault *f)
{
    struct scan s = {.p = p, .at = p, .end = p + n};
    json_error_t je;
    json_t *v;

    *f = (struct json_fault){0};
    if (!utf8_valid(p, n)) {
        f->encoding = true;
        snprintf(f->msg, sizeof f->msg, "the body is not UTF-8");
        return NULL;
    }
    if (!scan_document(&s)) {
        f->pos = characters(p, s.bad);
        snprintf(f->msg, sizeof f->msg, "%s", s.msg);
        return NULL;
    }
    v = json_loadb(p, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
    if (!v) {
        f->pos = je.position > 0 ? characters(p, p + MIN((size_t)je.position, n)) : 0;
        snprintf(f->msg, sizeof f->msg, "%.*s", (int)sizeof f->msg - 1, je.text);
    }
    return v;
}

static void write_real(struct json *j, const char *key, double v)
{
    char text[40];

    snprintf(text, sizeof text, "%.17g", v);
    if (!strpbrk(text, ".e")) {
        snprintf(text, sizeof text, "%.1f", v);
    }
    json_raw(j, key, text);
}

void api_json_write(struct json *j, const char *key, const json_t *v)
{
    const char *name;
    json_t *child;
    size_t i;

    switch (json_typeof(v)) {
    case JSON_OBJECT:
        json_obj_in(j, key);
        json_object_foreach((json_t *)(uintptr_t)v, name, child)
        {
            auto_buf quoted = {0};

            /* names are the client's: json_obj_in() and friends take only ours as they are */
            buf_add_json_string(&quoted, name, strlen(name));
            quoted.data[quoted.len - 1] = '\0';
            api_json_write(j, quoted.data + 1, child);
        }
        json_end(j);
        return;
    case JSON_ARRAY:
        json_arr_in(j, key);
        json_array_foreach(v, i, child)
        {
            api_json_write(j, NULL, child);
        }
        json_end(j);
        return;
    case JSON_STRING:
        json_strn(j, key, json_string_value(v), json_string_length(v));
        return;
    case JSON_INTEGER:
        json_int(j, key, json_integer_value(v));
        return;
    case JSON_REAL:
        write_real(j, key, json_real_value(v));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        json_bool(j, key, json_is_true(v));
        return;
    default:
        json_nil(j, key);
    }
}
