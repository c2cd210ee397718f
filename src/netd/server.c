/*
 * The netd process: a peer asks for ways out, and whatever breaks a rule of the protocol ends the
 * session, which removes all of its ways. Work that can wait (removal) is done when nothing else
 * is to do.
 */
#include "netd/server.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/seccomp.h"
#include "netd/gate.h"
#include "netd/nat.h"
#include "netd/proto.h"
#include "netd/way.h"

enum { REMOVE_AFTER_MS = 30, REMOVE_NEXT_MS = 1, DYING_MAX = 256 };

struct server {
    const struct netd_start *start;
    struct loop *loop;
    struct chan chan; /* the peer; watch.fd -1: none */
    struct watch listen;
    struct watch uplink;
    struct timer remove;
    struct ways ways;
    struct gate gate;
    char nat_table[NAME_LEN];
    char why[512]; /* why it cannot be used; "" if it can */
    bool forward_v4, forward_v6;
    bool asking; /* between UP and the last of its RANGES: */
    struct up_ask ask;
    int ask_netns;
};

/* ---- what it can do ---- */

/* As a run does it, with both ends here. */
static int try_it(struct server *s, struct err *e)
{
    struct ways *ws = &s->ways;
    struct veth v = {.name = NETD_PREFIX "try", .peer = NETD_PREFIX "yrt", .peer_ns = -1};
    struct net_range r = {.first = {.lo = 1}, .last = {.lo = 2}};
    auto_netset targets = {0};
    struct filter f = {.name = v.name, .targets = &targets, .has_v4 = true, .rate_pps = 1};
    char name[2][NAME_LEN];
    int rc, index;

    snprintf(name[0], NAME_LEN, NETD_PREFIX "%02x_try", ws->instance & 0xff);
    snprintf(name[1], NAME_LEN, NETD_PREFIX "%02x_yrt", ws->instance & 0xff);
    f.name = v.name = name[0];
    v.peer = name[1];
    memset(v.mac, 0x02, MAC_LEN);
    memset(v.peer_mac, 0x06, MAC_LEN);
    netset_add(&targets, &r);
    rc = link_veth(&ws->link, &v, &index, e);
    if (rc == 0) {
        rc = filter_load(&ws->nft, &f, e);
        if (rc == 0) {
            rc = filter_remove(&ws->nft, f.name, e);
        }
        (void)link_del(&ws->link, index, NULL);
    }
    return rc;
}

static int start_forwarding(struct server *s, struct err *e)
{
    struct nft *n = &s->ways.nft;
    int rc = 0;

    if (!forwarding(false) && (s->start->config->forward || s->start->config->rootless)) {
        /* With the guard there, somebody turned off what a netd had turned on. */
        rc = forward_turn_on(n, table_exists(n, GUARD_TABLE), e);
    }
    s->forward_v4 = forwarding(false);
    s->forward_v6 = forwarding(true);
    if (!s->forward_v4 && !s->forward_v6) {
        return rc != 0 ? rc
                       : err_set(e, ERR_SANDBOX,
                                 "IP forwarding is off: sysctl net.ipv4.ip_forward=1, or let netd "
                                 "turn it on");
    }
    return 0;
}

static int start_nat(struct server *s, struct err *e)
{
    struct ways *ws = &s->ways;
    int rc = 0;

    snprintf(s->nat_table, sizeof s->nat_table, NETD_PREFIX "%02x_nat", ws->instance & 0xff);
    if (s->forward_v4) {
        rc = nat_load(&ws->nft, s->nat_table, &ws->v4, false, e);
    }
    if (rc == 0 && s->forward_v6) {
        rc = nat_load(&ws->nft, s->nat_table, &ws->v6, true, e);
    }
    return rc;
}

static void write_setting(const char *path, const char *value)
{
    auto_fd int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, value, 1) != 1) {
        fprintf(stderr, "netd: cannot write %s to %s: %s\n", value, path, strerror(errno));
    }
}

