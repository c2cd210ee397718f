/* The workers of a fleet: who they are, what they hold, when they were heard of. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/fleet_internal.h"

enum { FORGET_MS = 600000 }; /* a worker that was not heard of */

/* FNV-1a */
static uint32_t bucket(const char *name)
{
    uint32_t h = 2166136261U;

    for (; *name; name++) {
        h = (h ^ (uint8_t)*name) * 16777619U;
    }
    return h % CREW_HASH;
}

struct crew *crew_find(const struct fleet *f, const char *name)
{
    struct crew *c = f->by_name[bucket(name)];

    while (c && strcmp(c->name, name) != 0) {
        c = c->alike;
    }
    return c;
}

/* A drain is remembered for the name, over restarts of both sides. */
static bool drained(struct fleet *f, const char *name)
{
    auto_free char *memo = str_fmt("drain:%s", name);
    auto_free char *value = NULL;

    return store_memo_get(f->store, memo, &value, NULL) == 0 && value;
}

struct crew *crew_make(struct fleet *f, const char *name)
{
    struct crew *c = crew_find(f, name);

    if (!c) {
        c = xcalloc(1, sizeof *c);
        c->name = xstrdup(name);
        c->gone = true;
        c->drain = drained(f, name);
        c->next = f->crews;
        f->crews = c;
        c->alike = f->by_name[bucket(name)];
        f->by_name[bucket(name)] = c;
    }
    return c;
}

static void forget(struct crew *c)
{
    free(take_ptr(&c->version));
    free(take_ptr(&c->zone));
    free(take_ptr(&c->host));
    free(take_ptr(&c->home));
    free(take_ptr(&c->confinement));
    strvec_done(&c->queues);
    strvec_done(&c->tools);
    c->queues = c->tools = (struct strvec){0};
    free(take_ptr(&c->serves));
    c->n_serves = 0;
}

static void crew_free(struct crew *c)
{
    forget(c);
    buf_done(&c->out);
    free(c->name);
    free(c);
}

void crews_free(struct fleet *f)
{
    while (f->crews) {
        struct crew *c = f->crews;

        f->crews = c->next;
        crew_free(c);
    }
}

static void unlink_name(struct fleet *f, const struct crew *c)
{
    struct crew **at = &f->by_name[bucket(c->name)];

    while (*at != c) {
        at = &(*at)->alike;
    }
    *at = c->alike;
}

static bool has(const struct strvec *v, const char *s)
{
    for (size_t i = 0; i < v->n; i++) {
        if (strcmp(v->v[i], s) == 0) {
            return true;
        }
    }
    return false;
}

bool crew_works(const struct crew *c)
{
    return !c->gone && !c->drain && !c->draining;
}

bool crew_serves(const struct crew *c, const struct fleet_queue *q)
{
    bool serves = false;

    for (uint32_t i = 0; i < c->n_serves && !serves; i++) {
        serves = c->serves[i] == q;
    }
    return serves && crew_works(c);
}

/* ---- hello ---- */

static void answer(struct fleet *f, struct crew *c, uint64_t beat)
{
    const struct answer a = {
        .beat = beat,
        .boot = f->boot,
        .at_ms = boot_ms(),
        .drain = c->drain,
        .lease_ms = f->config.lease_ms,
        .beat_ms = f->config.beat_ms,
        .kill_ms = f->config.kill_ms,
    };

    put_answer(crew_out(f, c), &a);
}

/* Runs of an instance that is dead; those whose results it kept are offered soon. */
static void lose_all(struct fleet *f, struct crew *c, const struct strvec *held)
{
    for (size_t i = 0; i < FLEET_RUN_HASH; i++) {
        for (struct fleet_run *r = f->by_token[i]; r; r = r->next) {
            char text[LEASE_TEXT + 1];

            lease_text(&r->lease, text);
            if (r->crew == c && !r->end_seq && !(held && has(held, text))) {
                sched_lost(f->sched, &r->lease);
            }
        }
    }
}

static bool alive(const struct fleet *f, const struct crew *c)
{
    return !c->gone && boot_ms() - c->heard_ms < f->config.lease_ms;
}

