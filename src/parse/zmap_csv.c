/*
 * zmap's CSV, with a header or bare (an address, or address and port). A value stands in double
 * quotes only if it holds a comma; nothing is escaped, so the quote that ends it is the one before
 * a comma or the end of the line.
 */
#include <string.h>

#include "base/mem.h"
#include "parse/scan.h"

enum { COLUMNS_MAX = 256 };

/* The end of the value at s, quotes included. */
static const char *value_end(const char *s, const char *end)
{
    const char *at;

    if (s < end && *s == '"') {
        for (at = s + 1; at < end; at++) {
            if (*at == '"' && (at + 1 == end || at[1] == ',')) {
                return at + 1;
            }
        }
    }
    at = memchr(s, ',', (size_t)(end - s));
    return at ? at : end;
}

/* The value without its quotes. */
static void unquote(const char **s, size_t *n)
{
    if (*n >= 2 && **s == '"' && (*s)[*n - 1] == '"') {
        ++*s;
        *n -= 2;
    }
}

/* --- columns --- */

static bool read_header(struct scan *p, const char *s, size_t n)
{
    struct zmap_columns *c = &p->columns;
    const char *end = s + n;
    unsigned has = 0;

    c->field = xcalloc(COLUMNS_MAX, 1);
    for (;;) {
        const char *stop = value_end(s, end);
        const char *name = s;
        size_t len = (size_t)(stop - s);

        if (c->n == COLUMNS_MAX) {
            scan_fail(p, ERR_LIMIT, "there are more than %d columns", COLUMNS_MAX);
            return false;
        }
        unquote(&name, &len);
        c->field[c->n] = zmap_field(name, len);
        /* The first of a name counts. */
        if (has & 1u << c->field[c->n]) {
            c->field[c->n] = Z_NONE;
        }
        has |= 1u << c->field[c->n];
        c->n++;
        if (stop == end) {
            break;
        }
        s = stop + 1;
    }
    c->has = has;
    return true;
}

/* A first line without names: an address, or address and port. */
static bool bare_columns(struct scan *p, const char *s, size_t n)
{
    struct zmap_columns *c = &p->columns;
    const char *comma = memchr(s, ',', n);
    size_t len = comma ? (size_t)(comma - s) : n;
    struct sighting x;

    if (!scan_address(s, len, &x)) {
        scan_fail(p, ERR_TOOL, "a header with saddr, or an address, is expected, not '%s'",
                  scan_quote(p, s, n));
        return false;
    }
    if (comma && memchr(comma + 1, ',', n - len - 1)) {
        scan_fail(p, ERR_TOOL,
                  "rows of more than address and port need a header line that names the columns");
        return false;
    }
    c->field = xcalloc(2, 1);
    c->field[c->n++] = Z_SADDR;
    if (comma) {
        c->field[c->n++] = Z_SPORT;
    }
    c->has = 1u << Z_SADDR | (comma ? 1u << Z_SPORT : 0);
    return true;
}

static bool is_header(const char *s, size_t n)
{
    const char *end = s + n;

    for (;;) {
        const char *stop = value_end(s, end);

        if (zmap_field(s, (size_t)(stop - s)) == Z_SADDR) {
            return true;
        }
        if (stop == end) {
            return false;
        }
        s = stop + 1;
    }
}

/* --- rows --- */

static bool bad_value(struct scan *p, const char *what, const char *s, size_t n)
{
    scan_fail(p, ERR_TOOL, "%s: '%s'", what, scan_quote(p, s, n));
    return false;
}

static bool success(struct scan *p, struct zmap_row *row, const char *s, size_t n)
{
    if (n == 1 && (*s == '1' || *s == '0')) {
        row->success = *s - '0';
    } else if (scan_is(s, n, "true") || scan_is(s, n, "false")) {
        row->success = *s == 't';
    } else if (n) {
        return bad_value(p, "success is neither 1 nor 0", s, n);
    }
    return true;
}

static void small_number(const char *s, size_t n, int64_t max, int64_t *out)
{
    int64_t v;

    if (scan_number(s, n, max, &v)) {
        *out = v;
    }
}

static bool value(struct scan *p, struct zmap_row *row, enum zmap_field field, const char *s,
                  size_t n)
{
    struct sighting other = {0};
    int64_t v = -1;

    switch (field) {
    case Z_SADDR:
        row->has_addr = scan_address(s, n, &row->x);
        return row->has_addr || bad_value(p, "an address is expected", s, n);
    case Z_SPORT:
        row->has_port = scan_number(s, n, UINT16_MAX, &v);
        row->x.port = row->has_port ? (int32_t)v : -1;
        return row->has_port || n == 0 || bad_value(p, "a port is expected", s, n);
    case Z_CLASS:
        row->class = s;
        row->class_n = n;
        return true;
    case Z_SUCCESS:
        return success(p, row, s, n);
    case Z_TTL:
        small_number(s, n, UINT8_MAX, &v);
        row->x.ttl = (int32_t)v;
        return true;
    case Z_TIME:
        small_number(s, n, INT64_C(1) << 40, &row->x.time_s);
        return true;
    case Z_TIME_STR:
        if (!(p->columns.has & 1u << Z_TIME)) {
            row->x.time_s = scan_time(s, n);
        }
        return true;
    case Z_RESPONDER:
        row->has_responder = n && scan_address(s, n, &other);
        memcpy(row->responder, other.addr, sizeof other.addr);
        return true;
    case Z_ICMP_TYPE:
        small_number(s, n, UINT8_MAX, &row->icmp_type);
        return true;
    case Z_ICMP_CODE:
        small_number(s, n, UINT8_MAX, &row->icmp_code);
        return true;
    default:
        return true;
    }
}

