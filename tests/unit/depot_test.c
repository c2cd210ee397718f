/* The setting that says where raw output goes, and the depot's process with nobody to speak to. */
#include "edge/depot.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "edge/depot_item.h"
#include "tap.h"

enum { WAIT_MS = 20000 };

static void set_credentials(void)
{
    setenv("AWS_ACCESS_KEY_ID", "AKIATEST", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "se/cr+et=", 1);
    unsetenv("AWS_SESSION_TOKEN");
    unsetenv("AWS_REGION");
    unsetenv("AWS_DEFAULT_REGION");
}

static void a_uri_names_bucket_prefix_and_what_differs(void)
{
    struct depot_config c = {0};

    set_credentials();
    CHECK_OK(depot_config_parse(
        "s3://raw-out/a/b/?endpoint=http%3A%2F%2F127.0.0.1:9000/&region=eu-9&style=host", &c, ERR));
    CHECK_STR(c.bucket, "raw-out");
    CHECK_STR(c.prefix, "a/b");
    CHECK_STR(c.endpoint, "http://127.0.0.1:9000");
    CHECK_STR(c.region, "eu-9");
    CHECK(!c.path_style && !c.local);
    CHECK_STR(c.access_key, "AKIATEST");

    auto_free char *uri = depot_uri(&c, "0f/x.zst");

    CHECK_STR(uri, "s3://raw-out/a/b/0f/x.zst");
    depot_config_done(&c);
}

static void what_is_not_said_is_as_amazon_has_it(void)
{
    struct depot_config c = {0};

    set_credentials();
    CHECK_OK(depot_config_parse("s3://raw", &c, ERR));
    CHECK_STR(c.endpoint, "https://s3.us-east-1.amazonaws.com");
    CHECK(!c.path_style);

    auto_free char *uri = depot_uri(&c, "0f/x.zst");

    CHECK_STR(uri, "s3://raw/0f/x.zst");
    depot_config_done(&c);
    setenv("AWS_REGION", "ap-south-1", 1);
    setenv("AWS_SESSION_TOKEN", "tok", 1);
    CHECK_OK(depot_config_parse("s3://raw?endpoint=https://minio:9000", &c, ERR));
    CHECK_STR(c.region, "ap-south-1");
    CHECK_STR(c.session_token, "tok");
    CHECK(c.path_style); /* others seldom have a name for each bucket */
    depot_config_done(&c);
    set_credentials();
}

static void json_of_the_third_system_is_read(void)
{
    struct depot_config c = {0};

    set_credentials();
    CHECK_OK(depot_config_parse("{\"type\": \"s3\", \"bucket\": \"raw\", \"prefix\": \"/p/\","
                                " \"endpoint\": null, \"path_style\": true, \"access_key\": \"k\","
                                " \"secret_key\": \"s\"}",
                                &c, ERR));
    CHECK_STR(c.prefix, "p");
    CHECK_STR(c.access_key, "k");
    CHECK(c.path_style);
    depot_config_done(&c);
    CHECK_OK(depot_config_parse("{\"type\": \"local\", \"path\": \"/srv/raw\"}", &c, ERR));
    CHECK(c.local);
    CHECK_STR(c.path, "/srv/raw");
    depot_config_done(&c);
    CHECK_OK(depot_config_parse("", &c, ERR));
    CHECK(c.local && !c.path);
}

