#include "engine/rules_secret.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

static unsigned alphabet_of(const char *s, size_t n)
{
    bool letters = false, hex = true, other = false;

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];

        letters |= isalpha(c) != 0;
        hex &= isxdigit(c) != 0;
        other |= !isalnum(c) && !strchr("+/=_-", c);
    }
    return other ? 95 : hex && !letters ? 10 : hex ? 16 : 64;
}

int secret_randomness(const char *s, size_t n)
{
    unsigned count[256] = {0};
    double h = 0, most;

    if (n < 2) {
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        count[(unsigned char)s[i]]++;
    }
    for (size_t c = 0; c < 256; c++) {
        if (count[c]) {
            double p = (double)count[c] / (double)n;

            h -= p * log2(p);
        }
    }
    most = log2((double)MIN((size_t)alphabet_of(s, n), n));
    return (int)(100 * h / most);
}

/* Lower case, at most 255 bytes. */
static void lower(const char *s, size_t n, char out[256])
{
    n = MIN(n, (size_t)255);
    for (size_t i = 0; i < n; i++) {
        out[i] = s[i] ? (char)tolower((unsigned char)s[i]) : ' ';
    }
    out[n] = '\0';
}

static bool has_any(const char *s, const char *const *words)
{
    for (; *words; words++) {
        if (strstr(s, *words)) {
            return true;
        }
    }
    return false;
}

/* The longest run of equal characters, and of characters that follow each other ("abcd", "4321").
 */
static void runs(const char *s, size_t n, size_t *equal, size_t *following)
{
    size_t same = 1, up = 1, down = 1;

    *equal = *following = n ? 1 : 0;
    for (size_t i = 1; i < n; i++) {
        same = s[i] == s[i - 1] ? same + 1 : 1;
        up = s[i] == s[i - 1] + 1 || (s[i] == '0' && s[i - 1] == '9') ? up + 1 : 1;
        down = s[i] == s[i - 1] - 1 ? down + 1 : 1;
        *equal = MAX(*equal, same);
        *following = MAX(*following, MAX(up, down));
    }
}

static size_t distinct(const char *s, size_t n)
{
    bool seen[256] = {false};
    size_t k = 0;

    for (size_t i = 0; i < n; i++) {
        k += !seen[(unsigned char)s[i]];
        seen[(unsigned char)s[i]] = true;
    }
    return k;
}

bool secret_is_placeholder(const char *s, size_t n, bool formed)
{
    static const char *const sure[] = {"example", "changeme", "placeholder",      "redacted",
                                       "xxxxx",   "dummy",    "0123456789abcdef", "****",
                                       "....",    NULL};
    static const char *const likely[] = {
        "change_me", "change-me", "change this", "your",     "insert",   "replace",   "todo",
        "fixme",     "sample",    "fake",        "mock",     "xxx",      "foobar",    "lorem",
        "${",        "$(",        "{{",          "}}",       "<%",       "%(",        "%s",
        "#{",        "env.",      "environ",     "getenv",   "env[",     "env(",      "config.",
        "secrets.",  "vault:",    "ssm:",        "arn:aws:", "keyring",  "undefined", "default",
        "not-a-",    "notreal",   "not_real",    "abcdefg",  "qwerty12", NULL};
    static const char *const whole[] = {
        "none",   "null",     "nil",    "true",    "false",   "string", "password", "passwd",
        "secret", "token",    "test",   "testing", "empty",   "pass",   "required", "optional",
        "hidden", "username", "apikey", "api_key", "api-key", NULL};
    char low[256] = "";
    size_t equal, following;

    lower(s, n, low);
    runs(low, strlen(low), &equal, &following);
    if (has_any(low, sure) || following >= 9 || distinct(low, strlen(low)) < 4) {
        return true;
    }
    if (formed) {
        return equal >= 8 && 3 * equal >= strlen(low);
    }
    for (const char *const *w = whole; *w; w++) {
        if (strcmp(low, *w) == 0) {
            return true;
        }
    }
    return has_any(low, likely) || equal >= 6 || s[0] == '$' || s[0] == '%' || s[0] == '@' ||
           (s[0] == '<' && s[n - 1] == '>') || (s[0] == '[' && s[n - 1] == ']');
}

static uint32_t crc32_of(const char *s, size_t n)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char)s[i];
        for (int k = 0; k < 8; k++) {
            crc = crc >> 1 ^ (UINT32_C(0xedb88320) & (0 - (crc & 1)));
        }
    }
    return ~crc;
}

bool secret_sum_right(const char *s, size_t n)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const char *p = memchr(s, '_', n);
    size_t left = p ? n - (size_t)(p + 1 - s) : 0;
    uint64_t told = 0;

    if (left <= 6) {
        return false;
    }
    p++;
    for (size_t i = left - 6; i < left; i++) {
        const char *d = p[i] ? strchr(digits, p[i]) : NULL;

        if (!d) {
            return false;
        }
        told = told * 62 + (uint64_t)(d - digits);
    }
    return told == crc32_of(p, left - 6);
}

char *secret_shown(const char *kind, const char *s, size_t n)
{
    auto_buf b = {0};
    size_t bytes = 0, chars = 0;

    for (size_t i = 0, len; i < n; i += len, chars++) {
        len = utf8_len(s + i, n - i);
        len = len ? len : 1;
        if (chars < 4) {
            bytes = i + len;
        }
    }
    buf_addf(&b, "%s: ", kind);
    buf_add_escaped(&b, s, n > 4 ? bytes : 0);
    buf_addf(&b, "... (%zu characters)", chars);
    return buf_take(&b);
}
