/* What a run may take of a gateway, and what ends when: tokens, requests, bytes, and the checkout.
 */
#include "gateway_rig.h"

/* ---- budgets ---- */

static void tokens(const struct rig *r, int fd, const char *usage)
{
    auto_free char *body = str_fmt("{\"content\":[],\"usage\":{%s}}", usage);
    auto_free char *text =
        str_fmt("HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
    int far;

    asked(r, fd, "{}", &far);
    say(far, text);
    hear(fd, text);
    close(far);
}

static void a_budget_of_tokens_is_kept(void)
{
    struct proxy_gateway g = messages();
    struct rig r;
    const char *head;
    int fd, far;

    g.tokens_max = 100;
    begin(&r, g);
    fd = dial(&r);
    tokens(&r, fd, "\"input_tokens\":50,\"output_tokens\":49");
    asked(&r, fd, "{}", &far); /* one is left, so this may still be asked */
    say(far, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
             "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3,"
             "\"output_tokens\":1}}}\n\ndata: {\"usage\":{\"outp");
    usleep(1000);
    say(far, "ut_tokens\":20}}\n\n");
    close(far);
    has(head_of(fd), "200 OK");
    close(fd);
    fd = dial(&r);
    say(fd, POST "\r\n");
    head = head_of(fd);
    has(head, "HTTP/1.1 429 Too Many Requests\r\n");
    has(head, "\r\nX-Should-Retry: false\r\n");
    hear(fd, "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":"
             "\"the budget of this scan is spent: 122 of 100 tokens\"}}");
    close(fd);
    nobody_calls(&r);
    rig_counts(&r);
    CHECK_INT(r.counts.api_requests, 2);
    CHECK_INT(r.counts.api_refused, 1);
    CHECK_INT(r.counts.input_tokens, 53);
    CHECK_INT(r.counts.output_tokens, 69);
    end(&r);
}

static void a_budget_of_requests_is_kept(void)
{
    struct proxy_gateway g = messages();
    struct rig r;
    int fd;

    g.requests_max = 2;
    begin(&r, g);
    fd = dial(&r);
    tokens(&r, fd, "");
    tokens(&r, fd, "");
    say(fd, POST "Connection: close\r\n\r\n");
    answered(fd, 429, "the budget of this scan is spent: 2 of 2 requests");
    nobody_calls(&r);
    end(&r);
}

static void the_bytes_of_a_run_have_an_end(void)
{
    struct rig r;
    int fd, far;
    char rest[256];

    start(&r, (struct proxy_config){0});
    open_with(&r, (struct proxy_gateway[]){messages()}, 1, 10);
    fd = dial(&r);
    asked(&r, fd, "12345", &far);
    say(far, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n123456");
    CHECK_INT(hear_all(fd, rest, sizeof rest), -1);
    close(fd);
    close(far);
    end(&r);
}

/* ---- after the checkout ---- */

static void the_first_request_to_the_model_ends_the_checkout(void)
{
    const struct proxy_gateway two[] = {messages(), git()};
    struct rig r;
    const char *head;
    int fd, far, tunnelled, tunnel_far, fetch, fetch_far;
    char rest[64];

    start(&r, (struct proxy_config){0});
    open_with(&r, two, 2, 0);
    tunnelled = tunnel(&r, "127.0.0.1:%", &tunnel_far);
    fetch = dial(&r);
    say(fetch, "GET /git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: a\r\n\r\n");
    fetch_far = called(&r, &head);
    fd = dial(&r);
    say(fd, "HEAD /anthropic/ HTTP/1.1\r\nHost: a\r\n\r\n"); /* asks nothing yet */
    hear(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    say(tunnelled, "still");
    hear(tunnel_far, "still");
    asked(&r, fd, "{}", &far);
    CHECK_INT(hear_all(tunnelled, rest, sizeof rest), -1);
    CHECK_INT(hear_all(tunnel_far, rest, sizeof rest), -1);
    CHECK_INT(hear_all(fetch, rest, sizeof rest), -1);
    CHECK_INT(hear_all(fetch_far, rest, sizeof rest), -1);
    refused(&r, "127.0.0.1:%", 403, "the checkout is over");
    asks_and_gets(&r,
                  "GET /git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: a\r\n"
                  "Connection: close\r\n\r\n",
                  403, "the checkout is over");
    say(far, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    hear(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    close(tunnelled);
    close(tunnel_far);
    close(fetch);
    close(fetch_far);
    close(far);
    close(fd);
    end(&r);
}

static void the_end_of_a_run_resets_its_gateways(void)
{
    struct rig r;
    int fd, far, idle;
    char rest[64];

    begin(&r, messages());
    fd = dial(&r);
    asked(&r, fd, "{}", &far);
    idle = dial(&r);
    say(idle, "HEAD /anthropic/ HTTP/1.1\r\nHost: a\r\n\r\n");
    hear(idle, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    rig_counts(&r);
    CHECK_INT(hear_all(fd, rest, sizeof rest), -1);
    CHECK_INT(hear_all(far, rest, sizeof rest), -1);
    CHECK_INT(hear_all(idle, rest, sizeof rest), -1);
    close(fd);
    close(far);
    close(idle);
    end(&r);
}

TESTS(a_budget_of_tokens_is_kept, a_budget_of_requests_is_kept, the_bytes_of_a_run_have_an_end,
      the_first_request_to_the_model_ends_the_checkout, the_end_of_a_run_resets_its_gateways)
