/* The server over time: turns and commits, held requests, streams, deadlines, limits. */
#include "http_toy.h"

/* ---- turns ---- */

static void a_failed_commit_replaces_the_answers_of_its_turn(void)
{
    auto_buf a = {0}, b = {0}, c = {0};
    int one, two, three;

    start();
    one = dial();
    two = dial();
    three = dial();
    turns(3);
    say(one, GET("/hello"));
    say(two, GET("/local"));
    say(three, GET("/stream"));
    app.fail_status = 507;
    turn();
    CHECK_INT(app.fail_status, 0);
    CHECK(hear(one, &a));
    CHECK(!hear(two, &b));
    CHECK(hear(three, &c));
    check_status(&a, 507);
    CHECK_STR(body_of(&a), "507 v1 disk full");
    CHECK_INT(count(&a, "HTTP/1.1"), 1);
    check_status(&b, 200);
    check_status(&c, 507);
    CHECK_INT(app.done_calls, 1);
    CHECK_INT(app.more_calls, 0);
    close(one);
    close(two);
    close(three);
    stop();
}

static void a_held_request_is_answered_later(void)
{
    auto_buf got = {0};
    int fd;

    start();
    fd = dial();
    say(fd, GET("/hold"));
    turns(5);
    CHECK(app.held);
    http_reply(app.held, 200, "text/plain", "late", 4);
    turn(); /* not called from a handler: the flush of the next turn sends it */
    CHECK(!hear(fd, &got));
    CHECK_STR(body_of(&got), "late");
    CHECK_INT(app.aborted, 0);
    close(fd);
    stop();
}

static void held_connections_do_not_hold_up_the_others(void)
{
    enum { HELD = 100, ACTIVE = 200 };
    int held[HELD], active[ACTIVE];

    start();
    for (int i = 0; i < HELD; i++) {
        held[i] = dial();
        say(held[i], GET("/hold"));
    }
    for (int i = 0; i < ACTIVE; i++) {
        active[i] = dial();
    }
    turns(10);
    CHECK_INT(app.handled, HELD);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < ACTIVE; i++) {
            say(active[i], GET("/hello"));
        }
        turns(4); /* the loop takes 128 events a turn: nobody is passed over twice */
        for (int i = 0; i < ACTIVE; i++) {
            char part[512];

            CHECK(recv(active[i], part, sizeof part, 0) > 0);
        }
    }
    for (int i = 0; i < ACTIVE; i++) {
        close(active[i]);
    }
    for (int i = 0; i < HELD; i++) {
        close(held[i]);
    }
    stop();
}

