/* The connections, and whose Redis it is. */
#include "transport/fleet.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/fleet_internal.h"

enum { TICK_MS = 1000, OWNER_MS = 15000 };

char *fleet_key(const struct fleet *f, const char *kind, const char *name)
{
    return str_fmt("%s%s%s", f->prefix, kind, name);
}

/* ---- whose it is ---- */

static void on_owner(void *arg, const redisReply *reply)
{
    struct fleet *f = arg;
    bool was = f->own;

    if (!reply) {
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR) { /* it loads its data, or does not let us */
        if (strcmp(f->stats.why, reply->str) != 0) {
            log_warn("transport_refused", KV("error", reply->str));
        }
        snprintf(f->stats.why, sizeof f->stats.why, "%s", reply->str);
        return;
    }
    if (reply->type != REDIS_REPLY_STRING || strcmp(reply->str, f->server) != 0) {
        snprintf(f->stats.why, sizeof f->stats.why,
                 "another ScanPod server uses this Redis; give this one a prefix of its own "
                 "(?prefix=)");
        if (was || !f->stats.conflict) {
            log_error("transport_conflict", KV("hint", f->stats.why));
        }
        f->stats.conflict = true;
        f->own = false;
        return;
    }
    f->own = true;
    f->stats.conflict = false;
    f->stats.why[0] = 0;
    if (!was) {
        log_info("transport_up", KV("version", redis_server(f->cmd)->version));
        fleet_read_anew(f);
        loop_again(f->loop);
    }
}

/* One script, so that nobody comes between the question and the claim. */
static void claim_server(struct fleet *f)
{
    static const char script[] =
        "local v = redis.call('GET', KEYS[1]) "
        "if not v or v == ARGV[1] then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) "
        "return ARGV[1] end return v";
    auto_free char *key = fleet_key(f, "server", "");

    redis_cmd(f->cmd, on_owner, f, "EVAL %s 1 %s %s %d", script, key, f->server, OWNER_MS);
}

static void on_up(void *arg)
{
    struct fleet *f = arg;
    auto_free char *warn = NULL;
    struct err e = {0};

    f->stats.reconnects++;
    f->fit = redis_server_check(redis_server(f->cmd), &warn, &e) == 0;
    if (!f->fit) {
        snprintf(f->stats.why, sizeof f->stats.why, "%s", e.msg);
        log_error("transport_unfit", KV("error", e.msg));
        if (f->config.unfit) {
            f->config.unfit(f->config.arg, e.msg);
        }
        return;
    }
    if (warn) {
        log_warn("transport", KV("hint", warn));
    }
    f->stats.up = true;
    f->own = false;
    claim_server(f);
}

static void on_down(void *arg, const char *why)
{
    struct fleet *f = arg;

    if (f->stats.up || !f->stats.why[0]) {
        log_warn("transport_down", KV("why", why));
    }
    snprintf(f->stats.why, sizeof f->stats.why, "%s", why);
    f->stats.up = f->own = false;
}

static void on_read_up(void *arg)
{
    struct fleet *f = arg;

    f->reading = false;
    if (f->own) {
        fleet_read_anew(f);
    }
}

static void on_read_down(void *arg, const char *why)
{
    struct fleet *f = arg;

    (void)why; /* the other connection says it */
    f->reading = false;
}

static void on_tick(struct timer *t)
{
    struct fleet *f = container_of(t, struct fleet, tick);

    timer_arm(f->loop, t, MIN(TICK_MS, (int64_t)f->config.beat_ms));
    f->counted = false;
    crews_sweep(f);
    if (f->stats.up) {
        claim_server(f);
    }
    if (f->again && f->own && !f->reading) {
        fleet_read_anew(f);
    }
}

/* ---- life ---- */

static int know_store(struct fleet *f, struct err *e)
{
    char text[17];
    int rc = store_memo_get(f->store, "id", &f->server, e);

    if (rc == 0 && !f->server) {
        uint64_t id;

        random_bytes(&id, sizeof id);
        snprintf(text, sizeof text, "%016" PRIx64, id);
        f->server = xstrdup(text);
        rc = store_memo_put(f->store, "id", text, e);
    }
    return rc;
}

