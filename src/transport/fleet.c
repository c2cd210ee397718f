/*
 * Connections, the lane that the scheduler fills, and the order of a turn: reports are read in
 * batches, one a turn; they are applied when they come, acknowledged when the turn is committed.
 * A turn that was undone leaves them unacknowledged: they are read again.
 */
#include "transport/fleet.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/fleet_internal.h"

enum { BLOCK_MS = 5000, TICK_MS = 1000, REFUSED_MS = 1000, OWNER_MS = 15000 };

char *fleet_key(const struct fleet *f, const char *kind, const char *name)
{
    return str_fmt("%s%s%s", f->prefix, kind, name);
}

/* ---- runs and queues ---- */

static struct fleet_run **bucket(struct fleet *f, const struct lease *l)
{
    return &f->by_token[l->token % FLEET_RUN_HASH];
}

struct fleet_run *fleet_run_of(struct fleet *f, const struct lease *l)
{
    struct fleet_run *r = *bucket(f, l);

    while (r && (r->lease.token != l->token || r->lease.epoch != l->epoch ||
                 r->lease.idx != l->idx || id_cmp(&r->lease.job_id, &l->job_id) != 0)) {
        r = r->next;
    }
    return r;
}

struct fleet_queue *fleet_queue_of(struct fleet *f, const char *name)
{
    struct fleet_queue *q = f->queues;

    while (q && strcmp(q->name, name) != 0) {
        q = q->next;
    }
    if (!q) {
        q = xcalloc(1, sizeof *q);
        q->name = xstrdup(name);
        q->next = f->queues;
        f->queues = q;
    }
    return q;
}

void fleet_take(struct fleet *f, struct fleet_run *r, struct crew *c)
{
    (void)f;
    if (r->queue && !r->crew) {
        r->queue->untaken--;
    }
    r->crew = c;
    r->taken = true;
    c->taken++;
}

void fleet_free_slot(struct fleet_run *r)
{
    if (r->taken) {
        r->crew->taken--;
        r->taken = false;
    } else if (r->queue && !r->crew) {
        r->queue->untaken--;
        r->queue = NULL;
    }
}

/* ---- the lane ---- */

/* Do two queues have a worker in common? */
static bool share(const struct fleet *f, const struct fleet_queue *a, const struct fleet_queue *b)
{
    for (const struct crew *c = f->crews; c; c = c->next) {
        if (crew_serves(c, a) && crew_serves(c, b)) {
            return true;
        }
    }
    return false;
}

/* Slots of its workers that are free, less what was pushed and may come to them. */
static int64_t room(const struct fleet *f, const struct fleet_queue *q)
{
    int64_t n = 0;

    for (const struct crew *c = f->crews; c; c = c->next) {
        n += crew_serves(c, q) ? (int64_t)c->slots - c->taken : 0;
    }
    for (const struct fleet_queue *o = f->queues; o && n > 0; o = o->next) {
        n -= o->untaken > 0 && (o == q || share(f, q, o)) ? o->untaken : 0;
    }
    return n;
}

static const struct strvec *lane_open(void *arg)
{
    struct fleet *f = arg;
    int64_t now = boot_ms();

    strvec_done(&f->open);
    f->open = (struct strvec){0};
    for (struct fleet_queue *q = f->queues; f->own && redis_is_up(f->cmd) && q; q = q->next) {
        if ((!q->refused_ms || now - q->refused_ms > REFUSED_MS) && room(f, q) > 0) {
            strvec_push(&f->open, q->name);
        }
    }
    return &f->open;
}

static void lane_claimed(void *arg, const struct lease *l, const char *queue)
{
    struct fleet *f = arg;
    struct fleet_run *r = xcalloc(1, sizeof *r);
    struct fleet_run **at = bucket(f, l);

    r->lease = *l;
    r->mine = queue != NULL;
    if (queue) {
        r->queue = fleet_queue_of(f, queue);
        r->queue->untaken++;
    }
    r->next = *at;
    *at = r;
}

static bool lane_taken(void *arg, const struct lease *l)
{
    const struct fleet_run *r = fleet_run_of(arg, l);

    return r && (r->crew || !r->mine);
}

