/* What a gateway reads: heads, the frames of bodies, and the tokens that an answer took. */
#include "proxy/message.h"
#include "proxy/usage.h"
#include "tap.h"

/* ---- heads ---- */

static int request(const char *text, struct msg *m, size_t *len)
{
    const char *why = NULL;
    int status = msg_request(text, strlen(text), m, len, &why);

    CHECK((status == 0 || status == 200) == !why);
    return status;
}

static void a_request_is_read_when_its_head_is_whole(void)
{
    static const char text[] = "POST /v1/messages?beta=true HTTP/1.1\r\nHost: a\r\n"
                               "X-Empty:\r\nx-spaced: \t two words \t\r\n\r\nbody";
    size_t head = strlen(text) - 4, len;
    struct msg m;
    size_t n;

    for (size_t i = 0; i < head; i++) {
        auto_free char *part = xstrndup(text, i);

        CHECK_INT(request(part, &m, &len), 0);
    }
    CHECK_INT(request(text, &m, &len), 200);
    CHECK_INT(len, head);
    CHECK_STR(m.method, "POST");
    CHECK_STR(m.target, "/v1/messages?beta=true");
    CHECK_INT(m.minor, 1);
    CHECK_INT(m.n, 3);
    CHECK_STR(msg_get(&m, "host", &n), "a");
    CHECK_INT(n, 1);
    CHECK_STR(msg_get(&m, "X-EMPTY", NULL), "");
    CHECK_STR(msg_get(&m, "X-Spaced", NULL), "two words");
    CHECK(!msg_get(&m, "X-Other", &n) && n == 0);
    msg_done(&m);
}

static void heads_that_can_be_read_in_two_ways_are_refused(void)
{
    static const char *const bad[] = {
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\tfolded\r\n\r\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost\r\n\r\n",
        "GET / HTTP/1.1\r\n: a\r\n\r\n",
        "GET / HTTP/1.1\r\nX\x01: a\r\n\r\n",
        "GET / HTTP/1.1\r\nX: a\x07\r\n\r\n",
        "GET / HTTP/1.1\r\nX: a\x7f\r\n\r\n",
        "GET / HTTP/1.1\r\nX(y): a\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1 \r\n\r\n",
        "GET / a HTTP/1.1\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "GET / HTTP/1.10\r\n\r\n",
        "GET / http/1.1\r\n\r\n",
        "GET /\r\n\r\n",
        "GET\r\n\r\n",
        " GET / HTTP/1.1\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\n\r\n",
        "G(T / HTTP/1.1\r\n\r\n",
        "GET http://example.org/ HTTP/1.1\r\n\r\n",
        "GET * HTTP/1.1\r\n\r\n",
        "GET a HTTP/1.1\r\n\r\n",
        "GET /a#b HTTP/1.1\r\n\r\n",
        "GET /\xc3\xa4 HTTP/1.1\r\n\r\n",
        "GET /a\tb HTTP/1.1\r\n\r\n",
    };
    struct msg m;
    size_t len;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (request(bad[i], &m, &len) != 400) {
            tap_fail(__FILE__, __LINE__, "not refused: %s", bad[i]);
        }
    }
}

static void heads_have_an_end(void)
{
    auto_buf text = {0};
    struct msg m;
    size_t len;

    buf_adds(&text, "GET / HTTP/1.1\r\nX: ");
    while (text.len < REQUEST_HEAD_MAX - 4) {
        buf_addc(&text, 'x');
    }
    buf_adds(&text, "\r\n\r\n");
    CHECK_INT(request(text.data, &m, &len), 200);
    msg_done(&m);
    text.len -= 4;
    buf_adds(&text, "x\r\n\r\n");
    CHECK_INT(request(text.data, &m, &len), 431);
    buf_reset(&text);
    buf_adds(&text, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < MESSAGE_LINES + 1; i++) {
        buf_adds(&text, "X: y\r\n");
    }
    buf_adds(&text, "\r\n");
    CHECK_INT(request(text.data, &m, &len), 431);
}

static void answers_are_read_as_strictly(void)
{
    static const char *const bad[] = {
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 600 OK\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\n\n",
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
    };
    struct msg m;
    const char *why;
    size_t len;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (msg_answer(bad[i], strlen(bad[i]), &m, &len, &why) != 400) {
            tap_fail(__FILE__, __LINE__, "not refused: %s", bad[i]);
        }
    }
    CHECK_INT(msg_answer("HTTP/1.0 404 Not Found\r\n\r\n", 26, &m, &len, &why), 200);
    CHECK_INT(m.status, 404);
    CHECK_STR(m.reason, "Not Found");
    CHECK_INT(m.minor, 0);
    msg_done(&m);
    CHECK_INT(msg_answer("HTTP/1.1 200\r\n\r\n", 16, &m, &len, &why), 200);
    CHECK_STR(m.reason, "");
    msg_done(&m);
}