/* Whoever else has this name lives, or may: its tasks must not be given away. */
static void refuse(struct fleet *f, struct crew *c, const char *name, const char *instance)
{
    auto_buf text = {0};
    auto_free char *key = fleet_key(f, "w:", name);
    auto_buf out = {0};

    buf_addf(&text,
             "another worker named '%s' is at work on %s: give this one a name of its own "
             "(--name)",
             name, c->host);
    put_refused(&out, text.data);
    redis_cmd(f->cmd, NULL, NULL, "XADD %s MAXLEN ~ %d * v %d w %s i %s d %b", key, CONTROL_ENTRIES,
              TRANSPORT_PROTOCOL, name, instance, out.data, out.len);
    log_warn("worker_refused", KV("worker", name), KV("reason", "its name is taken"));
}

static void take_facts(struct crew *c, const char *instance, const struct hello *h)
{
    forget(c);
    memcpy(c->instance, instance, INSTANCE_TEXT + 1);
    c->version = xstrdup(h->version);
    c->zone = xstrdup(h->zone);
    c->host = xstrdup(h->host);
    c->home = xstrdup(h->home);
    c->confinement = xstrdup(h->confinement);
    for (size_t i = 0; i < h->queues.n; i++) {
        strvec_push(&c->queues, h->queues.v[i]);
    }
    for (size_t i = 0; i < h->tools.n; i++) {
        strvec_push(&c->tools, h->tools.v[i]);
    }
    c->slots = h->slots;
    c->draining = h->draining;
}

static void find_queues(struct fleet *f, struct crew *c)
{
    c->serves = xcalloc(MAX(c->queues.n, (size_t)1), sizeof(struct fleet_queue *));
    for (size_t i = 0; i < c->queues.n; i++) {
        struct fleet_queue *q = fleet_queue_of(f, c->queues.v[i]);
        bool known = false;

        for (uint32_t k = 0; k < c->n_serves && !known; k++) {
            known = c->serves[k] == q;
        }
        if (!known) {
            c->serves[c->n_serves++] = q;
        }
    }
}

/* A hello that is read again, or was long on its way, does not bring a dead instance back: it would
 * take the tasks of the one that lives. */
static bool was_replaced(const struct crew *c, const char *instance)
{
    for (uint32_t i = 0; i < MIN(c->n_former, (uint32_t)FORMER_KEPT); i++) {
        if (strcmp(c->former[i], instance) == 0) {
            return true;
        }
    }
    return false;
}

static void replace(struct crew *c)
{
    if (c->instance[0]) {
        memcpy(c->former[c->n_former++ % FORMER_KEPT], c->instance, INSTANCE_TEXT + 1);
    }
}

void crew_hello(struct fleet *f, const char *name, const char *instance, const struct hello *h)
{
    struct crew *c = crew_make(f, name);
    bool same = strcmp(c->instance, instance) == 0;

    if (was_replaced(c, instance)) {
        return;
    }
    /* Of one that said hello before our time it is not known where it lives. */
    if (!same && alive(f, c) && c->home && !str_eq(c->home, h->home)) {
        refuse(f, c, name, instance);
        return;
    }
    if (!same && str_eq(c->home, h->home)) {
        lose_all(f, c, &h->held);
    }
    if (!same) {
        replace(c);
        buf_reset(&c->out);
        log_info("worker_up", KV("worker", name), KV("host", h->host), KV("slots", h->slots),
                 KV("version", h->version), KV("zone", h->zone));
    }
    take_facts(c, instance, h);
    c->gone = false;
    c->heard_ms = boot_ms();
    find_queues(f, c);
    answer(f, c, 0);
}

/* ---- life ---- */

static bool open_job(struct fleet *f, const struct id *id)
{
    struct job j = {0};
    bool open;

    job_init(&j);
    open = store_job_get(f->store, id, &j, NULL) == 0 && !job_state_terminal(j.state);
    job_done(&j);
    return open;
}

void fleet_fence(struct fleet *f, struct crew *c, const struct lease *l)
{
    f->stats.fenced++;
    put_fenced(crew_out(f, c), l, open_job(f, &l->job_id));
}

