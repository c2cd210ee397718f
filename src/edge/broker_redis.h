/*
 * broker_redis - two connections to Redis: one takes messages and may wait there, the other one
 * answers at once. Private to edge/.
 *
 * List: a message is moved to QUEUE:taken:SERVER, and removed from there once it is settled; what
 * is found there at the start comes first. Kombu's lists of lower priority (QUEUE, 0x06, 0x16,
 * number) are looked at whenever the first one is empty.
 * Stream: the group "scanpod", this server's id as consumer; entries of consumers that do nothing
 * any more are claimed after a minute, our own are kept from others by claiming them again.
 *
 * A reply is cut off at REDIS_READ_MAX bytes: a larger message is moved to the dead letters without
 * being read whole.
 */
#pragma once

#include <hiredis/hiredis.h>

#include "edge/broker.h"
#include "edge/edge_url.h"

enum { REDIS_READ_MAX = 1 << 20, REDIS_KEPT_MAX = 64 << 10 };

struct broker {
    struct loop *loop;
    const struct edge_source *source;
    const char *server;
    struct broker_events ev;
    struct edge_url url;
    redisContext *taker, *cmd;
    struct watch watch; /* the taker's */
    struct timer tick, start;
    char *taken, *dead; /* keys */
    char *lists[4];     /* by priority */
    bool stream;
    unsigned room;
    unsigned step;    /* which list is asked */
    bool asked;       /* the taker owes an answer */
    bool recovered;   /* what an earlier process had taken was found */
    int64_t asked_ms; /* when */
    int64_t swept_ms; /* when entries of others were looked for */
    char cursor[48];  /* of that */
    bool lost;
    struct broker_message *held; /* of the stream */
};

/* Both log in and select the database. NULL: e says why. */
redisContext *broker_redis_dial(struct broker *b, struct err *e);
void broker_redis_lost(struct broker *b, const char *why);

/* On the second connection. NULL: it is lost, which was told. The caller frees the reply. */
redisReply *redis_ask(struct broker *b, int argc, const char *const *argv, const size_t *lens);
/* With text alone: redis_ask_text(b, "LLEN", key) */
#define redis_ask_text(b, ...)                                                        \
    redis_ask((b), sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *), \
              (const char *const[]){__VA_ARGS__}, NULL)
/* NULL with *large: the reply has more than REDIS_READ_MAX bytes; `shown` has its first ones (with
 * a few of the protocol), and `conn` is of no use any more. */
redisReply *redis_ask_sized(struct broker *b, bool *large, struct buf *shown, int argc,
                            const char *const *argv);

/* broker_redis_take.c */
int redis_take_open(struct broker *b, struct err *e);
void redis_take_more(struct broker *b); /* asks, if there is room and nothing is asked yet */
void redis_take_tick(struct broker *b);
void redis_settle(struct broker *b, struct broker_message *m, const struct buf *dead);

bool redis_is_error(const redisReply *r, const char *prefix);
/* "redis says: ..." */
int redis_error(const redisReply *r, int code, struct err *e);
