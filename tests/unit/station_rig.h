/*
 * A real redis-server, a station, and a server's side that the test plays: it reads the stream of
 * reports and answers beats, if it is told to.
 */
#pragma once

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "tap.h"
#include "transport/station.h"

enum { BEAT_MS = 50, KILL_MS = 600, LEASE_MS = 800, PATIENCE_MS = 20000, HEARD_MAX = 4096 };

/* What the station said, a message each. */
struct heard {
    enum message_type type;
    struct lease lease;
    uint64_t seq, n, offset;
    enum release_why why;
    enum job_state state;
    bool held, draining;
};

struct rig {
    char *socket, *dir, *spool; /* owned */
    pid_t redis;
    redisContext *ctx;
    struct loop *loop;
    struct station *station;
    char instance[INSTANCE_TEXT + 1], last[64];
    struct heard heard[HEARD_MAX];
    size_t n_heard;
    uint64_t boot;
    bool mute, ack; /* beats are not answered; reports are acknowledged */
    /* what the station told its owner */
    struct lease lease;
    int64_t deadline_ms;
    unsigned assigned, extended, cancelled, fenced, drains, left;
    bool drain;
    char refused[256];
    void (*on_assigned)(struct rig *r, const struct assignment *a);
};

/* ---- redis-server ---- */

static void redis_start(struct rig *r)
{
    int64_t end = boot_ms() + PATIENCE_MS;

    r->redis = fork();
    if (r->redis == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        dup2(null, 1);
        dup2(null, 2);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", r->socket, "--save",
               "", "--appendonly", "no", "--dir", r->dir, (char *)NULL);
        _exit(127);
    }
    for (;;) {
        r->ctx = redisConnectUnix(r->socket);
        if (r->ctx && !r->ctx->err) {
            return;
        }
        redisFree(r->ctx);
        if (boot_ms() > end || waitpid(r->redis, NULL, WNOHANG) == r->redis) {
            r->redis = 0;
            tap_fail(__FILE__, __LINE__, "redis-server does not start");
        }
        usleep(5000);
    }
}

static void redis_stop(struct rig *r)
{
    if (r->ctx) {
        redisFree(r->ctx);
        r->ctx = NULL;
    }
    if (r->redis > 0) {
        kill(r->redis, SIGCONT);
        kill(r->redis, SIGKILL);
        waitpid(r->redis, NULL, 0);
        r->redis = 0;
    }
    unlink(r->socket);
}

/* A failed test leaves none behind. */
static struct rig *rig_now;

static void rig_at_exit(void)
{
    if (rig_now) {
        redis_stop(rig_now);
    }
}

static redisReply *command(struct rig *r, const char *format, ...)
{
    va_list ap;
    redisReply *reply;

    va_start(ap, format);
    reply = redisvCommand(r->ctx, format, ap);
    va_end(ap);
    if (!reply) {
        tap_fail(__FILE__, __LINE__, "redis-server: %s", r->ctx->errstr);
    }
    return reply;
}

static int64_t number(struct rig *r, const char *format, const char *key)
{
    redisReply *reply = command(r, format, key);
    int64_t n = reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;

    freeReplyObject(reply);
    return n;
}

/* ---- the owner ---- */

static void on_assigned(void *arg, const struct assignment *a, int64_t deadline_ms)
{
    struct rig *r = arg;

    r->assigned++;
    r->lease = a->lease;
    r->deadline_ms = deadline_ms;
    if (r->on_assigned) {
        r->on_assigned(r, a);
    }
}

static void on_extend(void *arg, const struct lease *l, int64_t deadline_ms)
{
    struct rig *r = arg;

    (void)l;
    CHECK(deadline_ms > r->deadline_ms);
    r->deadline_ms = deadline_ms;
    r->extended++;
}

static void on_cancel(void *arg, const struct lease *l)
{
    struct rig *r = arg;

    (void)l;
    r->cancelled++;
}

static void on_fenced(void *arg, const struct lease *l)
{
    struct rig *r = arg;

    (void)l;
    r->fenced++;
}

static void on_drain(void *arg, bool on)
{
    struct rig *r = arg;

    r->drains++;
    r->drain = on;
}

static void on_refused(void *arg, const char *why)
{
    struct rig *r = arg;

    snprintf(r->refused, sizeof r->refused, "%s", why);
}

static inline void on_left(void *arg)
{
    struct rig *r = arg;

    r->left++;
}

static void station_start(struct rig *r)
{
    struct redis_url url = {.path = r->socket, .prefix = (char *)(uintptr_t) "t:"};
    struct station_config c = {
        .url = &url,
        .name = "w1",
        .spool_dir = r->spool,
        .hello = {.version = "1", .zone = "", .host = "here", .home = "h", .slots = 4},
    };
    const struct station_events ev = {.assigned = on_assigned,
                                      .extend = on_extend,
                                      .cancel = on_cancel,
                                      .fenced = on_fenced,
                                      .drain = on_drain,
                                      .refused = on_refused,
                                      .arg = r};

    strvec_push(&c.hello.queues, "net");
    strvec_push(&c.hello.queues, "net-raw");
    CHECK_OK(station_new(r->loop, &c, &ev, &r->station, ERR));
    strvec_done(&c.hello.queues);
    station_room(r->station, 4);
}

static void rig_init(struct rig *r)
{
    static unsigned count;
    const char *dir = test_dir();

    log_setup(LOG_ERROR, LOG_TEXT);
    *r = (struct rig){.boot = 7, .ack = true};
    memcpy(r->last, "0-0", 4);
    r->dir = str_fmt("%s/%u", dir, ++count);
    r->socket = str_fmt("%s/redis", r->dir);
    r->spool = str_fmt("%s/spool", r->dir);
    CHECK(mkdir(r->dir, 0700) == 0 && mkdir(r->spool, 0700) == 0);
    if (!rig_now) {
        atexit(rig_at_exit);
    } else {
        redis_stop(rig_now); /* of a test that failed */
    }
    rig_now = r;
    redis_start(r);
    CHECK_OK(loop_new(&r->loop, ERR));
    station_start(r);
}

