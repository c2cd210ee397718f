/*
 * A run's way out. Levels nft and rootless: netd is asked for it once the box waits, and read for
 * its counters once the box is gone. Level proxy: the proxy is given the listener of a box that has
 * started, and read likewise. Level broker: the runner makes the tool's calls itself.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "runner/proxied.h"
#include "runner/run.h"

enum { NETD_MS = 15000 /* a set of ten thousand ranges takes a tenth of a second */ };

/* Without its way out a tool is of no use: it is not asked politely. */
static void lost(struct run *r, const char *why)
{
    r->net = NET_NONE;
    timer_stop(&r->net_late);
    if (r->box_over) {
        return;
    }
    if (!r->why[0]) {
        snprintf(r->why, sizeof r->why, "%s", why);
    }
    run_end_box(r, RUN_NETD);
    box_kill(&r->box);
}

struct run *run_find_net(struct runner_process *rp, uint64_t net_id)
{
    struct run *r = rp->runs;

    while (r && r->net_id != net_id) {
        r = r->next;
    }
    return r;
}

static void ask_netd(struct run *r)
{
    struct netd *n = net_of(r->rp, r->egress);
    const struct netd_ask ask = {
        .run = r->rp->net_last + 1,
        .netns_fd = r->box.netns_fd,
        .targets = &r->targets,
        .has_dns = r->has_dns,
        .dns = r->dns,
        .rate_pps = r->limits.rate_pps,
        .dedicated = r->want_dedicated,
        .raw = r->box.raw_sockets,
    };
    struct err e = {0};

    if (!n) {
        lost(r, "netd has ended");
    } else if (netd_up(n, &ask, &e) != 0) {
        lost(r, e.msg);
    } else {
        r->net = NET_ASKED;
        r->net_id = ++r->rp->net_last;
        timer_arm(r->rp->loop, &r->net_late, NETD_MS);
    }
}

static void start_broker(struct run *r)
{
    const struct broker_scope scope = {.targets = &r->targets,
                                       .has_dns = r->has_dns,
                                       .dns = r->dns,
                                       .rate_pps = r->limits.rate_pps};

    r->broker = r->box.notify_fd >= 0 ? broker_new(r->rp->loop, r->box.notify_fd, &scope) : NULL;
    if (!r->broker) {
        lost(r, "the tool's calls cannot be watched");
    }
}

static void start_proxy(struct run *r)
{
    struct err e = {0};

    if (proxied_open(r, &e) != 0) {
        lost(r, e.msg);
    } else {
        r->net = NET_UP;
    }
}

void run_net_follow(struct run *r)
{
    if (r->egress == EGRESS_PROXY) {
        if (r->net == NET_WANTED && r->box.told == BOX_STARTED) {
            start_proxy(r);
        }
    } else if (r->net == NET_WANTED && r->box.told == BOX_WAITING) {
        ask_netd(r);
    } else if (r->egress == EGRESS_BROKER && r->box.told == BOX_STARTED && !r->broker) {
        start_broker(r);
    }
}

void run_net_up(struct run *r, int code, const char *why, const struct box_address *a,
                bool dedicated)
{
    struct err e = {0};

    if (r->net != NET_ASKED) {
        return; /* too late: it is over */
    }
    timer_stop(&r->net_late);
    if (code != 0) {
        netd_down(net_of(r->rp, r->egress), r->net_id); /* each question needs its end */
        lost(r, why);
        return;
    }
    r->net = NET_UP;
    r->dedicated = dedicated;
    if (box_go(&r->box, a, &e) != 0) {
        snprintf(r->why, sizeof r->why, "%s", e.msg);
        run_end_box(r, RUN_NETD);
        box_kill(&r->box);
    }
}

static void counting_over(struct run *r)
{
    r->net = NET_NONE;
    timer_stop(&r->net_late);
    run_maybe_over(r);
}

void run_net_counts(struct run *r, const struct egress_counts *c)
{
    if (r->net != NET_COUNTING) {
        return;
    }
    if (c) {
        r->counts = *c;
        r->counted = true;
    } else {
        if (!r->why[0]) {
            snprintf(r->why, sizeof r->why,
                     "somebody removed the packet filter of the box while the tool ran");
        }
        run_end_box(r, RUN_NETD);
    }
    counting_over(r);
}

void run_net_gone_all(struct runner_process *rp, enum egress level)
{
    struct run *next;

    for (struct run *r = rp->runs; r; r = next) {
        next = r->next;
        if (r->egress != level) {
            continue;
        }
        if (r->net == NET_COUNTING) {
            counting_over(r);
        } else if (r->net != NET_NONE) {
            lost(r, level == EGRESS_PROXY ? "the proxy ended while the tool ran"
                                          : "netd ended while the tool ran");
        }
    }
}

static void on_net_late(struct timer *t)
{
    struct run *r = container_of(t, struct run, net_late);

    if (r->net == NET_COUNTING) {
        counting_over(r);
    } else {
        struct netd *n = net_of(r->rp, r->egress);

        if (n) {
            netd_down(n, r->net_id);
        }
        lost(r, "netd does not answer");
    }
}

static void end_proxy(struct run *r)
{
    /* Over before it was served: nothing passed. */
    r->counted = r->net == NET_WANTED && r->box.told != BOX_NOT_STARTED;
    if (r->net == NET_UP && proxied_close(r)) {
        r->net = NET_COUNTING;
        timer_arm(r->rp->loop, &r->net_late, NETD_MS);
    } else {
        r->net = NET_NONE;
    }
}

void run_net_end(struct run *r)
{
    struct netd *n = net_of(r->rp, r->egress);

    if (r->broker) {
        r->counts = *broker_counts(r->broker);
        r->counted = true;
        broker_free(take_ptr(&r->broker));
    }
    timer_stop(&r->net_late);
    if (r->egress == EGRESS_PROXY) {
        end_proxy(r);
    } else if ((r->net == NET_ASKED || r->net == NET_UP) && n) {
        r->net = NET_COUNTING;
        netd_down(n, r->net_id);
        timer_arm(r->rp->loop, &r->net_late, NETD_MS);
    } else {
        r->net = NET_NONE;
    }
}

bool run_net_ready(struct run *r)
{
    const struct sandbox_caps *caps = &r->rp->caps;

    if (!caps->usable[r->egress]) {
        snprintf(r->why, sizeof r->why, "egress level %s: %s", egress_name(r->egress),
                 r->rp->ready ? caps->why[r->egress] : "not known yet whether it is usable");
        return false;
    }
    r->net = net_of(r->rp, r->egress) || r->egress == EGRESS_PROXY ? NET_WANTED : NET_NONE;
    return true;
}

void run_net_init(struct run *r)
{
    r->net_late.fn = on_net_late;
}