int fleet_new(struct loop *l, struct store *s, struct sched *sc, const struct fleet_config *c,
              struct fleet **out, struct err *e)
{
    struct fleet *f = xcalloc(1, sizeof *f);
    struct redis_events cmd = {.up = on_up,
                               .down = on_down,
                               .resolve = c->resolve,
                               .resolve_arg = c->resolve_arg,
                               .arg = f};
    struct redis_events read = {.up = on_read_up,
                                .down = on_read_down,
                                .resolve = c->resolve,
                                .resolve_arg = c->resolve_arg,
                                .arg = f};
    int rc;

    f->loop = l;
    f->store = s;
    f->sched = sc;
    f->config = *c;
    f->prefix = xstrdup(c->url->prefix);
    random_bytes(&f->boot, sizeof f->boot);
    f->lane = fleet_lane(f);
    f->tick.fn = on_tick;
    if ((rc = know_store(f, e)) != 0 || (rc = redis_new(l, c->url, &cmd, &f->cmd, e)) != 0 ||
        (rc = redis_new(l, c->url, &read, &f->read, e)) != 0) {
        fleet_free(f);
        return rc;
    }
    sched_set_lane(sc, &f->lane);
    timer_arm(l, &f->tick, 1);
    *out = f;
    return 0;
}

void fleet_free(struct fleet *f)
{
    if (!f) {
        return;
    }
    timer_stop(&f->tick);
    redis_free(f->read);
    redis_free(f->cmd);
    fleet_pushes_free(f);
    for (size_t i = 0; i < FLEET_RUN_HASH; i++) {
        while (f->by_token[i]) {
            struct fleet_run *r = f->by_token[i];

            f->by_token[i] = r->next;
            free(r);
        }
    }
    while (f->queues) {
        struct fleet_queue *q = f->queues;

        f->queues = q->next;
        free(q->kin);
        free(q->name);
        free(q);
    }
    crews_free(f);
    strvec_done(&f->open);
    strvec_done(&f->done);
    free(f->prefix);
    free(f->server);
    free(f);
}

/* ---- what others ask ---- */

void fleet_workers(const struct fleet *f, void (*fn)(void *arg, const struct fleet_worker *w),
                   void *arg)
{
    for (const struct crew *c = f->crews; c; c = c->next) {
        struct fleet_worker w = {
            .name = c->name,
            .version = c->version,
            .zone = c->zone,
            .host = c->host,
            .confinement = c->confinement,
            .queues = &c->queues,
            .tools = &c->tools,
            .slots = c->slots,
            .held = c->taken,
            .load_x100 = c->load_x100,
            .spooled = c->spooled,
            .spool_bytes = c->spool_bytes,
            .heard_ms = c->heard_ms ? boot_ms() - c->heard_ms : -1,
            .draining = c->drain || c->draining,
            .gone = c->gone,
        };

        fn(arg, &w);
    }
}

int fleet_drain(struct fleet *f, const char *worker, bool on, struct err *e)
{
    struct crew *c = crew_find(f, worker);
    auto_free char *memo = str_fmt("drain:%s", worker);
    auto_free char *before = NULL;
    int rc = store_memo_get(f->store, memo, &before, e);

    if (rc == 0 && !c && (on || !before)) {
        return err_set(e, ERR_NOT_FOUND, "there is no worker '%.64s'", worker);
    }
    if (rc == 0) {
        rc = store_memo_put(f->store, memo, on ? "1" : NULL, e);
    }
    if (rc == 0 && c) {
        c->drain = on;
        f->counted = false;
        put_drain(crew_out(f, c), on);
        loop_again(f->loop);
    }
    return rc;
}

void fleet_room(const struct fleet *f, const char *queue, uint32_t *workers, uint32_t *slots,
                uint32_t *free_slots)
{
    *workers = *slots = *free_slots = 0;
    for (const struct fleet_queue *q = f->queues; q; q = q->next) {
        if (strcmp(q->name, queue) == 0) {
            int64_t n = fleet_free_slots(f, q);

            for (const struct crew *c = f->crews; c; c = c->next) {
                if (crew_serves(c, q)) {
                    ++*workers;
                    *slots += c->slots;
                }
            }
            *free_slots = n > 0 ? (uint32_t)n : 0;
        }
    }
}

bool fleet_serves(const struct fleet *f, const char *queue)
{
    const struct fleet_queue *q = f->queues;
    const struct crew *c = f->crews;

    while (q && strcmp(q->name, queue) != 0) {
        q = q->next;
    }
    while (q && c && !crew_serves(c, q)) {
        c = c->next;
    }
    return q && c;
}

void fleet_stats(const struct fleet *f, struct fleet_stats *out)
{
    *out = f->stats;
}
