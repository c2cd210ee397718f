/* Windows of a week and sets of ports, both as one bit for each. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "policy/internal.h"

enum { DAY_MIN = 24 * 60, DAYS = 7, MINUTE_US = 60000000, ZONE_MAX_MIN = 14 * 60 };

static const char *const day_names[DAYS] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

/* ---- windows ---- */

static bool day_read(const char **at, unsigned *out)
{
    for (unsigned i = 0; i < DAYS; i++) {
        if (strncmp(*at, day_names[i], 3) == 0) {
            *at += 3;
            *out = i;
            return true;
        }
    }
    return false;
}

/* "Mon-Fri,Sun" as bits; *at is moved behind it. */
static bool days_read(const char **at, unsigned *out)
{
    unsigned days = 0, from, to;

    for (;;) {
        if (!day_read(at, &from)) {
            return false;
        }
        to = from;
        if (**at == '-') {
            (*at)++;
            if (!day_read(at, &to)) {
                return false;
            }
        }
        for (unsigned d = from;; d = (d + 1) % DAYS) { /* Fri-Mon goes over the week's end */
            days |= 1u << d;
            if (d == to) {
                break;
            }
        }
        if (**at != ',') {
            break;
        }
        (*at)++;
    }
    *out = days;
    return true;
}

static bool two_digits(const char **at, int *out)
{
    const char *s = *at;

    if (!isdigit((unsigned char)s[0]) || !isdigit((unsigned char)s[1])) {
        return false;
    }
    *out = (s[0] - '0') * 10 + (s[1] - '0');
    *at = s + 2;
    return true;
}

/* "22:00", up to 24:00. */
static bool clock_read(const char **at, int *out)
{
    int h, m;

    if (!two_digits(at, &h) || **at != ':') {
        return false;
    }
    (*at)++;
    if (!two_digits(at, &m) || m > 59 || h > 24 || (h == 24 && m)) {
        return false;
    }
    *out = h * 60 + m;
    return true;
}

const char *window_parse(const char *s, uint8_t *open)
{
    unsigned days;
    int from, to;

    if (!days_read(&s, &days) || *s++ != ' ' || !clock_read(&s, &from) || *s++ != '-' ||
        !clock_read(&s, &to) || *s) {
        return "a window is written as 'Mon-Fri 22:00-06:00' or 'Sat,Sun 00:00-24:00'";
    }
    if (from == DAY_MIN) {
        return "a window cannot begin at 24:00; write 00:00 of the next day";
    }
    if (from == to) {
        return "the window never opens: it ends when it begins; a whole day is 00:00-24:00";
    }
    if (to < from) {
        to += DAY_MIN;
    }
    for (int d = 0; d < DAYS; d++) {
        for (int m = from; m < to && days & 1u << d; m++) {
            int at = (d * DAY_MIN + m) % WEEK_MIN;

            open[at / 8] |= (uint8_t)(1u << at % 8);
        }
    }
    return NULL;
}

bool timezone_parse(const char *s, int *offset_min)
{
    int sign = *s == '-' ? -1 : 1;
    int v;

    if (strcmp(s, "UTC") == 0) {
        *offset_min = 0;
        return true;
    }
    if (*s != '+' && *s != '-') {
        return false;
    }
    s++;
    if (strlen(s) != 5 || !clock_read(&s, &v) || v > ZONE_MAX_MIN) {
        return false;
    }
    *offset_min = sign * v;
    return true;
}

int64_t window_wait(const uint8_t *open, int offset_min, int64_t now_us)
{
    /* Minutes since a Monday, 1970-01-05; rounded down before it too. */
    int64_t minute = now_us / MINUTE_US - (now_us % MINUTE_US < 0);
    int64_t local = minute + offset_min - 4 * DAY_MIN;
    int at = (int)(((local % WEEK_MIN) + WEEK_MIN) % WEEK_MIN);

    for (int i = 0; i < WEEK_MIN; i++) {
        int m = (at + i) % WEEK_MIN;

        if (open[m / 8] & 1u << m % 8) {
            return i == 0 ? 0 : (minute + i) * MINUTE_US;
        }
    }
    return 0; /* cannot be: every window has a minute */
}

/* ---- ports ---- */

static const char letters[PROTOCOLS + 1] = "TUS";

static bool number_read(const char **at, unsigned *out)
{
    const char *s = *at;
    unsigned v = 0;

    for (; isdigit((unsigned char)*s); s++) {
        v = v * 10 + (unsigned)(*s - '0');
        if (v >= PORTS) {
            return false;
        }
    }
    if (s == *at) {
        return false;
    }
    *at = s;
    *out = v;
    return true;
}

/* "T:1-1024" and the comma behind it; *mask keeps the protocol for what follows, as nmap does. */
static bool ports_item(const char **at, unsigned *mask, unsigned *low, unsigned *high)
{
    const char *s = *at;
    const char *letter = *s ? strchr(letters, *s) : NULL;

    if (letter && s[1] == ':') {
        *mask = 1u << (letter - letters);
        s += 2;
    }
    if (!number_read(&s, low)) {
        return false;
    }
    *high = *low;
    if (*s == '-') {
        s++;
        if (!number_read(&s, high)) {
            return false;
        }
    }
    if (*low > *high || (*s == ',' && !s[1]) || (*s && *s != ',')) {
        return false;
    }
    *at = s + (*s == ',');
    return true;
}

bool port_set_parse(const char *s, struct port_set *out)
{
    unsigned mask = (1u << PROTOCOLS) - 1, low, high;

    memset(out, 0, sizeof *out);
    if (!*s) {
        return false;
    }
    while (*s) {
        if (!ports_item(&s, &mask, &low, &high)) {
            return false;
        }
        for (unsigned p = 0; p < PROTOCOLS; p++) {
            for (unsigned v = low; v <= high && mask & 1u << p; v++) {
                out->bits[p][v / 8] |= (uint8_t)(1u << v % 8);
            }
        }
    }
    return true;
}

bool port_set_covers(const struct port_set *set, const char *ports, unsigned protocols,
                     char text[16])
{
    unsigned mask = protocols, low, high;

    while (*ports) {
        if (!ports_item(&ports, &mask, &low, &high)) {
            snprintf(text, 16, "%.15s", ports);
            return false;
        }
        for (unsigned p = 0; p < PROTOCOLS; p++) {
            for (unsigned v = low; v <= high && mask & 1u << p; v++) {
                if (!(set->bits[p][v / 8] & 1u << v % 8)) {
                    snprintf(text, 16, "%c:%u", letters[p], v);
                    return false;
                }
            }
        }
    }
    return true;
}