static void lane_over(void *arg, const struct lease *l)
{
    struct fleet *f = arg;
    struct fleet_run *r = fleet_run_of(f, l);
    struct fleet_run **at = bucket(f, l);

    if (!r) {
        return;
    }
    if (r->crew && r->end_seq) {
        put_ack(&r->crew->out, l, r->end_seq);
    }
    fleet_free_slot(r);
    while (*at != r) {
        at = &(*at)->next;
    }
    *at = r->next;
    free(r);
}

/* ---- pushing ---- */

struct push {
    struct fleet *f;
    struct lease lease;
};

/* Without an answer it may be in the stream or not: only time tells. Refused, it is not. */
static void on_pushed(void *arg, const redisReply *reply)
{
    struct push *p = arg;
    struct fleet_run *r = fleet_run_of(p->f, &p->lease);

    if (reply && reply->type == REDIS_REPLY_ERROR) {
        log_warn("push_refused", KV("error", reply->str));
        if (r && r->queue) {
            r->queue->refused_ms = boot_ms();
        }
        sched_release(p->f->sched, &p->lease);
    }
    free(p);
}

static void on_group(void *arg, const redisReply *reply)
{
    (void)arg;
    if (reply && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "BUSYGROUP", 9) != 0) {
        log_warn("transport_refused", KV("error", reply->str));
    }
}

static void make_group(struct fleet *f, struct fleet_queue *q)
{
    auto_free char *key = fleet_key(f, "q:", q->name);

    if (!q->group) {
        redis_cmd(f->cmd, on_group, f, "XGROUP CREATE %s workers 0 MKSTREAM", key);
        q->group = true;
    }
}

static void link_run(void *arg, const struct task *t, const struct job *j)
{
    struct fleet *f = arg;
    struct lease l = {.job_id = t->job_id, .idx = t->idx, .epoch = t->epoch, .token = t->token};
    struct fleet_run *r = fleet_run_of(f, &l);
    struct assignment a = {.lease = l, .boot = f->boot, .at_ms = boot_ms(), .job = *j};
    auto_free char *key = NULL;
    auto_buf out = {0};
    struct push *p;

    if (!redis_is_up(f->cmd) || !f->own) { /* it was never sent */
        sched_release(f->sched, &l);
        return;
    }
    a.queue = r->queue->name;
    a.key_name = f->config.key_name ? f->config.key_name(f->config.arg, j->key_id) : NULL;
    put_assign(&out, &a);
    make_group(f, r->queue);
    key = fleet_key(f, "q:", r->queue->name);
    p = xcalloc(1, sizeof *p);
    p->f = f;
    p->lease = l;
    redis_cmd(f->cmd, on_pushed, p, "XADD %s * v %d w %s i %s d %b", key, TRANSPORT_PROTOCOL, "-",
              "-", out.data, out.len);
    f->stats.pushed++;
}

static void link_cancel(void *arg, const struct lease *l)
{
    struct fleet *f = arg;
    struct fleet_run *r = fleet_run_of(f, l);

    if (r) {
        r->cancel = true;
        if (r->crew) {
            put_cancel(&r->crew->out, l);
        }
    }
}

/* ---- reading ---- */

static void read_more(struct fleet *f);

static void apply_entries(struct fleet *f, const redisReply *entries)
{
    for (size_t i = 0; i < entries->elements; i++) {
        const redisReply *entry = entries->element[i];
        struct err e = {0};

        if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
            entry->element[0]->type != REDIS_REPLY_STRING) {
            continue;
        }
        strvec_push(&f->done, entry->element[0]->str);
        if (entry->element[1]->type == REDIS_REPLY_ARRAY &&
            fleet_apply_entry(f, entry->element[1], &e) != 0) {
            f->stats.bad_entries++;
            log_warn("report_refused", KV("error", e.msg));
        }
    }
}

/* [[key, [[id, [k, v, ...]], ...]]], or nil when nothing came. */
static void on_read(void *arg, const redisReply *reply)
{
    struct fleet *f = arg;
    const redisReply *entries = NULL;

    f->reading = false;
    if (!reply) {
        return; /* `down` follows */
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        log_warn("transport_refused", KV("error", reply->str));
        f->again = true; /* NOGROUP: the server has lost its data */
        return;
    }
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 &&
        reply->element[0]->type == REDIS_REPLY_ARRAY && reply->element[0]->elements == 2) {
        entries = reply->element[0]->element[1];
    }
    if (entries && entries->type == REDIS_REPLY_ARRAY && entries->elements > 0) {
        apply_entries(f, entries); /* goes on after the commit */
        loop_again(f->loop);
        return;
    }
    f->pending = false;
    read_more(f);
}

