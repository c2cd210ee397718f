/* redis_inside - one connection's state, for the files of redis.h. */
#pragma once

#include <hiredis/hiredis.h>

#include "transport/redis.h"
#include "transport/redis_tls.h"

enum {
    REDIS_CONNECT_MS = 5000, /* to find the address and connect; as long again to greet */
    REDIS_IDLE_MS = 5000,    /* of silence: ask whether it is still there */
    REDIS_DEAD_MS = 10000,   /* without a byte in either direction while an answer is due */
    REDIS_BACKOFF_MIN_MS = 100,
    REDIS_BACKOFF_MAX_MS = 5000,
    REDIS_STEADY_MS = 1000, /* up for so long: the next loss begins with the shortest wait */
    REDIS_REPLY_MAX = 256 << 20,
    REDIS_ELEMENTS_MAX = 4 << 20, /* of the arrays of one reply, together */
    REDIS_QUOTED = 120,           /* bytes of a text of the other side */
    REDIS_WHY = 10 * REDIS_QUOTED,
};

enum redis_state {
    REDIS_WAITING,
    REDIS_FINDING,
    REDIS_CONNECTING,
    REDIS_SHAKING, /* hands, of TLS */
    REDIS_GREETING,
    REDIS_UP,
};

/* Those who wait for an answer, in the order of the commands: a ring. */
struct call {
    redis_fn fn;
    void *arg;
};
struct calls {
    struct call *v; /* owned */
    size_t first, n, size;
};
void calls_push(struct calls *c, redis_fn fn, void *arg);
struct call calls_shift(struct calls *c); /* n > 0 */

/* A question for an address outlives who asked it. */
struct redis_ask {
    struct redis *r; /* NULL: nobody wants to know any more */
};

struct redis {
    struct loop *loop;
    struct redis_url url;
    struct redis_events ev;
    enum redis_state state;
    struct watch watch;    /* fd -1: none */
    struct redis_tls *tls; /* NULL: rediss:// was not asked for */
    struct redisReader *reader;
    size_t fed;      /* bytes of the reply that is not complete yet */
    size_t elements; /* and of its arrays */
    size_t fed_max;  /* REDIS_REPLY_MAX; tests have less */
    struct buf out;
    size_t sent;          /* of out */
    struct calls pending; /* sent, or in out */
    struct calls refused; /* while it was down */
    struct timer retry, limit, look, refuse;
    struct redis_ask *ask;
    uint32_t backoff_ms;
    int64_t moved_ms; /* when a byte came or went, or the first command of some was queued */
    int64_t up_ms;
    char told[REDIS_WHY]; /* the reason that `down` was told; "": it is not told yet */
    struct redis_server server;
    unsigned greetings; /* answers of the greeting that are due */
    char refusal[REDIS_WHY];
    bool *gone; /* tells whoever called back that redis_free() was called inside */
};

/* Closes, answers all that is pending with NULL, tells, and begins to wait for the next attempt. r
 * may be gone afterwards. `quoted` (may be NULL) is text of the other side. */
void redis_lost(struct redis *r, const char *why, const char *quoted);
/* A command of our own or of the caller, into `out`. */
void redis_push(struct redis *r, redis_fn fn, void *arg, int argc, const char **argv,
                const size_t *lens);

/* redis_dial.c: begins an attempt. */
void redis_dial(struct redis *r);
void redis_dial_stop(struct redis *r);
/* redis_io.c: the socket is connected. */
bool redis_io_start(struct redis *r);
void redis_io_stop(struct redis *r);
void redis_io_ready(struct watch *w, uint32_t events);
/* redis_greet.c: asks for what must be known before others may send. */
void redis_greet(struct redis *r);
/* redis.c: the greeting is over. */
void redis_ready(struct redis *r);
