/*
 * What is read. A command that waits holds its connection, and one that reads as a member of a
 * group cannot read an ordinary stream: so there are two connections that wait.
 *
 * A task's entry is acknowledged and deleted when it is read: the stream is only a pipe. What an
 * earlier connection, or an earlier process of this name, had read and not acknowledged is read
 * first; it is too old to be run, or was run: then it is dropped here.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/entry.h"
#include "transport/station_internal.h"

enum { BLOCK_MAX_MS = 4000, WORDS_BATCH = 100, PENDING_BATCH = 1000, REST_MS = 1000 };

static int block_ms(const struct station *s)
{
    return (int)MIN(s->beat_ms, (uint32_t)BLOCK_MAX_MS);
}

/* ---- replies ---- */

static bool is_array(const redisReply *r, size_t least)
{
    return r->type == REDIS_REPLY_ARRAY && r->elements >= least;
}

typedef void (*message_fn)(struct station *s, const struct message *m, const uint8_t *at, size_t n);

/* Each message of an entry; a rule that is broken ends it, and is told. */
static void each_message(struct station *s, const redisReply *d, message_fn fn)
{
    const uint8_t *p = (const uint8_t *)d->str;
    size_t n = d->len;
    struct err e = {0};
    int rc = 0;

    while (rc == 0 && n > 0) {
        const uint8_t *at = p;
        struct message m = {0};

        rc = message_next(&p, &n, &m, &e);
        if (rc == 0) {
            fn(s, &m, at, (size_t)(p - at));
        }
        message_done(&m);
    }
    if (rc != 0) {
        log_warn("message_refused", KV("error", e.msg));
    }
}

static bool other_protocol(const redisReply *fields)
{
    const redisReply *v = entry_field(fields, "v");

    return !v || strtol(v->str, NULL, 10) != TRANSPORT_PROTOCOL;
}

/* ---- tasks ---- */

static void on_task(struct station *s, const struct message *m, const uint8_t *at, size_t n)
{
    if (m->type == MSG_ASSIGN) {
        run_assign(s, &m->assign, at, n);
    }
}

/* [key, [[id, [name, value, ...]], ...]]; of one that was deleted there is only the id. */
static void take_stream(struct station *s, const redisReply *stream)
{
    auto_strvec ids = {0};
    const redisReply *entries;

    if (!is_array(stream, 2) || stream->element[0]->type != REDIS_REPLY_STRING ||
        !is_array(stream->element[1], 1)) {
        return;
    }
    entries = stream->element[1];
    for (size_t i = 0; i < entries->elements; i++) {
        const redisReply *entry = entries->element[i];
        const redisReply *d;

        if (!is_array(entry, 2) || entry->element[0]->type != REDIS_REPLY_STRING) {
            continue;
        }
        strvec_push(&ids, entry->element[0]->str);
        if (!is_array(entry->element[1], 2)) {
            continue;
        }
        d = entry_field(entry->element[1], "d");
        if (!d || other_protocol(entry->element[1])) {
            log_warn("message_refused", KV("error", "an assignment of another protocol"));
        } else {
            each_message(s, d, on_task);
        }
    }
    if (ids.n > 0) {
        entries_done(s->cmd, stream->element[0]->str, "workers", &ids);
    }
}

static void on_taken(void *arg, const redisReply *reply)
{
    struct station *s = arg;
    bool own = s->taking_own; /* it may have been asked for while new ones were waited for */

    s->take.waiting = false;
    s->take.turned_ms = boot_ms();
    if (!reply) {
        return; /* `down` follows */
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        s->take.rest_ms = boot_ms() + MIN(s->beat_ms, (uint32_t)REST_MS);
        if (strncmp(reply->str, "NOGROUP", 7) == 0) {
            station_groups(s); /* Redis lost its data; tried again with the next beat */
        } else {
            log_warn("transport_refused", KV("error", reply->str));
        }
        return;
    }
    if (reply->type == REDIS_REPLY_ARRAY) {
        for (size_t i = 0; i < reply->elements; i++) {
            take_stream(s, reply->element[i]);
        }
    }
    if (own) {
        s->own_pending = false;
    }
    station_take(s);
}

static uint32_t room(const struct station *s)
{
    return s->up && s->known && !s->drained && !s->leaving ? s->room : 0;
}

void station_take(struct station *s)
{
    size_t n = MIN(s->hello.queues.n, (size_t)QUEUES_MAX);
    const char *argv[9 + 2 * QUEUES_MAX] = {"XREADGROUP", "GROUP", "workers", s->name, "COUNT"};
    char *keys[QUEUES_MAX];
    char count[16], block[16];
    int argc = 5;

    if (!s->take.up || s->take.waiting || n == 0 || !(s->own_pending ? s->up : room(s) > 0) ||
        boot_ms() < s->take.rest_ms) {
        return;
    }
    /* COUNT is meant for each stream. */
    snprintf(count, sizeof count, "%u",
             s->own_pending ? PENDING_BATCH : MAX(room(s) / (uint32_t)n, 1u));
    snprintf(block, sizeof block, "%d", block_ms(s));
    argv[argc++] = count;
    if (!s->own_pending) {
        argv[argc++] = "BLOCK";
        argv[argc++] = block;
    }
    argv[argc++] = "STREAMS";
    for (size_t i = 0; i < n; i++) {
        argv[argc++] = keys[i] = station_key(s, "q:", s->hello.queues.v[i]);
    }
    for (size_t i = 0; i < n; i++) {
        argv[argc++] = s->own_pending ? "0" : ">";
    }
    s->take.waiting = true;
    s->taking_own = s->own_pending;
    s->take.turned_ms = boot_ms();
    redis_command(s->take.redis, on_taken, s, argc, argv, NULL);
    for (size_t i = 0; i < n; i++) {
        free(keys[i]);
    }
}

