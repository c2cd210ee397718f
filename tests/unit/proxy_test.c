/*
 * The proxy as a box meets it, in a network namespace of its own where it can have one: what may
 * be reached, what may not, and what ends a connection. Names are answered by the test.
 */
#include "proxy/allow.h"
#include "proxy/head.h"
#include "proxy/proto.h"
#include "proxy_rig.h"

/* ---- text ---- */

static void places_are_read_strictly(void)
{
    static const char *const good[][2] = {
        {"example.org:443", "example.org"},  {"EXAMPLE.Org:443", "example.org"},
        {"192.0.2.7:443", "192.0.2.7"},      {"[2001:DB8::7]:443", "2001:db8::7"},
        {"example.org.:443", "example.org"},
    };
    static const char *const bad[] = {
        "",
        "example.org",
        "example.org:",
        "example.org:0",
        "example.org:65536",
        ":443",
        "a:443x",
        "a: 443",
        "a:+443",
        "a:0443",
        "127.1:443",
        "2130706433:443",
        "0x7f.1:443",
        "0177.0.0.1:443",
        "::1:443",
        "[::1:443",
        "[127.0.0.1]:80",
        "[]:80",
        "[::ffff:1.2.3.4]:80",
        "[fe80::1%lo]:80",
        "a b:443",
        "user@example.org:443",
        "example.org/:443",
        "-a.org:443",
    };
    struct proxy_place p;
    const char *why;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        char text[NET_TEXT];

        CHECK(place_parse(good[i][0], &p, &why));
        CHECK_INT(p.port, 443);
        net_ip_text(&p.ip, text);
        CHECK_STR(p.name ? p.name : text, good[i][1]);
        place_done(&p);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (place_parse(bad[i], &p, &why)) {
            tap_fail(__FILE__, __LINE__, "'%s' was taken", bad[i]);
        }
    }
}

static void a_wrong_entry_is_named(void)
{
    static const char *const bad[][2] = {
        {"example.org", "'example.org': it does not end with ':' and a port"},
        {"a.org:443=", "not a list of addresses"},
        {"a.org:443=10.0.0.0/33", "not a list of addresses"},
        {"a.org:443=10.0.0.0/8,", "not a list of addresses"},
        {"a.org:443=10.0.0.1/8", "not a list of addresses"},
        {"*.a.org:443", "'*.a.org:443'"},
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        auto_strvec allow = {0};

        strvec_push(&allow, "good.org:443");
        strvec_push(&allow, bad[i][0]);
        CHECK_ERR(proxy_allow_check(&allow, ERR), ERR_INVALID);
        CHECK(strstr(tap_err.msg, bad[i][1]));
    }
}

