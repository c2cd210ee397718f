/*
 * The netd process: a peer asks for ways out, and whatever breaks a rule of the protocol ends the
 * session, which removes all of its ways. Work that can wait (removal) is done when nothing else
 * is to do.
 */
#include "netd/server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/seccomp.h"
#include "netd/footing.h"
#include "netd/nat.h"
#include "netd/proto.h"

enum { CHECK_MS = 500, REMOVE_AFTER_MS = 30, REMOVE_NEXT_MS = 1, DYING_MAX = 256 };

struct server {
    const struct netd_start *start;
    struct loop *loop;
    struct chan chan; /* the peer; watch.fd -1: none */
    struct watch listen;
    struct watch uplink;
    struct timer remove;
    struct timer check;
    struct timer beat;
    struct footing on;
    bool asking; /* between UP and the last of its RANGES: */
    struct up_ask ask;
    int ask_netns;
};

/* ---- answers ---- */

static void send_or_end(struct server *s, uint16_t type, const struct buf *body)
{
    /* A peer that is gone is told by its channel; one that does not read loses the session. */
    if (chan_send(&s->chan, type, body->data, body->len, NULL, 0, NULL) == ERR_LIMIT) {
        shutdown(s->chan.watch.fd, SHUT_RDWR);
    }
}

static void send_ready(struct server *s)
{
    const struct netd_ready r = {
        .usable = !s->on.why[0],
        .why = s->on.why,
        .forward_v4 = s->on.forward_v4,
        .forward_v6 = s->on.forward_v6,
        .dedicated_v4 = ways_dedicated(&s->on.ways, false),
        .dedicated_v6 = ways_dedicated(&s->on.ways, true),
    };
    auto_buf body = {0};

    netd_ready_put(&body, &r);
    send_or_end(s, NETD_READY, &body);
}

static void send_answer(struct server *s, uint64_t run, const struct way *w, const struct err *e)
{
    struct up_answer a = {.run = run, .why = ""};
    auto_buf body = {0};

    if (w) {
        a.dedicated = w->dedicated;
        a.address = w->box;
    } else {
        a.code = e->code;
        a.why = e->msg;
    }
    answer_put(&body, &a);
    send_or_end(s, NETD_UP_DONE, &body);
}

/* NULL: nobody knows them. */
static void send_counts(struct server *s, uint64_t run, const struct egress_counts *c)
{
    auto_buf body = {0};

    if (c) {
        counts_put(&body, run, c);
    } else {
        wire_u64(&body, run);
    }
    send_or_end(s, c ? NETD_COUNTS : NETD_LOST, &body);
}

/* ---- questions ---- */

/* Our own machine's addresses: of this namespace, and of the one around it. */
static int addresses_in_use(struct server *s, struct netset *out, struct err *e)
{
    int rc = own_addresses(out, e);

    if (rc == 0 && s->start->config->rootless) {
        rc = link_addresses(s->start->around, out, e);
        netset_add(out, &s->start->uplink_net);
    }
    return rc;
}

static int check_families(const struct server *s, const struct up_ask *ask, struct err *e)
{
    const struct netset *t = &ask->targets;
    bool v4 = !t->v[0].first.v6 || (ask->has_dns && !ask->dns.v6);
    bool v6 = t->v[t->n - 1].first.v6 || (ask->has_dns && ask->dns.v6);

    if ((v4 && !s->on.forward_v4) || (v6 && !s->on.forward_v6)) {
        return err_set(e, ERR_SANDBOX, "%s is not forwarded by this machine",
                       v4 && !s->on.forward_v4 ? "IPv4" : "IPv6");
    }
    return 0;
}

/* A resolver may be asked if a policy names it, or if it is a target as any other. */
static int check_dns(struct server *s, const struct netset *own, struct err *e)
{
    struct net_range one = {s->ask.dns, s->ask.dns};
    auto_netset dns = {0};

    if (policy_names_dns(s->on.gate.policy, &s->ask.dns)) {
        return 0;
    }
    netset_add(&dns, &one);
    return gate_check(&s->on.gate, &dns, own, e);
}

