/*
 * The order matters: what works without privilege is tried first, with every capability put aside,
 * so that nothing is kept that is not needed.
 */
#include "runner/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "box/seccomp.h"
#include "runner/process.h"
#include "runner/proto.h"
#include "runner/proxied.h"

/* Namespaces; addresses inside them; to be handed on to tools. */
static const uint64_t KEPT =
    UINT64_C(1) << CAP_SYS_ADMIN | UINT64_C(1) << CAP_NET_ADMIN | UINT64_C(1) << CAP_NET_RAW;

/* Keeps of what there is what `permitted` and `effective` name. */
static void hold(uint64_t permitted, uint64_t effective)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};

    if (syscall(SYS_capget, &head, data) == 0) {
        for (int i = 0; i < 2; i++) {
            data[i].permitted &= (uint32_t)(permitted >> (32 * i));
            data[i].effective = data[i].permitted & (uint32_t)(effective >> (32 * i));
            data[i].inheritable = 0;
        }
        if (syscall(SYS_capset, &head, data) == 0) {
            return;
        }
    }
    fprintf(stderr, "runner: drop capabilities: %s\n", strerror(errno));
    _exit(1);
}

void caps_settle(unsigned without)
{
    for (int cap = 0; cap <= CAP_LAST_CAP; cap++) {
        if (!(KEPT & UINT64_C(1) << cap)) {
            (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0); /* a second lock: no exec gets it back */
        }
    }
    hold(KEPT, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        fprintf(stderr, "runner: drop privileges: %s\n", strerror(errno));
        _exit(1);
    }
    box_without(without | BOX_WITHOUT_PRIVILEGE);
    if (box_probe()->level == BOX_USERNS || without & BOX_WITHOUT_PRIVILEGE) {
        hold(0, 0);
        return;
    }
    hold(KEPT, KEPT);
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
