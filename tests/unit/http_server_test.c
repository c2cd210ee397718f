/* The server: requests, answers, refusals, addresses. */
#include "http/router.h"
#include "http_toy.h"

/* ---- requests and replies ---- */

static void a_connection_serves_one_request_after_another(void)
{
    auto_buf got = {0};
    int fd;

    start();
    fd = dial();
    for (int i = 1; i <= 5; i++) {
        buf_reset(&got);
        say(fd, GET("/hello"));
        CHECK(!hear(fd, &got));
        check_status(&got, 200);
        CHECK_STR(body_of(&got), "hello");
        CHECK_INT(count(&got, "Content-Length: 5\r\n"), 1);
        CHECK_INT(count(&got, "\r\nDate: "), 1);
        CHECK_INT(app.handled, i);
    }
    close(fd);
    stop();
}

static void the_answer_does_not_depend_on_how_the_bytes_arrive(void)
{
    const char *text = "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                       "3\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n";
    auto_buf got = {0};

    start();
    for (size_t split = 1; split < strlen(text); split++) {
        auto_fd int fd = dial();

        buf_reset(&got);
        CHECK_INT(send(fd, text, split, 0), split);
        turns(3);
        say(fd, text + split);
        turns(3);
        while (recv(fd, buf_space(&got, 1024), 1024, 0) <= 0) {
            turn();
        }
        CHECK(strstr(got.data, "\r\n\r\nabcde"));
        CHECK(str_starts(got.data, "HTTP/1.1 200 "));
    }
    stop();
}

static void pipelined_requests_are_answered_in_order_one_a_turn(void)
{
    auto_buf got = {0};
    int fd;

    start();
    fd = dial();
    say(fd, GET("/items/1") GET("/items/2") GET("/items/3"));
    CHECK(!hear(fd, &got));
    CHECK_INT(count(&got, "HTTP/1.1 200"), 3);
    CHECK(strstr(got.data, "/items/1|1"));
    CHECK(strstr(strstr(got.data, "/items/1|1"), "/items/2|2"));
    CHECK(strstr(strstr(got.data, "/items/2|2"), "/items/3|3"));
    close(fd);
    stop();
}

static void a_request_behind_a_held_one_waits(void)
{
    auto_buf got = {0};
    int fd;

    start();
    fd = dial();
    say(fd, GET("/hold") GET("/hello"));
    CHECK(!hear(fd, &got));
    CHECK_INT(got.len, 0);
    CHECK(app.held);
    CHECK_INT(app.handled, 1);
    http_reply(app.held, 200, "text/plain", "held", 4);
    CHECK(!hear(fd, &got));
    CHECK_INT(count(&got, "HTTP/1.1 200"), 2);
    CHECK(strstr(got.data, "held") < strstr(got.data, "hello"));
    close(fd);
    stop();
}

static void what_is_sent_ahead_of_an_answer_is_bounded(void)
{
    static char flood[65536];
    int fd;
    ssize_t n, sent = 0;

    memset(flood, 'x', sizeof flood);
    start();
    fd = dial();
    say(fd, GET("/hold"));
    turns(5);
    for (int quiet = 0; quiet < 50 && sent < 64 << 20;) {
        n = send(fd, flood, sizeof flood, MSG_NOSIGNAL);
        sent += n > 0 ? n : 0;
        quiet = n > 0 ? 0 : quiet + 1;
        turn();
    }
    CHECK(sent < 64 << 20); /* the kernel's buffers are full, ours is not growing */
    CHECK_INT(app.aborted, 0);
    close(fd);
    stop();
}

static void paths_queries_and_headers_reach_the_handler(void)
{
    auto_buf got = {0};

    start();
    ask("GET /items/a%20b?x=1&q=c+d%26 HTTP/1.1\r\n" HOST "X-TEST:  v w \r\n\r\n", &got);
    CHECK_STR(body_of(&got), "GET|/items/a b|a b|c d&|v w");
    ask("DELETE /items/a%2Fb HTTP/1.1\r\n" HOST "\r\n", &got);
    CHECK_STR(body_of(&got), "DELETE|/items/a%2Fb|a%2Fb|-|-");
    ask(GET("/items/all"), &got);
    CHECK_STR(body_of(&got), "hello");
    ask(GET("/peer"), &got);
    CHECK_STR(body_of(&got), "127.0.0.1");
    stop();
}

