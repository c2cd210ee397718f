/*
 * What must hold of a report whatever the scanner said, for the tests and the fuzz target. Each
 * returns NULL, or what is wrong.
 */
#pragma once

#include <expat.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

/* Only what the format itself writes may be a control byte. */
static inline const char *wrong_bytes(const char *text, size_t n, const char *allowed)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];

        if ((c < 0x20 && !(c && strchr(allowed, c))) || c == 0x7f) {
            return "a control byte";
        }
    }
    return utf8_valid(text, n) ? NULL : "bytes that are not UTF-8";
}

/* Nothing that turns text around or hides it. */
static inline const char *wrong_codes(const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t k = utf8_len(text + i, n - i);
        struct buf seen = {0};
        bool same;

        if (k > 1) {
            buf_add_escaped(&seen, text + i, k);
            same = seen.len == k && memcmp(seen.data, text + i, k) == 0;
            buf_done(&seen);
            if (!same) {
                return "a character that cannot be seen";
            }
        }
        i += k ? k : 1;
    }
    return NULL;
}

static inline const char *wrong_xml(const char *text, size_t n)
{
    XML_Parser p = XML_ParserCreate(NULL);
    enum XML_Status ok = XML_Parse(p, text, (int)n, 1);

    XML_ParserFree(p);
    return ok == XML_STATUS_OK ? wrong_codes(text, n) : "not well-formed XML";
}

static inline bool html_tag_known(const char *s, size_t n)
{
    static const char *const tags[] = {
        "html", "head",    "meta",    "title", "style", "body", "header", "h1",      "h2",  "h3",
        "dl",   "dt",      "dd",      "nav",   "a",     "main", "p",      "section", "ul",  "li",
        "pre",  "table",   "caption", "thead", "tbody", "tr",   "th",     "td",      "svg", "text",
        "rect", "details", "summary", "br",    "small", "span", "mark",   "!DOCTYPE"};

    for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
        if (strlen(tags[i]) == n && memcmp(tags[i], s, n) == 0) {
            return true;
        }
    }
    return false;
}

/* Every < begins an element of ours, every & a reference, and nothing is loaded or run. */
static inline const char *wrong_html(const char *text, size_t n)
{
    const char *end = text + n;

    for (const char *s = text; s < end; s++) {
        if (*s == '<') {
            const char *name = s + 1 + (s[1] == '/');
            size_t k = strcspn(name, " >\n");
            const char *close = memchr(s, '>', (size_t)(end - s));

            if (!html_tag_known(name, k) || !close || memchr(s + 1, '<', (size_t)(close - s))) {
                return "an element that is not ours";
            }
            s = close;
        } else if (*s == '&' && strncmp(s, "&lt;", 4) != 0 && strncmp(s, "&gt;", 4) != 0 &&
                   strncmp(s, "&amp;", 5) != 0 && strncmp(s, "&quot;", 6) != 0 &&
                   strncmp(s, "&#39;", 5) != 0 && strncmp(s, "&middot;", 8) != 0) {
            return "a reference that is not ours";
        }
    }
    return wrong_codes(text, n);
}

/* RFC 4180, the same number of fields in each line, and no field that is a formula. */
static inline const char *wrong_csv(const char *text, size_t n)
{
    size_t fields = 0;
    size_t first = 0;

    for (size_t i = 0; i < n;) {
        bool quoted = text[i] == '"';
        size_t begin = i += quoted;

        while (i < n && (quoted ? text[i] != '"' || text[i + 1] == '"' : !strchr(",\r", text[i]))) {
            if (!quoted && text[i] == '"') {
                return "a quote inside a field";
            }
            i += quoted && text[i] == '"' ? 2 : 1;
        }
        begin += strspn(text + begin, " ");
        if (begin < i && strchr("=+-@\t\r", text[begin])) {
            return "a formula";
        }
        i += quoted;
        fields++;
        if (text[i] == ',') {
            i++;
            continue;
        }
        if (text[i] != '\r' || text[i + 1] != '\n') {
            return "a line that does not end";
        }
        i += 2;
        first = first ? first : fields;
        if (fields != first) {
            return "lines of different length";
        }
        fields = 0;
    }
    return fields ? "a last line that does not end" : wrong_codes(text, n);
}

static inline const char *wrong_ndjson(const char *text, size_t n)
{
    for (const char *s = text; s < text + n;) {
        size_t k = strcspn(s, "\n");
        json_t *v = json_loadb(s, k, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);

        if (!v || s[k] != '\n') {
            json_decref(v);
            return "a line that is no JSON";
        }
        json_decref(v);
        s += k + 1;
    }
    return NULL;
}

/* Lines that begin as ours do; ports without a divider too many. */
static inline const char *wrong_grepable(const char *text, size_t n)
{
    for (const char *s = text; s < text + n; s += strcspn(s, "\n") + 1) {
        if (strncmp(s, "# ", 2) != 0 && strncmp(s, "Host: ", 6) != 0) {
            return "a line that is not ours";
        }
    }
    return wrong_codes(text, n);
}

/* Every line that is not ours by its first bytes is in a code block or a span. */
static inline const char *wrong_markdown(const char *text, size_t n)
{
    static const char *const begins[] = {"# ",    "## ",          "### ",    "- ",
                                         "| ",    "Port ",        "Script ", "From line ",
                                         "None.", "The scan was", "    ",    ""};

    for (const char *s = text; s < text + n;) {
        size_t k = strcspn(s, "\n");
        size_t ticks = 0;
        bool ours = k == 0 || (s[0] >= '0' && s[0] <= '9');

        for (size_t i = 0; begins[i][0]; i++) {
            ours = ours || strncmp(s, begins[i], strlen(begins[i])) == 0;
        }
        for (size_t i = 0; i < k && strncmp(s, "    ", 4) != 0; i++) {
            ticks += s[i] == '`';
        }
        if (!ours || ticks % 2) {
            return "a line that is not ours";
        }
        s += k + 1;
    }
    return wrong_codes(text, n);
}

static inline const char *report_wrong(const char *format, const char *text, size_t n)
{
    static const struct {
        const char *format, *controls;
        const char *(*check)(const char *text, size_t n);
    } rows[] = {{"nmap-xml", "\n", wrong_xml},        {"html", "\n\t", wrong_html},
                {"csv", "\r\n", wrong_csv},           {"ndjson", "\n", wrong_ndjson},
                {"grepable", "\n\t", wrong_grepable}, {"markdown", "\n", wrong_markdown}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].format, format) == 0) {
            const char *why = wrong_bytes(text, n, rows[i].controls);

            return why ? why : rows[i].check(text, n);
        }
    }
    return "a format that nobody checks";
}