static void read_more(struct fleet *f)
{
    auto_free char *key = fleet_key(f, "reports", "");

    if (f->reading || !f->own || !redis_is_up(f->read)) {
        return;
    }
    f->reading = true;
    redis_cmd(f->read, on_read, f, "XREADGROUP GROUP server main COUNT %d BLOCK %d STREAMS %s %s",
              REPORT_BATCH, BLOCK_MS, key, f->pending ? "0" : ">");
}

/* What was read before, and never acknowledged, comes first. */
static void read_anew(struct fleet *f)
{
    auto_free char *key = fleet_key(f, "reports", "");

    f->pending = true;
    f->again = false;
    redis_cmd(f->cmd, on_group, f, "XGROUP CREATE %s server 0 MKSTREAM", key);
    for (struct fleet_queue *q = f->queues; q; q = q->next) {
        q->group = false;
        make_group(f, q);
    }
    read_more(f);
}

/* ---- whose it is ---- */

static void on_owner(void *arg, const redisReply *reply)
{
    struct fleet *f = arg;
    bool was = f->own;

    if (!reply) {
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
        read_anew(f);
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
        read_anew(f);
    }
}

static void on_read_down(void *arg, const char *why)
{
    struct fleet *f = arg;

    (void)why; /* the other connection says it */
    f->reading = false;
}

/* ---- the turn ---- */

static void acknowledge(struct fleet *f)
{
    auto_free char *key = fleet_key(f, "reports", "");
    size_t n = f->done.n;
    const char **argv;

    if (n == 0) {
        return;
    }
    argv = xcalloc(n + 3, sizeof *argv);
    argv[0] = "XACK";
    argv[1] = key;
    argv[2] = "server";
    memcpy(argv + 3, f->done.v, n * sizeof *argv);
    redis_command(f->cmd, NULL, NULL, (int)n + 3, argv, NULL);
    argv[1] = "XDEL";
    argv[2] = key;
    redis_command(f->cmd, NULL, NULL, (int)n + 2, argv + 1, NULL);
    free(argv);
}

/* What was applied in this turn is read again; how far each run was before it, the store knows. */
static void forget_turn(struct fleet *f)
{
    for (size_t i = 0; i < FLEET_RUN_HASH; i++) {
        for (struct fleet_run *r = f->by_token[i]; r; r = r->next) {
            r->mine = false;
            r->end_seq = 0;
        }
    }
}

void fleet_after_commit(struct fleet *f, bool committed)
{
    bool applied = f->done.n > 0;

    if (committed) {
        acknowledge(f);
    } else if (applied) {
        forget_turn(f);
        f->again = true;
    }
    strvec_done(&f->done);
    f->done = (struct strvec){0};
    for (struct crew *c = f->crews; c; c = c->next) {
        if (committed) {
            crew_send(f, c);
        } else {
            buf_reset(&c->out);
        }
    }
    if (applied && committed) {
        read_more(f);
    }
}

static void on_tick(struct timer *t)
{
    struct fleet *f = container_of(t, struct fleet, tick);

    timer_arm(f->loop, t, MIN(TICK_MS, (int64_t)f->config.beat_ms));
    crews_sweep(f);
    if (f->stats.up) {
        claim_server(f);
    }
    if (f->again && f->own && !f->reading) {
        read_anew(f);
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
    f->lane = (struct sched_lane){.worker = "fleet",
                                  .open = lane_open,
                                  .claimed = lane_claimed,
                                  .taken = lane_taken,
                                  .over = lane_over,
                                  .lease_ms = c->lease_ms,
                                  .link = {.run = link_run, .cancel = link_cancel, .arg = f}};
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
            .load_x100 = c->beat.load_x100,
            .spooled = c->beat.spooled,
            .spool_bytes = c->beat.spool_bytes,
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
    int rc;

    if (!c) {
        return err_set(e, ERR_NOT_FOUND, "there is no worker '%.64s'", worker);
    }
    rc = store_memo_put(f->store, memo, on ? "1" : NULL, e);
    if (rc == 0) {
        c->drain = on;
        put_drain(&c->out, on);
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
            int64_t n = room(f, q);

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

void fleet_stats(const struct fleet *f, struct fleet_stats *out)
{
    *out = f->stats;
}
