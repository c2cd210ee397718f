/* Events to a log server, over each way, against receivers of the test. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "event/syslog.h"
#include "tap.h"

static struct loop *loop;

static int listen_on(int type, uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

    at.sin_port = htons(*port);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) == 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&at, n) == 0);
    CHECK(type != SOCK_STREAM || listen(fd, 4) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&at, &n) == 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void quiet(void)
{
    auto_free char *path = str_fmt("%s/log", test_dir());

    CHECK_OK(log_to_file(path, ERR));
}

static struct syslog *start(const char *url_text)
{
    const struct syslog_events none = {0};
    struct syslog_url url;
    struct syslog *s;

    quiet();
    CHECK_OK(loop_new(&loop, ERR));
    CHECK_OK(syslog_url_parse(url_text, &url, ERR));
    s = syslog_start(loop, &url, &none);
    syslog_url_done(&url);
    return s;
}

static void turn_until_up(struct syslog *s)
{
    struct syslog_stats st = {0};

    for (int i = 0; i < 500 && !st.up; i++) {
        CHECK_OK(loop_turn(loop, 10, ERR));
        syslog_stats(s, &st);
    }
    CHECK(st.up);
}

static void stop(struct syslog *s)
{
    syslog_stop(s);
    loop_free(loop);
}

static size_t take(int fd, char *out, size_t size)
{
    const struct timeval patience = {.tv_sec = 5};
    ssize_t n;

    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
    n = recv(fd, out, size - 1, 0);
    CHECK(n > 0);
    out[n] = 0;
    return (size_t)n;
}

static void an_event_goes_out_by_udp_in_the_form_of_rfc_5424(void)
{
    uint16_t port = 0;
    auto_fd int fd = listen_on(SOCK_DGRAM, &port);
    auto_free char *url = str_fmt("syslog://127.0.0.1:%d", port);
    struct syslog *s = start(url);
    char got[4096];

    log_warn("job_lost", KV("job", "a]b\"c\\d\x1b[31m"), KV("n", 7));
    take(fd, got, sizeof got);
    CHECK(strncmp(got, "<28>1 20", 8) == 0);
    CHECK(strstr(got, " scanpod ") && strstr(got, " job_lost [scanpod@32473 job=\"a\\]b\\\"c"));
    CHECK(strstr(got, " n=\"7\"] job_lost job="));
    CHECK(!strchr(got, 0x1b));
    stop(s);
}

static void events_go_out_by_tcp_with_their_lengths(void)
{
    uint16_t port = 0;
    auto_fd int listener = listen_on(SOCK_STREAM, &port);
    auto_free char *url = str_fmt("syslog+tcp://127.0.0.1:%d", port);
    struct syslog *s = start(url);
    auto_fd int fd = accept(listener, NULL, NULL);
    char got[4096], *end;
    size_t n, len;

    turn_until_up(s);
    log_info("one");
    log_info("two", KV("x", 1));
    n = take(fd, got, sizeof got);
    while (n < sizeof got - 1 && !strstr(got, "two x=1")) {
        n += take(fd, got + n, sizeof got - n);
    }
    len = strtoul(got, &end, 10);
    CHECK(*end == ' ' && strncmp(end + 1, "<30>1 ", 6) == 0);
    CHECK(strncmp(end + 1 + len - 3, "one", 3) == 0);
    len = strtoul(end + 1 + len, &end, 10);
    CHECK(strncmp(end + 1 + len - 7, "two x=1", 7) == 0 && end[1 + len] == 0);
    stop(s);
}

static void a_unix_socket_gets_datagrams(void)
{
    auto_free char *path = str_fmt("%s/dev-log", test_dir());
    auto_free char *url = str_fmt("syslog+unix:%s", path);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    auto_fd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct syslog *s;
    char got[4096];

    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    CHECK(bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    s = start(url);
    log_error("gone");
    take(fd, got, sizeof got);
    CHECK(strncmp(got, "<27>1 ", 6) == 0 && strstr(got, " gone - gone"));
    stop(s);
}

static void a_server_that_reads_nothing_holds_nobody_up_and_losses_are_counted(void)
{
    uint16_t port = 0;
    auto_fd int listener = listen_on(SOCK_STREAM, &port);
    auto_free char *url = str_fmt("syslog+tcp://127.0.0.1:%d", port);
    struct syslog *s = start(url);
    auto_fd int fd = accept(listener, NULL, NULL);
    auto_free char *large = xmalloc(1001);
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
    struct syslog_stats st = {0};
    int64_t end = boot_ms() + 20000;

    memset(large, 'x', 1000);
    large[1000] = 0;
    turn_until_up(s);
    while (st.dropped == 0 && boot_ms() < end) { /* of one event, 100 a second are let through */
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            const struct kv kv = KV("v", (const char *)large);

            log_event(LOG_INFO, names[i], &kv, 1);
        }
        syslog_stats(s, &st);
    }
    CHECK(st.dropped > 0);
    stop(s);
}

