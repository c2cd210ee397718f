#include "daemon/dispatch.h"

#include "base/clock.h"
#include "base/mem.h"
#include "tool/tool_option.h"

enum {
    PACKETS_A_PROBE = 4,
    OWN_PACE_PPS = 2000, /* what a tool at its own pace gets at least */
    NETWORK_ADDRESSES = 256,
};

/* What is asked of the tool: the job's own request, or a task's, which stands in its place. */
static int understand(const struct dispatch_config *c, const struct policy_rules *rules,
                      const struct dispatch_ask *ask, struct tool_plan *plan, struct err *e)
{
    const struct job *j = ask->job;
    const struct plan_spec *s = ask->spec;
    const struct tool_request request = {
        .targets = s ? s->targets : j->targets,
        .ports = s ? s->ports : j->ports,
        .arguments = s ? s->arguments : j->arguments,
        .old = !s && j->old_route,
        .unsafe = c->allow_unsafe_args,
        /* A profile is the operator's; what the client added to it is looked at by itself. */
        .advanced = s || rules->advanced,
        .scripts = rules->scripts,
        .script_flags = rules->script_flags,
        .nse = c->nse,
    };
    int rc = tool_check(ask->tool, &request, plan, e);

    return rc == 0 ? pins_apply(&plan->targets, s ? s->pins : j->pins, e) : rc;
}

/*
 * The client's own arguments of a planned job, for the tool that they are meant for. A sweeper is
 * not started without ports: they are those of the request, or what the plan has where they
 * stand among the arguments or in the profile.
 */
static int understand_extra(const struct dispatch_config *c, const struct policy_rules *rules,
                            const struct dispatch_ask *ask, struct err *e)
{
    const struct job *j = ask->job;
    const struct tool *t = tool_find(j->tool);
    auto_plan unused = {0}, other = {0};
    struct tool_request request = {
        .targets = ask->spec->targets,
        .ports = t && t->merges ? j->ports : NULL,
        .arguments = j->arguments,
        .unsafe = c->allow_unsafe_args,
        .advanced = rules->advanced,
        .scripts = rules->scripts,
        .script_flags = rules->script_flags,
        .nse = c->nse,
    };
    int rc;

    if (!t || t != ask->tool || !j->arguments) {
        return 0;
    }
    rc = tool_check(t, &request, &unused, e);
    if (rc == 0 || !t->merges || j->ports) {
        return rc;
    }
    request.ports = ask->spec->ports;
    if (tool_check(t, &request, &other, NULL) == 0) {
        *e = (struct err){0};
        return 0;
    }
    return rc;
}

static void clip_pin(struct target_pin *p, const struct netset *allowed)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->n; i++) {
        if (netset_has(allowed, &p->ip[i])) {
            p->ip[kept++] = p->ip[i];
        }
    }
    p->n = kept;
}

/* What is left of the targets when parts may be left out. */
static void clip(struct target_set *t, const struct netset *allowed)
{
    auto_netset outside = {0};

    netset_add_set(&outside, &t->addresses);
    netset_remove_set(&outside, allowed);
    netset_remove_set(&t->addresses, &outside);
    for (size_t i = t->n_pins; i-- > 0;) {
        clip_pin(&t->pins[i], allowed);
        if (!t->pins[i].n) { /* nothing of it is left: the last one takes its place */
            struct target_pin gone = t->pins[i];

            t->pins[i] = t->pins[--t->n_pins];
            free(gone.name);
            free(gone.ip);
        }
    }
}

static uint32_t stricter(uint32_t a, uint32_t b)
{
    return a == 0 ? b : b == 0 ? a : MIN(a, b);
}

static int limits_in_force(const struct dispatch_config *c, const struct policy_rules *rules,
                           const struct dispatch_ask *ask, struct dispatch *d, struct err *e)
{
    const struct job *j = ask->job;
    struct limits own;
    int rc = limits_parse(j->limits, &own, e);

    if (rc != 0) {
        return rc;
    }
    d->limits = ask->tool->limits;
    limits_tighten(&d->limits, &rules->limits);
    limits_tighten(&d->limits, &own);
    own = (struct limits){.wall_s = (uint32_t)j->run_timeout_s};
    limits_tighten(&d->limits, &own);
    if (ask->spec) {
        own.wall_s = (uint32_t)MAX(j->run_timeout_s - j->spent_us / 1000000, 1);
        own.wall_s = stricter(own.wall_s, ask->spec->wall_s);
        limits_tighten(&d->limits, &own);
    }
    d->launch.output_max = c->output_max;
    if (d->limits.output_mb) {
        d->launch.output_max = MIN(c->output_max, (uint64_t)d->limits.output_mb << 20);
    }
    return 0;
}

