/*
 * The process: one broker, one channel to the daemon, and the messages in between.
 *
 *   WAITING --told--> TOLD --verdict--> DECIDED --settled--> gone
 *                      ^ |
 *                      | +--LATER--> LATER (told again when its time has come)
 *
 * A connection that is lost takes nothing from that list: entries only lose their message. When it
 * comes again (redelivered, the same bytes), it is put back into its entry, so that the daemon is
 * not asked twice, and a verdict of meanwhile is carried out.
 */
#include <errno.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"
#include "box/role.h"
#include "box/seccomp.h"
#include "edge/broker.h"
#include "edge/edge_message.h"
#include "edge/edge_wire.h"

enum {
    DIAL_FIRST_MS = 100,
    DIAL_MAX_MS = 10000,
    KEEP_MS = 10 * 60 * 1000, /* then a message that has to wait is given back */
    TOLD_MAX = 2 << 20,       /* bytes that the daemon has not decided on: half of a channel */
    LOST_MAX = 4 * EDGE_PREFETCH,
};

struct entry {
    struct entry *next;
    uint64_t id;
    enum { WAITING, TOLD, LATER, DECIDED } state;
    struct broker_message *message; /* owned; NULL: the connection that brought it is lost */
    uint8_t digest[SHA256_DIGEST_SIZE];
    enum edge_verdict verdict;
    char *reason, *task_id; /* owned */
    size_t told;
    int64_t at_ms, since_ms;
};

struct edge_process {
    struct loop *loop;
    struct chan chan;
    const struct edge_config *config;
    const struct broker_kind *kind;
    struct broker *broker; /* NULL: not connected */
    struct broker_events events;
    struct timer dial, due, tear;
    uint32_t delay_ms;
    bool lost;
    char why[EDGE_WHY_MAX + 1]; /* it is not connected; "": it is */
    struct entry *entries, **tail;
    size_t n, told;
    uint64_t last_id;
};

static void stop(struct edge_process *p, const char *why)
{
    fprintf(stderr, "edge: %s\n", why);
    loop_stop(p->loop);
}

static void tell(struct edge_process *p, uint16_t type, const struct buf *body)
{
    struct err e = {0};

    if (chan_send(&p->chan, type, body->data, body->len, NULL, 0, &e) != 0) {
        stop(p, e.msg);
    }
}

static void tell_note(struct edge_process *p, uint16_t type, uint64_t id, int code, const char *why)
{
    const struct edge_note n = {.id = id, .code = code, .why = why};
    auto_buf body = {0};

    edge_note_put(&body, &n);
    tell(p, type, &body);
}

/* ---- entries ---- */

/* Entries without a message take no room: it may never come again. */
static void give_room(struct edge_process *p)
{
    unsigned n = 0;

    for (const struct entry *x = p->entries; x; x = x->next) {
        n += x->message != NULL;
    }
    if (p->broker && !p->lost) {
        p->kind->room(p->broker, n < EDGE_PREFETCH ? EDGE_PREFETCH - n : 0);
    }
}

static void entry_drop(struct edge_process *p, struct entry *x)
{
    struct entry **at = &p->entries;

    while (*at != x) {
        at = &(*at)->next;
    }
    *at = x->next;
    if (!x->next) {
        p->tail = at;
    }
    p->n--;
    p->told -= x->told;
    broker_message_free(x->message);
    free(x->reason);
    free(x->task_id);
    free(x);
}

static void add_text(struct sha256_ctx *c, const char *s)
{
    s = s ? s : "";
    sha256_update(c, strlen(s) + 1, (const uint8_t *)s);
}

static void digest_of(const struct broker_message *m, uint8_t out[SHA256_DIGEST_SIZE])
{
    struct sha256_ctx c;

    sha256_init(&c);
    add_text(&c, m->correlation);
    add_text(&c, m->reply_to);
    add_text(&c, m->message_id);
    add_text(&c, m->entry);
    sha256_update(&c, m->body.len, (const uint8_t *)(m->body.data ? m->body.data : ""));
    sha256_digest(&c, SHA256_DIGEST_SIZE, out);
}

static void tell_entry(struct edge_process *p, struct entry *x)
{
    const struct broker_message *m = x->message;
    const struct raw_message raw = {.redis = p->kind == &broker_redis,
                                    .queue = p->config->source->queue,
                                    .body = m->body.data ? m->body.data : "",
                                    .n = m->body.len,
                                    .size = m->size,
                                    .content_type = m->content_type,
                                    .content_encoding = m->content_encoding,
                                    .correlation = m->correlation,
                                    .reply_to = m->reply_to,
                                    .message_id = m->message_id,
                                    .headers = m->headers,
                                    .now_us = wall_us()};
    struct edge_message out;
    struct taken t;
    auto_buf body = {0};

    edge_take(&raw, &t);
    out = (struct edge_message){.id = x->id,
                                .form = t.form,
                                .task_id = t.task_id,
                                .reply_to = t.reply_to,
                                .correlation = t.correlation,
                                .body = t.body.data,
                                .bad = t.bad,
                                .redelivered = m->redelivered};
    edge_message_put(&body, &out);
    x->state = TOLD;
    x->told = body.len;
    p->told += body.len;
    free(x->reason);
    x->reason = t.bad ? xstrdup(t.bad) : NULL;
    free(x->task_id);
    x->task_id = xstrdup(t.task_id);
    taken_done(&t);
    tell(p, EDGE_MESSAGE, &body);
}