static void on_group(void *arg, const redisReply *reply)
{
    struct station *s = arg;

    if (reply && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "BUSYGROUP", 9) != 0) {
        log_warn("transport_refused", KV("error", reply->str));
    } else if (reply) {
        s->take.rest_ms = 0;
        station_take(s);
    }
}

void station_groups(struct station *s)
{
    for (size_t i = 0; s->up && i < MIN(s->hello.queues.n, (size_t)QUEUES_MAX); i++) {
        auto_free char *key = station_key(s, "q:", s->hello.queues.v[i]);

        redis_cmd(s->cmd, on_group, s, "XGROUP CREATE %s workers 0 MKSTREAM", key);
    }
}

/* ---- words of the server ---- */

static void on_word(struct station *s, const struct message *m, const uint8_t *at, size_t n)
{
    struct run *r;

    (void)at;
    (void)n;
    switch (m->type) {
    case MSG_ANSWER:
        station_answered(s, &m->answer);
        break;
    case MSG_ACK:
        run_ack(s, &m->lease, m->seq);
        break;
    case MSG_FENCED:
        run_fenced(s, &m->lease, m->on);
        break;
    case MSG_CANCEL:
        r = run_of(s, &m->lease);
        if (r && r->state == RUN_HELD) {
            s->ev.cancel(s->ev.arg, &m->lease);
        }
        break;
    case MSG_ADOPT:
        run_adopt(s, &m->lease, &m->now);
        break;
    case MSG_DRAIN:
        station_drain(s, m->on);
        break;
    case MSG_REFUSED:
        s->ev.refused(s->ev.arg, m->text);
        break;
    default:
        break;
    }
}

static bool for_us(const struct station *s, const redisReply *fields)
{
    const redisReply *i = entry_field(fields, "i");

    return i && strcmp(i->str, s->instance) == 0;
}

static void hear(struct station *s, const redisReply *fields)
{
    const redisReply *d = entry_field(fields, "d");

    if (!for_us(s, fields)) {
        return; /* for one of this name that was here before */
    }
    if (other_protocol(fields)) {
        const redisReply *v = entry_field(fields, "v");
        auto_free char *text = str_fmt("the server speaks protocol %.20s, this worker %d: run the "
                                       "same version of ScanPod on both",
                                       v ? v->str : "?", TRANSPORT_PROTOCOL);

        s->ev.refused(s->ev.arg, text);
    } else if (d) {
        each_message(s, d, on_word);
    }
}

static bool note_id(struct station *s, const redisReply *id)
{
    bool ok = id->type == REDIS_REPLY_STRING && id->len < sizeof s->last_id;

    if (ok) {
        memcpy(s->last_id, id->str, id->len + 1);
    }
    return ok;
}

static void on_words(void *arg, const redisReply *reply)
{
    struct station *s = arg;

    s->tell.waiting = false;
    s->tell.turned_ms = boot_ms();
    if (!reply) {
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        log_warn("transport_refused", KV("error", reply->str));
        return; /* again with the next beat */
    }
    if (is_array(reply, 1) && is_array(reply->element[0], 2) &&
        reply->element[0]->element[1]->type == REDIS_REPLY_ARRAY) {
        const redisReply *entries = reply->element[0]->element[1];

        for (size_t i = 0; i < entries->elements; i++) {
            const redisReply *entry = entries->element[i];

            if (is_array(entry, 2) && note_id(s, entry->element[0]) &&
                is_array(entry->element[1], 2)) {
                hear(s, entry->element[1]);
            }
        }
    }
    station_listen(s);
}

void station_listen(struct station *s)
{
    auto_free char *key = NULL;

    if (!s->tell.up || s->tell.waiting || !s->placed) {
        return;
    }
    key = station_key(s, "w:", s->name);
    s->tell.waiting = true;
    s->tell.turned_ms = boot_ms();
    redis_cmd(s->tell.redis, on_words, s, "XREAD COUNT %d BLOCK %d STREAMS %s %s", WORDS_BATCH,
              block_ms(s), key, s->last_id);
}

/* "MS-SEQ" */
static bool id_after(const char *a, const char *b)
{
    char *end_a, *end_b;
    uint64_t ms_a = strtoull(a, &end_a, 10), ms_b = strtoull(b, &end_b, 10);

    if (ms_a != ms_b) {
        return ms_a > ms_b;
    }
    return strtoull(*end_a ? end_a + 1 : "0", NULL, 10) >
           strtoull(*end_b ? end_b + 1 : "0", NULL, 10);
}

/* The first time from the end on: what was said before was not said to us. Later where we were,
 * unless Redis lost its data and counts anew. */
static void on_place(void *arg, const redisReply *reply)
{
    struct station *s = arg;

    if (!reply || reply->type != REDIS_REPLY_ARRAY) {
        if (reply) {
            log_warn("transport_refused",
                     KV("error", reply->type == REDIS_REPLY_ERROR ? reply->str : "no array"));
        }
        return;
    }
    if (reply->elements == 0) {
        memcpy(s->last_id, "0-0", sizeof "0-0");
    } else if (is_array(reply->element[0], 1) &&
               (!s->last_id[0] || (reply->element[0]->element[0]->type == REDIS_REPLY_STRING &&
                                   id_after(s->last_id, reply->element[0]->element[0]->str)))) {
        (void)note_id(s, reply->element[0]->element[0]);
    }
    s->placed = s->last_id[0] != '\0';
    if (s->placed) {
        station_announce(s);
        station_listen(s);
    }
}

void station_place(struct station *s)
{
    auto_free char *key = station_key(s, "w:", s->name);

    redis_cmd(s->cmd, on_place, s, "XREVRANGE %s + - COUNT 1", key);
}