static void an_address_has_to_be_global_or_in_a_range_that_lifts(void)
{
    static const struct {
        const char *entry, *ip, *what; /* what it is refused for; NULL: it is not */
    } rows[] = {
        {"a.org:1", "93.184.216.35", NULL},
        {"a.org:1", "2606:2800:220:1::1", NULL},
        {"a.org:1", OWN_GLOBAL, "own address"},
        {"a.org:1", "127.0.0.1", "loopback"},
        {"a.org:1", "::1", "loopback"},
        {"a.org:1", "0.0.0.0", "this network"},
        {"a.org:1", "169.254.169.254", "metadata"},
        {"a.org:1", "100.100.100.200", "metadata"},
        {"a.org:1", "fd00:ec2::254", "metadata"},
        {"a.org:1", "224.0.0.1", "multicast"},
        {"a.org:1", "255.255.255.255", "reserved"},
        {"a.org:1", "64:ff9b::a01:203", "NAT64"},
        {"a.org:1", "2002:a01:203::1", "6to4"},
        {"a.org:1", "fe80::1", "link local"},
        {"a.org:1", "10.0.0.1", "private"},
        {"a.org:1", "172.31.255.255", "private"},
        {"a.org:1", "172.32.0.0", NULL},
        {"a.org:1", "192.168.1.1", "private"},
        {"a.org:1", "100.64.0.1", "private"},
        {"a.org:1", "198.18.0.2", "private"},
        {"a.org:1", "203.0.113.9", "private"},
        {"a.org:1", "fd77::1", "private"},
        {"a.org:1", "2001:db8::1", "private"},
        {"a.org:1=10.0.0.0/8", "10.0.0.1", NULL},
        {"a.org:1=10.0.0.0/8", "93.184.216.35", "outside the ranges"},
        {"a.org:1=10.0.0.0/8,fd77::/64", "fd77::1", NULL},
        {"a.org:1=127.0.0.0/8", "127.0.0.1", NULL},
        {"a.org:1=0.0.0.0/0", "127.0.0.1", "loopback"},
        {"a.org:1=0.0.0.0/0", "169.254.169.254", "metadata"},
        {"a.org:1=0.0.0.0/0", "10.0.0.1", NULL},
        {"a.org:1=93.184.216.0/24", OWN_GLOBAL, "own address"},
        {"a.org:1=" OWN_GLOBAL, OWN_GLOBAL, NULL},
    };
    auto_netset own = {0};
    struct net_range r;

    CHECK(net_range_parse(OWN_GLOBAL, false, &r));
    netset_add(&own, &r);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        auto_strvec text = {0};
        struct allow_list list;
        struct net_ip ip;
        const char *what;

        strvec_push(&text, rows[i].entry);
        CHECK_OK(allow_parse(&text, &list, ERR));
        CHECK(net_ip_parse(rows[i].ip, &ip));
        what = allow_refuses(&list.v[0], &ip, &own);
        if (!what != !rows[i].what || (what && !strstr(what, rows[i].what))) {
            tap_fail(__FILE__, __LINE__, "%s by %s: %s", rows[i].ip, rows[i].entry,
                     what ? what : "not refused");
        }
        allow_done(&list);
    }
}

static void a_head_is_known_when_it_is_whole(void)
{
    static const char text[] = "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n"
                               "User-Agent: git/2.39\r\n\r\n\x16\x03\x01";
    const size_t head = strlen(text) - 3;
    struct proxy_place to;
    const char *why;
    size_t len = 0;

    for (size_t n = 0; n < head; n++) {
        CHECK_INT(head_parse(text, n, &to, &len, &why), 0);
    }
    CHECK_INT(head_parse(text, strlen(text), &to, &len, &why), 200);
    CHECK_INT(len, head);
    CHECK_STR(to.name, "example.org");
    place_done(&to);
}

static void what_is_not_a_connect_is_refused(void)
{
    static const struct {
        int status;
        const char *text;
    } rows[] = {
        {405, "GET http://example.org/ HTTP/1.1\r\n\r\n"},
        {405, "connect example.org:443 HTTP/1.1\r\n\r\n"},
        {400, "CONNECT example.org:443\r\n\r\n"},
        {400, "CONNECT example.org:443 HTTP/2.0\r\n\r\n"},
        {400, "CONNECT  example.org:443 HTTP/1.1\r\n\r\n"},
        {400, "CONNECT example.org:443 HTTP/1.1 \r\n\r\n"},
        {400, "CONNECT example.org HTTP/1.1\r\n\r\n"},
        {400, "CONNECT http://example.org:443 HTTP/1.1\r\n\r\n"},
        {400, "CONNECT 127.1:443 HTTP/1.1\r\n\r\n"},
        {400, " CONNECT example.org:443 HTTP/1.1\r\n\r\n"},
        {400, "\r\nCONNECT example.org:443 HTTP/1.1\r\n\r\n"},
        {400, "CONNECT example.org:443 HTTP/1.1\nHost: a\n\n"},
        {400, "CONNECT example.org:443 HTTP/1.1\r\nHost: a\rb\r\n\r\n"},
        {400, "CONNECT example.org:443 HTTP/1.1\r\nHost\r\n\r\n"},
        {400, "CONNECT example.org:443 HTTP/1.1\r\nHost : a\r\n\r\n"},
        {400, "CONNECT example.org:443 HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n"},
        {400, "CONNECT example.org:443 HTTP/1.1\r\nContent-Length: 5\r\n\r\n"},
        {400, "CONNECT example.org:443 HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"},
        {400, "\x16\x03\x01\x02"},
        {400, "CONNECT a\x7f:443"},
    };
    struct proxy_place to;
    const char *why;
    size_t len;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int status = head_parse(rows[i].text, strlen(rows[i].text), &to, &len, &why);

        if (status != rows[i].status) {
            tap_fail(__FILE__, __LINE__, "%d for: %s", status, rows[i].text);
        }
    }
    CHECK_INT(head_parse("CONNECT a\0:443 HTTP/1.1\r\n\r\n", 27, &to, &len, &why), 400);
}