static void what_is_wrong_is_refused_and_no_secret_is_told(void)
{
    static const char *const wrong[] = {
        "raw",
        "http://raw",
        "s3://",
        "s3://ab",
        "s3://a..b/c",
        "s3://-raw",
        "s3://ra w",
        "s3://raw/a//b",
        "s3://raw/../b",
        "s3://raw/a?",
        "s3://raw/a%20b",
        "s3://raw?endpoint=http://",
        "s3://raw?endpoint=http://h/p",
        "s3://raw?endpoint=http://u:p@h",
        "s3://raw?endpoint=ftp://h",
        "s3://raw?endpoint=http://a&endpoint=http://b",
        "s3://raw?region=a/b",
        "s3://raw?region=",
        "s3://raw?style=both",
        "s3://raw?endpoint=%zz",
        "s3://raw?endpoint=http://a%0d%0ab",
        "s3://raw?secret_key=hidden",
        "{",
        "[]",
        "{\"type\": \"ftp\"}",
        "{\"type\": \"s3\"}",
        "{\"type\": \"s3\", \"bucket\": 5}",
        "{\"type\": \"s3\", \"bucket\": \"raw\", \"bucket\": \"raw\"}",
        "{\"type\": \"s3\", \"bucket\": \"raw\", \"hidden\": 1}",
        "{\"type\": \"s3\", \"bucket\": \"raw\", \"access_key\": \"k\"}",
        "{\"type\": \"s3\", \"bucket\": \"raw\", \"access_key\": \"k\", \"secret_key\": "
        "\"hi\\nd\"}",
        "{\"type\": \"s3\", \"bucket\": \"raw\", \"access_key\": \"k\", \"secret_key\": \"hidden",
        "{\"type\": \"local\", \"path\": \"relative\"}",
    };

    set_credentials();
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct depot_config c = {0};

        if (depot_config_parse(wrong[i], &c, ERR) != ERR_INVALID) {
            tap_fail(__FILE__, __LINE__, "accepted: %s", wrong[i]);
        }
        CHECK(str_starts(tap_err.msg, "blob: ") && !c.bucket);
        CHECK(!strstr(tap_err.msg, "\"hidden\"") && !strstr(tap_err.msg, "se/cr"));
    }
}

static void without_credentials_there_is_no_start(void)
{
    struct depot_config c = {0};

    unsetenv("AWS_ACCESS_KEY_ID");
    CHECK_ERR(depot_config_parse("s3://raw", &c, ERR), ERR_INVALID);
    CHECK(strstr(tap_err.msg, "AWS_ACCESS_KEY_ID"));
    set_credentials();
}

static void names_lead_nowhere_else(void)
{
    CHECK(depot_name_valid("0f/019398b0c2d07c8e9a4b5d6e7f801234.1.zst"));
    CHECK(!depot_name_valid(""));
    CHECK(!depot_name_valid("/etc/passwd"));
    CHECK(!depot_name_valid("0f/../x"));
    CHECK(!depot_name_valid("0f//x"));
    CHECK(!depot_name_valid("0f/"));
    CHECK(!depot_name_valid("0f/x y"));
    CHECK(!depot_name_valid("0f/x?uploads="));
}

/* ---- the process ---- */

struct talk {
    struct loop *loop;
    struct depot *depot;
    int pidfd;
    struct depot_config config;
    int rc;
    unsigned told;
    bool gone;
    char why[256];
};

static void told(struct talk *t, int rc, const char *why)
{
    t->told++;
    t->rc = rc;
    snprintf(t->why, sizeof t->why, "%s", why);
}

static void on_stored(void *arg, uint64_t id, int rc, const char *why)
{
    told(arg, rc, why);
}

static void on_fetched(void *arg, uint64_t id, int rc, int fd, const char *why)
{
    told(arg, rc, why);
    fd_close(&fd);
}

static void on_gone(void *arg)
{
    ((struct talk *)arg)->gone = true;
}

/* A port that nobody listens on, for as long as *fd is open. */
static char *nobody(int *fd)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;

    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(*fd >= 0 && bind(*fd, (struct sockaddr *)&at, n) == 0 &&
          getsockname(*fd, (struct sockaddr *)&at, &n) == 0);
    return str_fmt("s3://raw?endpoint=http://127.0.0.1:%u", ntohs(at.sin_port));
}

static void talk_start(struct talk *t, const char *setting)
{
    const struct depot_events events = {.stored = on_stored,
                                        .fetched = on_fetched,
                                        .removed = on_stored,
                                        .gone = on_gone,
                                        .arg = t};
    struct depot_start start = {.config = &t->config, .dir = test_dir(), .retry_max_ms = 20};
    int fd;

    set_credentials();
    CHECK_OK(depot_config_parse(setting, &t->config, ERR));
    CHECK_OK(depot_spawn(&start, &fd, &t->pidfd, ERR));
    CHECK_OK(loop_new(&t->loop, ERR));
    CHECK_OK(depot_connect(t->loop, fd, &events, &t->depot, ERR));
}

