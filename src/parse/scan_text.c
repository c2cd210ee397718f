/* Numbers and addresses, as text of known length. */
#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include "parse/scan.h"

bool scan_is(const char *s, size_t n, const char *word)
{
    return strlen(word) == n && memcmp(s, word, n) == 0;
}

bool scan_number(const char *s, size_t n, int64_t max, int64_t *out)
{
    return scan_digits(s, s + n, max, out) == s + n && n > 0;
}

bool scan_address(const char *s, size_t n, struct finding *x)
{
    char text[INET6_ADDRSTRLEN];

    x->v6 = false;
    if (scan_ipv4(s, s + n, x->addr) == s + n) {
        return true;
    }
    if (n >= sizeof text || memchr(s, '\0', n)) {
        return false;
    }
    memcpy(text, s, n);
    text[n] = '\0';
    x->v6 = inet_pton(AF_INET6, text, x->addr) == 1;
    return x->v6;
}

/* n digits at s. */
static bool digits_at(const char *s, unsigned n, int *out)
{
    int64_t v;

    if (scan_digits(s, s + n, INT32_MAX, &v) != s + n) {
        return false;
    }
    *out = (int)v;
    return true;
}

int64_t scan_time(const char *s, size_t n)
{
    struct tm t = {0};
    int hours, minutes;
    const char *zone;
    int64_t at;

    if (n < 24 || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' ||
        !digits_at(s, 4, &t.tm_year) || !digits_at(s + 5, 2, &t.tm_mon) ||
        !digits_at(s + 8, 2, &t.tm_mday) || !digits_at(s + 11, 2, &t.tm_hour) ||
        !digits_at(s + 14, 2, &t.tm_min) || !digits_at(s + 17, 2, &t.tm_sec)) {
        return 0;
    }
    zone = s + n - 5;
    if ((*zone != '+' && *zone != '-') || !digits_at(zone + 1, 2, &hours) ||
        !digits_at(zone + 3, 2, &minutes) || t.tm_year < 1970 || t.tm_mon < 1 || t.tm_mon > 12 ||
        t.tm_mday < 1 || t.tm_mday > 31) {
        return 0;
    }
    t.tm_year -= 1900;
    t.tm_mon--;
    at = timegm(&t) - (int64_t)(*zone == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    return at > 0 ? at : 0;
}
