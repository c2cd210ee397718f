/* Messages that celery 5.2 made, taken apart; and what comes back to it. */
#include <jansson.h>
#include <nettle/base64.h>

#include "base/clock.h"
#include "edge/celery.h"
#include "tap.h"

#define TASK_ID "4f0c6d9e-6d9c-4a66-8d6a-0d6a3c1e0001"

/* When they were recorded. */
static int64_t recorded(void)
{
    int64_t us = 0;

    CHECK(rfc3339_parse("2026-11-22T09:51:40Z", &us));
    return us;
}

static json_t *recordings(const char *path)
{
    size_t n;
    auto_free char *text = test_data(path, &n);
    json_t *all = json_loadb(text, n, 0, NULL);

    CHECK(json_is_object(all));
    return all;
}

/* The reason's beginning or middle; NULL: it is taken. */
static const struct {
    const char *name, *bad;
} cases[] = {
    {"v2", NULL},
    {"v1", NULL},
    {"args", NULL},
    {"priority", NULL},
    {"expires", NULL},
    {"ignore", NULL},
    {"repo", NULL},
    {"eta", "eta and countdown"},
    {"v1eta", "eta and countdown"},
    {"expired", "has expired"},
    {"pickle", "application/x-python-serialize"},
    {"yaml", "application/x-yaml"},
    {"gzip", "compressed bodies are not taken"},
    {"link", "'callbacks'"},
    {"link_error", "'errbacks'"},
    {"chain", "'chain'"},
    {"chord", "'chord'"},
    {"v1chord", "'chord'"},
    {"group", "part of a group"},
    {"name", "there is no task 'os.system'"},
    {"args2", "as keyword arguments"},
};

static void check_taken(const char *name, const struct taken *t, const char *bad)
{
    CHECK_INT(t->form, EDGE_CELERY);
    CHECK_STR(t->task_id, TASK_ID); /* of a bad one too: it is answered */
    if (bad) {
        if (!t->bad || !strstr(t->bad, bad)) {
            tap_fail(__FILE__, __LINE__, "%s: '%s' is not said: %s", name, bad,
                     t->bad ? t->bad : "it was taken");
        }
        return;
    }
    if (t->bad) {
        tap_fail(__FILE__, __LINE__, "%s: %s", name, t->bad);
    }
    if (strcmp(name, "repo") == 0) {
        CHECK_STR(t->body.data, "{\"repo_url\":\"https://example.com/a.git\"}");
    } else {
        CHECK(strstr(t->body.data, "\"target\":\"127.0.0.1\""));
    }
}

static void tasks_over_redis_are_taken_or_refused_with_a_reason(void)
{
    json_t *all = recordings("edge/celery_redis.json");

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *text = json_string_value(json_object_get(all, cases[i].name));
        const struct raw_message r = {.redis = true,
                                      .queue = "network_scan_jobs",
                                      .body = text,
                                      .n = strlen(text),
                                      .size = strlen(text),
                                      .now_us = recorded()};
        struct taken t;

        edge_take(&r, &t);
        check_taken(cases[i].name, &t, cases[i].bad);
        CHECK_STR(t.reply_to, "");
        taken_done(&t);
    }
    json_decref(all);
}

static struct raw_message amqp_message(const json_t *m, struct buf *body)
{
    const char *text = json_string_value(json_object_get(m, "body"));
    struct base64_decode_ctx ctx;
    size_t n;

    base64_decode_init(&ctx);
    CHECK(base64_decode_update(&ctx, &n, (uint8_t *)buf_space(body, strlen(text) + 1), strlen(text),
                               text));
    body->len = n;
    return (struct raw_message){
        .queue = "network_scan_jobs",
        .body = body->data,
        .n = n,
        .size = n,
        .content_type = json_string_value(json_object_get(m, "content_type")),
        .content_encoding = json_string_value(json_object_get(m, "content_encoding")),
        .correlation = json_string_value(json_object_get(m, "correlation_id")),
        .reply_to = json_string_value(json_object_get(m, "reply_to")),
        .headers = json_object_get(m, "headers"),
        .now_us = recorded()};
}

static void tasks_over_rabbitmq_are_taken_or_refused_with_a_reason(void)
{
    json_t *all = recordings("edge/celery_amqp.json");

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const json_t *m = json_object_get(all, cases[i].name);
        struct raw_message r;
        auto_buf body = {0};
        struct taken t;

        if (!m) { /* RabbitMQ drops an expired one itself */
            CHECK_STR(cases[i].name, "expired");
            continue;
        }
        r = amqp_message(m, &body);
        edge_take(&r, &t);
        check_taken(cases[i].name, &t, cases[i].bad);
        CHECK_STR(t.correlation, TASK_ID);
        CHECK_STR(t.reply_to, r.reply_to);
        taken_done(&t);
    }
    json_decref(all);
}

