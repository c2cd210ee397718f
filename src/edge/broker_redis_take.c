/* Taking messages, from a list or a stream, and being done with them. */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "edge/broker_redis.h"
#include "edge/edge_message.h"

enum {
    RECOVER_MAX = 2 * EDGE_PREFETCH,
    SILENT_MS = 15000,  /* the taker waits for one second there */
    REFRESH_MS = 15000, /* our entries are claimed again, and others looked for */
    SWEEP_MAX = 16,
};
#define IDLE_MS "60000"

/* ---- what came ---- */

static void hold(struct broker *b, struct broker_message *m)
{
    m->next = b->held;
    m->at = &b->held;
    if (m->next) {
        m->next->at = &m->next;
    }
    b->held = m;
}

static void let_go(struct broker_message *m)
{
    if (m->at) {
        *m->at = m->next;
        if (m->next) {
            m->next->at = m->at;
        }
        m->at = NULL;
    }
}

static void came(struct broker *b, const redisReply *text, bool again)
{
    struct broker_message *m = xcalloc(1, sizeof *m);

    buf_add(&m->body, text->str, text->len);
    m->size = text->len;
    m->redelivered = again;
    b->ev.message(b->ev.arg, m);
}

static bool is_held(const struct broker *b, const char *entry)
{
    for (const struct broker_message *m = b->held; m; m = m->next) {
        if (str_eq(m->entry, entry)) {
            return true;
        }
    }
    return false;
}

static bool is_text(const redisReply *r)
{
    return r->type == REDIS_REPLY_STRING;
}

/* [id, [field, value, ...]]; false: none of ours. The fields are nil when the entry was deleted. */
static bool entry_came(struct broker *b, const redisReply *r, bool again)
{
    const redisReply *fields;
    struct broker_message *m;
    struct raw_field *f;
    size_t n;

    if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 || !is_text(r->element[0]) ||
        r->element[0]->len >= sizeof m->entry) {
        return false;
    }
    fields = r->element[1];
    if (fields->type != REDIS_REPLY_ARRAY) {
        freeReplyObject(redis_ask_text(b, "XACK", b->source->queue, "scanpod", r->element[0]->str));
        return true;
    }
    if (is_held(b, r->element[0]->str)) {
        return true;
    }
    n = fields->elements / 2;
    f = xcalloc(n + 1, sizeof *f);
    for (size_t i = 0; i < n; i++) {
        const redisReply *name = fields->element[2 * i], *value = fields->element[2 * i + 1];

        f[i] = (struct raw_field){.name = is_text(name) ? name->str : "",
                                  .n_name = is_text(name) ? name->len : 0,
                                  .value = is_text(value) ? value->str : "",
                                  .n_value = is_text(value) ? value->len : 0};
    }
    m = xcalloc(1, sizeof *m);
    edge_fields(f, n, &m->body);
    free(f);
    m->size = m->body.len;
    m->redelivered = again;
    memcpy(m->entry, r->element[0]->str, r->element[0]->len + 1);
    m->message_id = str_fmt("%s:%s", b->source->queue, m->entry);
    hold(b, m);
    b->ev.message(b->ev.arg, m);
    return true;
}

/* [[stream, [entry]]] of XREADGROUP: its entry, or NULL. */
static const redisReply *only_entry(const redisReply *r)
{
    const redisReply *list;

    if (r->type != REDIS_REPLY_ARRAY || r->elements != 1 ||
        r->element[0]->type != REDIS_REPLY_ARRAY || r->element[0]->elements != 2) {
        return NULL;
    }
    list = r->element[0]->element[1];
    return list->type == REDIS_REPLY_ARRAY && list->elements == 1 ? list->element[0] : NULL;
}

/* ---- messages that are too large to be read ---- */

/* hiredis has read the '$' and stands at the length. 0: it is somewhere else. */
static size_t length_of(const struct buf *shown)
{
    return shown->len ? strtoul(shown->data, NULL, 10) : 0;
}

/* The first bytes are shown to the daemon as those of a message that is too large. */
static void large_came(struct broker *b, struct buf *shown)
{
    struct broker_message *m = xcalloc(1, sizeof *m);
    const char *end = memchr(shown->data, '\n', shown->len);
    size_t head = end ? (size_t)(end - shown->data) + 1 : 0;

    m->size = MAX(length_of(shown), (size_t)REDIS_READ_MAX);
    buf_add(&m->body, shown->data + head, shown->len - head);
    m->moved = true;
    b->ev.message(b->ev.arg, m);
}

