#include "runner/proxied.h"

#include <stdio.h>

#include "base/mem.h"
#include "proxy/proxy.h"
#include "runner/run.h"

enum { READY_MS = 10000 };

/* The level is usable, or it is known why not. */
static void known(struct runner_process *rp, const char *why)
{
    struct sandbox_caps *caps = &rp->caps;

    timer_stop(&rp->proxy_late);
    caps->usable[EGRESS_PROXY] = !*why;
    snprintf(caps->why[EGRESS_PROXY], sizeof caps->why[EGRESS_PROXY], "%.*s",
             (int)sizeof caps->why[EGRESS_PROXY] - 1, why);
    caps_found(rp, CAPS_PROXY);
}

static void on_ready(void *arg)
{
    known(arg, "");
}

static void on_counts(void *arg, uint64_t run, const struct proxy_counts *c)
{
    const struct egress_counts counts = {.passed = c->passed, .out_of_scope = c->refused};
    struct run *r = run_find_net(arg, run);

    if (r) {
        r->api = (struct api_use){.requests = c->api_requests,
                                  .refused = c->api_refused,
                                  .input_tokens = c->input_tokens,
                                  .output_tokens = c->output_tokens};
        run_net_counts(r, &counts);
    }
}

static void on_gone(void *arg)
{
    struct runner_process *rp = arg;

    rp->proxy_gone = true; /* freed by nobody: this is one of its own call-backs */
    known(rp, "the proxy has ended");
    run_net_gone_all(rp, EGRESS_PROXY);
    caps_tell(rp);
}

static void on_late(struct timer *t)
{
    known(container_of(t, struct runner_process, proxy_late), "the proxy does not answer");
}

void proxied_begin(struct runner_process *rp)
{
    const struct proxy_events ev = {
        .ready = on_ready, .counts = on_counts, .gone = on_gone, .arg = rp};
    const struct box_can *can = box_probe();
    struct err e = {0};

    if (rp->config->proxy_fd <= 0) {
        known(rp, "no proxy is running");
    } else if (!can->own_net) {
        known(rp, can->why[0] ? can->why : "network namespaces are switched off");
    } else if (proxy_connect(rp->loop, rp->config->proxy_fd, &ev, &rp->proxy, &e) != 0) {
        known(rp, e.msg);
    } else {
        rp->proxy_late.fn = on_late;
        timer_arm(rp->loop, &rp->proxy_late, READY_MS);
    }
}

int proxied_open(struct run *r, struct err *e)
{
    const struct proxy_ask ask = {
        .run = r->rp->net_last + 1,
        .listen_fd = r->box.listen_fd,
        .allow = &r->proxy_allow,
        .gateways = r->gateways.v,
        .n_gateways = r->gateways.n,
    };
    int rc = proxy_open(r->rp->proxy, &ask, e);

    if (rc == 0) {
        r->net_id = ++r->rp->net_last;
    }
    return rc;
}

bool proxied_close(struct run *r)
{
    if (r->rp->proxy_gone) {
        return false;
    }
    proxy_close(r->rp->proxy, r->net_id);
    return true;
}