static void decide(struct edge_process *p, struct entry *x)
{
    struct broker_dead d = {.reason = x->reason && *x->reason ? x->reason : "refused",
                            .task_id = x->task_id,
                            .at_us = wall_us()};

    if (!x->message || !p->broker || p->lost) {
        return; /* when it comes again */
    }
    if (x->verdict == EDGE_TAKEN) {
        p->kind->ack(p->broker, x->message);
    } else {
        p->kind->dead(p->broker, x->message, &d);
    }
}

/* The daemon hears of as many as it can take, and again of those whose time has come. */
static void look(struct edge_process *p)
{
    int64_t now = boot_ms(), next = INT64_MAX;

    for (struct entry *x = p->entries, *after; x; x = after) {
        after = x->next;
        if (x->state == LATER && x->at_ms <= now) {
            x->state = WAITING;
        }
        if (x->state == LATER) {
            next = MIN(next, x->at_ms);
        } else if (x->state == WAITING && x->message && p->told < TOLD_MAX) {
            if (p->kind->give_back && x->at_ms && now - x->since_ms > KEEP_MS && p->broker &&
                !p->lost) {
                p->kind->give_back(p->broker, x->message);
                entry_drop(p, x);
            } else {
                tell_entry(p, x);
            }
        }
    }
    if (next != INT64_MAX) {
        timer_arm(p->loop, &p->due, MAX(next - now, 1));
    }
    give_room(p);
}

static void on_due(struct timer *t)
{
    look(container_of(t, struct edge_process, due));
}

/* ---- what the broker says ---- */

static struct entry *same(struct edge_process *p, const struct broker_message *m,
                          const uint8_t *digest)
{
    for (struct entry *x = p->entries; x && m->redelivered; x = x->next) {
        if (!x->message && memcmp(x->digest, digest, sizeof x->digest) == 0) {
            return x;
        }
    }
    return NULL;
}

/* Somebody else has got it, or it is gone: the oldest are forgotten. */
static void forget_lost(struct edge_process *p)
{
    for (struct entry *x = p->entries, *after; x && p->n >= LOST_MAX; x = after) {
        after = x->next;
        if (!x->message) {
            entry_drop(p, x);
        }
    }
}

static void on_broker_message(void *arg, struct broker_message *m)
{
    struct edge_process *p = arg;
    uint8_t digest[SHA256_DIGEST_SIZE];
    struct entry *x;

    digest_of(m, digest);
    x = same(p, m, digest);
    if (x) {
        x->message = m;
        if (x->state == DECIDED) {
            decide(p, x);
        }
        look(p);
        return;
    }
    forget_lost(p);
    x = xcalloc(1, sizeof *x);
    x->id = ++p->last_id;
    x->message = m;
    x->since_ms = boot_ms();
    memcpy(x->digest, digest, sizeof x->digest);
    *p->tail = x;
    p->tail = &x->next;
    p->n++;
    look(p);
}

static void on_settled(void *arg, struct broker_message *m)
{
    struct edge_process *p = arg;

    for (struct entry *x = p->entries; x; x = x->next) {
        if (x->message == m) {
            entry_drop(p, x);
            break;
        }
    }
    give_room(p);
}

static void on_sent(void *arg, uint64_t id, int rc, const char *why)
{
    tell_note(arg, EDGE_SENT, id, rc, why);
}

static void dial_later(struct edge_process *p)
{
    uint32_t spread;

    random_bytes(&spread, sizeof spread);
    timer_arm(p->loop, &p->dial, p->delay_ms + spread % (p->delay_ms / 4 + 1));
    p->delay_ms = MIN(2 * p->delay_ms, (uint32_t)DIAL_MAX_MS);
}

static void say_down(struct edge_process *p, const char *why)
{
    if (!str_eq(p->why, why) || !*why) {
        snprintf(p->why, sizeof p->why, "%s", *why ? why : "the connection is lost");
        tell_note(p, EDGE_STATE, 0, ERR_IO, p->why);
    }
}

static void on_lost(void *arg, const char *why)
{
    struct edge_process *p = arg;

    if (!p->lost) {
        p->lost = true;
        timer_arm(p->loop, &p->tear, 0);
        say_down(p, why);
    }
}