static void put_large(const struct broker *b, const char *entry, struct buf *out)
{
    struct json j = json_to(out);

    json_obj(&j);
    json_str(&j, "reason",
             entry ? "the entry is too large to be read: it stays in the stream"
                   : "the message beside this one is too large to be read: it was moved as it is");
    json_time(&j, "at", wall_us());
    json_str(&j, "task_id", NULL);
    if (entry) {
        json_str(&j, "stream", b->source->queue);
        json_str(&j, "entry", entry);
    }
    json_end(&j);
}

/* A connection of its own, whose answers are not sent: the message would be one. */
static bool move_unread(struct broker *b, struct err *e)
{
    redisContext *c = broker_redis_dial(b, e);
    redisReply *r = NULL;
    auto_buf text = {0};
    bool ok = false;

    if (!c) {
        return false;
    }
    put_large(b, NULL, &text);
    redisAppendCommand(c, "CLIENT REPLY OFF");
    redisAppendCommand(c, "LMOVE %s %s LEFT RIGHT", b->taken, b->dead);
    redisAppendCommand(c, "RPUSH %s %s", b->dead, text.data);
    r = redisCommand(c, "CLIENT REPLY ON");
    ok = r && r->type == REDIS_REPLY_STATUS;
    freeReplyObject(r);
    redisFree(c);
    if (!ok) {
        err_set(e, ERR_IO, "a message that is too large cannot be moved away");
    }
    return ok;
}

/* The newest one that was taken: a larger one is always met there first. False: e. */
static bool drop_large_head(struct broker *b, struct err *e)
{
    const char *argv[] = {"LINDEX", b->taken, "0"};
    auto_buf shown = {0};
    bool large;
    redisReply *r = redis_ask_sized(b, &large, &shown, ARRAY_LEN(argv), argv);

    if (!large) {
        freeReplyObject(r);
        return r != NULL;
    }
    redisFree(b->cmd);
    b->cmd = broker_redis_dial(b, e);
    if (!b->cmd) {
        return false;
    }
    if (!move_unread(b, e)) {
        return false;
    }
    large_came(b, &shown);
    return true;
}

/* ---- what was taken before ---- */

static void recover_list(struct broker *b)
{
    redisReply *found[RECOVER_MAX];
    struct err e = {0};
    unsigned n = 0;

    if (!drop_large_head(b, &e)) {
        broker_redis_lost(b, e.code ? e.msg : "it does not answer");
        return;
    }
    for (; n < RECOVER_MAX && !b->lost; n++) {
        char at[16];

        snprintf(at, sizeof at, "-%u", n + 1); /* the oldest is the last one */
        found[n] = redis_ask_text(b, "LINDEX", b->taken, at);
        if (!found[n] || !is_text(found[n])) {
            freeReplyObject(found[n]);
            break;
        }
    }
    for (unsigned i = 0; i < n; i++) { /* only now: what is settled at once leaves the list */
        if (!b->lost) {
            came(b, found[i], true);
        }
        freeReplyObject(found[i]);
    }
}

/* The next one of ours after `id` that cannot be read: given up, it stays in the stream. */
static bool give_up_large(struct broker *b, const char *after, char next[48], struct buf *shown,
                          struct err *e)
{
    auto_free char *from = str_fmt("(%s", after);
    auto_buf text = {0};
    redisReply *r;
    bool ok;

    redisFree(b->cmd);
    b->cmd = broker_redis_dial(b, e);
    if (!b->cmd) {
        return false;
    }
    r = redis_ask_text(b, "XPENDING", b->source->queue, "scanpod",
                       strcmp(after, "0") == 0 ? "-" : from, "+", "1", b->server);
    ok = r && r->type == REDIS_REPLY_ARRAY && r->elements == 1 &&
         r->element[0]->type == REDIS_REPLY_ARRAY && r->element[0]->elements > 0 &&
         is_text(r->element[0]->element[0]) && r->element[0]->element[0]->len < 48;
    if (ok) {
        memcpy(next, r->element[0]->element[0]->str, r->element[0]->element[0]->len + 1);
        put_large(b, next, &text);
        freeReplyObject(redis_ask_text(b, "RPUSH", b->dead, text.data));
        freeReplyObject(redis_ask_text(b, "XACK", b->source->queue, "scanpod", next));
        large_came(b, shown);
    } else {
        err_set(e, ERR_IO, "an entry that is too large cannot be found");
    }
    freeReplyObject(r);
    return ok;
}

