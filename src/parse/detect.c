/*
 * The first bytes tell what a file is: marks that only one tool writes, then the names of members
 * and columns. What is refused is refused by name, with what would do instead.
 */
#include "parse/detect.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "parse/scan.h"

static const struct {
    const char *parser; /* NULL: none reads it */
    const char *text;
} kinds[] = {
    [IS_EMPTY] = {NULL, "it is empty; say whose output it is (a run of masscan or zmap that found "
                        "nothing writes nothing)"},
    [IS_NMAP_XML] = {"nmap", "it is nmap's XML"},
    [IS_NMAP_TEXT] = {NULL, "it is nmap's text for people or for grep, which lacks half of the "
                            "result; have nmap write XML (-oX FILE)"},
    [IS_MASSCAN_JSON] = {"masscan", "it is masscan's JSON"},
    [IS_MASSCAN_LIST] = {"masscan", "it is masscan's list"},
    [IS_MASSCAN_GREPABLE] = {"masscan", "it is masscan's grepable output"},
    [IS_MASSCAN_XML] = {"masscan", "it is masscan's XML"},
    [IS_MASSCAN_BINARY] = {NULL, "it is masscan's binary output (-oB); turn it into JSON with "
                                 "'masscan --readscan FILE -oJ FILE.json'"},
    [IS_MASSCAN_CONF] = {NULL, "it is masscan's paused.conf, from which it resumes, and holds no "
                               "results; those are in the file of its output-filename"},
    [IS_ZMAP_CSV] = {"zmap", "it is zmap's list"},
    [IS_ZMAP_JSON] = {"zmap", "it is zmap's JSON"},
    [IS_ZMAP_STATUS] = {NULL, "it is zmap's status file (-u), which counts packets and holds no "
                              "results; those are in its output file (-o)"},
    [IS_ZMAP_METADATA] = {NULL, "it is zmap's metadata file (-m), which describes the run and "
                                "holds no results; those are in its output file (-o)"},
    [IS_SARIF] = {"sarif", "it is SARIF"},
    [IS_JSON] = {NULL,
                 "it is JSON, but not of masscan (\"ip\" with \"ports\"), zmap (\"saddr\") or "
                 "SARIF (\"runs\")"},
    [IS_XML] = {NULL, "it is XML, but not of nmap or masscan (no nmaprun)"},
    [IS_HTML] = {NULL, "it is a web page; save the file itself"},
    [IS_UTF16] = {NULL, "it is UTF-16; save it as UTF-8"},
    [IS_PACKED] = {NULL, "it is compressed; unpack it first"},
    [IS_BINARY] = {NULL, "it is binary"},
    [IS_TEXT] = {NULL, "it is text that is neither nmap's XML, nor a form of masscan's or zmap's"},
};

const char *detect_text(enum detected kind)
{
    return kinds[kind].text;
}

/* The first bytes, without what may stand before. */
struct head {
    const char *s, *end;
};

static bool begins(const struct head *h, const char *with)
{
    size_t n = strlen(with);

    return (size_t)(h->end - h->s) >= n && strncasecmp(h->s, with, n) == 0;
}

static bool holds(const struct head *h, const char *what)
{
    return memmem(h->s, (size_t)(h->end - h->s), what, strlen(what)) != NULL;
}

static bool is_packed(const char *s, size_t n)
{
    static const struct {
        const char *mark;
        size_t n;
    } marks[] = {{"\x1f\x8b", 2}, {"\x28\xb5\x2f\xfd", 4}, {"PK\x03\x04", 4},
                 {"BZh", 3},      {"\xfd\x37zXZ", 5},      {"7z\xbc\xaf", 4}};

    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        if (n >= marks[i].n && memcmp(s, marks[i].mark, marks[i].n) == 0) {
            return true;
        }
    }
    return false;
}

static enum detected xml(const struct head *h)
{
    if (begins(h, "<html") || begins(h, "<!doctype html")) {
        return IS_HTML;
    }
    if (!holds(h, "<nmaprun")) {
        return IS_XML;
    }
    return holds(h, "scanner=\"masscan\"") ? IS_MASSCAN_XML : IS_NMAP_XML;
}

/* The schema's name, or the list of runs with what is in each. */
static bool is_sarif(const struct head *h)
{
    return (holds(h, "\"$schema\"") && holds(h, "sarif")) ||
           (holds(h, "\"runs\"") &&
            (holds(h, "\"version\"") || holds(h, "\"tool\"") || holds(h, "\"results\"")));
}

