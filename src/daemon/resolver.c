/*
 * The role is a small process between the daemon, which may not wait and may not fork, and one
 * child for each question (proxy/lookup.h). Names come here checked (model/target.h); answers are
 * checked again on the way back.
 */
#include "daemon/resolver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/role.h"
#include "box/seccomp.h"
#include "ipc/chan.h"
#include "proxy/lookup.h"

enum { MSG_ASK = 1, MSG_ANSWER };
enum { AT_ONCE = 64, NAME_SIZE = 256 };

/* ---- asking ---- */

static void pin(struct target_pin *p, const struct net_ip *ip, size_t n)
{
    p->ip = xcalloc(n, sizeof *ip);
    memcpy(p->ip, ip, n * sizeof *ip);
    p->n = n;
}

static int no_address(const char *name, struct err *e)
{
    return err_set(e, ERR_INVALID, "invalid target: '%s': the name has no address", name);
}

int resolver_pin_now(struct target_set *t, struct err *e)
{
    for (size_t i = 0; i < t->n_pins; i++) {
        struct net_ip ip[LOOKUP_MAX];
        size_t n = t->pins[i].n ? 1 : lookup_now(t->pins[i].name, ip);

        if (n == 0) {
            return no_address(t->pins[i].name, e);
        }
        if (!t->pins[i].n) {
            pin(&t->pins[i], ip, n);
        }
    }
    return 0;
}

/* ---- the role ---- */

struct asker {
    struct loop *loop;
    struct chan chan;
};

struct question {
    struct asker *asker;
    uint64_t id;
};

static void answer(const struct question *q, const struct net_ip *ip, size_t n)
{
    auto_buf body = {0};

    wire_u64(&body, q->id);
    wire_u32(&body, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        wire_u8(&body, ip[i].v6);
        wire_u64(&body, ip[i].hi);
        wire_u64(&body, ip[i].lo);
    }
    (void)chan_send(&q->asker->chan, MSG_ANSWER, body.data, body.len, NULL, 0, NULL);
}

static void on_found(void *arg, const struct net_ip *ip, size_t n)
{
    answer(arg, ip, n);
    free(arg);
}

static void start(struct asker *a, uint64_t id, const char *name)
{
    struct question *q = xmalloc(sizeof *q);

    *q = (struct question){.asker = a, .id = id};
    if (!lookup_start(a->loop, lookup_now, name, on_found, q)) {
        on_found(q, NULL, 0);
    }
}

static void on_ask(struct chan *c, uint16_t type, const void *body, size_t n, int *fds,
                   unsigned n_fds)
{
    struct asker *a = container_of(c, struct asker, chan);
    struct wire w = {.p = body, .end = (const uint8_t *)body + n};
    uint64_t id = wire_get_u64(&w);
    const char *name = NULL;

    (void)fds;
    if (type != MSG_ASK || n_fds != 0 || !wire_get_str(&w, &name, &n) || !name || n >= NAME_SIZE ||
        !wire_end(&w)) {
        loop_stop(a->loop);
        return;
    }
    start(a, id, name);
}

static void on_close(struct chan *c)
{
    loop_stop(container_of(c, struct asker, chan)->loop);
}

static void resolver_process(const void *role, int fd)
{
    struct asker a = {.chan = {.on_message = on_ask, .on_close = on_close}};
    const char *failed = role_become(role, fd);
    struct err e = {0};

    if (failed) {
        fprintf(stderr, "resolver: %s: %s\n", failed, strerror(errno));
        _exit(1);
    }
    if (loop_new(&a.loop, &e) != 0 || chan_start(&a.chan, a.loop, fd, &e) != 0 ||
        seccomp_role(ROLE_RESOLVER, &e) != 0 || loop_run(a.loop, &e) != 0) {
        fprintf(stderr, "resolver: %s\n", e.msg);
        _exit(1);
    }
    _exit(0); /* children die with us */
}

int resolver_spawn(bool change_user, uid_t uid, gid_t gid, int *out_fd, int *out_pidfd,
                   struct err *e)
{
    const struct role_start role = {
        .name = "scanpod-resolve", .change_user = change_user, .uid = uid, .gid = gid};

    return chan_spawn("the resolver", resolver_process, &role, out_fd, out_pidfd, e);
}

/* ---- the daemon's side ---- */

/* A question's number is that of its set, and the name's place in it. */
enum { PLACE_BITS = 16, ALL_MS = 30000 };

struct resolve {
    struct resolve *next;
    struct resolver *resolver;
    uint64_t serial;
    struct target_set *targets;
    size_t at;   /* names before it were asked, or need not be */
    size_t open; /* asked and not answered */
    struct err why;
    void (*done)(void *arg, int code, const char *why);
    void *arg;
    struct timer finish; /* calls back from the loop, and ends what takes too long */
};

struct resolver {
    struct loop *loop;
    struct chan chan;
    uint64_t last;
    struct resolve *list;
    bool gone;
};

