#include "http/http_parser.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

const char *const http_method_names[HTTP_METHODS] = {
    [HTTP_GET] = "GET",         [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",
    [HTTP_PUT] = "PUT",         [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE",
    [HTTP_OPTIONS] = "OPTIONS",
};

enum { TOKEN = 1, VALUE = 2, TARGET = 4, HOST = 8 };

#define ALNUM (TOKEN | VALUE | TARGET | HOST)
static const uint8_t class[256] = {
    ['\t'] = VALUE,
    [' '] = VALUE,
    ['"'] = VALUE | TARGET,
    ['#'] = TOKEN | VALUE, /* a fragment is the client's own and never sent */
    ['('] = VALUE | TARGET,
    [')'] = VALUE | TARGET,
    [','] = VALUE | TARGET,
    ['/'] = VALUE | TARGET,
    [':'] = VALUE | TARGET,
    [';'] = VALUE | TARGET,
    ['<'] = VALUE | TARGET,
    ['='] = VALUE | TARGET,
    ['>'] = VALUE | TARGET,
    ['?'] = VALUE | TARGET,
    ['@'] = VALUE | TARGET,
    ['['] = VALUE | TARGET,
    ['\\'] = VALUE | TARGET,
    [']'] = VALUE | TARGET,
    ['{'] = VALUE | TARGET,
    ['}'] = VALUE | TARGET,
    ['!'] = TOKEN | VALUE | TARGET,
    ['$'] = TOKEN | VALUE | TARGET,
    ['%'] = TOKEN | VALUE | TARGET,
    ['&'] = TOKEN | VALUE | TARGET,
    ['\''] = TOKEN | VALUE | TARGET,
    ['*'] = TOKEN | VALUE | TARGET,
    ['+'] = TOKEN | VALUE | TARGET,
    ['^'] = TOKEN | VALUE | TARGET,
    ['`'] = TOKEN | VALUE | TARGET,
    ['|'] = TOKEN | VALUE | TARGET,
    ['~'] = TOKEN | VALUE | TARGET,
    ['-'] = ALNUM,
    ['.'] = ALNUM,
    ['_'] = ALNUM,
    ['0' ... '9'] = ALNUM,
    ['A' ... 'Z'] = ALNUM,
    ['a' ... 'z'] = ALNUM,
    [0x80 ... 0xff] = VALUE,
};
#undef ALNUM

static size_t run_of(uint8_t mask, const char *p, size_t n)
{
    size_t i = 0;

    while (i < n && (class[(unsigned char)p[i]] & mask)) {
        i++;
    }
    return i;
}

bool http_is_token(const char *p, size_t n)
{
    return n > 0 && run_of(TOKEN, p, n) == n;
}

bool http_is_value(const char *p, size_t n)
{
    return run_of(VALUE, p, n) == n;
}

static bool port_valid(const char *p, size_t n)
{
    unsigned v = 0;

    if (n == 0 || n > 5) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return false;
        }
        v = v * 10 + (unsigned)(p[i] - '0');
    }
    return v > 0 && v <= 65535;
}

bool http_host_valid(const char *p, size_t n, size_t *name_len)
{
    size_t len;

    if (n && p[0] == '[') {
        const char *end = memchr(p, ']', n);
        char text[INET6_ADDRSTRLEN];
        struct in6_addr a;

        len = end ? (size_t)(end - p) + 1 : 0;
        if (len < 4 || len - 2 >= sizeof text) {
            return false;
        }
        memcpy(text, p + 1, len - 2);
        text[len - 2] = '\0';
        if (inet_pton(AF_INET6, text, &a) != 1) {
            return false;
        }
    } else {
        len = run_of(HOST, p, n);
        if (len == 0 || len > 253) {
            return false;
        }
    }
    if (len < n && (p[len] != ':' || !port_valid(p + len + 1, n - len - 1))) {
        return false;
    }
    *name_len = len;
    return true;
}

/* ---- head ---- */

enum { LINE_FIRST, LINE_SECOND, LINE_FIELD, HEAD_DONE, HEAD_BAD };

