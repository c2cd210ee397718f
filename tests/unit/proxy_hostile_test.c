/*
 * Boxes and far sides that do not keep to the rules of a gateway: what is asked in two ways, what
 * is not for them, answers that are cut, that never come, or that have the secret in them.
 */
#include "gateway_rig.h"

/* The far side says that, and the box gets this. */
static void far_says(const struct rig *r, const char *text, int status, const char *why)
{
    int far, fd = dial(r);
    const char *head;

    say(fd, POST "Connection: close\r\n\r\n");
    far = called(r, &head);
    say(far, text);
    shutdown(far, SHUT_WR);
    answered(fd, status, why);
    close(far);
}

static void reset_after(int fd, const char *first)
{
    char rest[8192];

    hear(fd, first);
    CHECK_INT(hear_all(fd, rest, sizeof rest), -1);
    close(fd);
}

/* ---- what is asked ---- */

static void requests_that_can_be_read_in_two_ways_reach_nobody(void)
{
    static const char *const bad[] = {
        POST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
        POST "Content-Length: 4\r\nContent-Length: 4\r\n\r\nbody",
        POST "Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody",
        POST "Content-Length: 4, 4\r\n\r\nbody",
        POST "Content-Length: +4\r\n\r\nbody",
        POST "Content-Length: 4 \r\n : x\r\n\r\nbody",
        POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding: identity\r\n\r\n",
        POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        POST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        POST "X: a\r\n folded\r\n\r\n",
        POST "X: a\nY: b\r\n\r\n",
        POST "X: a\rb\r\n\r\n",
        POST "X: a\x01\r\n\r\n",
        POST "Host: other\r\n\r\n",
        POST "Expect: 200-ok\r\n\r\n",
        "POST /anthropic/v1/messages HTTP/1.1\r\n\r\n",
        "POST /anthropic/v1/messages HTTP/1.1\nHost: a\n\n",
        "POST /anthropic/v1/messages HTTP/1.2\r\nHost: a\r\n\r\n",
        "POST /anthropic/v1/messages#x HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /anthropic/v1/messages\tx HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    struct rig r;

    begin(&r, messages());
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        asks_and_gets(&r, bad[i], 400, "\"type\":\"invalid_request_error\"");
    }
    asks_and_gets(&r, "POST http://127.0.0.1/anthropic/v1/messages HTTP/1.1\r\nHost: a\r\n\r\n",
                  405, "CONNECT");
    nobody_calls(&r);
    rig_counts(&r);
    CHECK_INT(r.counts.api_requests, 0);
    CHECK_INT(r.counts.api_refused, ARRAY_LEN(bad));
    end(&r);
}

static void nothing_else_of_the_far_side_is_reached(void)
{
    static const char *const others[] = {"GET /anthropic/v1/messages",
                                         "POST /anthropic/v1/models",
                                         "POST /anthropic/v1/files",
                                         "DELETE /anthropic/v1/messages",
                                         "POST /anthropic/v1/messages/batches",
                                         "POST /anthropic/../v1/messages",
                                         "GET /anthropic/",
                                         "POST /anthropic//v1/messages"};
    struct rig r;

    begin(&r, messages());
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        auto_free char *text =
            str_fmt("%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", others[i]);

        asks_and_gets(&r, text, 403,
                      "{\"type\":\"error\",\"error\":{\"type\":\"permission_error\"");
    }
    asks_and_gets(&r, "GET /anthropicx/ HTTP/1.1\r\nHost: a\r\n\r\n", 405, "CONNECT");
    asks_and_gets(&r, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "CONNECT");
    nobody_calls(&r);
    end(&r);
}

static void a_connection_outlives_a_refusal(void)
{
    struct rig r;
    const char *head;
    int fd, far;

    begin(&r, messages());
    fd = dial(&r);
    say(fd, "GET /anthropic/v1/models HTTP/1.1\r\nHost: a\r\n\r\n");
    has(head_of(fd), "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\n");
    say(fd, POST "\r\n");
    far = called(&r, &head);
    close(far);
    close(fd);
    fd = dial(&r); /* but not if a body would have to be read first */
    say(fd, "POST /anthropic/v1/models HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n");
    answered(fd, 403, "\r\nConnection: close\r\n");
    fd = dial(&r);
    say(fd, "GET /nowhere HTTP/1.1\r\n\r\n");
    answered(fd, 405, "CONNECT");
    end(&r);
}

