/*
 * masscan's forms of lines: the list (-oL)
 *     open tcp 80 10.0.0.1 1795299574
 *     banner tcp 22 10.0.0.1 1795299760 ssh SSH-2.0-OpenSSH_7.4
 * and the grepable one (-oG), tabs between the parts:
 *     Timestamp: 1795299594  Host: 10.0.0.1 ()  Ports: 80/open/tcp//http//
 *     Timestamp: 1795299594  Host: 10.0.0.1 ()  Port: 22  Service: ssh  Banner: SSH-2.0-...
 * The service after a port is only what its number usually means, and is left alone. Both are
 * closed by a comment; a file that was begun and not closed is cut.
 */
#include <string.h>

#include "base/buf.h"
#include "parse/scan.h"

/* A word, and spaces behind it; false: there is none. */
static bool next_word(const char **s, size_t *n, const char **word, size_t *len)
{
    const char *space = memchr(*s, ' ', *n);

    *word = *s;
    *len = space ? (size_t)(space - *s) : *n;
    *s += *len;
    *n -= *len;
    if (*n) {
        ++*s;
        --*n;
    }
    return *len > 0;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* masscan wrote \xNN for what is not plain; a backslash too. */
void masscan_unescape(struct buf *b, const char *s, size_t n)
{
    buf_reset(b);
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '\\' && n - i >= 4 && s[i + 1] == 'x' && hex_digit(s[i + 2]) >= 0 &&
            hex_digit(s[i + 3]) >= 0) {
            buf_addc(b, (char)(hex_digit(s[i + 2]) << 4 | hex_digit(s[i + 3])));
            i += 3;
        } else {
            buf_addc(b, s[i]);
        }
    }
}

static bool malformed(struct scan *p, const char *line, size_t n)
{
    scan_fail(p, ERR_TOOL, "not a line of masscan's: '%s'", scan_quote(p, line, n));
    return false;
}

static bool add_banner(struct scan *p, struct sighting *x, const char *banner, size_t n)
{
    masscan_unescape(&p->banner, banner, n);
    x->state = FINDING_BANNER;
    x->banner = p->banner.data ? p->banner.data : "";
    x->banner_n = p->banner.len;
    return masscan_add(p, x);
}

/* "# end", "#end" */
static bool is_comment(const char *s, size_t n, const char *word)
{
    size_t len = strlen(word);

    if (n && *s == '#') {
        s++;
        n--;
    }
    scan_trim(&s, &n);
    return n >= len && memcmp(s, word, len) == 0;
}

/* --- list --- */

static bool list_line(struct scan *p, const char *line, size_t line_n)
{
    struct sighting x = scan_finding();
    const char *s = line;
    const char *state, *word;
    size_t n = line_n;
    size_t state_n, len;
    bool banner;
    int64_t v;

    if (*s == '#') {
        p->unfinished = is_comment(s, n, "masscan") ? true
                        : is_comment(s, n, "end")   ? false
                                                    : p->unfinished;
        return true;
    }
    next_word(&s, &n, &state, &state_n);
    banner = scan_is(state, state_n, "banner");
    if ((!banner && !masscan_status(state, state_n, &x)) || !next_word(&s, &n, &word, &len) ||
        !masscan_proto(word, len, &x) || !next_word(&s, &n, &word, &len) ||
        !scan_number(word, len, UINT16_MAX, &v) || !next_word(&s, &n, &word, &len) ||
        !scan_address(word, len, &x) || !next_word(&s, &n, &word, &len) ||
        !scan_number(word, len, INT64_C(1) << 40, &x.time_s)) {
        return malformed(p, line, line_n);
    }
    x.port = (int32_t)v;
    if (!banner) {
        return n == 0 ? masscan_add(p, &x) : malformed(p, line, line_n);
    }
    next_word(&s, &n, &x.name, &x.name_n);
    return add_banner(p, &x, s, n);
}

/* --- grepable --- */

static bool starts(const char *s, size_t n, const char *with, size_t *len)
{
    *len = strlen(with);
    return n >= *len && memcmp(s, with, *len) == 0;
}

/* 80/open/tcp//http// */
static bool grepable_port(struct sighting *x, const char *s, size_t n)
{
    const char *end = s + n;
    const char *slash;
    int64_t v;

    s = scan_digits(s, end, UINT16_MAX, &v);
    if (!s || s == end || *s++ != '/') {
        return false;
    }
    x->port = (int32_t)v;
    slash = memchr(s, '/', (size_t)(end - s));
    if (!slash || !masscan_status(s, (size_t)(slash - s), x)) {
        return false;
    }
    s = slash + 1;
    slash = memchr(s, '/', (size_t)(end - s));
    return slash && masscan_proto(s, (size_t)(slash - s), x);
}

