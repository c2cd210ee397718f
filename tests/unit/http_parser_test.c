/* The parser of heads and chunked bodies: every rule, at every split of the bytes. */
#include "http/http_parser.h"
#include "http/target.h"
#include "tap.h"

struct row {
    const char *text;
    int want; /* HTTP_DONE, HTTP_MORE or a status */
    size_t n; /* 0: strlen */
};

#define G    "GET / HTTP/1.1\r\n"
#define P    "POST /scans HTTP/1.1\r\n"
#define H    "Host: x\r\n"
#define GH   G H
#define PH   P H
#define E    "\r\n"
#define TE   "Transfer-Encoding: chunked\r\n"
#define DONE HTTP_DONE

static int parse_at_once(const char *text, size_t n, struct http_head *h)
{
    *h = (struct http_head){0};
    return http_head_parse(h, text, n);
}

/* First `split` bytes, then one at a time up to `split + slow`, then the rest. */
static int parse_split(const char *text, size_t n, size_t split, struct http_head *h)
{
    int rc;

    *h = (struct http_head){0};
    rc = http_head_parse(h, text, split);
    if (rc == HTTP_MORE) {
        rc = http_head_parse(h, text, n);
    }
    return rc;
}

static int parse_by_bytes(const char *text, size_t n, struct http_head *h)
{
    int rc = HTTP_MORE;

    *h = (struct http_head){0};
    for (size_t i = 1; i <= n && rc == HTTP_MORE; i++) {
        rc = http_head_parse(h, text, i);
    }
    return rc;
}

static bool same(const struct http_head *a, const struct http_head *b)
{
    return a->method == b->method && a->minor == b->minor && a->n == b->n && a->len == b->len &&
           a->chunked == b->chunked && a->content_length == b->content_length &&
           a->close == b->close && a->expect == b->expect && a->target.at == b->target.at &&
           a->target.len == b->target.len && a->host.at == b->host.at &&
           a->host.len == b->host.len && memcmp(a->f, b->f, sizeof a->f) == 0;
}

static void check_row(const char *file, int line, const struct row *w)
{
    size_t n = w->n ? w->n : strlen(w->text);
    size_t step = n > 2000 ? 97 : 1;
    struct http_head whole, h;
    int got = parse_at_once(w->text, n, &whole);

    if (got != w->want) {
        tap_fail(file, line, "'%.60s' gave %d (%s), not %d", w->text, got,
                 whole.why ? whole.why : "", w->want);
    }
    if (got >= 400 && !whole.why) {
        tap_fail(file, line, "'%.60s' gave no reason", w->text);
    }
    for (size_t split = 0; split < n; split += step) {
        if (parse_split(w->text, n, split, &h) != got || (got == HTTP_DONE && !same(&h, &whole)) ||
            !str_eq(h.why, whole.why)) {
            tap_fail(file, line, "'%.60s' differs when split at %zu", w->text, split);
        }
    }
    if (parse_by_bytes(w->text, n, &h) != got || (got == HTTP_DONE && !same(&h, &whole))) {
        tap_fail(file, line, "'%.60s' differs byte by byte", w->text);
    }
}

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        check_row(__FILE__, __LINE__, &rows[i]);
    }
}

#define ROWS(...)                                   \
    do {                                            \
        static const struct row r_[] = __VA_ARGS__; \
        check_rows(r_, ARRAY_LEN(r_));              \
    } while (0)