static void recover_stream(struct broker *b)
{
    char after[48] = "0";
    struct err e = {0};

    for (int i = 0; i < RECOVER_MAX && !b->lost; i++) {
        const char *argv[] = {"XREADGROUP", "GROUP",   "scanpod",        b->server, "COUNT",
                              "1",          "STREAMS", b->source->queue, after};
        auto_buf shown = {0};
        const redisReply *x;
        redisReply *r;
        bool large, end;

        r = redis_ask_sized(b, &large, &shown, ARRAY_LEN(argv), argv);
        if (large) {
            if (!give_up_large(b, after, after, &shown, &e)) {
                broker_redis_lost(b, e.code ? e.msg : "it does not answer");
            }
            continue;
        }
        x = r ? only_entry(r) : NULL;
        end =
            !x || x->elements != 2 || !is_text(x->element[0]) || x->element[0]->len >= sizeof after;
        if (!end) {
            memcpy(after, x->element[0]->str, x->element[0]->len + 1);
            entry_came(b, x, true);
        }
        freeReplyObject(r);
        if (end) {
            return;
        }
    }
}

static void on_start(struct timer *t)
{
    struct broker *b = container_of(t, struct broker, start);

    if (b->stream) {
        recover_stream(b);
    } else {
        recover_list(b);
    }
    b->recovered = !b->lost;
    redis_take_more(b);
}

/* ---- asking for more ---- */

enum { STEPS = 4 }; /* then the first list again, and waiting there */

static void ask(struct broker *b)
{
    const char *queue = b->source->queue;
    int done = 0;

    if (b->stream) {
        redisAppendCommand(b->taker, "XREADGROUP GROUP scanpod %s COUNT 1 BLOCK 1000 STREAMS %s >",
                           b->server, queue);
    } else if (b->step < STEPS) {
        redisAppendCommand(b->taker, "RPOPLPUSH %s %s", b->lists[b->step], b->taken);
    } else {
        redisAppendCommand(b->taker, "BRPOPLPUSH %s %s 1", queue, b->taken);
    }
    b->asked = true;
    b->asked_ms = boot_ms();
    while (!done) {
        if (redisBufferWrite(b->taker, &done) != REDIS_OK) {
            broker_redis_lost(b, b->taker->errstr);
            return;
        }
    }
}

void redis_take_more(struct broker *b)
{
    if (!b->asked && b->recovered && b->room > 0 && !b->lost) {
        ask(b);
    }
}

static void took(struct broker *b, const redisReply *r)
{
    if (r->type == REDIS_REPLY_ERROR) {
        struct err e;

        redis_error(r, ERR_IO, &e);
        broker_redis_lost(b, e.msg);
    } else if (b->stream) {
        const redisReply *x = only_entry(r);

        if (x) {
            entry_came(b, x, false);
        }
    } else if (is_text(r)) {
        b->step = 0;
        came(b, r, false);
    } else {
        b->step = b->step < STEPS ? b->step + 1 : 0;
    }
}

/* It is with the messages that were taken: they are looked at again, as after a restart. */
static void taker_met_large(struct broker *b)
{
    struct err e = {0};

    watch_del(&b->watch);
    redisFree(b->taker);
    b->asked = false;
    b->taker = broker_redis_dial(b, &e);
    if (!b->taker) {
        broker_redis_lost(b, e.msg);
        return;
    }
    b->watch.fd = b->taker->fd;
    if (watch_add(b->loop, &b->watch, &e) != 0) {
        broker_redis_lost(b, e.msg);
    } else if (b->stream) {
        broker_redis_lost(b, "an entry is too large to be read");
    } else if (!drop_large_head(b, &e)) {
        broker_redis_lost(b, e.code ? e.msg : "it does not answer");
    }
    redis_take_more(b);
}

static void on_taker(struct watch *w, uint32_t events)
{
    struct broker *b = container_of(w, struct broker, watch);
    void *reply = NULL;

    (void)events;
    if (redisBufferRead(b->taker) != REDIS_OK ||
        redisGetReplyFromReader(b->taker, &reply) != REDIS_OK) {
        broker_redis_lost(b, b->taker->errstr);
        return;
    }
    if (reply) {
        b->asked = false;
        took(b, reply);
        freeReplyObject(reply);
        redis_take_more(b);
    } else if (b->taker->reader->len - b->taker->reader->pos > REDIS_READ_MAX) {
        taker_met_large(b);
    }
}

/* ---- being done ---- */

/* Each step only after the one before it: a message is nowhere for no moment. */
static void step(struct broker *b, int argc, const char *const *argv, const size_t *lens)
{
    redisReply *r = redis_ask(b, argc, argv, lens);

    if (r && r->type == REDIS_REPLY_ERROR) {
        struct err e;

        redis_error(r, ERR_IO, &e);
        broker_redis_lost(b, e.msg);
    }
    freeReplyObject(r);
}