/* Names that decide something; most of them may come once only. */
enum {
    SEEN_HOST = 1,
    SEEN_LENGTH = 2,
    SEEN_CODING = 4,
    SEEN_CLOSE = 8,
    SEEN_KEEP = 16,
    SEEN_EXPECT = 32,
    SEEN_AUTH = 64,
    SEEN_KEY = 128,
    SEEN_IDEMPOTENCY = 256,
    SEEN_TYPE = 512,
    SEEN_COOKIE = 1024,
};

static int head_bad(struct http_head *h, int status, const char *why)
{
    h->state = HEAD_BAD;
    h->why = why;
    return status;
}

static struct http_span span(size_t at, size_t len)
{
    return (struct http_span){.at = (uint16_t)at, .len = (uint16_t)len};
}

static bool is(const char *p, size_t n, const char *word)
{
    return strlen(word) == n && strncasecmp(p, word, n) == 0;
}

static int version_parse(struct http_head *h, const char *p, size_t n)
{
    if (n != 8 || memcmp(p, "HTTP/", 5) != 0 || p[5] < '0' || p[5] > '9' || p[6] != '.' ||
        p[7] < '0' || p[7] > '9') {
        return head_bad(h, 400, "request line without protocol version");
    }
    if (p[5] != '1' || p[7] > '1') {
        return head_bad(h, 505, "protocol version not supported");
    }
    h->minor = (uint8_t)(p[7] - '0');
    return HTTP_DONE;
}

static int method_parse(struct http_head *h, const char *p, size_t n)
{
    for (unsigned m = 0; m < HTTP_METHODS; m++) {
        if (strlen(http_method_names[m]) == n && memcmp(p, http_method_names[m], n) == 0) {
            h->method = m;
            return HTTP_DONE;
        }
    }
    return head_bad(h, 501, "method not implemented");
}

/* Origin form, or absolute form that will have to agree with Host, or * for OPTIONS. */
static int target_parse(struct http_head *h, const char *p, size_t at, size_t n)
{
    size_t scheme = n > 7 && strncasecmp(p + at, "http://", 7) == 0    ? 7
                    : n > 8 && strncasecmp(p + at, "https://", 8) == 0 ? 8
                                                                       : 0;

    if (scheme) {
        const char *from = p + at + scheme;
        size_t rest = n - scheme;
        const char *slash = memchr(from, '/', rest);

        if (!slash || slash == from) {
            return head_bad(h, 400, "target without host or path");
        }
        h->authority = span(at + scheme, (size_t)(slash - from));
        h->target = span((size_t)(slash - p), rest - h->authority.len);
        return HTTP_DONE;
    }
    if (p[at] != '/' && !(n == 1 && p[at] == '*' && h->method == HTTP_OPTIONS)) {
        return head_bad(h, 400, "target is not a path");
    }
    h->target = span(at, n);
    return HTTP_DONE;
}

static int request_line(struct http_head *h, const char *p, size_t at, size_t n)
{
    const char *line = p + at;
    size_t m = run_of(TOKEN, line, n);
    size_t t;
    int rc;

    if (m == 0 || m == n || line[m] != ' ') {
        return head_bad(h, 400, "malformed request line");
    }
    t = run_of(TARGET, line + m + 1, n - m - 1);
    if (t == 0 || m + 1 + t == n || line[m + 1 + t] != ' ') {
        return head_bad(h, 400, "malformed request line");
    }
    rc = version_parse(h, line + m + t + 2, n - m - t - 2);
    if (rc == HTTP_DONE) {
        rc = method_parse(h, line, m);
    }
    if (rc == HTTP_DONE) {
        rc = target_parse(h, p, at + m + 1, t);
    }
    return rc;
}

static int length_parse(struct http_head *h, const char *v, size_t n)
{
    uint64_t len = 0;

    if (n == 0 || n > 15) {
        return head_bad(h, 400, "bad Content-Length");
    }
    for (size_t i = 0; i < n; i++) {
        if (v[i] < '0' || v[i] > '9') {
            return head_bad(h, 400, "bad Content-Length");
        }
        len = len * 10 + (uint64_t)(v[i] - '0');
    }
    h->content_length = len;
    return HTTP_DONE;
}