static void rig_done(struct rig *r)
{
    station_free(r->station);
    loop_free(r->loop);
    redis_stop(r);
    rig_now = NULL;
    free(r->dir);
    free(r->socket);
    free(r->spool);
}

/* ---- the server's side ---- */

static void say(struct rig *r, struct buf *b)
{
    freeReplyObject(command(r, "XADD t:w:w1 * v 2 w w1 i %s d %b", r->instance, b->data, b->len));
    buf_done(b);
}

static void say_answer(struct rig *r, uint64_t beat)
{
    struct buf b = {0};
    const struct answer a = {.beat = beat,
                             .boot = r->boot,
                             .at_ms = boot_ms(),
                             .lease_ms = LEASE_MS,
                             .beat_ms = BEAT_MS,
                             .kill_ms = KILL_MS,
                             .drain = r->drain};

    put_answer(&b, &a);
    say(r, &b);
}

static void hear_message(struct rig *r, const struct message *m)
{
    struct heard *h = &r->heard[r->n_heard % HEARD_MAX];
    bool counted = m->type == MSG_HOSTS || m->type == MSG_RAW || m->type == MSG_END ||
                   m->type == MSG_RELEASE || m->type == MSG_WAIT;

    r->n_heard++;
    *h = (struct heard){.type = m->type,
                        .lease = m->lease,
                        .seq = m->seq,
                        .n = m->type == MSG_BEAT ? m->beat.n_leases : m->n,
                        .offset = m->offset,
                        .why = m->why,
                        .state = m->type == MSG_END ? m->outcome.state : 0,
                        .held = m->type == MSG_HELLO && m->hello.held.n > 0,
                        .draining = m->type == MSG_BEAT && m->beat.draining};
    if (m->type == MSG_BEAT && !r->mute) {
        say_answer(r, m->beat.n);
    }
    if (counted && r->ack) {
        struct buf b = {0};

        put_ack(&b, &m->lease, m->seq);
        say(r, &b);
    }
}

static void hear_entry(struct rig *r, const redisReply *fields)
{
    const redisReply *d = fields->element[7];
    const uint8_t *p = (const uint8_t *)d->str;
    size_t n = d->len;

    CHECK_INT(fields->elements, 8);
    CHECK_STR(fields->element[1]->str, "2");
    CHECK_STR(fields->element[3]->str, "w1");
    snprintf(r->instance, sizeof r->instance, "%s", fields->element[5]->str);
    while (n > 0) {
        struct message m = {0};

        CHECK_OK(message_next(&p, &n, &m, ERR));
        hear_message(r, &m);
        message_done(&m);
    }
}

static void hear(struct rig *r)
{
    redisReply *reply = command(r, "XRANGE t:reports (%s + COUNT 100", r->last);

    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *entry = reply->element[i];

        snprintf(r->last, sizeof r->last, "%s", entry->element[0]->str);
        hear_entry(r, entry->element[1]);
    }
    freeReplyObject(reply);
}

static void turn(struct rig *r)
{
    CHECK_OK(loop_turn(r->loop, 5, ERR));
    if (r->ctx) {
        hear(r);
    }
}

/* Turns until it is true. */
#define UNTIL(r, cond)                                                            \
    do {                                                                          \
        int64_t until_end_ = boot_ms() + PATIENCE_MS;                             \
        while (!(cond)) {                                                         \
            turn(r);                                                              \
            if (boot_ms() > until_end_) {                                         \
                tap_fail(__FILE__, __LINE__, "does not come to pass: %s", #cond); \
            }                                                                     \
        }                                                                         \
    } while (0)

static inline const struct heard *last_of(const struct rig *r, enum message_type type)
{
    for (size_t i = r->n_heard; i > 0; i--) {
        if (r->heard[(i - 1) % HEARD_MAX].type == type) {
            return &r->heard[(i - 1) % HEARD_MAX];
        }
    }
    return NULL;
}

static unsigned count_of(const struct rig *r, enum message_type type)
{
    unsigned n = 0;

    for (size_t i = 0; i < MIN(r->n_heard, (size_t)HEARD_MAX); i++) {
        n += r->heard[i].type == type;
    }
    return n;
}

static struct lease lease_made(uint64_t token)
{
    return (struct lease){.job_id = id_new(), .idx = 0, .epoch = 1, .token = token};
}

static void assign_at(struct rig *r, const struct lease *l, int64_t at_ms)
{
    struct buf b = {0};
    struct assignment a = {.lease = *l, .boot = r->boot, .at_ms = at_ms, .queue = "net"};

    job_init(&a.job);
    a.job.id = l->job_id;
    a.job.tool = (char *)(uintptr_t) "nmap";
    a.job.targets = (char *)(uintptr_t) "127.0.0.1";
    a.job.key_id = (char *)(uintptr_t) "";
    a.job.run_timeout_s = 60;
    put_assign(&b, &a);
    freeReplyObject(command(r, "XADD t:q:net * v 2 w - i - d %b", b.data, b.len));
    buf_done(&b);
}

static void assign(struct rig *r, const struct lease *l)
{
    assign_at(r, l, boot_ms());
}

/* It is there, answered, and reads. */
static void rig_ready(struct rig *r)
{
    UNTIL(r, count_of(r, MSG_BEAT) >= 3);
}

static struct station_stats stats(const struct rig *r)
{
    struct station_stats s;

    station_stats(r->station, &s);
    return s;
}