struct grepable {
    struct sighting x;
    bool host, ports;
    const char *banner; /* NULL: none */
    size_t banner_n;
};

/* "Host: 10.0.0.1 ()" and the like; what is unknown is of a later version. */
static bool grepable_part(struct grepable *g, const char *s, size_t n)
{
    const char *space;
    int64_t v;
    size_t k;

    if (starts(s, n, "Timestamp: ", &k)) {
        return scan_number(s + k, n - k, INT64_C(1) << 40, &g->x.time_s);
    }
    if (starts(s, n, "Host: ", &k)) {
        space = memchr(s + k, ' ', n - k);
        g->host = scan_address(s + k, space ? (size_t)(space - s) - k : n - k, &g->x);
        return g->host;
    }
    if (starts(s, n, "Ports: ", &k)) {
        g->ports = grepable_port(&g->x, s + k, n - k);
        return g->ports;
    }
    if (starts(s, n, "Port: ", &k)) {
        if (!scan_number(s + k, n - k, UINT16_MAX, &v)) {
            return false;
        }
        g->x.port = (int32_t)v;
        return true;
    }
    if (starts(s, n, "Service: ", &k)) {
        g->x.name = s + k;
        g->x.name_n = n - k;
    } else if (starts(s, n, "Banner: ", &k)) {
        g->banner = s + k;
        g->banner_n = n - k;
    }
    return true;
}

/* # Masscan 1.3.2 scan initiated ... */
static void read_version(struct scan *p, const char *s, size_t n)
{
    size_t k = 0;
    size_t at = 10;

    while (at < n && k < sizeof p->version - 1 &&
           ((s[at] >= '0' && s[at] <= '9') || s[at] == '.')) {
        p->version[k++] = s[at++];
    }
    p->version[k] = '\0';
}

static bool grepable_line(struct scan *p, const char *line, size_t line_n)
{
    struct grepable g = {.x = scan_finding()};
    const char *s = line;
    size_t n = line_n;

    if (*s == '#') {
        if (is_comment(s, n, "Masscan done")) {
            p->unfinished = false;
        } else if (is_comment(s, n, "Masscan ")) {
            p->unfinished = true;
            read_version(p, s, n);
        }
        return true;
    }
    while (n) {
        const char *tab = memchr(s, '\t', n);
        size_t len = tab ? (size_t)(tab - s) : n;

        if (!grepable_part(&g, s, len)) {
            return malformed(p, line, line_n);
        }
        s += len + (tab ? 1 : 0);
        n -= len + (tab ? 1 : 0);
    }
    if (g.host && g.banner && g.x.port >= 0) {
        return add_banner(p, &g.x, g.banner, g.banner_n);
    }
    return g.host && g.ports ? masscan_add(p, &g.x) : malformed(p, line, line_n);
}

/* --- both --- */

static size_t take_lines(struct scan *p, const char *s, size_t n,
                         bool (*line)(struct scan *p, const char *s, size_t n))
{
    size_t at = 0;
    size_t len;

    while (at < n && (len = scan_line(p, s + at, n - at))) {
        const char *text = s + at;
        size_t text_n = len;

        scan_trim(&text, &text_n);
        if (text_n && !line(p, text, text_n)) {
            break;
        }
        p->lines++;
        at += len;
    }
    return at;
}

static size_t take_list(struct scan *p, const char *s, size_t n)
{
    return take_lines(p, s, n, list_line);
}

static size_t take_grepable(struct scan *p, const char *s, size_t n)
{
    return take_lines(p, s, n, grepable_line);
}

/* Only a closing comment needs no line end. */
static void end_lines(struct scan *p, const char *rest, size_t n,
                      bool (*line)(struct scan *p, const char *s, size_t n))
{
    scan_trim(&rest, &n);
    if (n && *rest == '#') {
        p->unfinished = true;
        line(p, rest, n);
    } else if (n) {
        scan_fail(p, ERR_TOOL, "the input ends inside a line");
    }
    if (p->unfinished) {
        scan_fail(p, ERR_TOOL, "the input ends before its closing comment");
    }
}

static void end_list(struct scan *p, const char *rest, size_t n)
{
    end_lines(p, rest, n, list_line);
}

static void end_grepable(struct scan *p, const char *rest, size_t n)
{
    end_lines(p, rest, n, grepable_line);
}

const struct scan_form masscan_list = {.name = "list", .take = take_list, .end = end_list};
const struct scan_form masscan_grepable = {
    .name = "grepable", .take = take_grepable, .end = end_grepable};