static void parse(const char *lines, unsigned minor, struct msg *m)
{
    auto_free char *text = str_fmt("POST / HTTP/1.%u\r\n%s\r\n", minor, lines);
    size_t len;

    CHECK_INT(request(text, m, &len), 200);
}

static void what_is_for_the_next_hop_is_known(void)
{
    struct msg m;

    parse("Connection: x-one, CLOSE\r\nconnection: X-Two\r\nX-One: 1\r\n", 1, &m);
    CHECK(msg_is_hop(&m, "x-one") && msg_is_hop(&m, "x-two") && msg_is_hop(&m, "Upgrade"));
    CHECK(msg_is_hop(&m, "transfer-encoding") && msg_is_hop(&m, "TE"));
    CHECK(msg_is_hop(&m, "Proxy-Authorization") && msg_is_hop(&m, "proxy-anything"));
    CHECK(!msg_is_hop(&m, "x-thre") && !msg_is_hop(&m, "x-on") && !msg_is_hop(&m, "Host"));
    CHECK(!msg_keeps(&m));
    msg_done(&m);
    parse("", 1, &m);
    CHECK(msg_keeps(&m));
    msg_done(&m);
    parse("", 0, &m);
    CHECK(!msg_keeps(&m));
    msg_done(&m);
    parse("Connection: Keep-Alive\r\n", 0, &m);
    CHECK(msg_keeps(&m));
    msg_done(&m);
}

/* ---- bodies ---- */

static void lengths_that_do_not_agree_are_refused(void)
{
    static const char *const bad[] = {
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: \"chunked\"\r\n",
        "Transfer-Encoding:\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length:\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: 9223372036854775808\r\n",
    };
    struct msg m;
    struct body b;
    const char *why;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        parse(bad[i], 1, &m);
        if (msg_request_body(&m, &b, &why)) {
            tap_fail(__FILE__, __LINE__, "not refused: %s", bad[i]);
        }
        msg_done(&m);
    }
    parse("Transfer-Encoding: chunked\r\n", 0, &m);
    CHECK(!msg_request_body(&m, &b, &why)); /* HTTP/1.0 does not know it */
    msg_done(&m);
}

static void lengths_are_known(void)
{
    struct msg m;
    struct body b;
    const char *why;

    parse("", 1, &m);
    CHECK(msg_request_body(&m, &b, &why) && b.done);
    CHECK(msg_answer_body(&m, &b, &why) && b.kind == BODY_TO_END && !b.done);
    m.status = 304;
    CHECK(msg_answer_body(&m, &b, &why) && b.done);
    msg_done(&m);
    parse("Content-Length: 0\r\n", 1, &m);
    CHECK(msg_request_body(&m, &b, &why) && b.done);
    msg_done(&m);
    parse("Content-Length: 12\r\n", 1, &m);
    CHECK(msg_request_body(&m, &b, &why) && !b.done && b.left == 12);
    m.status = 204;
    CHECK(msg_answer_body(&m, &b, &why) && b.done);
    msg_done(&m);
    parse("Transfer-Encoding: Chunked\r\n", 1, &m);
    CHECK(msg_request_body(&m, &b, &why) && b.kind == BODY_CHUNKED && !b.done);
    msg_done(&m);
}

/* Fed in pieces of `step`; -1: framed wrongly; else how many bytes belonged to it. */
static int feed(struct body *b, const char *text, size_t step, struct buf *out)
{
    size_t n = strlen(text), at = 0;

    while (at < n && !b->done) {
        size_t used = 0;

        if (!body_feed(b, text + at, MIN(step, n - at), &used, out)) {
            return -1;
        }
        CHECK(used <= MIN(step, n - at) && (used == MIN(step, n - at) || b->done));
        at += used;
    }
    return (int)at;
}

static void bodies_end_where_they_end(void)
{
    static const char chunks[] = "5\r\nhello\r\n00A\r\n, world!!!\r\n0\r\n\r\n";

    for (size_t step = 1; step < 40; step++) {
        struct body chunked = {.kind = BODY_CHUNKED}, sized = {.left = 5};
        auto_buf out = {0};

        CHECK_INT(feed(&chunked, "5\r\nhello\r\n00A\r\n, world!!!\r\n0\r\n\r\nGET /", step, &out),
                  sizeof chunks - 1);
        CHECK(chunked.done);
        CHECK_STR(out.data, "hello, world!!!");
        buf_reset(&out);
        CHECK_INT(feed(&sized, "helloGET /", step, &out), 5);
        CHECK_STR(out.data, "hello");
    }
    for (size_t n = 0; n < sizeof chunks - 1; n++) {
        auto_free char *part = xstrndup(chunks, n);
        struct body b = {.kind = BODY_CHUNKED};
        auto_buf out = {0};

        CHECK_INT(feed(&b, part, 7, &out), n);
        CHECK(!b.done);
    }
}

