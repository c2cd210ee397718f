/* The lane that the scheduler fills: which queues have room, what was pushed, who has taken it. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "transport/fleet_internal.h"

enum { REFUSED_MS = 1000 };

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
    if (r->crew) {
        r->crew->taken -= r->taken;
        r->taken = false;
    } else if (r->queue) {
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

int64_t fleet_free_slots(const struct fleet *f, const struct fleet_queue *q)
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

/* Queues that a worker of q serves, too: what is pushed to one takes room of all of them. */
static void find_kin(struct fleet *f, struct fleet_queue *q)
{
    uint64_t mark = ++f->mark;

    q->n_kin = 0;
    for (const struct crew *c = f->crews; c; c = c->next) {
        for (uint32_t i = 0; i < c->n_serves && crew_serves(c, q); i++) {
            struct fleet_queue *o = c->serves[i];

            if (o->mark == mark) {
                continue;
            }
            o->mark = mark;
            if (q->n_kin == q->size_kin) {
                q->size_kin = q->size_kin ? q->size_kin * 2 : 4;
                q->kin = xrealloc(q->kin, q->size_kin * sizeof(struct fleet_queue *));
            }
            q->kin[q->n_kin++] = o;
        }
    }
}

static void take_room(struct fleet *f, struct fleet_queue *q, int64_t n)
{
    if (q->n_kin == 0) {
        find_kin(f, q);
    }
    for (uint32_t i = 0; i < q->n_kin; i++) {
        q->kin[i]->room -= n;
        f->filled |= q->kin[i]->room <= 0;
    }
}

/* Not for each claim: these only take from it. */
static void count_rooms(struct fleet *f)
{
    for (struct fleet_queue *q = f->queues; q; q = q->next) {
        q->room = q->n_kin = 0;
    }
    for (const struct crew *c = f->crews; c; c = c->next) {
        for (uint32_t i = 0; i < c->n_serves && crew_works(c); i++) {
            c->serves[i]->room += (int64_t)c->slots - c->taken;
        }
    }
    for (struct fleet_queue *q = f->queues; q; q = q->next) {
        if (q->untaken > 0) {
            take_room(f, q, q->untaken);
        }
    }
    f->counted = true;
    f->filled = true;
}

static const struct strvec *lane_open(void *arg)
{
    struct fleet *f = arg;
    int64_t now = boot_ms();
    bool can = f->own && redis_is_up(f->cmd);

    if (!f->counted) {
        count_rooms(f);
    }
    if (f->filled) {
        strvec_done(&f->open);
        f->open = (struct strvec){0};
        for (const struct fleet_queue *q = f->queues; can && q; q = q->next) {
            if ((!q->refused_ms || now - q->refused_ms > REFUSED_MS) && q->room > 0) {
                strvec_push(&f->open, q->name);
            }
        }
        f->filled = false;
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
        if (f->counted) {
            take_room(f, r->queue, 1);
        }
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
        put_ack(crew_out(f, r->crew), l, r->end_seq);
    }
    fleet_free_slot(r);
    f->counted = false;
    while (*at != r) {
        at = &(*at)->next;
    }
    *at = r->next;
    free(r);
}

/* ---- pushing ---- */

struct fleet_push {
    struct fleet *f;
    struct lease lease;
    struct fleet_push *next, **prev;
};

static void push_done(struct fleet_push *p)
{
    *p->prev = p->next;
    if (p->next) {
        p->next->prev = p->prev;
    }
    free(p);
}

void fleet_pushes_free(struct fleet *f)
{
    while (f->pushes) {
        struct fleet_push *p = f->pushes;

        f->pushes = p->next;
        free(p);
    }
}

/* Without an answer it may be in the stream or not: only time tells. Refused, it is not. */
static void on_pushed(void *arg, const redisReply *reply)
{
    struct fleet_push *p = arg;
    struct fleet_run *r = fleet_run_of(p->f, &p->lease);

    if (reply && reply->type == REDIS_REPLY_ERROR) {
        log_warn("push_refused", KV("error", reply->str));
        if (r && r->queue) {
            r->queue->refused_ms = boot_ms();
        }
        sched_release(p->f->sched, &p->lease);
    }
    push_done(p);
}

void fleet_on_group(void *arg, const redisReply *reply)
{
    (void)arg;
    if (reply && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "BUSYGROUP", 9) != 0) {
        log_warn("transport_refused", KV("error", reply->str));
    }
}

void fleet_make_group(struct fleet *f, struct fleet_queue *q)
{
    auto_free char *key = fleet_key(f, "q:", q->name);

    if (!q->group) {
        redis_cmd(f->cmd, fleet_on_group, f, "XGROUP CREATE %s workers 0 MKSTREAM", key);
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
    struct fleet_push *p;

    if (!redis_is_up(f->cmd) || !f->own) { /* it was never sent */
        sched_release(f->sched, &l);
        return;
    }
    a.queue = r->queue->name;
    a.key_name = f->config.key_name ? f->config.key_name(f->config.arg, j->key_id) : NULL;
    put_assign(&out, &a);
    fleet_make_group(f, r->queue);
    key = fleet_key(f, "q:", r->queue->name);
    p = xcalloc(1, sizeof *p);
    p->f = f;
    p->lease = l;
    p->next = f->pushes;
    p->prev = &f->pushes;
    if (p->next) {
        p->next->prev = &p->next;
    }
    f->pushes = p;
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
            put_cancel(crew_out(f, r->crew), l);
        }
    }
}

struct sched_lane fleet_lane(struct fleet *f)
{
    return (struct sched_lane){.worker = "fleet",
                               .open = lane_open,
                               .claimed = lane_claimed,
                               .taken = lane_taken,
                               .over = lane_over,
                               .lease_ms = f->config.lease_ms,
                               .link = {.run = link_run, .cancel = link_cancel, .arg = f}};
}
