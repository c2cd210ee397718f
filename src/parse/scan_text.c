/* Numbers and addresses, as text of known length. */
#include <arpa/inet.h>
#include <string.h>

#include "base/clock.h"
#include "parse/scan.h"

bool scan_is(const char *s, size_t n, const char *word)
{
    return strlen(word) == n && memcmp(s, word, n) == 0;
}

bool scan_number(const char *s, size_t n, int64_t max, int64_t *out)
{
    return scan_digits(s, s + n, max, out) == s + n && n > 0;
}

bool scan_address(const char *s, size_t n, struct sighting *x)
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
    int year, month, day, hour, minute, second, zone_h, zone_m;
    const char *zone;
    int64_t at;

    if (n < 24 || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' ||
        !digits_at(s, 4, &year) || !digits_at(s + 5, 2, &month) || !digits_at(s + 8, 2, &day) ||
        !digits_at(s + 11, 2, &hour) || !digits_at(s + 14, 2, &minute) ||
        !digits_at(s + 17, 2, &second)) {
        return 0;
    }
    zone = s + n - 5;
    if ((*zone != '+' && *zone != '-') || !digits_at(zone + 1, 2, &zone_h) ||
        !digits_at(zone + 3, 2, &zone_m) || year < 1970 || month < 1 || month > 12 || day < 1 ||
        day > 31) {
        return 0;
    }
    at = date_days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second -
         (*zone == '-' ? -1 : 1) * (zone_h * 3600 + zone_m * 60);
    return at > 0 ? at : 0;
}
