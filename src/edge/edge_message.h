/*
 * edge_message - what a message of a queue asks for, found without trusting any of it. No I/O.
 * Private to edge/.
 *
 * A message is plain JSON of the third system, or of a repository request; the envelope that kombu
 * makes for Redis around anything, or a task of Celery. Whatever it is not is said as a sentence.
 */
#pragma once

#include <jansson.h>

#include "base/buf.h"
#include "edge/edge.h"

/* As it came from the broker. All borrowed; text may be NULL. */
struct raw_message {
    bool redis; /* it may be kombu's envelope; results of Celery have a place of their own */
    const char *queue;
    const void *body;
    size_t n;
    size_t size; /* larger than n: that much there was */
    const char *content_type, *content_encoding, *correlation, *reply_to, *message_id;
    const json_t *headers; /* an object */
    int64_t now_us;
};

/* For struct edge_message. Strings are owned and never NULL, but bad. */
struct taken {
    enum edge_form form;
    char *task_id, *reply_to, *correlation;
    struct buf body;
    char *bad;
};

/* Always fills *out, of a bad message as far as it was understood. */
void edge_take(const struct raw_message *r, struct taken *out);
void taken_done(struct taken *t);

/* Field and value of a stream's entry; bytes as they came. */
struct raw_field {
    const char *name, *value;
    size_t n_name, n_value;
};
/* An entry as JSON: what a lone field of the name body, data or message has, or an object of all
 * fields. Values that are numbers or arrays stay so where the member is one; others are text. */
void edge_fields(const struct raw_field *f, size_t n, struct buf *out);