static void heads_and_bodies_have_an_end(void)
{
    struct proxy_gateway g = messages();
    auto_buf text = {0};
    struct rig r;
    int fd, far;

    g.body_max = 10;
    begin(&r, g);
    buf_adds(&text, POST "X: ");
    while (text.len < 16384) {
        buf_addc(&text, 'x');
    }
    asks_and_gets(&r, text.data, 431, "too long");
    asks_and_gets(&r, POST "Content-Length: 11\r\n\r\n", 413, "\"type\":\"request_too_large\"");
    nobody_calls(&r);
    fd = dial(&r);
    say(fd, POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\nworlds\r\n");
    far = answer_call(&r);
    answered(fd, 413, "larger than may be");
    close(far);
    fd = dial(&r);
    say(fd, POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5;x\r\n");
    far = answer_call(&r);
    answered(fd, 400, "framed wrongly");
    close(far);
    end(&r);
}

static void who_does_not_go_on_is_not_waited_for(void)
{
    struct rig r;
    const char *head;
    char rest[64];
    int fd, far;

    start(&r, (struct proxy_config){.header_ms = 50, .idle_ms = 50});
    open_with(&r, &(struct proxy_gateway){0}, 0, 0);
    rig_counts(&r);
    r.counted = false;
    open_with(&r, (struct proxy_gateway[]){messages()}, 1, 0);
    fd = dial(&r);
    say(fd, "POST /anthropic/v1/mess");
    answered(fd, 408, "head did not come in time");
    fd = dial(&r);
    say(fd, POST "Content-Length: 10\r\n\r\nhello");
    far = called(&r, &head);
    answered(fd, 408, "body did not come in time");
    close(far);
    fd = dial(&r);
    say(fd, "HEAD /anthropic/ HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    CHECK_INT(hear_all(fd, rest, sizeof rest), 0); /* nothing more was asked */
    close(fd);
    end(&r);
}

static void who_goes_away_ends_what_it_asked_for(void)
{
    struct rig r;
    char rest[64];
    int fd, far;

    begin(&r, messages());
    fd = dial(&r);
    asked(&r, fd, "{}", &far);
    close(fd);
    CHECK_INT(hear_all(far, rest, sizeof rest), -1);
    close(far);
    end(&r);
}

/* ---- what is answered ---- */

static void answers_that_are_not_http_are_not_handed_on(void)
{
    static const char *const bad[] = {
        "hello\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
        "HTTP/1.1 200 O",
        "",
    };
    struct rig r;

    begin(&r, messages());
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        far_says(&r, bad[i], 502, "\"type\":\"api_error\"");
    }
    rig_counts(&r);
    CHECK_INT(r.counts.failed, ARRAY_LEN(bad));
    end(&r);
}

static void an_answer_that_never_comes_is_not_waited_for(void)
{
    auto_buf text = {0};
    struct rig r;

    begin(&r, messages());
    for (int i = 0; i < 20; i++) {
        buf_adds(&text, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    far_says(&r, text.data, 502, "never comes to an answer");
    buf_reset(&text);
    buf_adds(&text, "HTTP/1.1 200 OK\r\nX: ");
    while (text.len < 65536) {
        buf_addc(&text, 'x');
    }
    far_says(&r, text.data, 502, "too long");
    end(&r);
}

static void an_answer_that_is_cut_is_not_taken_for_a_whole_one(void)
{
    static const char *const cut[][2] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
         "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"},
    };
    struct rig r;
    int fd, far;

    begin(&r, messages());
    for (size_t i = 0; i < ARRAY_LEN(cut); i++) {
        fd = dial(&r);
        asked(&r, fd, "{}", &far);
        say(far, cut[i][0]);
        hear(fd, cut[i][1]);
        close(far);
        reset_after(fd, "");
    }
    end(&r);
}

static void a_far_side_that_stands_still_is_given_up(void)
{
    struct rig r;
    int fd, far;

    start(&r, (struct proxy_config){.answer_ms = 50});
    open_with(&r, (struct proxy_gateway[]){messages()}, 1, 0);
    fd = dial(&r);
    asked(&r, fd, "{}", &far);
    has(head_of(fd), "HTTP/1.1 504 Gateway Timeout\r\n");
    hear(fd, "{\"type\":\"error\",\"error\":{\"type\":\"timeout_error\"");
    close(far);
    close(fd);
    fd = dial(&r);
    asked(&r, fd, "{}", &far);
    say(far, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    reset_after(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    close(far);
    end(&r);
}

static void an_early_answer_ends_the_request(void)
{
    struct rig r;
    const char *head;
    char rest[64];
    int fd, far;

    begin(&r, messages());
    fd = dial(&r);
    say(fd, POST "Content-Length: 1000\r\n\r\nbegin");
    far = called(&r, &head);
    say(far, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
    hear(fd, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    CHECK_INT(hear_all(fd, rest, sizeof rest), 0);
    close(fd);
    close(far);
    end(&r);
}

static void redirects_are_handed_on_and_not_followed(void)
{
    struct rig r;

    begin(&r, messages());
    far_says(&r, "HTTP/1.1 307 There\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
             307, "\r\nLocation: http://127.0.0.1:1/\r\n");
    end(&r);
}

/* ---- the secret ---- */

/* Whatever comes, that is not in it. */
static void ends_without(int fd, const char *secret)
{
    char got[8192];

    hear_all(fd, got, sizeof got);
    lacks(got, secret);
    close(fd);
}

static void a_secret_in_an_answers_head_is_not_handed_on(void)
{
    struct rig r;

    begin(&r, messages());
    far_says(&r, "HTTP/1.1 200 OK\r\nX-Echo: " KEY "\r\nContent-Length: 0\r\n\r\n", 502,
             "answered with the secret");
    far_says(&r, "HTTP/1.1 200 " KEY "\r\nContent-Length: 0\r\n\r\n", 502,
             "answered with the secret");
    far_says(&r, "HTTP/1.1 100 " KEY "\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 502,
             "answered with the secret");
    far_says(&r, "HTTP/1.1 200 OK\r\nX-" KEY ": 1\r\nContent-Length: 0\r\n\r\n", 502,
             "answered with the secret");
    end(&r);
}

static void a_secret_in_an_answers_body_is_not_handed_on(void)
{
    static const char body[] = "{\"echo\":{\"x-api-key\":\"" KEY "\"}}";
    struct rig r;

    begin(&r, messages());
    for (size_t step = 1; step < sizeof body; step += 6) { /* in pieces, and in chunks of them */
        for (int chunked = 0; chunked < 2; chunked++) {
            int far, fd = dial(&r);
            const char *head;

            say(fd, POST "\r\n");
            far = called(&r, &head);
            say(far, chunked ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                             : "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
            has(head_of(fd), "200 OK");
            for (size_t at = 0; at < sizeof body - 1; at += step) {
                size_t n = MIN(step, sizeof body - 1 - at);
                auto_free char *piece = chunked ? str_fmt("%zx\r\n%.*s\r\n", n, (int)n, body + at)
                                                : xstrndup(body + at, n);

                (void)send(far, piece, strlen(piece), MSG_NOSIGNAL);
                usleep(200);
            }
            (void)send(far, "0\r\n\r\n", chunked ? 5 : 0, MSG_NOSIGNAL);
            ends_without(fd, "sk-ant");
            close(far);
        }
    }
    end(&r);
}

static void what_only_begins_like_the_secret_is_handed_on(void)
{
    struct rig r;
    int fd, far;

    begin(&r, messages());
    fd = dial(&r);
    asked(&r, fd, "{}", &far);
    say(far, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nx sk-ant-a\r\n");
    hear(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nx \r\n");
    say(far, "4\r\npi04\r\n0\r\n\r\n");
    hear(fd, "c\r\nsk-ant-api04\r\n0\r\n\r\n");
    close(far);
    asked(&r, fd, "{}", &far); /* and as the last of all */
    say(far, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nx sk-ant");
    hear(fd, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nx sk-ant");
    close(far);
    close(fd);
    end(&r);
}

/* ---- addresses ---- */

static void upstreams_do_not_lead_where_addresses_may_not(void)
{
    static const struct {
        const char *upstream, *why;
        int status;
    } rows[] = {
        {"good.test:%", "127.0.0.1 is refused: loopback", 403},
        {"127.0.0.1:%", "127.0.0.1 is refused: loopback", 403},
        {"private.test:%", "10.1.2.3 is refused: a private", 403},
        {"meta.test:%", "169.254.169.254 is refused: link local", 403},
        {"own.test:%", "own address", 403},
        {"none.test:%", "the host name has no address", 502},
        {"127.0.0.1:9=127.0.0.1", "connect to 127.0.0.1 port 9: Connection refused", 502},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct proxy_gateway g = messages();
        struct rig r;

        g.upstream = rows[i].upstream;
        g.tls = true;
        begin(&r, g);
        asks_and_gets(&r, POST "Connection: close\r\n\r\n", rows[i].status, rows[i].why);
        nobody_calls(&r);
        end(&r);
    }
}

/* ---- git ---- */

#define BASIC "eC1hY2Nlc3MtdG9rZW46Z2hwLWNhbmFyeS1vZi1naXQ="

static void git_fetches_with_basic_authorization(void)
{
    struct rig r;
    const char *head;
    auto_free char *host = NULL;
    int fd, far;

    begin(&r, git());
    host = str_fmt("\r\nHost: good.test:%u\r\n", r.far_port);
    fd = dial(&r);
    say(fd, "GET /git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: a\r\n"
            "Git-Protocol: version=2\r\nAuthorization: Basic bWluZQ==\r\n\r\n");
    far = called(&r, &head);
    has(head, "GET /owner/name.git/info/refs?service=git-upload-pack HTTP/1.1\r\n");
    has(head, host);
    has(head, "\r\nGit-Protocol: version=2\r\n");
    has(head, "\r\nAuthorization: Basic " BASIC "\r\n");
    lacks(head, "bWluZQ");
    say(far, "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n"
             "Content-Length: 4\r\n\r\n0000");
    has(head_of(fd), "200 OK");
    hear(fd, "0000");
    close(far);
    say(fd, "POST /git/git-upload-pack HTTP/1.1\r\nHost: a\r\n"
            "Content-Type: application/x-git-upload-pack-request\r\nContent-Encoding: gzip\r\n"
            "Content-Length: 4\r\n\r\n0000");
    far = called(&r, &head);
    has(head, "POST /owner/name.git/git-upload-pack HTTP/1.1\r\n");
    has(head, "\r\nContent-Encoding: gzip\r\n");
    hear(far, "0000");
    say(far, "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-result\r\n\r\n"
             "x " BASIC " x");
    ends_without(fd, "Z2hwLWNhbmFyeS1vZi1na");
    close(far);
    rig_counts(&r);
    CHECK_INT(r.counts.api_requests, 0);
    end(&r);
}

static void what_is_no_git_server_is_not_handed_on(void)
{
    static const char get[] = "GET /git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: a\r\n"
                              "Connection: close\r\n\r\n";
    struct rig r;
    const char *head;
    int fd, far;

    begin(&r, git());
    fd = dial(&r);
    say(fd, get);
    far = called(&r, &head);
    say(far, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n");
    answered(fd, 502, "what answered is no git server\n");
    close(far);
    fd = dial(&r);
    say(fd, get);
    far = called(&r, &head);
    say(far, "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nno");
    answered(fd, 404, "no");
    close(far);
    asks_and_gets(&r, "POST /git/git-receive-pack HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                  403, "and nothing else\n");
    nobody_calls(&r);
    end(&r);
}

TESTS(requests_that_can_be_read_in_two_ways_reach_nobody, nothing_else_of_the_far_side_is_reached,
      a_connection_outlives_a_refusal, heads_and_bodies_have_an_end,
      who_does_not_go_on_is_not_waited_for, who_goes_away_ends_what_it_asked_for,
      answers_that_are_not_http_are_not_handed_on, an_answer_that_never_comes_is_not_waited_for,
      an_answer_that_is_cut_is_not_taken_for_a_whole_one, a_far_side_that_stands_still_is_given_up,
      an_early_answer_ends_the_request, redirects_are_handed_on_and_not_followed,
      a_secret_in_an_answers_head_is_not_handed_on, a_secret_in_an_answers_body_is_not_handed_on,
      what_only_begins_like_the_secret_is_handed_on, upstreams_do_not_lead_where_addresses_may_not,
      git_fetches_with_basic_authorization, what_is_no_git_server_is_not_handed_on)