static void unknown_paths_and_methods_are_told_apart(void)
{
    auto_buf got = {0};

    start();
    CHECK(!ask(GET("/nothing"), &got));
    check_status(&got, 404);
    CHECK(!ask(GET("/items/"), &got));
    check_status(&got, 404);
    CHECK(!ask("POST /items/1 HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nab", &got));
    check_status(&got, 405);
    CHECK_INT(count(&got, "Allow: GET, HEAD, DELETE\r\n"), 1);
    CHECK(ask("BREW /hello HTTP/1.1\r\n" HOST "\r\n", &got));
    check_status(&got, 501);
    stop();
}

static void head_is_get_without_the_body(void)
{
    auto_buf got = {0};
    const char *paths[] = {
        "HEAD /hello HTTP/1.1\r\n" HOST "\r\n", "HEAD /buffered HTTP/1.1\r\n" HOST "\r\n",
        "HEAD /stream HTTP/1.1\r\n" HOST "\r\n", "HEAD /nothing HTTP/1.1\r\n" HOST "\r\n",
        "HEAD /hello HTTP/1.1\r\n\r\n"};

    start();
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        ask(paths[i], &got);
        CHECK_INT(count(&got, "HTTP/1.1"), 1);
        CHECK_STR(body_of(&got), "");
    }
    CHECK_INT(app.done_calls, 1);
    CHECK_INT(app.more_calls, 0);
    stop();
}

static void headers_of_a_handler_cannot_split_the_answer(void)
{
    auto_buf got = {0};

    start();
    ask(GET("/buffered"), &got);
    CHECK_INT(count(&got, "X-Extra: 1\r\n"), 1);
    CHECK_INT(count(&got, "Set-Cookie"), 0);
    CHECK_STR(body_of(&got), "from a buffer");
    stop();
}

