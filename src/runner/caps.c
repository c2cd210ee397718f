/*
 * The order matters: what works without privilege is tried first, with every capability put aside,
 * so that nothing is kept that is not needed.
 */
#include "runner/caps.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/role.h"
#include "box/seccomp.h"
#include "runner/process.h"
#include "runner/proto.h"
#include "runner/proxied.h"

static void hold(uint64_t permitted, uint64_t effective)
{
    if (!role_hold(permitted, effective)) {
        fprintf(stderr, "runner: drop capabilities: %s\n", strerror(errno));
        _exit(1);
    }
}

void caps_settle(unsigned without)
{
    hold(CAPS_KEPT, 0);
    box_without(without | BOX_WITHOUT_PRIVILEGE);
    if (box_probe()->level == BOX_USERNS || without & BOX_WITHOUT_PRIVILEGE) {
        hold(0, 0);
        return;
    }
    hold(CAPS_KEPT, CAPS_KEPT);
    box_without(without);
    if (box_probe()->level != BOX_NAMESPACES) {
        hold(UINT64_C(1) << CAP_NET_RAW, UINT64_C(1) << CAP_NET_RAW);
    }
}

static void set_level(struct sandbox_caps *caps, enum egress l, bool usable, const char *why)
{
    caps->usable[l] = usable;
    snprintf(caps->why[l], sizeof caps->why[l], "%s", usable ? "" : why);
}

void caps_begin(struct runner_process *rp)
{
    const struct box_can *can = box_probe();
    struct sandbox_caps *caps = &rp->caps;

    snprintf(caps->box, sizeof caps->box, "%s", box_level_name(can->level));
    snprintf(caps->limits, sizeof caps->limits, "%s", rp->config->cgroups ? "cgroup2" : "rlimit");
    caps->view = can->view;
    caps->landlock = can->landlock;
    set_level(caps, EGRESS_NONE, can->own_net,
              can->why[0] ? can->why : "network namespaces are switched off");
    set_level(caps, EGRESS_BROKER, can->notify,
              "the kernel does not let the runner answer for a tool (seccomp notification)");
    set_level(caps, EGRESS_UNCONFINED, rp->config->allow_unconfined,
              "not allowed by the setting allow-unconfined");
    caps->nest = box_can_nest(caps->why_nest);
    proxied_begin(rp);
    net_begin(rp);
}

void caps_tell(struct runner_process *rp)
{
    auto_buf body = {0};

    if (!rp->ready || rp->closing) {
        return;
    }
    caps_put(&body, &rp->caps);
    /* Fails when the daemon is gone already: the loop hears of it. */
    (void)chan_send(&rp->chan, MSG_READY, body.data, body.len, NULL, 0, NULL);
}

void caps_found(struct runner_process *rp, enum caps_part part)
{
    struct err e = {0};

    rp->found |= part;
    if (rp->found != CAPS_ALL || rp->ready || rp->closing) {
        return;
    }
    rp->ready = true;
    if (seccomp_role(ROLE_RUNNER, &e) != 0) {
        fprintf(stderr, "runner: %s\n", e.msg); /* it stands without its second lock */
    }
    caps_tell(rp);
}