static void resolve_free(struct resolve *q)
{
    struct resolve **at = &q->resolver->list;

    while (*at != q) {
        at = &(*at)->next;
    }
    *at = q->next;
    timer_stop(&q->finish);
    free(q);
}

static void on_finish(struct timer *t)
{
    struct resolve q = *container_of(t, struct resolve, finish);

    resolve_free(container_of(t, struct resolve, finish));
    if (!q.why.code && (q.open || q.at < q.targets->n_pins)) {
        err_set(&q.why, ERR_BUSY, "names could not be resolved in time: try again");
    }
    q.done(q.arg, q.why.code, q.why.msg);
}

static void finish_with(struct resolve *q)
{
    timer_arm(q->resolver->loop, &q->finish, 0);
}

/* As many names as may be asked at the same time; the set is finished when there are no more. */
static void ask_on(struct resolve *q)
{
    struct resolver *r = q->resolver;

    for (; q->at < q->targets->n_pins && q->open < AT_ONCE && !q->why.code; q->at++) {
        auto_buf body = {0};

        if (q->targets->pins[q->at].n) {
            continue;
        }
        wire_u64(&body, q->serial << PLACE_BITS | q->at);
        wire_str(&body, q->targets->pins[q->at].name);
        if (r->gone || chan_send(&r->chan, MSG_ASK, body.data, body.len, NULL, 0, NULL) != 0) {
            err_set(&q->why, ERR_INTERNAL, "names cannot be resolved: the resolver is gone");
        }
        q->open++;
    }
    if (q->why.code || (!q->open && q->at == q->targets->n_pins)) {
        finish_with(q);
    }
}

static struct resolve *find(const struct resolver *r, uint64_t serial)
{
    struct resolve *q = r->list;

    while (q && q->serial != serial) {
        q = q->next;
    }
    return q;
}

static void take_answer(struct resolve *q, size_t place, const struct net_ip *ip, uint32_t n)
{
    if (place >= q->at || q->targets->pins[place].n || !q->open) {
        return; /* of a number that we never sent */
    }
    q->open--;
    if (n) {
        pin(&q->targets->pins[place], ip, n);
    } else if (!q->why.code) {
        no_address(q->targets->pins[place].name, &q->why);
    }
    ask_on(q);
}

static void resolver_broken(struct resolver *r)
{
    r->gone = true;
    chan_done(&r->chan);
    for (struct resolve *q = r->list; q; q = q->next) {
        err_set(&q->why, ERR_INTERNAL, "names cannot be resolved: the resolver is gone");
        finish_with(q);
    }
}

static void on_answer(struct chan *c, uint16_t type, const void *body, size_t n, int *fds,
                      unsigned n_fds)
{
    struct resolver *r = container_of(c, struct resolver, chan);
    struct wire w = {.p = body, .end = (const uint8_t *)body + n};
    uint64_t id = wire_get_u64(&w);
    uint32_t count = wire_get_u32(&w);
    struct resolve *q = find(r, id >> PLACE_BITS);
    struct net_ip ip[LOOKUP_MAX];

    (void)fds;
    for (uint32_t i = 0; i < count && i < LOOKUP_MAX; i++) {
        ip[i].v6 = wire_get_u8(&w) != 0;
        ip[i].hi = wire_get_u64(&w);
        ip[i].lo = wire_get_u64(&w);
    }
    if (type != MSG_ANSWER || n_fds != 0 || count > LOOKUP_MAX || !wire_end(&w)) {
        resolver_broken(r);
    } else if (q) { /* else it was cancelled */
        take_answer(q, id & ((1u << PLACE_BITS) - 1), ip, count);
    }
}

static void on_gone(struct chan *c)
{
    resolver_broken(container_of(c, struct resolver, chan));
}

int resolver_connect(struct loop *l, int fd, struct resolver **out, struct err *e)
{
    struct resolver *r = xcalloc(1, sizeof *r);
    int rc;

    r->loop = l;
    r->chan.on_message = on_answer;
    r->chan.on_close = on_gone;
    rc = chan_start(&r->chan, l, fd, e);
    if (rc != 0) {
        free(r);
        return rc;
    }
    *out = r;
    return 0;
}

void resolver_free(struct resolver *r)
{
    if (!r) {
        return;
    }
    while (r->list) {
        resolve_free(r->list);
    }
    chan_done(&r->chan);
    free(r);
}

struct resolve *resolver_pin(struct resolver *r, struct target_set *t,
                             void (*done)(void *arg, int code, const char *why), void *arg)
{
    struct resolve *q = xcalloc(1, sizeof *q);

    q->resolver = r;
    q->serial = ++r->last;
    q->targets = t;
    q->done = done;
    q->arg = arg;
    q->finish.fn = on_finish;
    q->next = r->list;
    r->list = q;
    timer_arm(r->loop, &q->finish, ALL_MS);
    ask_on(q);
    return q;
}

void resolver_cancel(struct resolve *q)
{
    resolve_free(q);
}