static void request_lines_are_taken_literally(void)
{
    ROWS({
        {GH E, DONE},
        {"HEAD / HTTP/1.1\r\n" H E, DONE},
        {"PUT / HTTP/1.1\r\n" H E, DONE},
        {"PATCH / HTTP/1.1\r\n" H E, DONE},
        {"DELETE / HTTP/1.1\r\n" H E, DONE},
        {"OPTIONS / HTTP/1.1\r\n" H E, DONE},
        {"OPTIONS * HTTP/1.1\r\n" H E, DONE},
        {"GET * HTTP/1.1\r\n" H E, 400},
        {"GET /a?b=c&d HTTP/1.1\r\n" H E, DONE},
        {"\r\n" GH E, DONE},
        {"\r\n\r\n" GH E, 400},
        {"\n" GH E, 400},
        {" " GH E, 400},
        {"get / HTTP/1.1\r\n" H E, 501},
        {"TRACE / HTTP/1.1\r\n" H E, 501},
        {"CONNECT x:80 HTTP/1.1\r\n" H E, 501},
        {"GETT / HTTP/1.1\r\n" H E, 501},
        {"G\x01T / HTTP/1.1\r\n" H E, 400},
        {"G(T / HTTP/1.1\r\n" H E, 400},
        {" / HTTP/1.1\r\n" H E, 400},
        {"GET  / HTTP/1.1\r\n" H E, 400},
        {"GET /  HTTP/1.1\r\n" H E, 400},
        {"GET / HTTP/1.1 \r\n" H E, 400},
        {"GET\t/\tHTTP/1.1\r\n" H E, 400},
        {"GET /\tHTTP/1.1\r\n" H E, 400},
        {"GET / a HTTP/1.1\r\n" H E, 400},
        {"GET /\r\n" H E, 400},
        {"GET\r\n" H E, 400},
        {"GET / \r\n" H E, 400},
        {"GET / HTTP/1.1\n" H E, 400},
        {"GET / HTTP/1.1\r" H E, 400},
        {"GET / HTTP/1.1\r\r\n" H E, 400},
        {"GET / HTTP/1.0\r\n" E, DONE},
        {"GET / HTTP/1.2\r\n" H E, 505},
        {"GET / HTTP/0.9\r\n" H E, 505},
        {"GET / HTTP/2.0\r\n" H E, 505},
        {"GET / HTTP/9.9\r\n" H E, 505},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"GET / HTTP/11\r\n" H E, 400},
        {"GET / HTTP/1.10\r\n" H E, 400},
        {"GET / HTTP/1,1\r\n" H E, 400},
        {"GET / http/1.1\r\n" H E, 400},
        {"GET / HTTP/ 1.1\r\n" H E, 400},
        {"GET / HTTQ/1.1\r\n" H E, 400},
        {"GET a HTTP/1.1\r\n" H E, 400},
        {"GET ?a HTTP/1.1\r\n" H E, 400},
        {"GET /a#b HTTP/1.1\r\n" H E, 400},
        {"GET /a\x7f HTTP/1.1\r\n" H E, 400},
        {"GET /a\x80 HTTP/1.1\r\n" H E, 400},
        {"GET /a\0b HTTP/1.1\r\n" H E, 400, sizeof "GET /a\0b HTTP/1.1\r\n" H E - 1},
        {"GET / HTTP/1.1\r\n", HTTP_MORE},
        {"GET /", HTTP_MORE},
        {"\r\n", HTTP_MORE},
    });
}

/* Other protocols begin with bytes that no request has, often without the end of a line. */
static void what_is_no_request_is_refused_before_its_line_ends(void)
{
    ROWS({
        {"GIOP\x01", 400},
        {"\r\nGIOP\x01", 400},
        {"DmdT\0\0", 400, 6},
        {"\0\x0c", 400, 2},
        {"\x16\x03\x01", 400},
        {"GET /a\x1b", 400},
        {"GET / HTTP/1.1\xff", 400},
        {"GIOP", HTTP_MORE},
        {"GET /(a) HTTP/1.1\r", HTTP_MORE},
        {GH "A: b\x01", HTTP_MORE},
    });
}