static int make_way(struct server *s, struct way **out, struct err *e)
{
    auto_netset own = {0};
    int rc;

    if (s->on.why[0]) {
        return err_set(e, ERR_SANDBOX, "%s", s->on.why);
    }
    rc = addresses_in_use(s, &own, e);
    if (rc == 0) {
        rc = gate_check(&s->on.gate, &s->ask.targets, &own, e);
    }
    if (rc == 0 && s->ask.has_dns) {
        rc = check_dns(s, &own, e);
    }
    if (rc == 0) {
        rc = check_families(s, &s->ask, e);
    }
    return rc == 0 ? way_up(&s->on.ways, &s->ask, s->ask_netns, &own, out, e) : rc;
}

static void forget_ask(struct server *s)
{
    up_done(&s->ask);
    fd_close(&s->ask_netns);
    s->asking = false;
}

static bool on_up(struct server *s, struct wire *w, int *fds, unsigned n_fds)
{
    if (s->asking || n_fds != 1 || !up_get(w, &s->ask) || way_find(&s->on.ways, s->ask.run)) {
        return false;
    }
    s->ask_netns = take_fd(&fds[0]);
    s->asking = true;
    return true;
}

static bool on_ranges(struct server *s, struct wire *w)
{
    struct way *made = NULL;
    struct err e = {0};

    if (!s->asking || !ranges_get(w, &s->ask)) {
        return false;
    }
    if (s->ask.targets.n == s->ask.n_ranges) {
        (void)make_way(s, &made, &e);
        send_answer(s, s->ask.run, made, &e);
        forget_ask(s);
        if (made && !s->check.loop && nft_lasting(&s->on.ways.nft) == 0) {
            timer_arm(s->loop, &s->check, CHECK_MS);
        }
        if (made && made->raw && !s->beat.loop) {
            timer_arm(s->loop, &s->beat, BEAT_MS);
        }
    }
    return true;
}

static bool on_down(struct server *s, struct wire *w)
{
    uint64_t run = wire_get_u64(w);
    struct way *way = way_find(&s->on.ways, run);
    struct egress_counts c = {0};
    struct err e = {0};
    int rc = 0;

    if (!wire_end(w) || s->asking) {
        return false;
    }
    if (way) { /* else it never came up */
        rc = way_count(&s->on.ways, way, &c, &e);
        timer_arm(s->loop, &s->remove, REMOVE_AFTER_MS);
    }
    if (rc != 0) {
        fprintf(stderr, "netd: %s\n", e.msg);
    }
    send_counts(s, run, rc == 0 ? &c : NULL);
    return true;
}

static void on_check(struct timer *t)
{
    struct server *s = container_of(t, struct server, check);

    ways_check(&s->on.ways);
    if (s->on.ways.list) {
        timer_arm(s->loop, t, CHECK_MS);
    }
}

static void on_beat(struct timer *t)
{
    struct server *s = container_of(t, struct server, beat);

    if (ways_beat(&s->on.ways)) {
        timer_arm(s->loop, t, BEAT_MS);
    }
}

static void on_remove(struct timer *t)
{
    struct server *s = container_of(t, struct server, remove);

    way_remove(&s->on.ways);
    if (s->on.ways.dying) {
        timer_arm(s->loop, t, REMOVE_NEXT_MS);
    }
}

/* ---- the peer ---- */

static void end_session(struct server *s)
{
    if (s->chan.watch.fd < 0) {
        return;
    }
    chan_done(&s->chan);
    s->chan.watch.fd = -1;
    forget_ask(s);
    timer_stop(&s->remove);
    timer_stop(&s->check);
    timer_stop(&s->beat);
    if (s->on.ways.nft.sock) {
        ways_remove_all(&s->on.ways);
    }
    if (s->start->listen_fd >= 0) {
        watch_events(&s->listen, EPOLLIN);
    } else {
        loop_stop(s->loop);
    }
}