static void take_text(const char *text, struct taken *t)
{
    const struct raw_message r = {.redis = true,
                                  .queue = "network_scan_jobs",
                                  .body = text,
                                  .n = strlen(text),
                                  .size = strlen(text),
                                  .now_us = recorded()};

    edge_take(&r, t);
}

static void broken_envelopes_and_bodies_are_refused(void)
{
#define HEAD                                                                    \
    "\"content-type\": \"application/json\", \"content-encoding\": \"utf-8\", " \
    "\"headers\": {\"task\": \"scanpod.scan\", \"id\": \"a\"}, \"properties\": "
    static const char *const texts[] = {
        "{\"body\": \"%%%\", " HEAD "{\"body_encoding\": \"base64\"}}",
        "{\"body\": \"e30=\", " HEAD "{\"body_encoding\": \"base32\"}}",
        "{\"body\": \"{}\", " HEAD "{}}",
        "{\"body\": \"[1, 2, 3]\", " HEAD "{}}",
        "{\"body\": \"[[], {}]\", " HEAD "{}}",
        "{\"body\": \"[[], [], {}]\", " HEAD "{}}",
        "{\"body\": \"[[[]], {}, {}]\", " HEAD "{}}",
        "{\"body\": \"[[], {}, {\\\"chain\\\": [{}]}]\", " HEAD "{}}",
        "{\"body\": \"not JSON\", " HEAD "{}}",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct taken t;

        take_text(texts[i], &t);
        CHECK(t.bad);
        taken_done(&t);
    }
#undef HEAD
}

static void ids_of_tasks_are_bounded_text(void)
{
    static const char *const ids[] = {"", "a\\nb", "\\u0007"};
    struct taken t;

    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        auto_free char *text = str_fmt(
            "{\"task\": \"scanpod.scan\", \"id\": \"%s\", \"args\": [], \"kwargs\": {}}", ids[i]);

        take_text(text, &t);
        CHECK(t.bad);
        CHECK_STR(t.task_id, "");
        taken_done(&t);
    }
}

static json_t *result_of(const struct edge_result *r)
{
    auto_buf text = {0};
    json_t *v;

    celery_result(r, recorded(), &text);
    v = json_loads(text.data, 0, NULL);
    CHECK(v);
    CHECK_STR(json_string_value(json_object_get(v, "task_id")), "a");
    CHECK_STR(json_string_value(json_object_get(v, "date_done")),
              "2026-11-22T09:51:40.000000+00:00");
    CHECK(json_is_null(json_object_get(v, "traceback")));
    CHECK_INT(json_array_size(json_object_get(v, "children")), 0);
    return v;
}

static void a_result_has_the_shape_that_celery_reads(void)
{
    struct edge_result r = {.task_id = "a", .state = RESULT_OK, .body = "{\"x\":1}"};
    json_t *v = result_of(&r);

    CHECK_STR(json_string_value(json_object_get(v, "status")), "SUCCESS");
    CHECK_INT(json_integer_value(json_object_get(json_object_get(v, "result"), "x")), 1);
    json_decref(v);

    r.state = RESULT_STARTED;
    v = result_of(&r);
    CHECK_STR(json_string_value(json_object_get(v, "status")), "STARTED");
    CHECK(json_is_null(json_object_get(v, "result")));
    json_decref(v);
}

static void a_failure_is_an_exception_with_its_text(void)
{
    const struct edge_result r = {
        .task_id = "a", .state = RESULT_FAILED, .body = "{}", .error = "say \"no\"\n"};
    json_t *v = result_of(&r);
    const json_t *x = json_object_get(v, "result");

    CHECK_STR(json_string_value(json_object_get(v, "status")), "FAILURE");
    CHECK_STR(json_string_value(json_object_get(x, "exc_type")), "ScanFailed");
    CHECK_STR(json_string_value(json_object_get(x, "exc_module")), "builtins");
    CHECK_STR(json_string_value(json_array_get(json_object_get(x, "exc_message"), 0)),
              "say \"no\"\n");
    json_decref(v);
}

TESTS(tasks_over_redis_are_taken_or_refused_with_a_reason,
      tasks_over_rabbitmq_are_taken_or_refused_with_a_reason,
      broken_envelopes_and_bodies_are_refused, ids_of_tasks_are_bounded_text,
      a_result_has_the_shape_that_celery_reads, a_failure_is_an_exception_with_its_text)