static void an_absolute_target_must_agree_with_host(void)
{
    ROWS({
        {"GET http://x/ HTTP/1.1\r\n" H E, DONE},
        {"GET HTTP://X/a?b HTTP/1.1\r\n" H E, DONE},
        {"GET https://x/ HTTP/1.1\r\n" H E, DONE},
        {"GET http://x:80/ HTTP/1.1\r\nHost: x:80\r\n" E, DONE},
        {"GET http://y/ HTTP/1.1\r\n" H E, 400},
        {"GET http://x:80/ HTTP/1.1\r\n" H E, 400},
        {"GET http://u@x/ HTTP/1.1\r\n" H E, 400},
        {"GET http:/// HTTP/1.1\r\n" H E, 400},
        {"GET http://x HTTP/1.1\r\n" H E, 400},
        {"GET http:// HTTP/1.1\r\n" H E, 400},
        {"GET ftp://x/ HTTP/1.1\r\n" H E, 400},
        {"GET http://x/ HTTP/1.0\r\n" E, 400},
    });
}

static void header_lines_are_names_and_values_without_controls(void)
{
    ROWS({
        {GH "A: b\r\n" E, DONE},
        {GH "A:b\r\n" E, DONE},
        {GH "A:\r\n" E, DONE},
        {GH "A: \t \r\n" E, DONE},
        {GH "A: b\tc \xc3\xa9 \x80\r\n" E, DONE},
        {GH "!#$%&'*+-.^_`|~09azAZ: b\r\n" E, DONE},
        {GH "A : b\r\n" E, 400},
        {GH "A\t: b\r\n" E, 400},
        {GH " A: b\r\n" E, 400},
        {GH "A: b\r\n c\r\n" E, 400},
        {GH "A: b\r\n\tc\r\n" E, 400},
        {GH "A: b\r\n \r\n" E, 400},
        {G " " H E, 400},
        {GH ": b\r\n" E, 400},
        {GH "A\r\n" E, 400},
        {GH "A b: c\r\n" E, 400},
        {GH "A(: c\r\n" E, 400},
        {GH "A\x01: c\r\n" E, 400},
        {GH "A\x80: c\r\n" E, 400},
        {GH "A: b\x01\r\n" E, 400},
        {GH "A: b\x7f\r\n" E, 400},
        {GH "A: b\x1b[1m\r\n" E, 400},
        {GH "A: b\rc: d\r\n" E, 400},
        {GH "A: b\r\r\n" E, 400},
        {GH "A: b\n" E, 400},
        {GH "A: b\r\nC: d\n" E, 400},
        {GH "A: b\n\n", 400},
        {GH "\n", 400},
        {GH "A: b\0c\r\n" E, 400, sizeof GH "A: b\0c\r\n" E - 1},
        {GH "A\0: c\r\n" E, 400, sizeof GH "A\0: c\r\n" E - 1},
        {GH "A: b\r\n", HTTP_MORE},
        {GH "A: b\r", HTTP_MORE},
        {GH "\r", HTTP_MORE},
    });
}

static void there_is_exactly_one_valid_host(void)
{
    ROWS({
        {G E, 400},
        {GH H E, 400},
        {GH "host: y\r\n" E, 400},
        {G "HOST: x\r\n" E, DONE},
        {G "Host:\r\n" E, 400},
        {G "Host: \r\n" E, 400},
        {G "Host: a.b-c_d.E9\r\n" E, DONE},
        {G "Host: x:1\r\n" E, DONE},
        {G "Host: x:65535\r\n" E, DONE},
        {G "Host: x:65536\r\n" E, 400},
        {G "Host: x:0\r\n" E, 400},
        {G "Host: x:\r\n" E, 400},
        {G "Host: x:80a\r\n" E, 400},
        {G "Host: x:-1\r\n" E, 400},
        {G "Host: x y\r\n" E, 400},
        {G "Host: x,y\r\n" E, 400},
        {G "Host: x/y\r\n" E, 400},
        {G "Host: x@y\r\n" E, 400},
        {G "Host: :80\r\n" E, 400},
        {G "Host: x?\r\n" E, 400},
        {G "Host: %78\r\n" E, 400},
        {G "Host: \xc3\xa9\r\n" E, 400},
        {G "Host: 127.0.0.1:8000\r\n" E, DONE},
        {G "Host: [::1]\r\n" E, DONE},
        {G "Host: [::1]:8000\r\n" E, DONE},
        {G "Host: [::1\r\n" E, 400},
        {G "Host: ::1\r\n" E, 400},
        {G "Host: []\r\n" E, 400},
        {G "Host: [::g]\r\n" E, 400},
        {G "Host: [::1]x\r\n" E, 400},
        {G "Host: [fe80::1%25eth0]\r\n" E, 400},
        {"GET / HTTP/1.0\r\n" H E, DONE},
        {"GET / HTTP/1.0\r\n" H H E, 400},
        {"GET / HTTP/1.0\r\nHost: a b\r\n" E, 400},
    });
}