static void chunks_that_are_framed_loosely_are_refused(void)
{
    static const char *const bad[] = {
        "5;x=y\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "000000005\r\nhello\r\n0\r\n\r\n",
        "fffffffff\r\nhello",
        "0\r\nX-Trailer: y\r\n\r\n",
        "0\r\n\n",
        "0\n\r\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct body b = {.kind = BODY_CHUNKED};
        auto_buf out = {0};

        if (feed(&b, bad[i], 3, &out) != -1) {
            tap_fail(__FILE__, __LINE__, "not refused: %s", bad[i]);
        }
    }
}

/* ---- usage ---- */

static struct usage usage_of(const char *text, bool events, size_t step)
{
    struct usage u = {.events = events};

    for (size_t at = 0, n = strlen(text); at < n; at += step) {
        usage_feed(&u, text + at, MIN(step, n - at));
    }
    return u;
}

static void used(const char *text, bool events, uint64_t in, uint64_t out)
{
    for (size_t step = 1; step < 100; step++) {
        struct usage u = usage_of(text, events, step);

        CHECK_INT(usage_input(&u), in);
        CHECK_INT(usage_output(&u), out);
    }
}

static void a_documents_usage_is_counted(void)
{
    used("", false, 0, 0);
    used("{\"type\":\"message\",\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":200,"
         "\"cache_read_input_tokens\":3000,\"cache_creation\":{\"ephemeral_5m_input_tokens\":200},"
         "\"output_tokens\":40000,\"service_tier\":\"standard\"}}",
         false, 3210, 40000);
    used("{ \"usage\" : {\n \"output_tokens\" : 7 ,\n \"input_tokens\":\t8\n}\n}", false, 8, 7);
    used("{\"usage\":{\"output_tokens\":99999999999999999999999}}", false, 0,
         UINT64_C(1000000000000000));
}

static void events_tell_the_greatest(void)
{
    used(
        "event: message_start\n"
        "data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"content\":[],\"usage\":{"
        "\"input_tokens\":25,\"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n\n"
        "event: ping\ndata: {\"type\": \"ping\"}\n\n"
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":null},"
        "\"usage\":{\"output_tokens\":8}}\n\n"
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"x\"},"
        "\"usage\":{\"output_tokens\":15}}\n\n"
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        true, 30, 15);
}

static void what_a_model_writes_is_not_usage(void)
{
    used("{\"content\":[{\"type\":\"text\",\"text\":\"\\\"usage\\\":{\\\"output_tokens\\\":9}\"}],"
         "\"usage\":{\"output_tokens\":2}}",
         false, 0, 2);
    used("{\"content\":[{\"type\":\"tool_use\",\"input\":{\"usage\":{\"output_tokens\":9}}}],"
         "\"usage\":{\"output_tokens\":2}}",
         false, 0, 2);
    used("{\"input\":{\"message\":{\"usage\":{\"output_tokens\":9}}}}", false, 0, 0);
    used("{\"output_tokens\":9,\"usage\":{\"x\":{\"output_tokens\":9},\"y\":[{\"input_tokens\":9}]"
         "}}",
         false, 0, 0);
    used("{\"text\":\"usage\",\"x\":{\"output_tokens\":9}}", false, 0, 0);
    used("{\"usage\":{\"a\":\"input_tokens\",\"b\":9,\"output_tokens\":\"9\"}}", false, 0, 0);
    used("{\"usage\":{\"output_tokens\":null,\"input_tokens\":-9}}", false, 0, 0);
    used("data: {\"broken\":{\"x\":\"\ndata: {\"usage\":{\"output_tokens\":3}}\n", true, 0, 3);
}

TESTS(a_request_is_read_when_its_head_is_whole, heads_that_can_be_read_in_two_ways_are_refused,
      heads_have_an_end, answers_are_read_as_strictly, what_is_for_the_next_hop_is_known,
      lengths_that_do_not_agree_are_refused, lengths_are_known, bodies_end_where_they_end,
      chunks_that_are_framed_loosely_are_refused, a_documents_usage_is_counted,
      events_tell_the_greatest, what_a_model_writes_is_not_usage)