static enum detected json(const struct head *h)
{
    if (is_sarif(h)) {
        return IS_SARIF;
    }
    if (holds(h, "\"saddr\"")) {
        return IS_ZMAP_JSON;
    }
    if (holds(h, "\"ip\"") || holds(h, "{finished")) {
        return IS_MASSCAN_JSON;
    }
    return holds(h, "\"local_hostname\"") || holds(h, "\"local-hostname\"") ||
                   holds(h, "\"packets_sent\"") || holds(h, "\"packets-sent\"")
               ? IS_ZMAP_METADATA
               : IS_JSON;
}

/* "[" and nothing else yet. */
static bool is_open_list(const struct head *h)
{
    for (const char *s = h->s + 1; s < h->end; s++) {
        if (*s != ' ' && *s != '\r' && *s != '\n' && *s != ']') {
            return false;
        }
    }
    return *h->s == '[';
}

static enum detected comment(const struct head *h)
{
    struct head line = *h;

    while (line.s < line.end && (*line.s == '#' || *line.s == ' ')) {
        line.s++;
    }
    if (begins(&line, "masscan ")) {
        return IS_MASSCAN_GREPABLE;
    }
    if (begins(&line, "masscan")) {
        return IS_MASSCAN_LIST;
    }
    if (begins(&line, "nmap ")) {
        return IS_NMAP_TEXT;
    }
    return holds(h, "resume-index") ? IS_MASSCAN_CONF : IS_TEXT;
}

static bool is_masscan_line(const struct head *h)
{
    return begins(h, "open tcp ") || begins(h, "open udp ") || begins(h, "open sctp ") ||
           begins(h, "open icmp ") || begins(h, "closed tcp ") || begins(h, "closed udp ") ||
           begins(h, "banner tcp ") || begins(h, "banner udp ") || begins(h, "up arp ");
}

/* An address, or a header that names where it is. */
static bool is_zmap_line(const struct head *h)
{
    const char *nl = memchr(h->s, '\n', (size_t)(h->end - h->s));
    const char *end = nl ? nl : h->end;
    const char *comma = memchr(h->s, ',', (size_t)(end - h->s));
    struct sighting x;

    for (const char *s = h->s; s < end;) {
        const char *stop = memchr(s, ',', (size_t)(end - s));
        const char *word = s;
        size_t n = (size_t)((stop ? stop : end) - s);

        scan_trim(&word, &n);
        if (zmap_field(word, n) == Z_SADDR) {
            return true;
        }
        s = stop ? stop + 1 : end;
    }
    if (comma) {
        end = comma;
    }
    while (end > h->s && (end[-1] == '\r' || end[-1] == ' ')) {
        end--;
    }
    return scan_address(h->s, (size_t)(end - h->s), &x);
}

static enum detected text(const struct head *h)
{
    if (is_masscan_line(h)) {
        return IS_MASSCAN_LIST;
    }
    if (begins(h, "Timestamp: ") || (begins(h, "Host: ") && holds(h, "\tTimestamp: "))) {
        return IS_MASSCAN_GREPABLE;
    }
    if (begins(h, "real-time,") || begins(h, "real_time,")) {
        return IS_ZMAP_STATUS;
    }
    if (begins(h, "Starting Nmap ") || begins(h, "Nmap scan report") || begins(h, "Host: ")) {
        return IS_NMAP_TEXT;
    }
    if (holds(h, "resume-index =") || begins(h, "rate =") || begins(h, "seed =")) {
        return IS_MASSCAN_CONF;
    }
    return is_zmap_line(h) ? IS_ZMAP_CSV : IS_TEXT;
}

enum detected detect(const char *s, size_t n)
{
    struct head h = {s, s + n};

    if (n >= 2 && (memcmp(s, "\xff\xfe", 2) == 0 || memcmp(s, "\xfe\xff", 2) == 0)) {
        return IS_UTF16;
    }
    if (is_packed(s, n)) {
        return IS_PACKED;
    }
    if (begins(&h, "masscan/1.")) {
        return IS_MASSCAN_BINARY;
    }
    if (begins(&h, "\xef\xbb\xbf")) {
        h.s += 3;
    }
    while (h.s < h.end && (*h.s == ' ' || *h.s == '\t' || *h.s == '\r' || *h.s == '\n')) {
        h.s++;
    }
    if (h.s == h.end) {
        return IS_EMPTY;
    }
    switch (*h.s) {
    case '<':
        return xml(&h);
    case '{':
        return json(&h);
    case '[':
        return is_open_list(&h) ? IS_MASSCAN_JSON : json(&h);
    case '#':
        return comment(&h);
    default:
        return memchr(h.s, '\0', (size_t)(h.end - h.s)) ? IS_BINARY : text(&h);
    }
}

const char *parse_detect(const char *head, size_t n, const char **why)
{
    enum detected kind = detect(head, n < SCAN_HEAD ? n : SCAN_HEAD);

    if (!kinds[kind].parser && why) {
        *why = kinds[kind].text;
    }
    return kinds[kind].parser;
}