/* ---- tunnels ---- */

static void an_allowed_place_is_reached_and_counted(void)
{
    struct rig r;
    int fd, far;

    rig_begin(&r, "good.test:%=127.0.0.0/8 127.0.0.1:%=127.0.0.1");
    fd = tunnel(&r, "good.test:%", &far);
    say(fd, "hello");
    hear(far, "hello");
    say(far, "who is there?");
    hear(fd, "who is there?");
    close(fd);
    close(far);
    fd = tunnel(&r, "127.0.0.1:%", &far);
    close(far);
    close(fd);
    rig_counts(&r);
    CHECK_INT(r.counts.passed, 2);
    CHECK_INT(r.counts.refused, 0);
    CHECK_INT(r.counts.bytes_up, 5);
    CHECK_INT(r.counts.bytes_down, 13);
    rig_end(&r);
}

static void what_came_with_the_head_goes_up_first(void)
{
    struct rig r;
    int fd, far;

    rig_begin(&r, "127.0.0.1:%=127.0.0.1");
    fd = dial(&r);
    ask(&r, fd, "127.0.0.1:%", "early");
    far = answer_call(&r);
    hear(far, "early");
    hear(fd, "HTTP/1.1 200 Connection established\r\n\r\n");
    say(fd, "late");
    hear(far, "late");
    close(fd);
    close(far);
    rig_end(&r);
}

static void either_side_may_end_its_half_first(void)
{
    struct rig r;
    int fd, far;
    char rest[64];

    rig_begin(&r, "127.0.0.1:%=127.0.0.1");
    fd = tunnel(&r, "127.0.0.1:%", &far);
    say(fd, "question");
    shutdown(fd, SHUT_WR);
    CHECK_INT(hear_all(far, rest, sizeof rest), 8);
    say(far, "answer");
    hear(fd, "answer");
    close(far);
    CHECK_INT(hear_all(fd, rest, sizeof rest), 0);
    close(fd);
    fd = tunnel(&r, "127.0.0.1:%", &far);
    shutdown(far, SHUT_WR);
    CHECK_INT(hear_all(fd, rest, sizeof rest), 0);
    say(fd, "still here");
    hear(far, "still here");
    close(fd);
    CHECK_INT(hear_all(far, rest, sizeof rest), 0);
    close(far);
    rig_end(&r);
}

static void much_goes_both_ways_unchanged(void)
{
    enum { MUCH = 3 << 20 };
    auto_free char *out = xmalloc(MUCH);
    auto_free char *in = xmalloc(MUCH + 1);
    struct rig r;
    int fd, far;
    pid_t echo;

    for (size_t i = 0; i < MUCH; i++) {
        out[i] = (char)(i * 7 + (i >> 11));
    }
    rig_begin(&r, "127.0.0.1:%=127.0.0.1");
    fd = tunnel(&r, "127.0.0.1:%", &far);
    echo = fork();
    if (echo == 0) {
        bool all = send(fd, out, MUCH, MSG_NOSIGNAL) == MUCH && shutdown(fd, SHUT_WR) == 0;

        _exit(!all);
    }
    CHECK_INT(hear_all(far, in, MUCH + 1), MUCH);
    CHECK(memcmp(in, out, MUCH) == 0);
    CHECK_INT(waitpid(echo, NULL, 0), echo);
    close(fd);
    close(far);
    rig_counts(&r);
    CHECK_INT(r.counts.bytes_up, MUCH);
    rig_end(&r);
}

static void nothing_else_is_reached(void)
{
    static const char *const others[] = {
        "127.0.0.2:%", "localhost:%", "[::1]:%",       "sub.good.test:%",
        "good.tes:%",  "127.0.0.1:1", "good.test:443", "127.0.0.1:65535",
    };
    struct rig r;

    rig_begin(&r, "127.0.0.1:%=127.0.0.0/8 good.test:%=127.0.0.0/8");
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        refused(&r, others[i], 403, "not on the run's list");
    }
    CHECK_INT(answers->asked, 0); /* no name leaves that is not on the list */
    rig_counts(&r);
    CHECK_INT(r.counts.passed, 0);
    CHECK_INT(r.counts.refused, ARRAY_LEN(others));
    rig_end(&r);
}