static void a_server_that_is_away_is_dialled_again(void)
{
    uint16_t port = 0;
    int first = listen_on(SOCK_STREAM, &port);
    auto_free char *url = str_fmt("syslog+tcp://127.0.0.1:%d", port);
    struct syslog *s;
    struct syslog_stats st;

    close(first);
    s = start(url);
    CHECK_OK(loop_turn(loop, 50, ERR));
    log_info("lost"); /* nobody is there: it is counted */
    syslog_stats(s, &st);
    CHECK(!st.up && st.dropped == 1);

    auto_fd int listener = listen_on(SOCK_STREAM, &port);

    turn_until_up(s);
    log_info("found");

    auto_fd int fd = accept(listener, NULL, NULL);
    char got[4096];

    take(fd, got, sizeof got);
    CHECK(strstr(got, "log_dropped") && strstr(got, "count=\"1\""));
    stop(s);
}

static void urls_are_checked(void)
{
    static const char *const bad[] = {
        "http://x",         "syslog://",       "syslog://h:0",
        "syslog://h:99999", "syslog://h:x",    "syslog+unix:dev/log",
        "syslog://[::1",    "syslog+tcp://:1", "syslog://h/path",
    };
    struct syslog_url u;
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (syslog_url_parse(bad[i], &u, &e) != ERR_INVALID) {
            tap_fail(__FILE__, __LINE__, "accepted: %s", bad[i]);
        }
    }
    CHECK_OK(syslog_url_parse("syslog://[::1]:1514/", &u, ERR));
    CHECK_STR(u.host, "::1");
    CHECK_INT(u.port, 1514);
    syslog_url_done(&u);
    CHECK_OK(syslog_url_parse("syslog+tcp://log.test", &u, ERR));
    CHECK_INT(u.port, 601);
    syslog_url_done(&u);
    CHECK_OK(syslog_url_parse("syslog+unix:///dev/log", &u, ERR));
    CHECK_STR(u.path, "/dev/log");
    syslog_url_done(&u);
}

static void a_line_of_logfmt_can_be_taken_apart_again(void)
{
    const struct kv kv[] = {KV("a", "plain"), KV("b", "two words"), KV("c", "q\"b\\"), KV("d", 5)};
    auto_buf b = {0};

    log_add_logfmt(&b, kv, 4);
    CHECK_STR(b.data, "a=plain b=\"two words\" c=\"q\\\"b\\\\\" d=5");
}

TESTS(an_event_goes_out_by_udp_in_the_form_of_rfc_5424, events_go_out_by_tcp_with_their_lengths,
      a_unix_socket_gets_datagrams,
      a_server_that_reads_nothing_holds_nobody_up_and_losses_are_counted,
      a_server_that_is_away_is_dialled_again, urls_are_checked,
      a_line_of_logfmt_can_be_taken_apart_again)