static void on_tear(struct timer *t)
{
    struct edge_process *p = container_of(t, struct edge_process, tear);

    p->kind->close(p->broker);
    p->broker = NULL;
    p->lost = false;
    for (struct entry *x = p->entries, *after; x; x = after) {
        after = x->next;
        broker_message_free(take_ptr(&x->message));
        if (x->state == WAITING || x->state == LATER) {
            entry_drop(p, x); /* nobody knows of it: it is a new one when it comes */
        }
    }
    dial_later(p);
}

static void on_dial(struct timer *t)
{
    struct edge_process *p = container_of(t, struct edge_process, dial);
    const struct broker_start start = {.loop = p->loop,
                                       .source = p->config->source,
                                       .server = p->config->server,
                                       .events = &p->events};
    struct err e = {0};

    if (p->kind->open(&start, &p->broker, &e) != 0) {
        say_down(p, e.msg);
        dial_later(p);
        return;
    }
    p->delay_ms = DIAL_FIRST_MS;
    p->why[0] = '\0';
    tell_note(p, EDGE_STATE, 0, 0, "");
    give_room(p);
}

/* ---- what the daemon says ---- */

static void on_verdict(struct edge_process *p, const struct edge_verdict_in *v)
{
    struct entry *x = p->entries;

    while (x && x->id != v->id) {
        x = x->next;
    }
    if (!x || x->state != TOLD) {
        return; /* forgotten meanwhile */
    }
    p->told -= x->told;
    x->told = 0;
    x->verdict = v->verdict;
    if (v->verdict == EDGE_LATER) {
        x->state = LATER;
        x->at_ms = boot_ms() + MAX(v->after_ms, 10u);
    } else {
        x->state = DECIDED;
        if (*v->reason) {
            free(x->reason);
            x->reason = xstrdup(v->reason);
        }
        decide(p, x);
    }
    look(p);
}

static void on_result(struct edge_process *p, const struct edge_result *r)
{
    if (p->broker && !p->lost) {
        p->kind->publish(p->broker, r);
    } else {
        tell_note(p, EDGE_SENT, r->id, ERR_IO, p->why);
    }
}

static void on_message(struct chan *c, uint16_t type, const void *body, size_t n, int *fds,
                       unsigned n_fds)
{
    struct edge_process *p = container_of(c, struct edge_process, chan);
    struct wire w = {.p = body, .end = (const uint8_t *)body + n};
    struct edge_verdict_in v;
    struct edge_result r;

    (void)fds;
    if (n_fds == 0 && type == EDGE_VERDICT && edge_verdict_get(&w, &v)) {
        on_verdict(p, &v);
    } else if (n_fds == 0 && type == EDGE_RESULT && edge_result_get(&w, &r)) {
        on_result(p, &r);
    } else {
        stop(p, "a message is not one of ours");
    }
}

static void on_close(struct chan *c)
{
    loop_stop(container_of(c, struct edge_process, chan)->loop);
}

static void edge_process(const void *arg, int fd)
{
    const struct edge_config *c = arg;
    const struct role_start role = {
        .name = "scanpod-edge", .change_user = c->change_user, .uid = c->uid, .gid = c->gid};
    struct edge_process p = {
        .config = c,
        .kind = c->source->broker == BROKER_AMQP ? &broker_amqp : &broker_redis,
        .chan = {.on_message = on_message, .on_close = on_close},
        .dial = {.fn = on_dial},
        .due = {.fn = on_due},
        .tear = {.fn = on_tear},
        .delay_ms = DIAL_FIRST_MS,
    };
    const char *failed = role_become(&role, fd);
    struct err e = {0};

    if (failed) {
        fprintf(stderr, "edge: %s: %s\n", failed, strerror(errno));
        _exit(1);
    }
    p.tail = &p.entries;
    p.events = (struct broker_events){.message = on_broker_message,
                                      .settled = on_settled,
                                      .sent = on_sent,
                                      .lost = on_lost,
                                      .arg = &p};
    if (loop_new(&p.loop, &e) != 0 || chan_start(&p.chan, p.loop, fd, &e) != 0 ||
        seccomp_role(ROLE_EDGE, &e) != 0) {
        fprintf(stderr, "edge: %s\n", e.msg);
        _exit(1);
    }
    timer_arm(p.loop, &p.dial, 0);
    if (loop_run(p.loop, &e) != 0) {
        fprintf(stderr, "edge: %s\n", e.msg);
        _exit(1);
    }
    if (p.broker) {
        p.kind->close(p.broker);
    }
    _exit(0);
}

int edge_spawn(const struct edge_config *c, int *out_fd, int *out_pidfd, struct err *e)
{
    return chan_spawn("the edge", edge_process, c, out_fd, out_pidfd, e);
}