static int judge(struct in_force *scope, const struct dispatch_ask *ask,
                 const struct tool_plan *plan, struct policy_verdict *v, struct err *e)
{
    const struct policy_ask q = {
        .key_id = ask->job->key_id,
        .key_name = ask->key_name,
        .tool = ask->tool->name,
        .targets = &plan->targets,
        .ports = plan->ports,
        .n_ports = plan->n_ports,
        .protocols = plan->protocols,
        .own = in_force_own(scope),
        .now_us = wall_us(),
        .clip = ask->job->clip,
    };

    return policy_judge(in_force_policy(scope), &q, v, e);
}

/* What the command line says of packets per second. */
struct told {
    uint64_t least, most; /* 0: nothing */
};

static struct told rates_told(const struct tool *t, const struct tool_plan *p)
{
    struct told r = {0};

    for (size_t at = 0; at < p->tokens.n;) {
        const char *value;
        const struct tool_option *o = tool_use_next(t, &p->tokens, &at, &value);
        uint64_t n = 0;

        if (!o) {
            break;
        }
        if (value && str_to_u64(value, 1, UINT64_MAX, &n)) {
            if (str_eq(o->field, "min_rate")) {
                r.least = n;
            } else if (str_eq(o->field, "max_rate") || str_eq(o->field, "rate")) {
                r.most = n;
            }
        }
    }
    return r;
}

/* As much as every slot could have at the same time. */
static uint64_t fair_rate(const struct dispatch_config *c, const struct netset *t)
{
    bool v6 = t->n > 0 && t->v[t->n - 1].first.v6;
    uint64_t networks = MAX(v6 ? 1 : netset_count(t) / NETWORK_ADDRESSES, UINT64_C(1));

    return budget_pps(c->budget) / MAX(c->slots, 1u) * MIN(networks, UINT32_MAX);
}

/* What a run may need. Tools that sweep keep to the rate that they are told; nmap has none, or goes
 * beyond it where the network lets it. */
static uint32_t rate_wanted(const struct dispatch_config *c, const struct dispatch_ask *ask,
                            const struct dispatch *d)
{
    const struct told told = rates_told(ask->tool, &d->plan);
    uint64_t rate = MAX(ask->spec ? ask->spec->rate : 0, told.least);

    if (ask->tool->merges) {
        rate = told.most ? told.most : rate ? rate : OWN_PACE_PPS;
    } else {
        rate = MAX(rate, fair_rate(c, &d->targets));
        rate = MAX(rate, (uint64_t)OWN_PACE_PPS);
        rate = told.most ? MIN(rate, told.most) : rate;
    }
    return stricter((uint32_t)MIN(rate, UINT32_MAX), d->limits.rate_pps);
}

/* The networks' share of packets: what is granted is the most that is sent, or it has to wait. What
 * stays on this machine loads no network. */
static void take_share(const struct dispatch_config *c, const struct dispatch_ask *ask,
                       struct dispatch *d)
{
    uint32_t wanted, granted = 0, wait_ms = 0;

    if (!c->budget || budget_pps(c->budget) == 0 || ask->run == 0 || !d->plan.need.elsewhere) {
        return;
    }
    wanted = rate_wanted(c, ask, d);
    if (!budget_take(c->budget, ask->run, &d->targets, wanted, boot_ms(), &granted, &wait_ms)) {
        d->wait_until_us = wall_us() + (int64_t)MAX(wait_ms, 1) * 1000;
    } else if (!ask->tool->merges || granted < wanted) {
        d->limits.rate_pps = stricter(d->limits.rate_pps, granted);
    }
}

static void fill_limits(struct dispatch *d)
{
    d->launch.limits = d->limits;
    /* The tool counts probes, the filter every packet of a connection: it stops who does not keep
     * to what it was told, not who does. */
    d->launch.limits.rate_pps =
        MIN(d->limits.rate_pps, UINT32_MAX / PACKETS_A_PROBE) * PACKETS_A_PROBE;
    d->launch.wall_ms = d->limits.wall_s * 1000;
}

