/*
 * broker - what the edge process needs of a message broker. Private to edge/.
 *
 * open() and everything that sends may wait for a few seconds. A broker whose connection is lost
 * says so once and does nothing more; the owner closes it, and opens another one: what was not
 * settled comes again.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "edge/edge.h"
#include "event/loop.h"

/* Made by the broker, kept and freed by its owner. Text may be NULL. */
struct broker_message {
    struct buf body;
    size_t size; /* larger than the body: only the first bytes were kept */
    char *content_type, *content_encoding, *correlation, *reply_to, *message_id;
    json_t *headers;
    bool redelivered; /* somebody, maybe we, had it before */
    bool moved;       /* it is with the dead letters already */
    /* the broker's own */
    uint64_t tag;
    char entry[48];
    struct buf properties;
    struct broker_message *next, **at;
};
void broker_message_free(struct broker_message *m);

struct broker;

struct broker_events {
    void (*message)(void *arg, struct broker_message *m); /* the receiver's */
    void (*settled)(void *arg, struct broker_message *m); /* it will not come again */
    void (*sent)(void *arg, uint64_t id, int rc, const char *why);
    void (*lost)(void *arg, const char *why);
    void *arg;
};

struct broker_start {
    struct loop *loop;
    const struct edge_source *source;
    const char *server;
    const struct broker_events *events;
};

struct broker_dead {
    const char *reason, *task_id;
    int64_t at_us;
};

struct broker_kind {
    int (*open)(const struct broker_start *s, struct broker **out, struct err *e);
    void (*close)(struct broker *b); /* no call-backs; messages stay with their owner */
    /* After open, and whenever it changed: so many more messages may come. */
    void (*room)(struct broker *b, unsigned n);
    void (*ack)(struct broker *b, struct broker_message *m);
    void (*dead)(struct broker *b, struct broker_message *m, const struct broker_dead *d);
    /* Gives it back, to be brought again; NULL: it may be kept for as long as one likes. */
    void (*give_back)(struct broker *b, struct broker_message *m);
    void (*publish)(struct broker *b, const struct edge_result *r);
};
extern const struct broker_kind broker_amqp, broker_redis;

/* Where a result goes: the name, or NULL: nowhere (and that is fine); ERR_INVALID: nobody may. */
int broker_destination(const struct edge_source *s, const struct edge_result *r, const char **out,
                       struct err *e);