static void an_empty_list_allows_nothing(void)
{
    struct rig r;

    rig_begin(&r, "");
    refused(&r, "127.0.0.1:%", 403, "not on the run's list");
    rig_end(&r);
}

static void names_do_not_lead_where_addresses_may_not(void)
{
    struct rig r;
    int fd, far;

    rig_begin(&r, "good.test:% private.test:% meta.test:%=0.0.0.0/0 own.test:% "
                  "127.0.0.1:% own.test:9=" OWN_GLOBAL);
    refused(&r, "good.test:%", 403, "127.0.0.1 is refused: loopback");
    refused(&r, "127.0.0.1:%", 403, "loopback");
    refused(&r, "private.test:%", 403, "10.1.2.3 is refused: a private");
    refused(&r, "meta.test:%", 403, "169.254.169.254 is refused: link local");
    refused(&r, "own.test:%", 403, "own address");
    refused(&r, "own.test:9", 502, "connect to " OWN_GLOBAL " port 9: Connection refused");
    rig_counts(&r);
    CHECK_INT(r.counts.refused, 5);
    CHECK_INT(r.counts.failed, 1);
    rig_end(&r);
    rig_begin(&r, "mixed.test:%=127.0.0.0/8"); /* of several, those that may be */
    fd = tunnel(&r, "mixed.test:%", &far);
    close(fd);
    close(far);
    rig_end(&r);
}

static void a_name_is_asked_for_once_and_means_what_was_checked(void)
{
    struct rig r;
    int fd, far;

    rig_begin(&r, "twice.test:%=127.0.0.0/8");
    fd = tunnel(&r, "twice.test:%", &far);
    CHECK_INT(answers->twice, 1);
    say(fd, "x");
    hear(far, "x");
    refused(&r, "twice.test:%", 403, "10.1.2.3 is refused: outside the ranges");
    CHECK_INT(answers->twice, 2);
    close(fd);
    close(far);
    rig_end(&r);
}

static void what_does_not_answer_is_told(void)
{
    struct rig r;

    rig_begin(&r, "127.0.0.1:9=127.0.0.1 none.test:443");
    refused(&r, "127.0.0.1:9", 502, "connect to 127.0.0.1 port 9: Connection refused");
    refused(&r, "none.test:443", 502, "has no address");
    rig_counts(&r);
    CHECK_INT(r.counts.failed, 2);
    CHECK_INT(r.counts.passed, 0);
    rig_end(&r);
}

/* ---- bounds ---- */

static void a_head_that_does_not_come_is_not_waited_for(void)
{
    struct rig r;
    int fd;

    rig_start(&r, (struct proxy_config){.header_ms = 50});
    rig_open(&r, "127.0.0.1:%=127.0.0.1", 0, 0);
    fd = dial(&r);
    refused_with(fd, 408, "did not come in time");
    fd = dial(&r);
    say(fd, "CONNECT 127.0.0.1");
    refused_with(fd, 408, "did not come in time");
    rig_end(&r);
}

static void a_head_of_more_than_8_kib_is_refused(void)
{
    auto_buf text = {0};
    struct rig r;
    int fd, far;

    rig_begin(&r, "127.0.0.1:%=127.0.0.1");
    buf_addf(&text, "CONNECT 127.0.0.1:%u HTTP/1.1\r\nX: ", r.far_port);
    while (text.len < HEAD_MAX - 4) {
        buf_addc(&text, 'x');
    }
    buf_adds(&text, "\r\n\r\n"); /* just fits */
    fd = dial(&r);
    say(fd, text.data);
    far = answer_call(&r);
    hear(fd, "HTTP/1.1 200 Connection established\r\n\r\n");
    close(fd);
    close(far);
    text.len -= 4;
    text.data[text.len] = '\0';
    buf_adds(&text, "x\r\n\r\n");
    fd = dial(&r);
    say(fd, text.data);
    refused_with(fd, 431, "longer than 8 KiB");
    rig_end(&r);
}