static void reset(int fd)
{
    struct linger now = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

static void a_handler_is_told_when_its_client_leaves(void)
{
    struct http_stats st;
    int fd;

    start();
    fd = dial();
    say(fd, GET("/hold"));
    turns(5);
    CHECK(app.held);
    reset(fd);
    turns(5);
    CHECK_INT(app.aborted, 1);
    http_stats(app.server, &st);
    CHECK_INT(st.conns, 0);
    stop();
}

static void a_handler_that_cannot_be_told_may_answer_nobody(void)
{
    struct http_stats st;
    int fd;

    start();
    fd = dial();
    say(fd, GET("/forget"));
    turns(5);
    CHECK(app.held);
    reset(fd);
    turns(5);
    http_stats(app.server, &st);
    CHECK_INT(st.conns, 0);
    CHECK_STR(http_path(app.held), "/forget");
    http_reply(app.held, 200, NULL, "x", 1);
    turns(5);
    fd = dial();
    say(fd, GET("/forget"));
    turns(5);
    reset(fd);
    turns(5);
    stop(); /* with one that is never answered */
}

/* ---- streams ---- */

static size_t unchunk(const struct buf *got)
{
    const char *p = body_of(got);
    size_t total = 0;

    for (;;) {
        char *end;
        size_t n = strtoul(p, &end, 16);

        CHECK(end > p && end[0] == '\r' && end[1] == '\n');
        if (n == 0) {
            CHECK_STR(end, "\r\n\r\n");
            return total;
        }
        total += n;
        p = end + 2 + n;
        CHECK(p[0] == '\r' && p[1] == '\n');
        p += 2;
    }
}

static void a_stream_is_sent_in_chunks_and_the_connection_kept(void)
{
    auto_buf got = {0};
    int fd;

    start();
    fd = dial();
    for (int i = 1; i <= 2; i++) {
        app.stream_left = 1000000;
        buf_reset(&got);
        say(fd, GET("/stream"));
        CHECK(!hear(fd, &got));
        CHECK_INT(count(&got, "Transfer-Encoding: chunked\r\n"), 1);
        CHECK_INT(unchunk(&got), 1000000);
        CHECK_INT(app.done_calls, i);
    }
    close(fd);
    stop();
}

static void a_slow_reader_is_not_buffered_for(void)
{
    auto_buf got = {0};
    size_t before;
    int fd;

    start();
    app.stream_left = 200 << 20;
    fd = dial();
    say(fd, GET("/stream"));
    turns(200);
    before = app.stream_left;
    CHECK(before > 150 << 20);
    CHECK(http_stream_backlog(&app.st) < 65536 + 5000);
    turns(50);
    CHECK_INT(app.stream_left, before); /* it stands still */
    app.stream_left = 10000;
    CHECK(!hear(fd, &got));
    unchunk(&got);
    CHECK_INT(app.done_calls, 1);
    close(fd);
    stop();
}

static void a_waiting_stream_goes_on_when_woken(void)
{
    auto_buf got = {0};
    int fd, calls;

    start();
    app.stream_waits = true;
    app.stream_left = 10;
    fd = dial();
    say(fd, GET("/stream"));
    CHECK(!hear(fd, &got));
    CHECK_STR(body_of(&got), "a\r\nssssssssss\r\n");
    calls = app.more_calls;
    turns(5);
    CHECK_INT(app.more_calls, calls);
    app.stream_left = 3;
    app.stream_waits = false;
    http_stream_wake(&app.st);
    CHECK(!hear(fd, &got));
    CHECK_INT(unchunk(&got), 13);
    close(fd);
    stop();
}

static void a_broken_stream_is_visibly_cut_off(void)
{
    auto_buf got = {0};

    start();
    app.stream_breaks = true;
    CHECK(ask(GET("/stream"), &got));
    CHECK_INT(count(&got, "0\r\n\r\n"), 0);
    CHECK_INT(app.done_calls, 1);
    stop();
}

static void an_event_stream_ends_when_its_client_hangs_up(void)
{
    auto_buf got = {0};
    int fd;

    start();
    app.stream_waits = true;
    fd = dial();
    say(fd, GET("/events"));
    CHECK(!hear(fd, &got));
    CHECK_INT(app.done_calls, 0);
    close(fd);
    turns(5);
    CHECK_INT(app.done_calls, 1);
    stop();
}

static void what_was_sent_ahead_does_not_hide_that_a_client_left(void)
{
    static char junk[16384];
    struct http_stats st;
    int fd;

    memset(junk, 'x', sizeof junk);
    start();
    app.stream_waits = true;
    fd = dial();
    say(fd, GET("/events"));
    turns(5);
    CHECK(send(fd, junk, sizeof junk, MSG_NOSIGNAL) == sizeof junk);
    turns(5);
    CHECK_INT(app.done_calls, 0);
    close(fd);
    turns(5);
    CHECK_INT(app.done_calls, 1);
    fd = dial();
    say(fd, GET("/hold"));
    turns(5);
    CHECK(send(fd, junk, sizeof junk, MSG_NOSIGNAL) == sizeof junk);
    turns(5);
    CHECK(app.held);
    reset(fd);
    turns(5);
    CHECK_INT(app.aborted, 1);
    http_stats(app.server, &st);
    CHECK_INT(st.conns, 0);
    stop();
}

/* ---- deadlines and limits ---- */

static void a_header_that_drips_is_ended_with_408(void)
{
    struct http_config c = {.header_timeout_ms = 150};
    auto_buf got = {0};
    int64_t begin;
    int fd;

    start_with(&c);
    fd = dial();
    say(fd, "GET /hello HTTP/1.1\r\n" HOST "X: ");
    begin = boot_ms();
    while (recv(fd, buf_space(&got, 4096), 4096, MSG_PEEK) < 0 && boot_ms() - begin < 20000) {
        send(fd, "a", 1, MSG_NOSIGNAL); /* never silent */
        turns_until(20);
    }
    CHECK(hear(fd, &got));
    check_status(&got, 408);
    CHECK_INT(app.handled, 0);
    close(fd);
    stop();
}

static void a_body_that_does_not_come_is_ended_with_408(void)
{
    struct http_config c = {.body_timeout_ms = 100};
    auto_buf got = {0};
    struct http_stats st;
    int fd;

    start_with(&c);
    fd = dial();
    say(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc");
    turns_until(200);
    CHECK(hear(fd, &got));
    check_status(&got, 408);
    http_stats(app.server, &st);
    CHECK_INT(st.deadline_closed, 1);
    close(fd);
    stop();
}

static void idle_connections_are_closed_without_a_word(void)
{
    struct http_config c = {.idle_timeout_ms = 100};
    auto_buf got = {0};
    int fresh, used;

    start_with(&c);
    fresh = dial();
    used = dial();
    say(used, GET("/hello"));
    turns_until(250);
    CHECK(hear(fresh, &got));
    CHECK_INT(got.len, 0);
    CHECK(hear(used, &got));
    CHECK_INT(count(&got, "HTTP/1.1"), 1);
    close(fresh);
    close(used);
    stop();
}

static void a_held_request_has_no_deadline(void)
{
    struct http_config c = {.idle_timeout_ms = 50, .header_timeout_ms = 50, .body_timeout_ms = 50};
    auto_buf got = {0};
    int fd;

    start_with(&c);
    fd = dial();
    say(fd, GET("/hold"));
    turns_until(200);
    CHECK(app.held);
    http_reply(app.held, 200, NULL, "x", 1);
    turns(2);
    CHECK(recv(fd, buf_space(&got, 4096), 4096, 0) > 0);
    close(fd);
    stop();
}

static void a_reader_that_stalls_is_dropped(void)
{
    struct http_config c = {.write_timeout_ms = 100};
    struct http_stats st;
    int fd;

    start_with(&c);
    app.stream_left = 200 << 20;
    fd = dial();
    say(fd, GET("/stream"));
    turns_until(400);
    CHECK_INT(app.done_calls, 1);
    http_stats(app.server, &st);
    CHECK_INT(st.conns, 0);
    close(fd);
    stop();
}

static void connections_are_limited_by_address_and_in_all(void)
{
    struct http_config by_address = {.max_conns_per_address = 2}, in_all = {.max_conns = 3};
    auto_buf got = {0};
    struct http_stats st;
    int fd[4];

    for (int round = 0; round < 2; round++) {
        int max = round ? 3 : 2;

        start_with(round ? &in_all : &by_address);
        for (int i = 0; i <= max; i++) {
            fd[i] = dial();
            turns(3);
        }
        buf_reset(&got);
        CHECK(hear(fd[max], &got));
        check_status(&got, 503);
        http_stats(app.server, &st);
        CHECK_INT(st.rejected, 1);
        CHECK_INT(st.conns, max);
        close(fd[max]);
        close(fd[0]);
        turns(3);
        CHECK(!ask(GET("/hello"), &got));
        check_status(&got, 200);
        for (int i = 1; i < max; i++) {
            close(fd[i]);
        }
        stop();
    }
}

static void draining_ends_what_is_idle_and_finishes_the_rest(void)
{
    auto_buf got = {0};
    int idle, busy, events;

    start();
    app.stream_waits = true;
    idle = dial();
    busy = dial();
    events = dial();
    say(busy, GET("/hold"));
    say(events, GET("/events"));
    turns(5);
    CHECK(!http_server_drain(app.server));
    CHECK(hear(idle, &got));
    CHECK_INT(got.len, 0);
    CHECK(hear(events, &got));
    CHECK_INT(unchunk(&got), 0);
    CHECK_INT(app.done_calls, 1);
    CHECK(!http_server_drain(app.server));
    http_reply(app.held, 200, NULL, "x", 1);
    buf_reset(&got);
    CHECK(hear(busy, &got));
    CHECK_INT(count(&got, "Connection: close\r\n"), 1);
    CHECK(http_server_drain(app.server));
    close(idle);
    close(busy);
    close(events);
    stop();
}

static void add_metric(void *arg, const char *route, const char *method, int status, int64_t n,
                       int64_t us_total)
{
    char line[128];

    snprintf(line, sizeof line, "%s %s %d %d\n", route, method, status, (int)n);
    CHECK(us_total >= 0);
    buf_adds(arg, line);
}

static void requests_are_counted_by_route(void)
{
    auto_buf got = {0}, lines = {0};

    start();
    ask(GET("/hello"), &got);
    ask(GET("/hello"), &got);
    ask("HEAD /hello HTTP/1.1\r\n" HOST "\r\n", &got);
    ask(GET("/nothing"), &got);
    ask("rubbish\r\n", &got);
    http_metrics(app.server, add_metric, &lines);
    CHECK_STR(lines.data, "hello GET 200 2\nhello HEAD 200 1\nnone GET 404 1\ninvalid GET 400 1\n");
    stop();
}

TESTS(a_failed_commit_replaces_the_answers_of_its_turn, a_held_request_is_answered_later,
      held_connections_do_not_hold_up_the_others, a_handler_is_told_when_its_client_leaves,
      a_handler_that_cannot_be_told_may_answer_nobody,
      a_stream_is_sent_in_chunks_and_the_connection_kept, a_slow_reader_is_not_buffered_for,
      a_waiting_stream_goes_on_when_woken, a_broken_stream_is_visibly_cut_off,
      an_event_stream_ends_when_its_client_hangs_up,
      what_was_sent_ahead_does_not_hide_that_a_client_left, a_header_that_drips_is_ended_with_408,
      a_body_that_does_not_come_is_ended_with_408, idle_connections_are_closed_without_a_word,
      a_held_request_has_no_deadline, a_reader_that_stalls_is_dropped,
      connections_are_limited_by_address_and_in_all,
      draining_ends_what_is_idle_and_finishes_the_rest, requests_are_counted_by_route)
