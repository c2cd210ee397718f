/*
 * Gateways as a box meets them, with a far side of the test's own that speaks plain HTTP: framing,
 * what is added and left out, and that nothing waits that need not.
 */
#include "gateway_rig.h"

/* ---- requests ---- */

static void a_request_is_handed_on_with_the_secret(void)
{
    struct rig r;
    int fd, far;
    auto_free char *want = NULL;

    begin(&r, messages());
    fd = dial(&r);
    say(fd, "POST /anthropic/v1/messages?beta=true HTTP/1.1\r\nHost: 127.0.0.1:3128\r\n"
            "X-Api-Key: dummy\r\nauthorization: Bearer dummy\r\nCookie: a=b\r\n"
            "Accept-Encoding: gzip, br\r\nProxy-Authorization: Basic eA==\r\nTE: trailers\r\n"
            "Connection: keep-alive, X-Mine\r\nX-Mine: 1\r\nUpgrade: h2c\r\nX-Forwarded-For: 1\r\n"
            "anthropic-version: 2023-06-01\r\nContent-Type: application/json\r\n"
            "Content-Length: 2\r\n\r\n{}");
    far = answer_call(&r);
    want = str_fmt("POST /v1/messages?beta=true HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                   "anthropic-version: 2023-06-01\r\nContent-Type: application/json\r\n"
                   "X-Api-Key: " KEY "\r\nContent-Length: 2\r\nAccept-Encoding: identity\r\n"
                   "Connection: close\r\n\r\n{}",
                   r.far_port);
    hear(far, want);
    say(far, "HTTP/1.1 201 Fine\r\nSet-Cookie: s=1\r\nRequest-Id: 7\r\nAlt-Svc: h3\r\n"
             "Connection: close, X-Theirs\r\nX-Theirs: 1\r\nKeep-Alive: 5\r\n"
             "Content-Length: 4\r\n\r\ndone");
    hear(fd, "HTTP/1.1 201 Fine\r\nRequest-Id: 7\r\nContent-Length: 4\r\n\r\ndone");
    close(far);
    asked(&r, fd, "again", &far); /* on the same connection */
    say(far, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    hear(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    close(far);
    close(fd);
    rig_counts(&r);
    CHECK_INT(r.counts.api_requests, 2);
    CHECK_INT(r.counts.passed, 2);
    CHECK_INT(r.counts.bytes_up, 7);
    CHECK_INT(r.counts.bytes_down, 4);
    end(&r);
}

static void a_token_goes_as_a_bearer(void)
{
    struct proxy_gateway g = messages();
    struct rig r;
    const char *head;
    int fd, far;

    g.secret = "oauth";
    begin(&r, g);
    fd = dial(&r);
    say(fd, POST "Authorization: Bearer mine\r\n\r\n");
    far = called(&r, &head);
    has(head, "\r\nAuthorization: Bearer sk-ant-oat01-canary-of-the-gateway\r\n");
    has(head, "\r\nContent-Length: 0\r\n");
    lacks(head, "x-api-key");
    lacks(head, "mine");
    close(far);
    close(fd);
    end(&r);
}

static void a_gateway_may_have_no_secret_but_not_a_missing_one(void)
{
    struct proxy_gateway two[] = {messages(), messages(), messages()};
    struct rig r;
    const char *head;
    char rest[1024];
    int fd, far;

    two[0].secret = NULL;
    two[1].secret = "missing";
    two[1].prefix = "/missing";
    two[2].secret = "unfit";
    two[2].prefix = "/unfit";
    start(&r, (struct proxy_config){0});
    open_with(&r, two, 3, 0);
    fd = dial(&r);
    say(fd, POST "X-Api-Key: mine\r\n\r\n");
    far = called(&r, &head);
    lacks(head, "mine");
    lacks(head, "canary");
    say(far, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    has(head_of(fd), "200 OK");
    close(far);
    say(fd, "POST /missing/v1/messages HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    hear_all(fd, rest, sizeof rest);
    has(rest, "HTTP/1.1 403 ");
    has(rest, "there is no secret of the name");
    close(fd);
    fd = dial(&r);
    say(fd, "POST /unfit/v1/messages HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    hear_all(fd, rest, sizeof rest);
    has(rest, "characters that no API key has");
    lacks(rest, "two");
    close(fd);
    nobody_calls(&r);
    end(&r);
}

static void bodies_of_unknown_length_go_both_ways(void)
{
    struct rig r;
    const char *head;
    char rest[64];
    int fd, far;

    begin(&r, messages());
    fd = dial(&r);
    say(fd, POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    far = called(&r, &head);
    has(head, "\r\nTransfer-Encoding: chunked\r\n");
    lacks(head, "content-length");
    hear(far, "3\r\nabc\r\n");
    say(fd, "0005\r\ndefgh\r\n0\r\n\r\n");
    hear(far, "5\r\ndefgh\r\n0\r\n\r\n");
    say(far, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
    hear(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
    say(far, "3\r\n!!!\r\n0\r\n\r\n");
    hear(fd, "3\r\n!!!\r\n0\r\n\r\n");
    close(far);
    say(fd, POST "\r\n"); /* an answer that ends with its connection */
    far = called(&r, &head);
    say(far, "HTTP/1.0 200 OK\r\n\r\nall");
    close(far);
    hear(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n0\r\n\r\n");
    close(fd);
    fd = dial(&r); /* and for a client that knows no chunks */
    say(fd, "POST /anthropic/v1/messages HTTP/1.0\r\n\r\n");
    far = called(&r, &head);
    say(far, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
    hear(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhi");
    CHECK_INT(hear_all(fd, rest, sizeof rest), 0);
    close(far);
    close(fd);
    end(&r);
}

static void events_are_not_kept_waiting(void)
{
    struct rig r;
    int fd, far;

    begin(&r, messages());
    fd = dial(&r);
    asked(&r, fd, "{}", &far);
    say(far, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
             "Transfer-Encoding: chunked\r\n\r\n");
    has(head_of(fd), "text/event-stream");
    for (int i = 0; i < 20; i++) { /* the next is sent only when this one has arrived */
        say(far, "f\r\ndata: {\"x\":1}\n\n\r\n");
        hear(fd, "f\r\ndata: {\"x\":1}\n\n\r\n");
    }
    say(far, "0\r\n\r\n");
    hear(fd, "0\r\n\r\n");
    close(far);
    close(fd);
    end(&r);
}

static void pipelined_requests_are_answered_in_turn(void)
{
    struct rig r;
    const char *head;
    int fd, far;

    begin(&r, messages());
    fd = dial(&r);
    say(fd, POST "Content-Length: 3\r\n\r\none" POST "Transfer-Encoding: chunked\r\n\r\n"
                 "3\r\ntwo\r\n0\r\n\r\nHEAD /anthropic/ HTTP/1.1\r\nHost: a\r\n\r\n"
                 "GET /anthropic/x HTTP/1.1\r\nHost: a\r\n\r\n" POST "\r\n");
    far = called(&r, &head);
    hear(far, "one");
    nobody_calls(&r);
    say(far, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
    hear(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
    close(far);
    far = called(&r, &head);
    hear(far, "3\r\ntwo\r\n0\r\n\r\n");
    say(far, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
    hear(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
    close(far);
    hear(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); /* HEAD, answered by the proxy */
    has(head_of(fd), "HTTP/1.1 403 Forbidden\r\n");
    far = called(&r, &head);
    close(far);
    close(fd);
    end(&r);
}

static void who_waits_to_be_told_to_go_on_is_told(void)
{
    struct rig r;
    const char *head;
    int fd, far;

    begin(&r, messages());
    fd = dial(&r);
    say(fd, POST "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    hear(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    far = called(&r, &head);
    lacks(head, "expect");
    say(fd, "body");
    hear(far, "body");
    say(far, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
             "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    hear(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    close(far);
    close(fd);
    end(&r);
}

static void much_goes_both_ways_unchanged(void)
{
    enum { MUCH = 3 << 20 };
    auto_free char *out = xmalloc(MUCH + 1);
    auto_free char *in = xmalloc(MUCH + 1);
    struct rig r;
    const char *head;
    int fd, far;
    pid_t echo;

    for (size_t i = 0; i < MUCH; i++) {
        out[i] = (char)(i * 7 + (i >> 11));
    }
    begin(&r, messages());
    fd = dial(&r);
    say(fd, POST "Content-Length: 3145728\r\nConnection: close\r\n\r\n");
    far = called(&r, &head);
    echo = fork();
    if (echo == 0) {
        _exit(send(fd, out, MUCH, MSG_NOSIGNAL) != MUCH);
    }
    CHECK_INT(recv(far, in, MUCH, MSG_WAITALL), MUCH);
    CHECK(memcmp(in, out, MUCH) == 0);
    CHECK_INT(waitpid(echo, NULL, 0), echo);
    echo = fork();
    if (echo == 0) {
        say(far, "HTTP/1.1 200 OK\r\nContent-Length: 3145728\r\n\r\n");
        _exit(send(far, out, MUCH, MSG_NOSIGNAL) != MUCH);
    }
    has(head_of(fd), "\r\nContent-Length: 3145728\r\nConnection: close\r\n");
    CHECK_INT(hear_all(fd, in, MUCH + 1), MUCH);
    CHECK(memcmp(in, out, MUCH) == 0);
    CHECK_INT(waitpid(echo, NULL, 0), echo);
    close(far);
    close(fd);
    rig_counts(&r);
    CHECK_INT(r.counts.bytes_up, MUCH);
    CHECK_INT(r.counts.bytes_down, MUCH);
    end(&r);
}

static void sixty_four_ask_at_the_same_time(void)
{
    struct rig r;
    int fd[PROXY_AT_ONCE], far[PROXY_AT_ONCE];

    begin(&r, messages());
    for (int i = 0; i < PROXY_AT_ONCE; i++) {
        auto_free char *text = str_fmt(POST "Content-Length: 4\r\n\r\n%04d", i);

        fd[i] = dial(&r);
        say(fd[i], text);
    }
    for (int i = 0; i < PROXY_AT_ONCE; i++) {
        const char *head;

        far[i] = called(&r, &head);
    }
    for (int i = PROXY_AT_ONCE - 1; i >= 0; i--) { /* each gets what it asked for back */
        char body[8] = "";
        auto_free char *text = NULL;

        CHECK_INT(recv(far[i], body, 4, MSG_WAITALL), 4);
        text = str_fmt("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n%s", body);
        say(far[i], text);
    }
    for (int i = 0; i < PROXY_AT_ONCE; i++) {
        auto_free char *want = str_fmt("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n%04d", i);

        hear(fd[i], want);
        close(fd[i]);
        close(far[i]);
    }
    rig_counts(&r);
    CHECK_INT(r.counts.api_requests, PROXY_AT_ONCE);
    end(&r);
}
TESTS(a_request_is_handed_on_with_the_secret, a_token_goes_as_a_bearer,
      a_gateway_may_have_no_secret_but_not_a_missing_one, bodies_of_unknown_length_go_both_ways,
      events_are_not_kept_waiting, pipelined_requests_are_answered_in_turn,
      who_waits_to_be_told_to_go_on_is_told, much_goes_both_ways_unchanged,
      sixty_four_ask_at_the_same_time)
