#include "report/escape.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

/* Escaped text is short-lived and mostly plain: find the plain run, copy it in one piece. */
static size_t plain_run(const char *s, size_t n, const char *special)
{
    size_t i = 0;

    while (i < n) {
        unsigned char c = (unsigned char)s[i];

        if (c < 0x20 || c >= 0x7f || (special[0] && strchr(special, c))) {
            break;
        }
        i++;
    }
    return i;
}

/* The character at s as a terminal may see it; returns its length. */
static size_t add_visible(struct buf *b, const char *s, size_t n)
{
    size_t k = utf8_len(s, n);

    k = k ? k : 1;
    buf_add_escaped(b, s, k);
    return k;
}

/* ---- XML ---- */

static const char *entity(char c)
{
    switch (c) {
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

/* XML 1.0 production Char, and not what only looks like nothing. */
static size_t xml_add_special(struct buf *b, const char *s, size_t n)
{
    size_t k = utf8_len(s, n);
    uint32_t c = k ? utf8_code(s, k) : 0;
    auto_buf seen = {0};

    if (k == 0 || c == 0xfffe || c == 0xffff || (c < 0x20 && c != '\t' && c != '\n' && c != '\r')) {
        k = k ? k : 1;
        for (size_t i = 0; i < k; i++) {
            buf_addf(b, "\\x%02X", (unsigned char)s[i]);
        }
        return k;
    }
    if (c < 0x80) {
        buf_addf(b, "&#x%" PRIx32 ";", c);
        return k;
    }
    buf_add_escaped(&seen, s, k);
    if (seen.len == k && memcmp(seen.data, s, k) == 0) {
        buf_add(b, s, k);
    } else {
        buf_addf(b, "&#x%" PRIx32 ";", c);
    }
    return k;
}

void xml_add(struct buf *b, const char *s, size_t n)
{
    while (n) {
        size_t k = plain_run(s, n, "<>&\"'");

        if (k) {
            buf_add(b, s, k);
        } else if (entity(*s)) {
            buf_adds(b, entity(*s));
            k = 1;
        } else {
            k = xml_add_special(b, s, n);
        }
        s += k;
        n -= k;
    }
}

void xml_attr(struct buf *b, const char *name, const char *value)
{
    if (value) {
        buf_addc(b, ' ');
        buf_adds(b, name);
        buf_add(b, "=\"", 2);
        xml_add(b, value, strlen(value));
        buf_addc(b, '"');
    }
}

/* ---- HTML ---- */

static void html_text(struct buf *b, const char *s, size_t n, bool lines)
{
    while (n) {
        size_t k = plain_run(s, n, "<>&\"'");

        if (k) {
            buf_add(b, s, k);
        } else if (entity(*s)) {
            buf_adds(b, entity(*s));
            k = 1;
        } else if (lines && (*s == '\n' || *s == '\t')) {
            buf_addc(b, *s);
            k = 1;
        } else {
            k = add_visible(b, s, n);
        }
        s += k;
        n -= k;
    }
}

void html_add(struct buf *b, const char *s)
{
    if (s) {
        html_text(b, s, strlen(s), false);
    }
}

void html_add_lines(struct buf *b, const char *s, size_t n)
{
    html_text(b, s, n, true);
}

/* ---- CSV ---- */

/* Spreadsheets skip spaces before a formula, and take the wide forms of the signs as well. */
static bool formula_begins(const char *s, size_t n)
{
    static const char *const wide[] = {"\xef\xbc\x9d", "\xef\xbc\x8b", "\xef\xbc\x8d",
                                       "\xef\xbc\xa0"};

    while (n && *s == ' ') {
        s++;
        n--;
    }
    if (n == 0) {
        return false;
    }
    if (*s && strchr("=+-@\t\r", *s)) {
        return true;
    }
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        if (n >= 3 && memcmp(s, wide[i], 3) == 0) {
            return true;
        }
    }
    return false;
}

/* Also the separators of other tables: a field stays one field wherever the file is opened. */
static bool needs_quotes(const char *s, size_t n)
{
    return plain_run(s, n, ",;|\"' ") < n;
}

void csv_add(struct buf *b, const char *s, size_t n)
{
    bool quoted = needs_quotes(s, n) || formula_begins(s, n);

    if (quoted) {
        buf_addc(b, '"');
    }
    if (formula_begins(s, n)) {
        buf_addc(b, '\'');
    }
    while (n) {
        size_t k = plain_run(s, n, "\"");

        if (k) {
            buf_add(b, s, k);
        } else if (*s == '"') {
            buf_add(b, "\"\"", 2);
            k = 1;
        } else {
            k = add_visible(b, s, n);
        }
        s += k;
        n -= k;
    }
    if (quoted) {
        buf_addc(b, '"');
    }
}

/* ---- Markdown ---- */

/* Nothing is active inside a code span but its end and, in a table, the end of the cell. */
void markdown_add(struct buf *b, const char *s)
{
    size_t n = s ? strlen(s) : 0;

    if (n == 0) {
        return;
    }
    buf_addc(b, '`');
    while (n) {
        size_t k = plain_run(s, n, "`|");

        if (k) {
            buf_add(b, s, k);
        } else if (*s == '`' || *s == '|') {
            buf_addf(b, "\\x%02x", (unsigned)*s);
            k = 1;
        } else {
            k = add_visible(b, s, n);
        }
        s += k;
        n -= k;
    }
    buf_addc(b, '`');
}

void markdown_add_lines(struct buf *b, const char *s, size_t n)
{
    while (n && *s == '\n') { /* an empty line would end the block before it began */
        s++;
        n--;
    }
    buf_adds(b, "    ");
    while (n) {
        size_t k = plain_run(s, n, "");

        if (k) {
            buf_add(b, s, k);
        } else if (*s == '\n') {
            buf_adds(b, "\n    ");
            k = 1;
        } else {
            k = add_visible(b, s, n);
        }
        s += k;
        n -= k;
    }
    buf_addc(b, '\n');
}

/* ---- grepable ---- */

void grepable_add(struct buf *b, const char *s)
{
    size_t n = s ? strlen(s) : 0;

    while (n) {
        size_t k = plain_run(s, n, "/");

        if (k) {
            buf_add(b, s, k);
        } else if (*s == '/') {
            buf_addc(b, '|'); /* as nmap does */
            k = 1;
        } else {
            k = add_visible(b, s, n);
        }
        s += k;
        n -= k;
    }
}