static bool row_line(struct scan *p, const char *s, size_t n)
{
    const struct zmap_columns *c = &p->columns;
    struct zmap_row row = zmap_row();
    const char *end = s + n;

    row.udp = c->has & 1u << Z_UDP;
    row.port_column = c->has & 1u << Z_SPORT;
    for (size_t i = 0;; i++) {
        const char *stop = value_end(s, end);
        const char *text = s;
        size_t len = (size_t)(stop - s);

        if (i == c->n) {
            scan_fail(p, ERR_TOOL, "a row has more than %zu columns", c->n);
            return false;
        }
        unquote(&text, &len);
        if (c->field[i] != Z_NONE && !value(p, &row, (enum zmap_field)c->field[i], text, len)) {
            return false;
        }
        if (stop == end) {
            if (i + 1 < c->n) {
                scan_fail(p, ERR_TOOL, "a row has %zu columns of %zu", i + 1, c->n);
                return false;
            }
            return zmap_add(p, &row);
        }
        s = stop + 1;
    }
}

/* --- rows of the usual kind --- */

/* The end of a value that is not looked at; NULL: it is quoted. */
static const char *pass(const char *s, const char *end)
{
    if (s < end && *s == '"') {
        return NULL;
    }
    while (s < end && *s != ',' && *s != '\n') {
        s++;
    }
    return s;
}

/* The class of a row is mostly that of the row before. */
static const char *fast_class(struct scan *p, const char *s, const char *end, struct zmap_row *row)
{
    const struct zmap_class *last = &p->class;

    if ((size_t)(end - s) > sizeof last->text && last->n && memcmp(s, last->text, last->n) == 0 &&
        (s[last->n] == ',' || s[last->n] == '\n')) {
        row->known = last;
        return s + last->n;
    }
    row->class = s;
    s = pass(s, end);
    if (!s || !zmap_class(p, row->class, (size_t)(s - row->class))) {
        return NULL;
    }
    row->known = last;
    return s;
}

static const char *fast_value(struct scan *p, struct zmap_row *row, enum zmap_field field,
                              const char *s, const char *end)
{
    int64_t v = -1;

    switch (field) {
    case Z_SADDR:
        row->has_addr = true;
        return scan_ipv4(s, end, row->x.addr);
    case Z_SPORT:
        s = scan_digits(s, end, UINT16_MAX, &v);
        row->has_port = true;
        row->x.port = (int32_t)v;
        return s;
    case Z_CLASS:
        return fast_class(p, s, end, row);
    case Z_SUCCESS:
        row->success = s < end ? *s - '0' : -1;
        return row->success == 0 || row->success == 1 ? s + 1 : NULL;
    case Z_TTL:
        s = scan_digits(s, end, UINT8_MAX, &v);
        row->x.ttl = (int32_t)v;
        return s;
    case Z_TIME:
        return scan_digits(s, end, INT64_C(1) << 40, &row->x.time_s);
    case Z_NONE:
    case Z_UDP:
        return pass(s, end);
    case Z_TIME_STR:
        return p->columns.has & 1u << Z_TIME ? pass(s, end) : NULL;
    default: /* of ICMP: empty in a row of the usual kind */
        return s;
    }
}

/*
 * Reads a row of an open or closed port in one go; returns what follows its line end. NULL: it is
 * something else, or not whole.
 */
static const char *fast_row(struct scan *p, const char *s, const char *end)
{
    const struct zmap_columns *c = &p->columns;
    struct zmap_row row;

    row.x.v6 = row.x.answered = false;
    row.x.ttl = row.x.port = -1;
    row.x.time_s = 0;
    row.x.reason = 0;
    row.known = NULL;
    row.has_addr = row.has_port = row.has_responder = false;
    row.class_n = 0;
    row.success = -1;
    row.udp = c->has & 1u << Z_UDP;
    row.port_column = c->has & 1u << Z_SPORT;
    for (size_t i = 0; i < c->n; i++) {
        s = fast_value(p, &row, (enum zmap_field)c->field[i], s, end);
        if (!s || s == end || *s != (i + 1 < c->n ? ',' : '\n')) {
            return NULL;
        }
        s++;
    }
    return zmap_add(p, &row) ? s : NULL;
}

static bool any_line(struct scan *p, const char *s, size_t n)
{
    if (p->columns.field) {
        return row_line(p, s, n);
    }
    if (is_header(s, n)) {
        return read_header(p, s, n);
    }
    return bare_columns(p, s, n) && row_line(p, s, n);
}

static size_t take(struct scan *p, const char *s, size_t n)
{
    size_t at = 0;

    while (at < n && !p->code) {
        const char *text = s + at;
        const char *next = p->seen == 0 && p->columns.has ? fast_row(p, text, s + n) : NULL;
        size_t len = next ? (size_t)(next - text) : 0;
        size_t text_n;

        if (len) {
            p->lines++;
            at += len;
            continue;
        }
        text_n = len = p->code ? 0 : scan_line(p, text, n - at);
        if (!len) {
            break;
        }
        scan_trim(&text, &text_n);
        if (text_n && !any_line(p, text, text_n)) {
            break;
        }
        p->lines++;
        at += len;
    }
    return at;
}

const struct scan_form zmap_csv = {.name = "csv", .take = take};
