#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t boot_us(void)
{
    return read_us(CLOCK_BOOTTIME);
}

int64_t boot_ms(void)
{
    return boot_us() / 1000;
}

int64_t wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

static void put_digits(char *out, int width, int64_t v)
{
    for (int i = width - 1; i >= 0; i--) {
        out[i] = (char)('0' + v % 10);
        v /= 10;
    }
}

void rfc3339_us(int64_t us, char *out)
{
    /* gmtime_r takes a lock and snprintf is slow: lists print four times a row. */
    static _Thread_local time_t cached = -1;
    static _Thread_local char head[20];
    time_t s = (time_t)(us / 1000000);

    if (s != cached) {
        struct tm tm;

        gmtime_r(&s, &tm);
        put_digits(head, 4, tm.tm_year + 1900);
        head[4] = head[7] = '-';
        put_digits(head + 5, 2, tm.tm_mon + 1);
        put_digits(head + 8, 2, tm.tm_mday);
        head[10] = 'T';
        put_digits(head + 11, 2, tm.tm_hour);
        head[13] = head[16] = ':';
        put_digits(head + 14, 2, tm.tm_min);
        put_digits(head + 17, 2, tm.tm_sec);
        head[19] = '.';
        cached = s;
    }
    memcpy(out, head, 20);
    put_digits(out + 20, 6, us % 1000000);
    out[26] = 'Z';
    out[27] = '\0';
}

static bool digits(const char **s, int n, int *out)
{
    int v = 0;

    for (int i = 0; i < n; i++, (*s)++) {
        if (**s < '0' || **s > '9') {
            return false;
        }
        v = v * 10 + (**s - '0');
    }
    *out = v;
    return true;
}

static bool one(const char **s, char c)
{
    if (**s != c) {
        return false;
    }
    (*s)++;
    return true;
}

static bool parse_zone(const char **s, int *offset_s)
{
    int sign;
    int h;
    int m;

    *offset_s = 0;
    if (**s == 'Z' || **s == 'z') {
        (*s)++;
        return true;
    }
    if (**s != '+' && **s != '-') {
        return **s == '\0';
    }
    sign = **s == '-' ? -1 : 1;
    (*s)++;
    if (!digits(s, 2, &h) || !one(s, ':') || !digits(s, 2, &m) || h > 23 || m > 59) {
        return false;
    }
    *offset_s = sign * (h * 3600 + m * 60);
    return true;
}

static bool parse_fraction(const char **s, int64_t *us)
{
    int64_t scale = 100000;

    if (**s != '.') {
        return true;
    }
    (*s)++;
    if (**s < '0' || **s > '9') {
        return false;
    }
    for (; **s >= '0' && **s <= '9'; (*s)++) {
        *us += (**s - '0') * scale;
        scale /= 10;
    }
    return true;
}

int64_t date_days(int year, int month, int day)
{
    int64_t y = 400 + (month > 2 ? year : year - 1); /* an era more: nothing is below zero */
    int64_t in_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return y * 365 + y / 4 - y / 100 + y / 400 + in_year - 719468 - 146097;
}

bool rfc3339_parse(const char *s, int64_t *us)
{
    struct tm tm = {0};
    int64_t frac = 0;
    int zone = 0;

    if (!digits(&s, 4, &tm.tm_year) || !one(&s, '-') || !digits(&s, 2, &tm.tm_mon) ||
        !one(&s, '-') || !digits(&s, 2, &tm.tm_mday)) {
        return false;
    }
    if (*s) {
        if ((*s != 'T' && *s != 't' && *s != ' ') || (s++, !digits(&s, 2, &tm.tm_hour)) ||
            !one(&s, ':') || !digits(&s, 2, &tm.tm_min) || !one(&s, ':') ||
            !digits(&s, 2, &tm.tm_sec) || !parse_fraction(&s, &frac) || !parse_zone(&s, &zone)) {
            return false;
        }
    }
    if (*s || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
        tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60) {
        return false;
    }
    *us = (date_days(tm.tm_year, tm.tm_mon, tm.tm_mday) * 86400 + tm.tm_hour * 3600 +
           tm.tm_min * 60 + tm.tm_sec - zone) *
              1000000 +
          frac;
    return true;
}