static void on_message(struct chan *c, uint16_t type, const void *body, size_t n, int *fds,
                       unsigned n_fds)
{
    struct server *s = container_of(c, struct server, chan);
    struct wire w = {.p = body, .end = (const uint8_t *)body + n};
    bool ok = false;

    if (type == NETD_UP) {
        ok = on_up(s, &w, fds, n_fds);
    } else if (type == NETD_RANGES && n_fds == 0) {
        ok = on_ranges(s, &w);
    } else if (type == NETD_DOWN && n_fds == 0) {
        ok = on_down(s, &w);
    }
    if (!ok) {
        fprintf(stderr, "netd: message %u is not one of ours: the session is over\n", type);
        end_session(s);
    }
}

static void on_close(struct chan *c)
{
    end_session(container_of(c, struct server, chan));
}

static int begin_session(struct server *s, int fd, struct err *e)
{
    s->chan = (struct chan){.on_message = on_message, .on_close = on_close};
    if (chan_start(&s->chan, s->loop, fd, e) != 0) {
        s->chan.watch.fd = -1;
        return ERR_IO;
    }
    send_ready(s);
    return 0;
}

static void on_listen(struct watch *w, uint32_t events)
{
    struct server *s = container_of(w, struct server, listen);
    /* cppcheck-suppress nullPointer ; nobody asks for the peer's address */
    int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct ucred who = {0};
    socklen_t len = sizeof who;

    (void)events;
    if (fd < 0) {
        return;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 ||
        (who.uid != s->start->peer_uid && who.uid != 0)) {
        fprintf(stderr, "netd: user %u may not ask\n", who.uid);
        close(fd);
        return;
    }
    if (begin_session(s, fd, NULL) == 0) {
        watch_events(w, 0); /* one at a time: others wait */
    }
}

static void on_uplink(struct watch *w, uint32_t events)
{
    struct server *s = container_of(w, struct server, uplink);

    (void)events;
    fprintf(stderr, "netd: slirp4netns ended\n");
    watch_del(w);
    end_session(s);
}

static void on_signal(int signo, void *arg)
{
    struct server *s = arg;

    (void)signo;
    end_session(s);
    loop_stop(s->loop);
}

static int open_doors(struct server *s, struct err *e)
{
    const struct netd_start *st = s->start;
    int rc = 0;

    if (st->uplink_fd >= 0) {
        s->uplink = (struct watch){.fd = st->uplink_fd, .events = EPOLLIN, .fn = on_uplink};
        rc = watch_add(s->loop, &s->uplink, e);
    }
    if (rc == 0 && st->listen_fd >= 0) {
        s->listen = (struct watch){.fd = st->listen_fd, .events = EPOLLIN, .fn = on_listen};
        rc = watch_add(s->loop, &s->listen, e);
        if (rc == 0) {
            rc = loop_signal(s->loop, SIGTERM, on_signal, s, e);
        }
        if (rc == 0) {
            rc = loop_signal(s->loop, SIGINT, on_signal, s, e);
        }
    }
    return rc;
}

int netd_serve(const struct netd_start *st, struct err *e)
{
    struct server s = {.start = st,
                       .chan = {.watch = {.fd = -1}},
                       .remove = {.fn = on_remove},
                       .check = {.fn = on_check},
                       .beat = {.fn = on_beat},
                       .ask_netns = -1};
    int rc = loop_new(&s.loop, e);

    if (rc != 0) {
        return rc;
    }
    footing_make(&s.on, st->config, st->broken);
    rc = open_doors(&s, e);
    if (rc == 0) {
        rc = seccomp_role(ROLE_NETD, e);
    }
    if (rc == 0 && st->peer_fd >= 0) {
        rc = begin_session(&s, st->peer_fd, e);
    }
    if (rc == 0) {
        rc = loop_run(s.loop, e);
    }
    end_session(&s);
    footing_done(&s.on);
    loop_free(s.loop);
    return rc;
}