static void framing_has_one_meaning_or_none(void)
{
    ROWS({
        {PH "Content-Length: 3\r\n" E, DONE},
        {PH "Content-Length: 0\r\n" E, DONE},
        {PH "Content-Length: 003\r\n" E, DONE},
        {PH "Content-Length: 999999999999999\r\n" E, DONE},
        {PH "Content-Length: 1000000000000000\r\n" E, 400},
        {PH "Content-Length: 18446744073709551619\r\n" E, 400},
        {PH "Content-Length:\r\n" E, 400},
        {PH "Content-Length: +3\r\n" E, 400},
        {PH "Content-Length: -3\r\n" E, 400},
        {PH "Content-Length: 0x3\r\n" E, 400},
        {PH "Content-Length: 3, 3\r\n" E, 400},
        {PH "Content-Length: 3,\r\n" E, 400},
        {PH "Content-Length: 3 3\r\n" E, 400},
        {PH "Content-Length: 3.0\r\n" E, 400},
        {PH "Content-Length: 3;a\r\n" E, 400},
        {PH "Content-Length: \"3\"\r\n" E, 400},
        {PH "Content-Length : 3\r\n" E, 400},
        {PH "Content-Length: 3\r\nContent-Length: 3\r\n" E, 400},
        {PH "Content-Length: 3\r\ncontent-length: 30\r\n" E, 400},
        {PH TE E, DONE},
        {PH "transfer-encoding: Chunked\r\n" E, DONE},
        {PH TE TE E, 400},
        {PH "Transfer-Encoding: xchunked\r\n" E, 400},
        {PH "Transfer-Encoding: chunkedx\r\n" E, 400},
        {PH "Transfer-Encoding: chunked,\r\n" E, 400},
        {PH "Transfer-Encoding: , chunked\r\n" E, 400},
        {PH "Transfer-Encoding: chunked, chunked\r\n" E, 400},
        {PH "Transfer-Encoding: gzip, chunked\r\n" E, 400},
        {PH "Transfer-Encoding: identity\r\n" E, 400},
        {PH "Transfer-Encoding: chunked;q=1\r\n" E, 400},
        {PH "Transfer-Encoding: \"chunked\"\r\n" E, 400},
        {PH "Transfer-Encoding:\r\n" E, 400},
        {PH "Transfer-Encoding: \x0b"
            "chunked\r\n" E,
         400},
        {PH TE "Transfer-Encoding: identity\r\n" E, 400},
        {PH TE "Content-Length: 3\r\n" E, 400},
        {PH "Content-Length: 3\r\n" TE E, 400},
        {PH "Content-Length: 0\r\n" TE E, 400},
        {"POST / HTTP/1.0\r\n" H TE E, 400},
        {"POST / HTTP/1.0\r\n" H "Content-Length: 3\r\n" E, DONE},
    });
}

static void credentials_and_keys_come_once(void)
{
    ROWS({
        {GH "Authorization: Bearer a\r\n" E, DONE},
        {GH "Authorization: a\r\nauthorization: a\r\n" E, 400},
        {GH "X-API-Key: a\r\n" E, DONE},
        {GH "X-API-Key: a\r\nx-api-key: a\r\n" E, 400},
        {GH "X-API-Key: a\r\nAuthorization: Bearer b\r\n" E, DONE},
        {GH "Idempotency-Key: a\r\nIdempotency-Key: b\r\n" E, 400},
        {GH "Content-Type: a/b\r\nContent-Type: a/b\r\n" E, 400},
        {GH "Cookie: a=b\r\nCookie: c=d\r\n" E, 400},
        {GH "Accept: a\r\nAccept: b\r\n" E, DONE},
        {GH "Expect: 100-continue\r\n" E, DONE},
        {GH "Expect: 100-Continue\r\nExpect: 100-continue\r\n" E, 400},
        {GH "Expect: something\r\n" E, 417},
    });
}