static void connection_parse(struct http_head *h, const char *v, size_t n)
{
    size_t i = 0;

    while (i < n) {
        size_t len = run_of(TOKEN, v + i, n - i);

        if (is(v + i, len, "close")) {
            h->seen |= SEEN_CLOSE;
        } else if (is(v + i, len, "keep-alive")) {
            h->seen |= SEEN_KEEP;
        }
        i += len ? len : 1;
    }
}

static int once(struct http_head *h, uint32_t bit, const char *why)
{
    if (h->seen & bit) {
        return head_bad(h, 400, why);
    }
    h->seen |= bit;
    return HTTP_DONE;
}

/* What the field decides, by the length of its name first. */
static int field_meaning(struct http_head *h, const char *p, const struct http_field *f)
{
    const char *name = p + f->name.at, *v = p + f->value.at;
    size_t n = f->name.len, vn = f->value.len, host;
    int rc = HTTP_DONE;

    if (n == 4 && is(name, n, "host")) {
        rc = once(h, SEEN_HOST, "repeated Host");
        if (rc == HTTP_DONE && !http_host_valid(v, vn, &host)) {
            rc = head_bad(h, 400, "bad Host");
        }
        h->host = f->value;
    } else if (n == 14 && is(name, n, "content-length")) {
        rc = once(h, SEEN_LENGTH, "repeated Content-Length");
        rc = rc == HTTP_DONE ? length_parse(h, v, vn) : rc;
    } else if (n == 17 && is(name, n, "transfer-encoding")) {
        rc = once(h, SEEN_CODING, "repeated Transfer-Encoding");
        if (rc == HTTP_DONE && !is(v, vn, "chunked")) {
            rc = head_bad(h, 400, "Transfer-Encoding other than chunked");
        }
    } else if (n == 10 && is(name, n, "connection")) {
        connection_parse(h, v, vn);
    } else if (n == 6 && is(name, n, "expect")) {
        rc = once(h, SEEN_EXPECT, "repeated Expect");
        if (rc == HTTP_DONE && !is(v, vn, "100-continue")) {
            rc = head_bad(h, 417, "only 100-continue can be expected");
        }
    } else if (n == 13 && is(name, n, "authorization")) {
        rc = once(h, SEEN_AUTH, "repeated Authorization");
    } else if (n == 9 && is(name, n, "x-api-key")) {
        rc = once(h, SEEN_KEY, "repeated X-API-Key");
    } else if (n == 15 && is(name, n, "idempotency-key")) {
        rc = once(h, SEEN_IDEMPOTENCY, "repeated Idempotency-Key");
    } else if (n == 12 && is(name, n, "content-type")) {
        rc = once(h, SEEN_TYPE, "repeated Content-Type");
    } else if (n == 6 && is(name, n, "cookie")) {
        rc = once(h, SEEN_COOKIE, "repeated Cookie");
    }
    return rc;
}

static int field_line(struct http_head *h, const char *p, size_t at, size_t n)
{
    const char *line = p + at;
    size_t name, from, to = n;
    struct http_field *f;

    if (h->n == HTTP_FIELDS_MAX) {
        return head_bad(h, 431, "too many header fields");
    }
    if (line[0] == ' ' || line[0] == '\t') {
        return head_bad(h, 400, "folded header line");
    }
    name = run_of(TOKEN, line, n);
    if (name == 0 || name == n || line[name] != ':') {
        return head_bad(h, 400, "malformed header name");
    }
    for (from = name + 1; from < to && (line[from] == ' ' || line[from] == '\t');) {
        from++;
    }
    while (to > from && (line[to - 1] == ' ' || line[to - 1] == '\t')) {
        to--;
    }
    if (!http_is_value(line + from, to - from)) {
        return head_bad(h, 400, "control character in a header value");
    }
    f = &h->f[h->n++];
    f->name = span(at, name);
    f->value = span(at + from, to - from);
    return field_meaning(h, p, f);
}