/* It answers for our addresses at once: by default the kernel waits up to 0.8 s, and with it the
 * first answer to every scan. */
static void prepare_uplink(struct link *l, int index, bool v6)
{
    auto_free char *delay = NULL, *proxy = NULL;
    char name[NAME_LEN];

    if (link_name(l, index, name, NULL) != 0) {
        return;
    }
    delay = str_fmt("/proc/sys/net/%s/neigh/%s/proxy_delay", v6 ? "ipv6" : "ipv4", name);
    write_setting(delay, "0");
    if (v6) {
        proxy = str_fmt("/proc/sys/net/ipv6/conf/%s/proxy_ndp", name);
        write_setting(proxy, "1");
    }
}

/* The uplink of an address is where its neighbours are; if the way to it leads through a gateway,
 * or nowhere, somebody routes it to us. */
static void find_uplink(struct server *s, struct scan_address *a)
{
    struct link *l = &s->ways.link;
    bool on_link = false;
    int index = 0;

    if (s->start->config->proxy_neighbours && link_way(l, &a->ip, &index, &on_link, NULL) == 0 &&
        on_link) {
        a->uplink = index;
        prepare_uplink(l, index, a->ip.v6);
    }
}

static int read_addresses(struct server *s, struct err *e)
{
    struct ways *ws = &s->ways;
    const char *at = s->start->config->addresses;

    while (at && *at) {
        size_t n = strcspn(at, ",");
        auto_free char *one = xstrndup(at, n);
        struct scan_address a = {0};

        one[strcspn(one, " \t")] = '\0';
        if (!net_ip_parse(one + strspn(one, " "), &a.ip)) {
            return err_set(e, ERR_INVALID, "'%s' is not a scan address", one);
        }
        find_uplink(s, &a);
        ws->addresses = xrealloc(ws->addresses, (ws->n_addresses + 1) * sizeof *ws->addresses);
        ws->addresses[ws->n_addresses++] = a;
        at += n + (at[n] == ',');
        at += strspn(at, " ");
    }
    return 0;
}

static int prepare(struct server *s, struct err *e)
{
    const struct netd_config *c = s->start->config;
    struct ways *ws = &s->ways;
    int rc = gate_open(&s->gate, c, e);

    if (rc == 0) {
        rc = link_open(&ws->link, e);
    }
    if (rc == 0) {
        rc = nft_open(&ws->nft, e);
    }
    if (rc == 0) {
        rc = instance_take(&ws->nft, &ws->instance, e);
    }
    if (rc == 0) {
        rc = pool_init(&ws->v4, c->pool_v4, false, ws->instance, INSTANCES, e);
    }
    if (rc == 0) {
        rc = pool_init(&ws->v6, c->pool_v6, true, ws->instance, INSTANCES, e);
    }
    if (rc == 0) {
        netset_add(&s->gate.never, &ws->v4.all);
        netset_add(&s->gate.never, &ws->v6.all);
        rc = instance_sweep(&ws->nft, &ws->link, ws->instance, e);
    }
    if (rc == 0) {
        rc = read_addresses(s, e);
    }
    if (rc == 0) {
        rc = try_it(s, e);
    }
    if (rc == 0) {
        rc = start_forwarding(s, e);
    }
    return rc == 0 ? start_nat(s, e) : rc;
}

static void finish(struct server *s)
{
    struct ways *ws = &s->ways;

    if (ws->nft.sock) {
        ways_remove_all(ws);
        if (s->nat_table[0]) {
            nat_remove(&ws->nft, s->nat_table);
        }
        if (table_exists(&ws->nft, GUARD_TABLE) && instance_alone(&ws->nft, ws->instance)) {
            forward_turn_off(&ws->nft);
        }
    }
    pool_done(&ws->v4);
    pool_done(&ws->v6);
    free(ws->addresses);
    gate_close(&s->gate);
    nft_close(&ws->nft);
    link_close(&ws->link);
}

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
        .usable = !s->why[0],
        .why = s->why,
        .forward_v4 = s->forward_v4,
        .forward_v6 = s->forward_v6,
        .dedicated_v4 = ways_dedicated(&s->ways, false),
        .dedicated_v6 = ways_dedicated(&s->ways, true),
    };
    auto_buf body = {0};

    ready_put(&body, &r);
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