static void settle_list(struct broker *b, const struct broker_message *m)
{
    const char *argv[] = {"LREM", b->taken, "-1", m->body.data ? m->body.data : ""};
    const size_t lens[] = {4, strlen(b->taken), 2, m->body.len};

    step(b, ARRAY_LEN(argv), argv, lens);
}

static void settle_entry(struct broker *b, const struct broker_message *m)
{
    const char *ack[] = {"XACK", b->source->queue, "scanpod", m->entry};
    const char *del[] = {"XDEL", b->source->queue, m->entry};

    /* In between it is one of ours that was deleted: found at the next start, and acknowledged. */
    step(b, ARRAY_LEN(del), del, NULL);
    step(b, ARRAY_LEN(ack), ack, NULL);
}

void redis_settle(struct broker *b, struct broker_message *m, const struct buf *dead)
{
    if (!m->moved && dead) {
        const char *argv[] = {"RPUSH", b->dead, dead->data};
        const size_t lens[] = {5, strlen(b->dead), dead->len};

        step(b, ARRAY_LEN(argv), argv, lens);
    }
    if (!m->moved && b->stream) {
        settle_entry(b, m);
    } else if (!m->moved) {
        settle_list(b, m);
    }
    if (!b->lost) {
        let_go(m);
        b->ev.settled(b->ev.arg, m);
    }
}

/* ---- from time to time ---- */

static void keep_ours(struct broker *b)
{
    for (const struct broker_message *m = b->held; m && !b->lost; m = m->next) {
        freeReplyObject(redis_ask_text(b, "XCLAIM", b->source->queue, "scanpod", b->server, "0",
                                       m->entry, "JUSTID"));
    }
}

/* Of consumers that are gone. Servers before 6.2 do not know how: then theirs stay theirs. */
static void claim_others(struct broker *b)
{
    for (int i = 0; i < SWEEP_MAX && b->room > 0 && !b->lost; i++) {
        const char *argv[] = {"XAUTOCLAIM", b->source->queue, "scanpod", b->server,
                              IDLE_MS,      b->cursor,        "COUNT",   "1"};
        auto_buf shown = {0};
        redisReply *r;
        bool large, end;

        r = redis_ask_sized(b, &large, &shown, ARRAY_LEN(argv), argv);
        if (large) {
            broker_redis_lost(b, "an entry is too large to be read");
            return;
        }
        end = !r || r->type != REDIS_REPLY_ARRAY || r->elements < 2 || !is_text(r->element[0]) ||
              r->element[0]->len >= sizeof b->cursor || r->element[1]->type != REDIS_REPLY_ARRAY;
        if (!end) {
            memcpy(b->cursor, r->element[0]->str, r->element[0]->len + 1);
            for (size_t k = 0; k < r->element[1]->elements; k++) {
                entry_came(b, r->element[1]->element[k], true);
            }
            end = str_eq(b->cursor, "0-0");
        }
        freeReplyObject(r);
        if (end) {
            return;
        }
    }
}

void redis_take_tick(struct broker *b)
{
    if (b->lost) {
        return;
    }
    if (b->asked && boot_ms() - b->asked_ms > SILENT_MS) {
        broker_redis_lost(b, "it does not answer");
        return;
    }
    if (b->stream && boot_ms() - b->swept_ms > REFRESH_MS) {
        b->swept_ms = boot_ms();
        keep_ours(b);
        claim_others(b);
    }
    redis_take_more(b);
}

int redis_take_open(struct broker *b, struct err *e)
{
    const char *queue = b->source->queue;
    redisReply *r;
    int rc = 0;

    b->taken = str_fmt("%s:taken:%s", queue, b->server);
    b->dead = str_fmt("%s.dead", queue);
    for (unsigned i = 0; i < STEPS; i++) {
        b->lists[i] = i ? str_fmt("%s\x06\x16%u", queue, 3 * i) : xstrdup(queue);
    }
    memcpy(b->cursor, "0-0", sizeof "0-0");
    b->start.fn = on_start;
    b->watch = (struct watch){.fd = b->taker->fd, .events = EPOLLIN, .fn = on_taker};
    r = b->stream ? redisCommand(b->cmd, "XGROUP CREATE %s scanpod 0 MKSTREAM", queue)
                  : redisCommand(b->cmd, "LLEN %s", queue);
    if (!r) {
        rc = err_set(e, ERR_IO, "redis does not answer");
    } else if (r->type == REDIS_REPLY_ERROR && !redis_is_error(r, "BUSYGROUP")) {
        rc = redis_error(r, ERR_IO, e);
    }
    freeReplyObject(r);
    rc = rc ? rc : watch_add(b->loop, &b->watch, e);
    if (rc == 0) {
        timer_arm(b->loop, &b->start, 0);
    }
    return rc;
}
