/*
 * Tasks of Celery: whatever comes is taken apart without harm, what is taken is one JSON object,
 * and what the process says of it is what the daemon accepts. Input: one line of JSON with the
 * properties of a message of RabbitMQ, and its body; without such a line: a message of Redis.
 */
#include <assert.h>
#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "edge/edge_message.h"
#include "edge/edge_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(const struct taken *t)
{
    const struct edge_message m = {.id = 1,
                                   .form = t->form,
                                   .task_id = t->task_id,
                                   .reply_to = t->reply_to,
                                   .correlation = t->correlation,
                                   .body = t->body.data,
                                   .bad = t->bad};
    struct edge_message got;
    auto_buf b = {0};
    struct wire w;

    edge_message_put(&b, &m);
    assert(b.len <= CHAN_BODY_MAX);
    w = (struct wire){.p = (uint8_t *)b.data, .end = (uint8_t *)b.data + b.len};
    assert(edge_message_get(&w, &got));
    assert(strcmp(got.task_id, t->task_id) == 0 && !got.bad == !t->bad);
    if (!t->bad) {
        json_t *o = json_loads(t->body.data, JSON_REJECT_DUPLICATES, NULL);

        assert(json_is_object(o));
        json_decref(o);
    }
}

static const char *text(const json_t *o, const char *member)
{
    return json_string_value(json_object_get(o, member));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *line = n ? memchr(data, '\n', n) : NULL;
    json_t *about = line ? json_loadb((const char *)data, (size_t)(line - data), 0, NULL) : NULL;
    size_t head = json_is_object(about) ? (size_t)(line - data) + 1 : 0;
    struct raw_message r = {.redis = head == 0,
                            .queue = "network_scan_jobs",
                            .body = n > head ? (const char *)data + head : "",
                            .n = n - head,
                            .size = n - head,
                            .now_us = INT64_C(1795340000000000)};
    struct taken t;

    if (head) {
        r.content_type = text(about, "content_type");
        r.content_encoding = text(about, "content_encoding");
        r.correlation = text(about, "correlation_id");
        r.reply_to = text(about, "reply_to");
        r.message_id = text(about, "message_id");
        if (json_is_object(json_object_get(about, "headers"))) {
            r.headers = json_object_get(about, "headers");
        }
    }
    edge_take(&r, &t);
    check(&t);
    taken_done(&t);
    json_decref(about);
    return 0;
}