static void send_counts(struct server *s, uint64_t run, const struct egress_counts *c)
{
    auto_buf body = {0};

    counts_put(&body, run, c);
    send_or_end(s, NETD_COUNTS, &body);
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

    if ((v4 && !s->forward_v4) || (v6 && !s->forward_v6)) {
        return err_set(e, ERR_SANDBOX, "%s is not forwarded by this machine",
                       v4 && !s->forward_v4 ? "IPv4" : "IPv6");
    }
    return 0;
}

/* A resolver may be asked if a policy names it, or if it is a target as any other. */
static int check_dns(struct server *s, const struct netset *own, struct err *e)
{
    const struct policy_rules *r = policy_rules(s->gate.policy, NULL, NULL);
    struct net_range one = {s->ask.dns, s->ask.dns};
    auto_netset dns = {0};

    if (r->has_dns && net_ip_cmp(&r->dns, &s->ask.dns) == 0) {
        return 0;
    }
    netset_add(&dns, &one);
    return gate_check(&s->gate, &dns, own, e);
}

static int make_way(struct server *s, struct way **out, struct err *e)
{
    auto_netset own = {0};
    int rc;

    if (s->why[0]) {
        return err_set(e, ERR_SANDBOX, "%s", s->why);
    }
    rc = addresses_in_use(s, &own, e);
    if (rc == 0) {
        rc = gate_check(&s->gate, &s->ask.targets, &own, e);
    }
    if (rc == 0 && s->ask.has_dns) {
        rc = check_dns(s, &own, e);
    }
    if (rc == 0) {
        rc = check_families(s, &s->ask, e);
    }
    return rc == 0 ? way_up(&s->ways, &s->ask, s->ask_netns, &own, out, e) : rc;
}

static void forget_ask(struct server *s)
{
    up_done(&s->ask);
    fd_close(&s->ask_netns);
    s->asking = false;
}

static bool on_up(struct server *s, struct wire *w, int *fds, unsigned n_fds)
{
    if (s->asking || n_fds != 1 || !up_get(w, &s->ask) || way_find(&s->ways, s->ask.run)) {
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
    }
    return true;
}

static bool on_down(struct server *s, struct wire *w)
{
    uint64_t run = wire_get_u64(w);
    struct way *way = way_find(&s->ways, run);
    struct egress_counts c = {0};

    if (!wire_end(w) || s->asking) {
        return false;
    }
    if (way) { /* else it never came up */
        way_count(&s->ways, way, &c);
        timer_arm(s->loop, &s->remove, REMOVE_AFTER_MS);
    }
    send_counts(s, run, &c);
    return true;
}

static void on_remove(struct timer *t)
{
    struct server *s = container_of(t, struct server, remove);

    way_remove(&s->ways);
    if (s->ways.dying) {
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
    if (s->ways.nft.sock) {
        ways_remove_all(&s->ways);
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
    struct server s = {
        .start = st, .chan = {.watch = {.fd = -1}}, .remove = {.fn = on_remove}, .ask_netns = -1};
    struct err why = {0};
    int rc = loop_new(&s.loop, e);

    if (rc != 0) {
        return rc;
    }
    if (st->broken) {
        snprintf(s.why, sizeof s.why, "%s", st->broken);
    } else if (prepare(&s, &why) != 0) {
        snprintf(s.why, sizeof s.why, "%s", why.msg[0] ? why.msg : "it does not work here");
    }
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
    finish(&s);
    loop_free(s.loop);
    return rc;
}