static void old_clients_get_what_they_asked_for(void)
{
    auto_buf got = {0};

    start();
    app.stream_left = 12;
    CHECK(ask("GET /hello HTTP/1.0\r\n\r\n", &got));
    CHECK_INT(count(&got, "Connection: close\r\n"), 1);
    CHECK(!ask("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &got));
    CHECK_INT(count(&got, "Connection: keep-alive\r\n"), 1);
    CHECK(ask("GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", &got));
    CHECK_INT(count(&got, "Connection: close\r\n"), 1);
    CHECK(ask("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &got));
    CHECK_STR(body_of(&got), "ssssssssssss");
    stop();
}

static void a_client_that_stops_sending_still_gets_its_answers(void)
{
    auto_buf got = {0};
    int fd;

    start();
    fd = dial();
    say(fd, GET("/hold") GET("/hello"));
    shutdown(fd, SHUT_WR);
    turns(5);
    CHECK(app.held);
    CHECK_INT(app.aborted, 0);
    http_reply(app.held, 200, "text/plain", "held", 4);
    CHECK(hear(fd, &got));
    CHECK_INT(count(&got, "HTTP/1.1 200"), 2);
    close(fd);
    stop();
}

static void an_expected_body_is_asked_for_once(void)
{
    auto_buf got = {0};
    int fd;

    start();
    fd = dial();
    say(fd, "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    CHECK(!hear(fd, &got));
    CHECK_STR(got.data, "HTTP/1.1 100 Continue\r\n\r\n");
    buf_reset(&got);
    say(fd, "abc");
    CHECK(!hear(fd, &got));
    check_status(&got, 200);
    CHECK_STR(body_of(&got), "abc");
    close(fd);
    CHECK(ask("POST /small HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 11\r\n\r\n",
              &got));
    check_status(&got, 413);
    stop();
}

static void large_bodies_arrive_whole(void)
{
    auto_buf body = {0}, got = {0};
    size_t sent = 0;
    int fd;

    start();
    fd = dial();
    say(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
    for (size_t i = 0; i < 100000; i++) {
        buf_addc(&body, (char)('a' + i % 26));
    }
    while (sent < body.len) {
        ssize_t n = send(fd, body.data + sent, MIN(body.len - sent, 7777), MSG_NOSIGNAL);

        sent += n > 0 ? (size_t)n : 0;
        turn();
    }
    CHECK(!hear(fd, &got));
    check_status(&got, 200);
    CHECK_STR(body_of(&got), body.data);
    close(fd);
    stop();
}

/* ---- uploads ---- */

#define UPLOAD "POST /upload HTTP/1.1\r\n" HOST "X-API-Key: k\r\n"

static void an_upload_goes_on_piece_by_piece_and_the_next_request_is_found(void)
{
    enum { SIZE = 900000 };
    auto_buf text = {0}, got = {0};
    size_t sent = 0;
    int fd;

    start();
    fd = dial();
    buf_addf(&text, UPLOAD "Content-Length: %d\r\n\r\n", SIZE);
    for (size_t i = 0; i < SIZE; i++) {
        buf_addc(&text, (char)('a' + i % 26));
    }
    buf_adds(&text, GET("/hello"));
    while (sent < text.len) {
        ssize_t n = send(fd, text.data + sent, text.len - sent, MSG_NOSIGNAL);

        sent += n > 0 ? (size_t)n : 0;
        turn();
    }
    CHECK(!hear(fd, &got));
    CHECK_INT(count(&got, "HTTP/1.1 200"), 2);
    CHECK_INT(app.uploaded.len, SIZE);
    CHECK(memcmp(app.uploaded.data, strstr(text.data, "\r\n\r\n") + 4, SIZE) == 0);
    CHECK(app.pieces_max <= 65536);
    CHECK_INT(app.handled, 2);
    CHECK_INT(app.drops, 0);
    close(fd);
    stop();
}

static void a_chunked_upload_arrives_whole_however_it_is_split(void)
{
    static const char text[] = UPLOAD "Transfer-Encoding: chunked\r\n\r\n"
                                      "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n" GET("/hello");

    for (size_t split = 1; split < sizeof text - 1; split += 5) {
        auto_buf got = {0};
        auto_fd int fd = -1;

        start();
        fd = dial();
        CHECK_INT(send(fd, text, split, MSG_NOSIGNAL), split);
        turns(3);
        say(fd, text + split);
        while (count(&got, "HTTP/1.1 200") < 2) {
            CHECK(!hear(fd, &got));
        }
        CHECK_STR(app.uploaded.data, "hello world");
        CHECK_INT(app.handled, 2);
        CHECK_INT(app.drops, 0);
        stop();
    }
}

static void an_upload_that_fails_is_dropped_once_and_its_connection_ends(void)
{
    static const struct {
        const char *text;
        int status, sinks, take_status;
    } rows[] = {
        {"POST /upload HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", 401, 0, 0},
        {"POST /upload?bad=1 HTTP/1.1\r\n" HOST "X-API-Key: k\r\nContent-Length: 3\r\n\r\nabc", 422,
         0, 0},
        {UPLOAD "Content-Length: 1000001\r\n\r\nabc", 413, 1, 0},
        {UPLOAD "Transfer-Encoding: chunked\r\n\r\nf4241\r\nabc", 413, 1, 0},
        {UPLOAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabcX", 400, 1, 0},
        {UPLOAD "Content-Length: 3\r\n\r\nabc", 507, 1, 507},
    };
    auto_buf got = {0};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        start();
        app.take_status = rows[i].take_status;
        CHECK(ask(rows[i].text, &got));
        check_status(&got, rows[i].status);
        CHECK_INT(count(&got, "Connection: close\r\n"), 1);
        CHECK_INT(app.sinks, rows[i].sinks);
        CHECK_INT(app.drops, rows[i].sinks);
        CHECK_INT(app.handled, 0);
        stop();
    }
}

static void an_upload_whose_client_leaves_is_dropped(void)
{
    int fd;

    start();
    fd = dial();
    say(fd, UPLOAD "Content-Length: 100\r\n\r\nabc");
    turns(3);
    CHECK_INT(app.sinks, 1);
    CHECK_STR(app.uploaded.data, "abc");
    close(fd);
    turns(3);
    CHECK_INT(app.drops, 1);
    CHECK_INT(app.handled, 0);
    fd = dial();
    say(fd, UPLOAD "Content-Length: 100\r\n\r\nabc");
    turns(3);
    http_server_free(app.server); /* the server ends with one under way */
    app.server = NULL;
    CHECK_INT(app.drops, 2);
    close(fd);
    stop();
}

static void an_offered_upload_is_asked_for(void)
{
    auto_buf got = {0};

    start();
    CHECK(!ask(UPLOAD "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n", &got));
    CHECK_STR(got.data, "HTTP/1.1 100 Continue\r\n\r\n");
    turns(3);
    CHECK_INT(app.drops, 1);
    CHECK(ask(UPLOAD "Expect: 100-continue\r\nContent-Length: 1000001\r\n\r\n", &got));
    check_status(&got, 413);
    stop();
}

/* ---- refusals ---- */

static void each_refused_request_gets_one_answer_and_the_end(void)
{
    static const struct {
        const char *text;
        int status;
    } rows[] = {
        {"GET /hello HTTP/1.1\r\n\r\n" GET("/hello"), 400},
        {"GET /hello HTTP/1.1\r\n" HOST HOST "\r\n" GET("/hello"), 400},
        {"GET /hello HTTP/2.0\r\n" HOST "\r\n" GET("/hello"), 505},
        {"GET /hel%00lo HTTP/1.1\r\n" HOST "\r\n" GET("/hello"), 400},
        {"GET /x/../hello HTTP/1.1\r\n" HOST "\r\n" GET("/hello"), 400},
        {"GET /hello HTTP/1.1\r\nHost: evil.example\r\n\r\n" GET("/hello"), 421},
        {"POST /echo HTTP/1.1\r\n" HOST
         "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" GET("/hello"),
         400},
        {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nX" GET("/hello"), 400},
        {"POST /small HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\nabcdefghijk" GET("/hello"),
         413},
        {"POST /small HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nb\r\nabcdefghijk"
         "\r\n0\r\n\r\n" GET("/hello"),
         413},
    };
    auto_buf got = {0};

    start();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_fd int fd = dial();

        buf_reset(&got);
        say(fd, rows[i].text);
        shutdown(fd, SHUT_WR);
        CHECK(hear(fd, &got));
        check_status(&got, rows[i].status);
        CHECK_INT(count(&got, "HTTP/1.1 "), 1);
        CHECK_INT(count(&got, "Connection: close\r\n"), 1);
    }
    CHECK_INT(app.handled, 0);
    stop();
}

static void errors_take_the_shape_of_the_route(void)
{
    auto_buf got = {0};

    start();
    ask("POST /small HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\n", &got);
    CHECK_STR(body_of(&got), "413 legacy body too large");
    CHECK_INT(count(&got, "Content-Type: application/json\r\n"), 1);
    ask("GET /hello HTTP/1.1\r\n\r\n", &got);
    CHECK_STR(body_of(&got), "400 v1 no Host");
    CHECK_INT(count(&got, "Content-Type: application/problem+json\r\n"), 1);
    stop();
}

static void hosts_are_addresses_localhost_and_the_configured_names(void)
{
    static const char *const names[] = {"scan.example", NULL};
    static const struct {
        const char *host;
        int status;
    } rows[] = {
        {"127.0.0.1", 200},      {"127.0.0.1:8000", 200}, {"[::1]:8000", 200},
        {"LocalHost:1", 200},    {"192.0.2.7", 200},      {"Scan.Example:443", 200},
        {"scan.example.", 421},  {"x.scan.example", 421}, {"example", 421},
        {"localhost.evil", 421}, {"127.0.0.1.evil", 421}, {"0x7f000001", 421},
    };
    struct http_config c = {.hosts = names};
    auto_buf got = {0};

    start_with(&c);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_free char *text = str_fmt("GET /hello HTTP/1.1\r\nHost: %s\r\n\r\n", rows[i].host);

        CHECK_INT(ask(text, &got), rows[i].status != 200);
        check_status(&got, rows[i].status);
    }
    stop();
}

static void who_is_refused_does_not_get_to_send_a_large_body(void)
{
    auto_buf got = {0};

    start();
    CHECK(ask("POST /locked HTTP/1.1\r\n" HOST "Content-Length: 20000\r\n\r\nabc", &got));
    check_status(&got, 401);
    CHECK_INT(count(&got, "Connection: close\r\n"), 1);
    CHECK(ask("POST /locked HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n",
              &got));
    check_status(&got, 401);
    CHECK(!ask("POST /locked HTTP/1.1\r\n" HOST "X-API-Key: k\r\n"
               "Expect: 100-continue\r\nContent-Length: 20000\r\n\r\n",
               &got));
    CHECK(str_starts(got.data, "HTTP/1.1 100 "));
    CHECK_INT(app.handled, 0);
    stop();
}

static void who_is_refused_with_a_small_body_keeps_the_connection(void)
{
    auto_buf got = {0};

    start();
    CHECK(!ask("POST /locked HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", &got));
    check_status(&got, 401);
    CHECK(!ask("POST /locked HTTP/1.1\r\n" HOST "X-API-Key: k\r\nContent-Length: 3\r\n\r\nabc",
               &got));
    check_status(&got, 200);
    CHECK(!ask("POST /locked HTTP/1.1\r\n" HOST
               "Transfer-Encoding: chunked\r\n\r\n0\r\nX-API-Key: k\r\n\r\n",
               &got));
    check_status(&got, 401);
    CHECK(ask("POST /locked HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\nabc", &got));
    check_status(&got, 400);
    CHECK_INT(app.handled, 1);
    stop();
}

static void a_client_that_still_sends_sees_why_it_was_refused(void)
{
    static char flood[100000];
    auto_buf got = {0};
    int fd;

    memset(flood, 'x', sizeof flood);
    start();
    fd = dial();
    say(fd, "POST /small HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
    turns(3);
    CHECK(send(fd, flood, sizeof flood, MSG_NOSIGNAL) > 0);
    turns(3);
    CHECK(send(fd, flood, 1000, MSG_NOSIGNAL) > 0); /* not reset */
    CHECK(hear(fd, &got));
    check_status(&got, 413);
    close(fd);
    stop();
}

/* ---- listening ---- */

static void a_unix_socket_serves_any_host_name(void)
{
    auto_free char *path = str_fmt("%s/s", test_dir());
    auto_free char *where = str_fmt("unix:%s", path);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    auto_buf got = {0};
    int fd;

    start();
    for (int i = 0; i < 2; i++) { /* the second replaces what the first left */
        CHECK_OK(http_listen(where, &fd, ERR));
        if (i == 0) {
            int other;

            CHECK_ERR(http_listen(where, &other, ERR), ERR_CONFLICT);
            close(fd);
        }
    }
    CHECK_OK(http_server_listen(app.server, fd, ERR));
    memcpy(un.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && connect(fd, (void *)&un, sizeof un) == 0);
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    say(fd, "GET /peer HTTP/1.1\r\nHost: anything\r\n\r\n");
    CHECK(!hear(fd, &got));
    check_status(&got, 200);
    CHECK_STR(body_of(&got), "unix");
    close(fd);
    stop();
}

static void addresses_to_listen_on_are_checked(void)
{
    static const char *const bad[] = {
        "",
        "8000",
        ":8000",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:a",
        "::1:8000",
        "[::1]",
        "[127.0.0.1]:1",
        "example.com:80",
        "unix:",
        "[::1:80",
    };
    auto_free char *taken = NULL;
    int fd;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_ERR(http_listen(bad[i], &fd, ERR), ERR_INVALID);
        CHECK(strstr(tap_err.msg, bad[i]));
    }
    start();
    taken = str_fmt("127.0.0.1:%d", ntohs(app.addr.sin_port));
    CHECK_ERR(http_listen(taken, &fd, ERR), ERR_CONFLICT);
    CHECK(strstr(tap_err.msg, taken));
    stop();
}

static void malformed_routes_are_refused_at_start(void)
{
    static const struct http_route rows[][2] = {
        {{"BREW", "/a", hello, 0, 0, "a"}, {0}},
        {{"GET", "a", hello, 0, 0, "a"}, {0}},
        {{"GET", "", hello, 0, 0, "a"}, {0}},
    };
    struct router *r;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_ERR(router_new(rows[i], &r, ERR), ERR_INVALID);
    }
}

TESTS(a_connection_serves_one_request_after_another,
      the_answer_does_not_depend_on_how_the_bytes_arrive,
      pipelined_requests_are_answered_in_order_one_a_turn, a_request_behind_a_held_one_waits,
      what_is_sent_ahead_of_an_answer_is_bounded, paths_queries_and_headers_reach_the_handler,
      unknown_paths_and_methods_are_told_apart, head_is_get_without_the_body,
      headers_of_a_handler_cannot_split_the_answer, old_clients_get_what_they_asked_for,
      a_client_that_stops_sending_still_gets_its_answers, an_expected_body_is_asked_for_once,
      large_bodies_arrive_whole, an_upload_goes_on_piece_by_piece_and_the_next_request_is_found,
      a_chunked_upload_arrives_whole_however_it_is_split,
      an_upload_that_fails_is_dropped_once_and_its_connection_ends,
      an_upload_whose_client_leaves_is_dropped, an_offered_upload_is_asked_for,
      each_refused_request_gets_one_answer_and_the_end, errors_take_the_shape_of_the_route,
      hosts_are_addresses_localhost_and_the_configured_names,
      who_is_refused_does_not_get_to_send_a_large_body,
      who_is_refused_with_a_small_body_keeps_the_connection,
      a_client_that_still_sends_sees_why_it_was_refused, a_unix_socket_serves_any_host_name,
      addresses_to_listen_on_are_checked, malformed_routes_are_refused_at_start)