static char *repeat(const char *before, const char *what, size_t times, const char *after)
{
    struct buf b = {0};

    buf_adds(&b, before);
    for (size_t i = 0; i < times; i++) {
        buf_adds(&b, what);
    }
    buf_adds(&b, after);
    return buf_take(&b);
}

static void check_repeat(const char *before, const char *what, size_t times, const char *after,
                         int want)
{
    auto_free char *text = repeat(before, what, times, after);
    const struct row w = {text, want};

    check_row(__FILE__, __LINE__, &w);
}

static void sizes_have_limits_that_do_not_depend_on_the_split(void)
{
    size_t fixed = strlen("GET / HTTP/1.1");

    check_repeat("GET /", "a", HTTP_LINE_MAX - fixed, " HTTP/1.1\r\n" H E, DONE);
    check_repeat("GET /", "a", HTTP_LINE_MAX - fixed + 1, " HTTP/1.1\r\n" H E, 414);
    check_repeat("GET /", "a", HTTP_LINE_MAX + 1, "", 414);
    check_repeat("", "a", HTTP_LINE_MAX + 3, "", 414);
    check_repeat(GH, "A: b\r\n", HTTP_FIELDS_MAX - 1, E, DONE);
    check_repeat(GH, "A: b\r\n", HTTP_FIELDS_MAX, E, 431);
    check_repeat(GH "A: ", "a", 20000, "\r\n" E, DONE);
    /* Host: x, "A: ", two line ends and the empty line fill the rest of the block. */
    check_repeat(GH "A: ", "a", HTTP_BLOCK_MAX - 9 - 3 - 2 - 2, "\r\n" E, DONE);
    check_repeat(GH "A: ", "a", HTTP_BLOCK_MAX - 9 - 3 - 2 - 1, "\r\n" E, 431);
    check_repeat(GH "A: ", "a", HTTP_BLOCK_MAX, "", 431);
}

static void the_result_says_where_everything_is(void)
{
    const char *text = "POST /a/b?c HTTP/1.1\r\nHost:  x:1 \r\nContent-Length: 12\r\n"
                       "connection: foo, Close\r\nExpect: 100-continue\r\n\r\nrest";
    struct http_head h;

    CHECK_INT(parse_at_once(text, strlen(text), &h), HTTP_DONE);
    CHECK_INT(h.method, HTTP_POST);
    CHECK_INT(h.minor, 1);
    CHECK(h.target.len == 6 && memcmp(text + h.target.at, "/a/b?c", 6) == 0);
    CHECK(h.host.len == 3 && memcmp(text + h.host.at, "x:1", 3) == 0);
    CHECK_INT(h.content_length, 12);
    CHECK(h.close && h.expect && !h.chunked);
    CHECK_INT(h.n, 4);
    CHECK_INT(h.len, strlen(text) - 4);
}

static void connections_are_kept_as_the_versions_say(void)
{
    static const struct {
        const char *text;
        bool close;
    } rows[] = {
        {GH E, false},
        {GH "Connection: close\r\n" E, true},
        {GH "Connection: keep-alive\r\n" E, false},
        {GH "Connection: keep-alive, close\r\n" E, true},
        {GH "Connection: closed\r\n" E, false},
        {GH "Connection: a\r\nConnection: close\r\n" E, true},
        {"GET / HTTP/1.0\r\n" E, true},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n" E, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct http_head h;

        CHECK_INT(parse_at_once(rows[i].text, strlen(rows[i].text), &h), HTTP_DONE);
        CHECK_INT(h.close, rows[i].close);
    }
}