/* The empty line came: do the fields agree with each other? */
static int head_end(struct http_head *h, const char *p)
{
    if (h->minor == 1 && !(h->seen & SEEN_HOST)) {
        return head_bad(h, 400, "no Host");
    }
    if (h->seen & SEEN_CODING) {
        if (h->seen & SEEN_LENGTH) {
            return head_bad(h, 400, "Transfer-Encoding together with Content-Length");
        }
        if (h->minor == 0) {
            return head_bad(h, 400, "Transfer-Encoding in a request of version 1.0");
        }
        h->chunked = true;
    }
    if (h->authority.len && (h->authority.len != h->host.len ||
                             strncasecmp(p + h->authority.at, p + h->host.at, h->host.len) != 0)) {
        return head_bad(h, 400, "target and Host disagree");
    }
    h->close = (h->seen & SEEN_CLOSE) || (h->minor == 0 && !(h->seen & SEEN_KEEP));
    h->expect = (h->seen & SEEN_EXPECT) && h->minor == 1;
    h->state = HEAD_DONE;
    return HTTP_DONE;
}

/* One line of n bytes without its CRLF. HTTP_MORE: the next one, please. */
static int head_line(struct http_head *h, const char *p, size_t at, size_t n)
{
    int rc;

    if (h->state == LINE_FIELD) {
        if (n == 0) {
            return head_end(h, p);
        }
        rc = field_line(h, p, at, n);
        return rc == HTTP_DONE ? HTTP_MORE : rc;
    }
    if (n == 0 && h->state == LINE_FIRST) { /* one empty line before a request is forgiven */
        h->state = LINE_SECOND;
        return HTTP_MORE;
    }
    rc = request_line(h, p, at, n);
    if (rc != HTTP_DONE) {
        return rc;
    }
    h->state = LINE_FIELD;
    h->block = (uint32_t)(at + n + 2);
    return HTTP_MORE;
}

/* Is the line that begins at h->line and reaches to `end` at least (with its LF) too long? */
static int line_limit(struct http_head *h, size_t end)
{
    if (h->state == LINE_FIELD) {
        return end - h->block > HTTP_BLOCK_MAX ? head_bad(h, 431, "header block too large")
                                               : HTTP_DONE;
    }
    return end - h->line > HTTP_LINE_MAX + 2 ? head_bad(h, 414, "request line too long")
                                             : HTTP_DONE;
}

/* Speakers of other protocols need not end a line, and would wait for an answer in vain: what can
 * be in no request line is told as soon as it is there. */
static int line_bytes(struct http_head *h, const char *p, size_t end)
{
    const size_t last = MIN(end, h->line + HTTP_LINE_MAX + 2);

    for (size_t i = h->scan; h->state != LINE_FIELD && i < last; i++) {
        const unsigned char c = (unsigned char)p[i];

        if (!(class[c] & (TOKEN | TARGET)) && c != ' ' && c != '\r' && c != '\n') {
            return head_bad(h, 400, "malformed request line");
        }
    }
    return HTTP_DONE;
}

int http_head_parse(struct http_head *h, const char *p, size_t n)
{
    for (;;) {
        const char *lf = n > h->scan ? memchr(p + h->scan, '\n', n - h->scan) : NULL;
        size_t end = lf ? (size_t)(lf - p) + 1 : n;
        size_t at = h->line;
        int rc = line_bytes(h, p, end);

        if (rc == HTTP_DONE) {
            rc = line_limit(h, end);
        }
        if (rc != HTTP_DONE) {
            return rc;
        }
        if (!lf) {
            h->scan = (uint32_t)n;
            return HTTP_MORE;
        }
        if (end - at < 2 || p[end - 2] != '\r') {
            return head_bad(h, 400, "line ends in a bare LF");
        }
        h->line = h->scan = (uint32_t)end;
        rc = head_line(h, p, at, end - at - 2);
        if (rc != HTTP_MORE) {
            h->len = (uint32_t)end;
            return rc;
        }
    }
}