static void a_tunnel_without_a_byte_ends(void)
{
    struct rig r;
    int fd, far;
    char rest[64];

    rig_start(&r, (struct proxy_config){.idle_ms = 50});
    rig_open(&r, "127.0.0.1:%=127.0.0.1", 0, 0);
    fd = tunnel(&r, "127.0.0.1:%", &far);
    CHECK_INT(hear_all(fd, rest, sizeof rest), -1);
    CHECK_INT(hear_all(far, rest, sizeof rest), -1);
    close(fd);
    close(far);
    rig_end(&r);
}

static void the_bytes_of_a_run_have_an_end(void)
{
    struct rig r;
    int fd, far, fd2, far2;
    char rest[64];

    rig_start(&r, (struct proxy_config){0});
    rig_open(&r, "127.0.0.1:%=127.0.0.1", 10, 0);
    fd = dial(&r);
    ask(&r, fd, "127.0.0.1:%", "12");
    far = answer_call(&r);
    hear(fd, "HTTP/1.1 200 Connection established\r\n\r\n");
    fd2 = tunnel(&r, "127.0.0.1:%", &far2);
    say(fd, "345"); /* after "12", which came with the head */
    hear(far, "12345");
    say(far2, "67890"); /* all that there were, by both ways and both tunnels */
    hear(fd2, "67890");
    say(fd, "x");
    CHECK_INT(hear_all(fd, rest, sizeof rest), -1);
    CHECK_INT(hear_all(far, rest, sizeof rest), -1);
    CHECK_INT(hear_all(fd2, rest, sizeof rest), -1);
    CHECK_INT(hear_all(far2, rest, sizeof rest), -1);
    refused(&r, "127.0.0.1:%", 403, "bytes are used up");
    rig_counts(&r);
    CHECK_INT(r.counts.bytes_up, 5);
    CHECK_INT(r.counts.bytes_down, 5);
    rig_end(&r);
}

static void the_connections_of_a_run_have_an_end(void)
{
    struct rig r;

    rig_start(&r, (struct proxy_config){0});
    rig_open(&r, "127.0.0.1:%=127.0.0.1", 0, 2);
    for (int i = 0; i < 2; i++) {
        int far, fd = tunnel(&r, "127.0.0.1:%", &far);

        close(fd);
        close(far);
    }
    refused(&r, "127.0.0.1:%", 403, "connections are used up");
    rig_end(&r);
}