void crew_beat(struct fleet *f, struct crew *c, const struct beat *b)
{
    c->heard_ms = boot_ms();
    c->gone = false;
    c->load_x100 = b->load_x100;
    c->spooled = b->spooled;
    c->spool_bytes = b->spool_bytes;
    c->draining = b->draining;
    for (uint32_t i = 0; i < b->n_leases; i++) {
        const struct lease *l = &b->leases[i];
        struct fleet_run *r = fleet_run_of(f, l);
        bool anothers = r && r->crew && r->crew != c;

        if (!anothers && sched_heard(f->sched, l)) {
            if (r && !r->crew) {
                fleet_take(f, r, c);
            }
            if (r && r->cancel) { /* it may have been lost on its way, however often */
                put_cancel(crew_out(f, c), l);
            }
        } else {
            fleet_fence(f, c, l);
        }
    }
    answer(f, c, b->n);
}

static bool holds_any(const struct fleet *f, const struct crew *c)
{
    for (size_t i = 0; i < FLEET_RUN_HASH; i++) {
        for (const struct fleet_run *r = f->by_token[i]; r; r = r->next) {
            if (r->crew == c) {
                return true;
            }
        }
    }
    return false;
}

/* Entries that it read and never acknowledged would stay for ever: nobody else is given them, and
 * what they say is over. `end` ends the script. */
static void clear_pending(struct fleet *f, const struct crew *c, const char *end)
{
    auto_free char *script = str_fmt(
        "for _, e in ipairs(redis.call('XPENDING', KEYS[1], 'workers', '-', '+', 1000, ARGV[1])) "
        "do redis.call('XACK', KEYS[1], 'workers', e[1]) redis.call('XDEL', KEYS[1], e[1]) end %s",
        end);

    for (size_t i = 0; i < c->queues.n; i++) {
        auto_free char *key = fleet_key(f, "q:", c->queues.v[i]);

        redis_cmd(f->cmd, NULL, NULL, "EVAL %s 1 %s %s", script, key, c->name);
    }
}

void crew_bye(struct fleet *f, struct crew *c)
{
    log_info("worker_left", KV("worker", c->name));
    c->gone = true;
    lose_all(f, c, NULL);
    clear_pending(f, c, "");
}

/* Names come and go where workers are made by the dozen: nothing of them stays in Redis either. */
static void remove_traces(struct fleet *f, const struct crew *c)
{
    auto_free char *own = fleet_key(f, "w:", c->name);

    redis_cmd(f->cmd, NULL, NULL, "DEL %s", own);
    clear_pending(f, c, "redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'workers', ARGV[1])");
}

void crews_sweep(struct fleet *f)
{
    struct crew **at = &f->crews;

    while (*at) {
        struct crew *c = *at;

        if (!c->gone && !alive(f, c)) {
            log_warn("worker_gone", KV("worker", c->name), KV("host", c->host));
            c->gone = true;
        }
        if (c->gone && !c->tells && !c->drain && boot_ms() - c->heard_ms > FORGET_MS &&
            !holds_any(f, c)) {
            remove_traces(f, c);
            *at = c->next;
            unlink_name(f, c);
            crew_free(c);
        } else {
            at = &c->next;
        }
    }
}

static void sent(void *arg, const redisReply *reply)
{
    if (reply && reply->type == REDIS_REPLY_ERROR) {
        log_warn("transport_refused", KV("error", reply->str));
    }
}

struct buf *crew_out(struct fleet *f, struct crew *c)
{
    if (!c->tells) {
        c->tells = true;
        c->telling = f->telling;
        f->telling = c;
    }
    return &c->out;
}

static void tell(struct fleet *f, struct crew *c)
{
    auto_free char *key = fleet_key(f, "w:", c->name);

    redis_cmd(f->cmd, sent, f, "XADD %s MAXLEN ~ %d * v %d w %s i %s d %b", key, CONTROL_ENTRIES,
              TRANSPORT_PROTOCOL, c->name, c->instance, c->out.data, c->out.len);
}

void crews_tell(struct fleet *f, bool committed)
{
    while (f->telling) {
        struct crew *c = f->telling;

        f->telling = c->telling;
        c->tells = false;
        if (committed && c->out.len > 0 && redis_is_up(f->cmd)) {
            tell(f, c);
        }
        buf_reset(&c->out);
    }
}