/* ---- chunked ---- */

struct body_row {
    const char *text;
    int want;
    const char *data; /* for HTTP_DONE */
    size_t left;      /* bytes not eaten then */
};

static int feed(const struct body_row *w, size_t first, struct buf *got, size_t *left)
{
    struct http_chunked c = {.max = 16};
    size_t n = strlen(w->text), at = 0;
    int rc = HTTP_MORE;

    while (at < n && rc == HTTP_MORE) {
        auto_free char *part = xstrndup(w->text + at, first && at == 0 ? first : first ? n : 1);
        size_t used, out;

        rc = http_chunked_feed(&c, part, strlen(part), &used, &out);
        buf_add(got, part, out);
        at += used;
    }
    *left = n - at;
    return rc;
}

static void check_body(const struct body_row *w)
{
    for (size_t split = 0; split <= strlen(w->text); split++) { /* 0: byte by byte */
        auto_buf got = {0};
        size_t left;
        int rc = feed(w, split, &got, &left);

        if (rc != w->want ||
            (rc == HTTP_DONE && (!str_eq(got.len ? got.data : "", w->data) || left != w->left))) {
            tap_fail(__FILE__, __LINE__, "'%s' split at %zu gave %d '%s', %zu left", w->text, split,
                     rc, got.data ? got.data : "", left);
        }
    }
}

static void chunked_bodies_are_exact(void)
{
    static const struct body_row rows[] = {
        {"0\r\n\r\n", DONE, "", 0},
        {"3\r\nabc\r\n0\r\n\r\n", DONE, "abc", 0},
        {"3\r\nabc\r\n0\r\n\r\nGET /", DONE, "abc", 5},
        {"1\r\na\r\n2\r\nbc\r\n00\r\n\r\n", DONE, "abc", 0},
        {"00000003\r\nabc\r\n0\r\n\r\n", DONE, "abc", 0},
        {"a\r\n0123456789\r\n0\r\n\r\n", DONE, "0123456789", 0},
        {"A\r\n0123456789\r\n0\r\n\r\n", DONE, "0123456789", 0},
        {"10\r\n0123456789abcdef\r\n0\r\n\r\n", DONE, "0123456789abcdef", 0},
        {"3\r\nabc\r\n0\r\nX-Api-Key: evil\r\n\r\n", DONE, "abc", 0},
        {"0\r\nA: b\r\nC:d\r\n\r\n", DONE, "", 0},
        {"3\r\na\r\n\r\n0\r\n\r\n", DONE, "a\r\n", 0},
        {"11\r\n", 413},
        {"10\r\n0123456789abcdef\r\n1\r\n", 413},
        {"ffffffff\r\n", 413},
        {"000000003\r\n", 400},
        {"fffffffff\r\n", 400},
        {"fffffffffffffffff\r\n", 400},
        {"-3\r\n", 400},
        {"+3\r\n", 400},
        {"0x3\r\n", 400},
        {" 3\r\n", 400},
        {"3 \r\n", 400},
        {"3;a=b\r\n", 400},
        {"3\t\r\n", 400},
        {"g\r\n", 400},
        {"\r\n", 400},
        {"3\n", 400},
        {"3\r3", 400},
        {"3\r\nabcd\r\n", 400},
        {"3\r\nabc\n", 400},
        {"3\r\nabc\rX", 400},
        {"3\r\nabc0\r\n\r\n", 400},
        {"0\r\n\n", 400},
        {"0\r\n\rX", 400},
        {"0\r\n a: b\r\n", 400},
        {"0\r\na : b\r\n", 400},
        {"0\r\n: b\r\n", 400},
        {"0\r\na\r\n", 400},
        {"0\r\na: b\n", 400},
        {"0\r\na: \x01\r\n", 400},
        {"0\r\na: b\r\n c\r\n", 400},
        {"3\r\nab", HTTP_MORE},
        {"0\r\n", HTTP_MORE},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check_body(&rows[i]);
    }
}