static void wait_told(struct talk *t, unsigned n)
{
    int64_t end = boot_ms() + WAIT_MS;

    while (t->told < n && boot_ms() < end) {
        CHECK_OK(loop_turn(t->loop, 100, ERR));
    }
    CHECK(t->told >= n);
}

static void talk_end(struct talk *t)
{
    struct pollfd p = {.fd = t->pidfd, .events = POLLIN};

    depot_free(t->depot);
    CHECK_INT(poll(&p, 1, WAIT_MS), 1); /* it ends with its channel */
    close(t->pidfd);
    loop_free(t->loop);
    depot_config_done(&t->config);
}

static void put_file(const char *name)
{
    auto_free char *path = str_fmt("%s/%s", test_dir(), name);
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    CHECK(fd >= 0 && write(fd, "text", 4) == 4);
}

static void a_storage_that_is_away_is_told_and_asked_again(void)
{
    struct talk t = {0};
    auto_fd int fd = -1;
    auto_free char *setting = nobody(&fd);

    put_file("one");
    talk_start(&t, setting);
    CHECK_OK(depot_store(t.depot, 1, "one", ERR));
    wait_told(&t, 3);
    CHECK_INT(t.rc, ERR_IO);
    CHECK(t.why[0] != '\0');
    talk_end(&t);
}

static void a_file_that_is_gone_is_told_once(void)
{
    struct talk t = {0};
    auto_fd int fd = -1;
    auto_free char *setting = nobody(&fd);

    talk_start(&t, setting);
    CHECK_OK(depot_store(t.depot, 1, "not-there", ERR));
    wait_told(&t, 1);
    CHECK_INT(t.rc, ERR_NOT_FOUND);
    talk_end(&t);
}

static void a_link_is_not_followed(void)
{
    auto_free char *path = str_fmt("%s/link", test_dir());
    struct talk t = {0};
    auto_fd int fd = -1;
    auto_free char *setting = nobody(&fd);

    CHECK(symlink("/etc/passwd", path) == 0);
    talk_start(&t, setting);
    CHECK_OK(depot_store(t.depot, 1, "link", ERR));
    wait_told(&t, 1);
    CHECK_INT(t.rc, ERR_IO);
    CHECK_STR(t.why, "the file cannot be read");
    talk_end(&t);
}

static void a_name_that_leads_elsewhere_is_not_sent(void)
{
    struct talk t = {0};
    auto_fd int fd = -1;
    auto_free char *setting = nobody(&fd);

    talk_start(&t, setting);
    CHECK_ERR(depot_store(t.depot, 1, "../x", ERR), ERR_INVALID);
    CHECK_ERR(depot_fetch(t.depot, 1, "/etc/passwd", ERR), ERR_INVALID);
    CHECK(!t.gone);
    talk_end(&t);
}

static void the_end_of_the_process_is_told(void)
{
    struct talk t = {0};
    auto_fd int fd = -1;
    auto_free char *setting = nobody(&fd);
    auto_buf body = {0};
    int64_t end = boot_ms() + WAIT_MS;

    talk_start(&t, setting);
    /* What only a broken daemon would send ends it. */
    CHECK_OK(chan_send((struct chan *)(void *)t.depot, 77, "x", 1, NULL, 0, ERR));
    while (!t.gone && boot_ms() < end) {
        CHECK_OK(loop_turn(t.loop, 100, ERR));
    }
    CHECK(t.gone);
    CHECK_ERR(depot_store(t.depot, 1, "one", ERR), ERR_IO);
    talk_end(&t);
}

TESTS(a_uri_names_bucket_prefix_and_what_differs, what_is_not_said_is_as_amazon_has_it,
      json_of_the_third_system_is_read, what_is_wrong_is_refused_and_no_secret_is_told,
      without_credentials_there_is_no_start, names_lead_nowhere_else,
      a_storage_that_is_away_is_told_and_asked_again, a_file_that_is_gone_is_told_once,
      a_link_is_not_followed, a_name_that_leads_elsewhere_is_not_sent,
      the_end_of_the_process_is_told)
