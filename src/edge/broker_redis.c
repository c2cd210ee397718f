#include "edge/broker_redis.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "edge/celery.h"

enum { DIAL_MS = 3000, ANSWER_MS = 5000, TICK_MS = 1000, CELERY_KEEP_S = 86400, ARGV_MAX = 12 };

bool redis_is_error(const redisReply *r, const char *prefix)
{
    return r && r->type == REDIS_REPLY_ERROR && str_starts(r->str, prefix);
}

int redis_error(const redisReply *r, int code, struct err *e)
{
    auto_buf text = {.cap = 200};

    buf_add_escaped(&text, r->str, r->len);
    return err_set(e, code, "redis says: %s", text.data);
}

/* ---- connections ---- */

static struct timeval span(int ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

static int log_in(struct broker *b, redisContext *c, struct err *e)
{
    const char *argv[3] = {"AUTH"};
    redisReply *r;
    int n = 1, rc = 0;

    if (b->url.password) {
        if (b->url.user) {
            argv[n++] = b->url.user;
        }
        argv[n++] = b->url.password;
        r = redisCommandArgv(c, n, argv, NULL);
        rc = !r                             ? err_set(e, ERR_IO, "it does not answer")
             : r->type == REDIS_REPLY_ERROR ? redis_error(r, ERR_DENIED, e)
                                            : 0;
        freeReplyObject(r);
    }
    if (rc == 0) { /* also without another database: it tells whether a password is needed */
        r = redisCommand(c, "SELECT %d", b->url.db);
        rc = !r                             ? err_set(e, ERR_IO, "it does not answer")
             : r->type == REDIS_REPLY_ERROR ? redis_error(r, ERR_DENIED, e)
                                            : 0;
        freeReplyObject(r);
    }
    return rc;
}

redisContext *broker_redis_dial(struct broker *b, struct err *e)
{
    struct timeval within = span(DIAL_MS);
    redisContext *c = b->url.path ? redisConnectUnixWithTimeout(b->url.path, within)
                                  : redisConnectWithTimeout(b->url.host, b->url.port, within);
    auto_buf where = {0};

    edge_url_text(&b->url, &where);
    if (!c || c->err) {
        err_set(e, ERR_IO, "%s: %s", where.data, c ? c->errstr : "out of memory");
    } else if (redisSetTimeout(c, span(ANSWER_MS)) != REDIS_OK) {
        err_set(e, ERR_IO, "%s: %s", where.data, strerror(errno));
    } else {
        if (log_in(b, c, e) == 0) {
            (void)redisEnableKeepAlive(c);
            return c;
        }
        err_prefix(e, ERR_IO, "%s", where.data);
    }
    if (c) {
        redisFree(c);
    }
    return NULL;
}

void broker_redis_lost(struct broker *b, const char *why)
{
    auto_buf text = {0};

    if (b->lost) {
        return;
    }
    b->lost = true;
    watch_del(&b->watch);
    edge_url_text(&b->url, &text);
    buf_addf(&text, ": %s", why);
    b->ev.lost(b->ev.arg, text.data);
}

/* ---- commands ---- */

redisReply *redis_ask(struct broker *b, int argc, const char *const *argv, const size_t *lens)
{
    const char *v[ARGV_MAX];
    redisReply *r;

    if (b->lost) {
        return NULL;
    }
    memcpy(v, argv, (size_t)argc * sizeof *v); /* hiredis wants a table that may be written to */
    r = redisCommandArgv(b->cmd, argc, v, lens);
    if (!r) {
        broker_redis_lost(b, *b->cmd->errstr ? b->cmd->errstr : "it does not answer");
    }
    return r;
}

redisReply *redis_ask_sized(struct broker *b, bool *large, struct buf *shown, int argc,
                            const char *const *argv)
{
    int64_t until = boot_ms() + ANSWER_MS;
    const char *v[ARGV_MAX];
    void *reply = NULL;
    int done = 0;

    *large = false;
    if (b->lost) {
        return NULL;
    }
    memcpy(v, argv, (size_t)argc * sizeof *v);
    redisAppendCommandArgv(b->cmd, argc, v, NULL);
    while (!done && redisBufferWrite(b->cmd, &done) == REDIS_OK) {
    }
    while (done && redisGetReplyFromReader(b->cmd, &reply) == REDIS_OK && !reply) {
        struct pollfd p = {.fd = b->cmd->fd, .events = POLLIN};
        const redisReader *reader = b->cmd->reader;

        if (reader->len - reader->pos > REDIS_READ_MAX) {
            buf_add(shown, reader->buf + reader->pos, REDIS_KEPT_MAX);
            *large = true;
            return NULL;
        }
        if (poll(&p, 1, (int)MAX(until - boot_ms(), 0)) <= 0 ||
            redisBufferRead(b->cmd) != REDIS_OK) {
            break;
        }
    }
    if (!reply) {
        broker_redis_lost(b, *b->cmd->errstr ? b->cmd->errstr : "it does not answer");
    }
    return reply;
}

/* ---- results ---- */

/* Whether it may succeed later. */
static int code_of(const redisReply *r, bool ours)
{
    return redis_is_error(r, "WRONGTYPE") || (!ours && redis_is_error(r, "NOPERM")) ? ERR_INVALID
                                                                                    : ERR_IO;
}

static int publish_celery(struct broker *b, const struct edge_result *r, struct err *e)
{
    auto_free char *key = str_fmt("celery-task-meta-%s", r->task_id);
    auto_free char *keep = str_fmt("%d", CELERY_KEEP_S);
    auto_buf text = {0};
    redisReply *got;
    int rc = 0;

    celery_result(r, wall_us(), &text);
    if (r->state == RESULT_STARTED) { /* never over an end */
        got = redis_ask_text(b, "SET", key, text.data, "EX", keep, "NX");
    } else {
        got = redis_ask_text(b, "SET", key, text.data, "EX", keep);
    }
    if (!got || got->type == REDIS_REPLY_ERROR) {
        rc = got ? redis_error(got, code_of(got, false), e)
                 : err_set(e, ERR_IO, "the connection is lost");
    } else if (got->type == REDIS_REPLY_STATUS) { /* who waits for it hears it; nobody has to */
        freeReplyObject(got);
        got = redis_ask_text(b, "PUBLISH", key, text.data);
    }
    freeReplyObject(got);
    return rc;
}

/* In a list nothing but the body can carry the event's id. */
static char *with_event(const struct edge_result *r)
{
    json_t *body = json_loads(r->body, 0, NULL);
    char *text = NULL;

    if (json_is_object(body) && *r->event_id && !json_object_get(body, "event_id") &&
        json_object_set_new(body, "event_id", json_string(r->event_id)) == 0) {
        text = json_dumps(body, JSON_COMPACT);
    }
    json_decref(body);
    return text ? text : xstrdup(r->body);
}

static int publish_plain(struct broker *b, const struct edge_result *r, const char *to,
                         struct err *e)
{
    auto_free char *text = with_event(r);
    redisReply *got = redis_ask_text(b, "TYPE", to);
    bool stream = got && got->type == REDIS_REPLY_STATUS && str_eq(got->str, "stream");
    int rc = 0;

    if (got && got->type != REDIS_REPLY_ERROR) {
        freeReplyObject(got);
        if (stream) {
            const char *argv[] = {"XADD", to, "*", "body", text, "event_id", r->event_id};

            got = redis_ask(b, ARRAY_LEN(argv), argv, NULL);
        } else {
            got = redis_ask_text(b, "RPUSH", to, text);
        }
    }
    if (!got || got->type == REDIS_REPLY_ERROR) {
        rc = got ? redis_error(got, code_of(got, !*r->reply_to), e)
                 : err_set(e, ERR_IO, "the connection is lost");
    }
    freeReplyObject(got);
    return rc;
}

static void redis_publish(struct broker *b, const struct edge_result *r)
{
    const char *to = NULL;
    struct err e = {0};
    int rc;

    if (r->form == EDGE_CELERY) {
        rc = *r->task_id ? publish_celery(b, r, &e) : 0;
    } else {
        rc = broker_destination(b->source, r, &to, &e);
        rc = rc || !to ? rc : publish_plain(b, r, to, &e);
    }
    b->ev.sent(b->ev.arg, r->id, rc, rc ? e.msg : "");
}

/* ---- messages ---- */

static void redis_ack(struct broker *b, struct broker_message *m)
{
    redis_settle(b, m, NULL);
}

static void redis_dead(struct broker *b, struct broker_message *m, const struct broker_dead *d)
{
    struct buf text = {0};
    struct json j = json_to(&text);

    json_obj(&j);
    json_str(&j, "reason", d->reason);
    json_time(&j, "at", d->at_us);
    json_str(&j, "task_id", *d->task_id ? d->task_id : NULL);
    if (m->body.len && utf8_valid(m->body.data, m->body.len) &&
        !memchr(m->body.data, '\0', m->body.len)) {
        json_strn(&j, "body", m->body.data, m->body.len);
    } else {
        auto_buf shown = {0};

        buf_add_escaped(&shown, m->body.len ? m->body.data : "", m->body.len);
        json_str(&j, "body_escaped", shown.data ? shown.data : "");
    }
    json_end(&j);
    redis_settle(b, m, &text);
    buf_done(&text);
}

static void redis_room(struct broker *b, unsigned n)
{
    b->room = n;
    redis_take_more(b);
}

static void on_tick(struct timer *t)
{
    struct broker *b = container_of(t, struct broker, tick);

    redis_take_tick(b);
    if (!b->lost) {
        timer_arm(b->loop, t, TICK_MS);
    }
}

static void redis_close(struct broker *b)
{
    timer_stop(&b->tick);
    timer_stop(&b->start);
    watch_del(&b->watch);
    while (b->held) {
        struct broker_message *m = b->held;

        b->held = m->next;
        m->next = NULL;
        m->at = NULL;
    }
    if (b->taker) {
        redisFree(b->taker);
    }
    if (b->cmd) {
        redisFree(b->cmd);
    }
    for (size_t i = 0; i < ARRAY_LEN(b->lists); i++) {
        free(b->lists[i]);
    }
    free(b->taken);
    free(b->dead);
    edge_url_done(&b->url);
    free(b);
}

static int redis_open(const struct broker_start *s, struct broker **out, struct err *e)
{
    struct broker *b = xcalloc(1, sizeof *b);
    int rc = edge_url_parse(s->source->url, &b->url, e);

    b->loop = s->loop;
    b->source = s->source;
    b->server = s->server;
    b->ev = *s->events;
    b->stream = s->source->broker == BROKER_REDIS_STREAM;
    b->watch.fd = -1;
    b->tick.fn = on_tick;
    if (rc == 0) {
        b->cmd = broker_redis_dial(b, e);
        b->taker = b->cmd ? broker_redis_dial(b, e) : NULL;
        rc = b->taker ? redis_take_open(b, e) : ERR_IO;
    }
    if (rc != 0) {
        redis_close(b);
        return rc;
    }
    timer_arm(b->loop, &b->tick, TICK_MS);
    *out = b;
    return 0;
}

const struct broker_kind broker_redis = {
    .open = redis_open,
    .close = redis_close,
    .room = redis_room,
    .ack = redis_ack,
    .dead = redis_dead,
    .publish = redis_publish,
};