static void trailers_have_a_limit(void)
{
    auto_free char *text = repeat("0\r\na: ", "a", HTTP_TRAILER_MAX, "\r\n\r\n");
    struct http_chunked c = {.max = 16};
    size_t used, out;

    CHECK_INT(http_chunked_feed(&c, text, strlen(text), &used, &out), 431);
}

/* ---- targets ---- */

static const char *decode(const char *text, char *copy, struct target *t)
{
    memcpy(copy, text, strlen(text) + 1);
    return target_decode(copy, 0, strlen(text), t);
}

static void paths_are_decoded_but_for_slashes(void)
{
    static const char *const rows[][2] = {
        {"/", "/"},           {"/a/b", "/a/b"},     {"/a%20b", "/a b"},       {"/%41%7a", "/Az"},
        {"/a%2Fb", "/a%2Fb"}, {"/a%2fb", "/a%2fb"}, {"/%c3%a9", "/\xc3\xa9"}, {"/a+b", "/a+b"},
        {"/...", "/..."},     {"/a.b", "/a.b"},     {"/a//b", "/a//b"},       {"*", "*"},
        {"/%", NULL},         {"/%4", NULL},        {"/%4g", NULL},           {"/%g4", NULL},
        {"/%%41", NULL},      {"/a%00b", NULL},     {"/%00", NULL},           {"/..", NULL},
        {"/a/../b", NULL},    {"/a/.", NULL},       {"/%2e%2e/b", NULL},      {"/.%2e", NULL},
        {"/a?x=%00", NULL},   {"/a?x=%", NULL},     {"/a?%zz=1", NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char copy[64];
        struct target t;
        const char *why = decode(rows[i][0], copy, &t);

        if (rows[i][1]) {
            CHECK_STR(why, NULL);
            CHECK_STR(copy + t.path, rows[i][1]);
            CHECK_INT(t.path_len, strlen(rows[i][1]));
        } else {
            CHECK(why);
        }
    }
}

static void queries_are_pairs_in_order(void)
{
    char copy[64];
    struct target t;

    CHECK_STR(decode("/a?b=c%20d+e&f&&%67=%2F&h==i?", copy, &t), NULL);
    CHECK_STR(copy + t.path, "/a");
    CHECK_INT(t.n, 4);
    CHECK_STR(copy + t.q[0].name, "b");
    CHECK_STR(copy + t.q[0].value, "c d e");
    CHECK_STR(copy + t.q[1].name, "f");
    CHECK_STR(copy + t.q[1].value, "");
    CHECK_STR(copy + t.q[2].name, "g");
    CHECK_STR(copy + t.q[2].value, "/");
    CHECK_STR(copy + t.q[3].name, "h");
    CHECK_STR(copy + t.q[3].value, "=i?");
    CHECK_STR(decode("/a?", copy, &t), NULL);
    CHECK_INT(t.n, 0);
}

static void too_many_query_parameters_are_refused(void)
{
    auto_free char *most = repeat("/?", "a&", TARGET_QUERY_MAX, " ");
    auto_free char *more = repeat("/?", "a&", TARGET_QUERY_MAX + 1, " ");
    struct target t;

    CHECK_STR(target_decode(most, 0, strlen(most) - 1, &t), NULL);
    CHECK_INT(t.n, TARGET_QUERY_MAX);
    CHECK(target_decode(more, 0, strlen(more) - 1, &t));
}

TESTS(request_lines_are_taken_literally, what_is_no_request_is_refused_before_its_line_ends,
      an_absolute_target_must_agree_with_host, header_lines_are_names_and_values_without_controls,
      there_is_exactly_one_valid_host, framing_has_one_meaning_or_none,
      credentials_and_keys_come_once, sizes_have_limits_that_do_not_depend_on_the_split,
      the_result_says_where_everything_is, connections_are_kept_as_the_versions_say,
      chunked_bodies_are_exact, trailers_have_a_limit, paths_are_decoded_but_for_slashes,
      queries_are_pairs_in_order, too_many_query_parameters_are_refused)