static void more_than_64_at_a_time_wait(void)
{
    struct rig r;
    int held[PROXY_AT_ONCE], late;
    char c;

    rig_begin(&r, "");
    for (int i = 0; i < PROXY_AT_ONCE; i++) {
        held[i] = dial(&r);
        say(held[i], "C");
    }
    late = dial(&r);
    ask(&r, late, "127.0.0.1:9", "");
    for (int i = 0; i < 50; i++) { /* however often it is looked at, it is not answered */
        CHECK(recv(late, &c, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
        usleep(1000);
    }
    close(held[0]);
    refused_with(late, 403, "not on the run's list");
    for (int i = 1; i < PROXY_AT_ONCE; i++) {
        close(held[i]);
    }
    rig_end(&r);
}

static void the_end_of_a_run_resets_what_is_open(void)
{
    struct rig r;
    int fd, far, waiting;
    char rest[64];

    rig_begin(&r, "127.0.0.1:%=127.0.0.1");
    fd = tunnel(&r, "127.0.0.1:%", &far);
    waiting = dial(&r);
    say(waiting, "CONNECT");
    rig_counts(&r);
    CHECK_INT(hear_all(fd, rest, sizeof rest), -1);
    CHECK_INT(hear_all(far, rest, sizeof rest), -1);
    CHECK_INT(hear_all(waiting, rest, sizeof rest), -1);
    CHECK_INT(r.counts.passed, 1);
    close(fd);
    close(far);
    close(waiting);
    r.counted = false;
    rig_open(&r, "127.0.0.1:%=127.0.0.1", 0, 0); /* the number is free again */
    rig_counts(&r);
    CHECK_INT(r.counts.passed, 0);
    rig_end(&r);
}

static void reset(int fd)
{
    const struct linger at_once = {.l_onoff = 1};

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

static void a_reset_of_one_side_reaches_the_other(void)
{
    struct rig r;
    int fd, far;
    char rest[64];

    rig_begin(&r, "127.0.0.1:%=127.0.0.1");
    fd = tunnel(&r, "127.0.0.1:%", &far);
    reset(far);
    CHECK_INT(hear_all(fd, rest, sizeof rest), -1);
    close(fd);
    fd = tunnel(&r, "127.0.0.1:%", &far);
    reset(fd);
    CHECK_INT(hear_all(far, rest, sizeof rest), -1);
    close(far);
    rig_end(&r);
}

static void the_death_of_the_proxy_is_told_and_ends_all(void)
{
    struct rig r;
    struct proxy_ask again = {.run = 8};
    auto_strvec allow = {0};
    int fd, far;
    char rest[64];

    rig_begin(&r, "127.0.0.1:%=127.0.0.1");
    fd = tunnel(&r, "127.0.0.1:%", &far);
    CHECK(syscall(SYS_pidfd_send_signal, r.pidfd, SIGKILL, NULL, 0) == 0);
    until(&r, &r.gone);
    CHECK(hear_all(fd, rest, sizeof rest) <= 0);
    again.listen_fd = r.listen_fd;
    again.allow = &allow;
    CHECK_ERR(proxy_open(r.proxy, &again, ERR), ERR_IO);
    proxy_close(r.proxy, 7);
    close(fd);
    close(far);
    rig_end(&r);
}

/* ---- messages ---- */

static void a_list_that_is_wrong_is_not_sent(void)
{
    struct rig r;
    auto_strvec allow = {0};
    struct proxy_ask ask = {.run = 1, .allow = &allow};

    rig_start(&r, (struct proxy_config){0});
    ask.listen_fd = r.listen_fd;
    strvec_push(&allow, "example.org");
    CHECK_ERR(proxy_open(r.proxy, &ask, ERR), ERR_INVALID);
    while (allow.n <= PROXY_ENTRIES_MAX) {
        strvec_push(&allow, "example.org:443");
    }
    CHECK_ERR(proxy_open(r.proxy, &ask, ERR), ERR_LIMIT);
    rig_end(&r);
}

static void a_message_that_nobody_sends_ends_the_proxy(void)
{
    auto_fd int plain = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct rig r;
    auto_strvec allow = {0};
    struct proxy_ask ask = {.run = 1, .allow = &allow};

    rig_start(&r, (struct proxy_config){0});
    ask.listen_fd = plain; /* it does not listen */
    CHECK_OK(proxy_open(r.proxy, &ask, ERR));
    until(&r, &r.gone);
    rig_end(&r);
    rig_begin(&r, "");
    ask = (struct proxy_ask){.run = 7, .allow = &allow, .listen_fd = r.listen_fd};
    CHECK_OK(proxy_open(r.proxy, &ask, ERR)); /* the number is in use */
    until(&r, &r.gone);
    rig_end(&r);
    rig_start(&r, (struct proxy_config){0});
    proxy_close(r.proxy, 99);
    until(&r, &r.gone);
    rig_end(&r);
}

TESTS(places_are_read_strictly, a_wrong_entry_is_named,
      an_address_has_to_be_global_or_in_a_range_that_lifts, a_head_is_known_when_it_is_whole,
      what_is_not_a_connect_is_refused, an_allowed_place_is_reached_and_counted,
      what_came_with_the_head_goes_up_first, either_side_may_end_its_half_first,
      much_goes_both_ways_unchanged, nothing_else_is_reached, an_empty_list_allows_nothing,
      names_do_not_lead_where_addresses_may_not,
      a_name_is_asked_for_once_and_means_what_was_checked, what_does_not_answer_is_told,
      a_head_that_does_not_come_is_not_waited_for, a_head_of_more_than_8_kib_is_refused,
      a_tunnel_without_a_byte_ends, the_bytes_of_a_run_have_an_end,
      the_connections_of_a_run_have_an_end, more_than_64_at_a_time_wait,
      the_end_of_a_run_resets_what_is_open, a_reset_of_one_side_reaches_the_other,
      the_death_of_the_proxy_is_told_and_ends_all, a_list_that_is_wrong_is_not_sent,
      a_message_that_nobody_sends_ends_the_proxy)
