/* Addresses of message queues, and plain messages. */
#include "edge/edge_message.h"
#include "edge/edge_name.h"
#include "edge/edge_url.h"
#include "edge/edge_wire.h"
#include "tap.h"

static void a_source_has_defaults(void)
{
    struct edge_source s;

    CHECK_OK(edge_source_parse("redis://127.0.0.1:7000/3", &s, ERR));
    CHECK_INT(s.broker, BROKER_REDIS_LIST);
    CHECK_STR(s.url, "redis://127.0.0.1:7000/3");
    CHECK_STR(s.queue, "network_scan_jobs");
    CHECK_STR(s.results, "network_scan_results");
    CHECK_STR(s.name, "network_scan_jobs");
    CHECK_STR(s.key, NULL);
    edge_source_done(&s);
}

static void our_parameters_are_taken_out_of_the_url(void)
{
    struct edge_source s;

    CHECK_OK(edge_source_parse("amqps://u:p%40@[::1]/v%2Fx?queue=q&ca=/a%20b&key=k%20y&results=r&"
                               "name=n",
                               &s, ERR));
    CHECK_INT(s.broker, BROKER_AMQP);
    CHECK_STR(s.url, "amqps://u:p%40@[::1]/v%2Fx?ca=/a%20b");
    CHECK_STR(s.queue, "q");
    CHECK_STR(s.results, "r");
    CHECK_STR(s.key, "k y");
    CHECK_STR(s.name, "n");
    edge_source_done(&s);
    CHECK_OK(edge_source_parse("unix:/run/redis.sock?kind=stream", &s, ERR));
    CHECK_INT(s.broker, BROKER_REDIS_STREAM);
    edge_source_done(&s);
}

static void the_parts_of_an_url_are_decoded(void)
{
    struct edge_url u;

    CHECK_OK(edge_url_parse("amqps://u:p%40%2f@[::1]/v%2Fx?ca=/a%20b", &u, ERR));
    CHECK(u.amqp && u.tls);
    CHECK_STR(u.host, "::1");
    CHECK_INT(u.port, 5671);
    CHECK_STR(u.user, "u");
    CHECK_STR(u.password, "p@/");
    CHECK_STR(u.vhost, "v/x");
    CHECK_STR(edge_url_parameter(&u, "ca"), "/a b");
    edge_url_done(&u);
    CHECK_OK(edge_url_parse("amqp://localhost", &u, ERR));
    CHECK_STR(u.vhost, "/");
    CHECK_INT(u.port, 5672);
    edge_url_done(&u);
    CHECK_OK(edge_url_parse("amqp://a:b@localhost//", &u, ERR)); /* as Celery writes it */
    CHECK_STR(u.vhost, "/");
    edge_url_done(&u);
    CHECK_OK(edge_url_parse("redis://:pw@localhost/7", &u, ERR));
    CHECK_STR(u.user, NULL);
    CHECK_STR(u.password, "pw");
    CHECK_INT(u.db, 7);
    edge_url_done(&u);
}

static void bad_sources_are_refused_without_their_secrets(void)
{
    static const char *const texts[] = {
        "",
        "redis:",
        "redis://",
        "redis://:s3cret@",
        "redis://:s3cret@host:0/0",
        "redis://:s3cret@host:65536/0",
        "redis://:s3cret@host:x/0",
        "redis://:s3cret%@host",
        "redis://:s3cret%00@host",
        "redis://:s3cret@host/x",
        "redis://:s3cret@[::1",
        "rediss://:s3cret@host",
        "http://u:s3cret@host",
        "amqp://u:s3cret@host?queue",
        "amqp://u:s3cret@host?queue=",
        "amqp://u:s3cret@host?queue=a%20b",
        "amqp://u:s3cret@host?queue=scanpod:x",
        "amqp://u:s3cret@host?queue=a&queue=b",
        "amqp://u:s3cret@host?queue=a&results=a",
        "amqp://u:s3cret@host?queue=a&results=a.dead",
        "amqp://u:s3cret@host?kind=list",
        "amqp://u:s3cret@host?ca=/x",
        "amqp://u:s3cret@host?nonsense=1",
        "redis://:s3cret@host?kind=set",
        "redis://:s3cret@host?key=",
        "redis://:s3cret@host?name=a/b",
        "unix:relative",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct edge_source s;

        if (edge_source_parse(texts[i], &s, ERR) != ERR_INVALID) {
            tap_fail(__FILE__, __LINE__, "'%s' is taken", texts[i]);
        }
        CHECK(!strstr(tap_err.msg, "s3cret"));
    }
}

static void take_text(const char *text, const char *reply_to, struct taken *t)
{
    const struct raw_message r = {.queue = "jobs",
                                  .body = text,
                                  .n = strlen(text),
                                  .size = strlen(text),
                                  .reply_to = reply_to,
                                  .message_id = "m1"};

    edge_take(&r, t);
}

static void a_plain_message_is_a_scan_or_a_repository(void)
{
    struct taken t;

    take_text(" {\"task_id\": \"t\", \"tool\": \"nmap\", \"reply_to\": \"answers\"} ", NULL, &t);
    CHECK_STR(t.bad, NULL);
    CHECK_INT(t.form, EDGE_SCAN);
    CHECK_STR(t.task_id, "t");
    CHECK_STR(t.reply_to, "answers");
    taken_done(&t);
    take_text("{\"job_id\": \"j\", \"repo_url\": \"https://x/y\"}", "first", &t);
    CHECK_STR(t.bad, NULL);
    CHECK_INT(t.form, EDGE_REPO);
    CHECK_STR(t.task_id, "j");
    CHECK_STR(t.reply_to, "first");
    taken_done(&t);
    take_text("{\"tool\": \"nmap\"}", NULL, &t);
    CHECK_STR(t.task_id, "m1");
    taken_done(&t);
}

