/*
 * broker_amqp - two connections to RabbitMQ: one consumes and acknowledges, the other one
 * publishes, so that a broker which has paused publishers does not keep requests from us. Private.
 *
 * The queue of requests is declared as every client would (durable, no arguments), unless it is
 * there: then it is used as it is. Dead letters are published by us, to the exchange QUEUE.dlx
 * (fanout) with the queue QUEUE.dead, confirmed, and only then is the message acknowledged: the
 * queue of requests needs no arguments for that.
 */
#pragma once

#include "edge/amqp_lib.h"
#include "edge/broker.h"
#include "edge/edge_url.h"

enum { AMQP_CHANNEL = 1, AMQP_SETUP_CHANNEL = 2, AMQP_FRAMES_AT_ONCE = 256 };

struct link {
    struct broker *broker;
    amqp_connection_state_t c;
    struct watch watch;
    /* A message that is being read: its frames come one after the other. */
    enum { READ_NOTHING, READ_DELIVERY, READ_RETURN } reading;
    struct broker_message *message; /* owned; READ_DELIVERY */
    uint64_t left;                  /* bytes of its body */
    bool head;                      /* the frame with the properties is still to come */
};

/* What was published, and what the broker has not confirmed yet. */
struct pending {
    struct pending *next;
    uint64_t tag; /* 0: not published yet, the broker has paused us */
    uint64_t id;
    char *event_id;                 /* owned */
    struct broker_message *message; /* a dead letter; not owned */
    char *reason;                   /* owned; of a dead letter */
    int64_t at_us;
    bool returned, configured;
    int64_t since_ms;
};

struct broker {
    const struct amqp_lib *lib;
    struct loop *loop;
    const struct edge_source *source;
    struct broker_events ev;
    struct edge_url url;
    struct link in, out;
    struct timer tick, again;
    struct pending *pending, **tail;
    uint64_t published;
    char *dlx, *dead;
    bool blocked, lost;
};

void amqp_lost(struct broker *b, const char *why);
/* The connection's own words, without control characters. */
int amqp_reply_error(const struct broker *b, amqp_rpc_reply_t r, const char *what, struct err *e);

/* broker_amqp_setup.c: dials both, declares, consumes. May wait for some seconds. */
int amqp_setup(struct broker *b, struct err *e);
/* Declares the configured queue of results, if it is not there. */
int amqp_setup_results(struct broker *b, struct err *e);
void amqp_hang_up(struct broker *b, struct link *l);

/* broker_amqp_publish.c */
void amqp_publish_result(struct broker *b, const struct edge_result *r);
void amqp_publish_dead(struct broker *b, struct broker_message *m, const struct broker_dead *d);
void amqp_confirmed(struct broker *b, uint64_t tag, bool multiple, bool ok);
void amqp_returned(struct broker *b, const amqp_basic_properties_t *p);
void amqp_unblocked(struct broker *b);
void amqp_publish_tick(struct broker *b);
/* Everything that is under way has failed. */
void amqp_publish_end(struct broker *b, bool tell);

static inline amqp_bytes_t amqp_text(const char *s)
{
    amqp_bytes_t b = {.len = __builtin_strlen(s)};

    __builtin_memcpy(&b.bytes, &s, sizeof s); /* the library only reads it */
    return b;
}