/* Which way, and the command line for it. */
static int choose(const struct dispatch_config *c, struct in_force *scope,
                  const struct sandbox_caps *caps, const struct dispatch_ask *ask, bool dns,
                  struct dispatch *d, struct err *e)
{
    const struct tool *t = ask->tool;
    struct tool_start start = {.program = ask->program,
                               .version = ask->version,
                               .names = caps->view,
                               .dns = dns,
                               .data_dir = c->nmap_data,
                               .addresses = target_set_count(&d->plan.targets)};
    int rc;

    target_set_all(&d->plan.targets, &d->targets);
    egress_places(&d->plan.need, &d->targets, in_force_own(scope));
    rc = egress_choose(caps, c->allow_unconfined, &d->plan.need, &d->launch.egress,
                       &start.raw_sockets, e);
    if (rc != 0) {
        return rc;
    }
    take_share(c, ask, d);
    if (d->wait_until_us) {
        return 0;
    }
    start.broker = d->launch.egress == EGRESS_BROKER;
    start.user_stack = d->launch.egress == EGRESS_ROOTLESS;
    start.rate_pps = d->limits.rate_pps;
    start.wall_s = d->limits.wall_s;
    if (d->launch.egress == EGRESS_NFT || d->launch.egress == EGRESS_ROOTLESS) {
        start.interface = NETD_INTERFACE;
        start.silent_port = NETD_SILENT_PORT;
        start.silent_ports = NETD_SILENT_PORTS;
        start.gateway_mac = NETD_GATEWAY_MAC;
    }
    d->launch.raw_sockets = start.raw_sockets;
    d->launch.dedicated = d->plan.need.nat_lies && d->launch.egress == EGRESS_NFT;
    if (t->deadline_s) {
        d->limits.wall_s = stricter(d->limits.wall_s, t->deadline_s(&d->plan, &start));
    }
    return t->build_argv(&d->plan, &start, &d->argv, &d->notes, e);
}

static int fill(struct dispatch *d, const struct sandbox_caps *caps, const struct tool *t,
                const struct policy_rules *rules, struct err *e)
{
    target_set_lines(&d->plan.targets, !caps->view || t->numeric_targets, &d->lines);
    if (d->lines.len == 0) { /* only after clipping */
        return err_set(e, ERR_SCOPE, "none of the targets is allowed");
    }
    target_set_hosts(&d->plan.targets, &d->hosts);
    fill_limits(d);
    d->launch.argv = &d->argv;
    d->launch.parser = t->parser->name;
    d->launch.files = t->files;
    d->launch.targets = &d->targets;
    d->launch.has_dns = rules->has_dns;
    d->launch.dns = rules->dns;
    d->launch.target_lines = d->lines.data;
    d->launch.hosts = caps->view ? d->hosts.data : NULL;
    return 0;
}

int dispatch_plan(const struct dispatch_config *c, struct in_force *scope,
                  const struct sandbox_caps *caps, const struct dispatch_ask *ask,
                  struct dispatch *out, struct err *e)
{
    const struct policy_rules *rules =
        policy_rules(in_force_policy(scope), ask->job->key_id, ask->key_name);
    struct policy_verdict verdict = {0};
    int rc;

    *out = (struct dispatch){.launch = {.grace_ms = c->grace_ms, .blob_fd = -1, .input_fd = -1}};
    if ((rc = understand(c, rules, ask, &out->plan, e)) != 0 ||
        (ask->spec && (rc = understand_extra(c, rules, ask, e)) != 0) ||
        (rc = judge(scope, ask, &out->plan, &verdict, e)) != 0) {
        return rc;
    }
    out->wait_until_us = verdict.wait_until_us;
    if (!out->wait_until_us) {
        if (ask->job->clip) {
            clip(&out->plan.targets, &verdict.allowed);
        }
        if ((rc = limits_in_force(c, rules, ask, out, e)) == 0 && !ask->tool->instant &&
            (rc = choose(c, scope, caps, ask, rules->has_dns, out, e)) == 0 &&
            !out->wait_until_us) {
            rc = fill(out, caps, ask->tool, rules, e);
        }
    }
    policy_verdict_done(&verdict);
    return rc;
}

void dispatch_done(struct dispatch *d)
{
    tool_plan_done(&d->plan);
    strvec_done(&d->argv);
    strvec_done(&d->notes);
    netset_done(&d->targets);
    buf_done(&d->lines);
    buf_done(&d->hosts);
}