static void what_is_no_request_is_bad(void)
{
    static const char *const texts[] = {
        "",
        "x",
        "[]",
        "\"text\"",
        "{} {}",
        "{\"task_id\": 1}",
        "{\"task_id\": \"\"}",
        "{\"task_id\": \"a\", \"task_id\": \"b\"}",
        "{\"task_id\": \"a\\u0000b\"}",
        "{\"task_id\": \"a\", \"reply_to\": 1}",
        "{\"task_id\": \"a\", \"reply_to\": \"a b\"}",
        "{\"task_id\": \"a\", \"reply_to\": \"jobs\"}",
        "{\"task_id\": \"a\", \"reply_to\": \"jobs.dead\"}",
        "{\"task_id\": \"a\", \"reply_to\": \"jobs:taken:x\"}",
        "{\"task_id\": \"a\", \"reply_to\": \"scanpod:server\"}",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct taken t;

        take_text(texts[i], NULL, &t);
        if (!t.bad) {
            tap_fail(__FILE__, __LINE__, "%s is taken", texts[i]);
        }
        taken_done(&t);
    }
}

static void content_that_is_not_json_is_bad(void)
{
    static const struct {
        const char *type, *encoding;
        bool ok;
    } rows[] = {
        {NULL, NULL, true},
        {"application/json", "utf-8", true},
        {"text/plain", NULL, true},
        {"application/x-python-serialize", "binary", false},
        {"application/json", "gzip", false},
        {"application/x-msgpack", NULL, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct raw_message r = {.queue = "jobs",
                                      .body = "{}",
                                      .n = 2,
                                      .size = 2,
                                      .content_type = rows[i].type,
                                      .content_encoding = rows[i].encoding};
        struct taken t;

        edge_take(&r, &t);
        CHECK_INT(!t.bad, rows[i].ok);
        taken_done(&t);
    }
}

static void large_messages_are_bad_and_their_beginning_is_shown(void)
{
    auto_buf text = {0};
    struct taken t;

    buf_adds(&text, "{\"x\": \"");
    while (text.len < EDGE_BODY_MAX) {
        buf_adds(&text, "aaaaaaaaaaaaaaaa");
    }
    buf_adds(&text, "\"}");
    take_text(text.data, NULL, &t);
    CHECK(t.bad && strstr(t.bad, "more than 98304"));
    CHECK(str_starts(t.body.data, "{\"x\": \"aaa") && t.body.len < 10000);
    taken_done(&t);
}

static void fields_of_a_stream_become_one_object(void)
{
    const struct raw_field fields[] = {
        {"task_id", "7", 7, 1}, {"timeout_seconds", "30", 15, 2}, {"arguments", "[\"-sV\"]", 9, 7}};
    const struct raw_field whole = {"body", "{\"task_id\": \"a\"}", 4, 16};
    const struct raw_field twice[] = {{"a", "1", 1, 1}, {"a", "2", 1, 1}};
    const struct raw_field bytes = {"a", "\xff", 1, 1};
    auto_buf out = {0};

    edge_fields(fields, 3, &out);
    CHECK_STR(out.data, "{\"task_id\":\"7\",\"timeout_seconds\":30,\"arguments\":[\"-sV\"]}");
    buf_reset(&out);
    edge_fields(&whole, 1, &out);
    CHECK_STR(out.data, "{\"task_id\": \"a\"}");
    buf_reset(&out);
    edge_fields(twice, 2, &out);
    CHECK(out.data[0] != '{');
    buf_reset(&out);
    edge_fields(&bytes, 1, &out);
    CHECK(out.data[0] != '{');
}

static void what_the_process_says_is_checked(void)
{
    struct edge_message m = {.id = 7,
                             .form = EDGE_REPO,
                             .task_id = "t",
                             .reply_to = "r",
                             .correlation = "c",
                             .body = "{}"},
                        got;
    auto_buf b = {0};
    struct wire w;

    edge_message_put(&b, &m);
    for (size_t n = 0; n < b.len; n++) { /* cut off anywhere */
        w = (struct wire){.p = (uint8_t *)b.data, .end = (uint8_t *)b.data + n};
        CHECK(!edge_message_get(&w, &got));
    }
    w = (struct wire){.p = (uint8_t *)b.data, .end = (uint8_t *)b.data + b.len};
    CHECK(edge_message_get(&w, &got));
    CHECK_INT(got.form, EDGE_REPO);
    CHECK_STR(got.task_id, "t");
    CHECK_STR(got.bad, NULL);
    b.data[8] = 3; /* a form that there is not */
    w = (struct wire){.p = (uint8_t *)b.data, .end = (uint8_t *)b.data + b.len};
    CHECK(!edge_message_get(&w, &got));
    buf_reset(&b);
    m.reply_to = "not a name";
    edge_message_put(&b, &m);
    w = (struct wire){.p = (uint8_t *)b.data, .end = (uint8_t *)b.data + b.len};
    CHECK(!edge_message_get(&w, &got));
}

TESTS(a_source_has_defaults, our_parameters_are_taken_out_of_the_url,
      the_parts_of_an_url_are_decoded, bad_sources_are_refused_without_their_secrets,
      a_plain_message_is_a_scan_or_a_repository, what_is_no_request_is_bad,
      content_that_is_not_json_is_bad, large_messages_are_bad_and_their_beginning_is_shown,
      fields_of_a_stream_become_one_object, what_the_process_says_is_checked)
