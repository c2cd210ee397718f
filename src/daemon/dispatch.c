#include "daemon/dispatch.h"

#include "base/clock.h"
#include "base/mem.h"

enum { PACKETS_A_PROBE = 4 };

static int understand(const struct dispatch_config *c, const struct policy_rules *rules,
                      const struct job *j, const struct tool *t, struct tool_plan *plan,
                      struct err *e)
{
    const struct tool_request request = {
        .targets = j->targets,
        .ports = j->ports,
        .arguments = j->arguments,
        .old = j->old_route,
        .unsafe = c->allow_unsafe_args,
        .advanced = rules->advanced,
        .scripts = rules->scripts,
        .script_flags = rules->script_flags,
        .nse = c->nse,
    };
    int rc = tool_check(t, &request, plan, e);

    return rc == 0 ? pins_apply(&plan->targets, j->pins, e) : rc;
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

static int limits_in_force(const struct dispatch_config *c, const struct policy_rules *rules,
                           const struct job *j, const struct tool *t, struct dispatch *d,
                           struct err *e)
{
    struct limits own;
    int rc = limits_parse(j->limits, &own, e);

    if (rc != 0) {
        return rc;
    }
    d->limits = t->limits;
    limits_tighten(&d->limits, &rules->limits);
    limits_tighten(&d->limits, &own);
    own = (struct limits){.wall_s = (uint32_t)j->run_timeout_s};
    limits_tighten(&d->limits, &own);
    d->launch.limits = d->limits;
    /* The tool counts probes, the filter every packet of a connection: it stops who does not keep
     * to what it was told, not who does. */
    d->launch.limits.rate_pps =
        MIN(d->limits.rate_pps, UINT32_MAX / PACKETS_A_PROBE) * PACKETS_A_PROBE;
    d->launch.wall_ms = d->limits.wall_s * 1000;
    d->launch.output_max = c->output_max;
    if (d->limits.output_mb) {
        d->launch.output_max = MIN(c->output_max, (uint64_t)d->limits.output_mb << 20);
    }
    return 0;
}

static int judge(struct in_force *scope, const struct job *j, const char *key_name,
                 const struct tool_plan *plan, struct policy_verdict *v, struct err *e)
{
    const struct policy_ask ask = {
        .key_id = j->key_id,
        .key_name = key_name,
        .tool = j->tool,
        .targets = &plan->targets,
        .ports = plan->ports,
        .n_ports = plan->n_ports,
        .protocols = plan->protocols,
        .own = in_force_own(scope),
        .now_us = wall_us(),
        .clip = j->clip,
    };

    return policy_judge(in_force_policy(scope), &ask, v, e);
}

/* Which way, and the command line for it. */
static int choose(const struct dispatch_config *c, struct in_force *scope,
                  const struct sandbox_caps *caps, const struct tool *t, struct tool_plan *plan,
                  bool dns, const char *program, struct dispatch *d, struct err *e)
{
    struct tool_start start = {.program = program,
                               .names = caps->view,
                               .dns = dns,
                               .data_dir = c->nmap_data,
                               .rate_pps = d->limits.rate_pps,
                               .wall_s = d->limits.wall_s};
    int rc;

    target_set_all(&plan->targets, &d->targets);
    egress_places(&plan->need, &d->targets, in_force_own(scope));
    rc = egress_choose(caps, c->allow_unconfined, &plan->need, &d->launch.egress,
                       &start.raw_sockets, e);
    if (rc != 0) {
        return rc;
    }
    start.broker = d->launch.egress == EGRESS_BROKER;
    start.user_stack = d->launch.egress == EGRESS_ROOTLESS;
    d->launch.raw_sockets = start.raw_sockets;
    d->launch.dedicated = plan->need.nat_lies && d->launch.egress == EGRESS_NFT;
    return t->build_argv(plan, &start, &d->argv, &d->notes, e);
}

static int fill(struct dispatch *d, const struct sandbox_caps *caps, const struct tool *t,
                const struct tool_plan *plan, const struct policy_rules *rules, struct err *e)
{
    target_set_lines(&plan->targets, !caps->view, &d->lines);
    if (d->lines.len == 0) { /* only after clipping */
        return err_set(e, ERR_SCOPE, "none of the targets is allowed");
    }
    target_set_hosts(&plan->targets, &d->hosts);
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
                  const struct sandbox_caps *caps, const struct job *j, const char *key_name,
                  const struct tool *t, const char *program, struct dispatch *out, struct err *e)
{
    const struct policy_rules *rules = policy_rules(in_force_policy(scope), j->key_id, key_name);
    struct policy_verdict verdict = {0};
    auto_plan plan = {0};
    int rc;

    *out = (struct dispatch){.launch = {.grace_ms = c->grace_ms, .blob_fd = -1, .input_fd = -1}};
    if ((rc = understand(c, rules, j, t, &plan, e)) != 0 ||
        (rc = judge(scope, j, key_name, &plan, &verdict, e)) != 0) {
        return rc;
    }
    out->wait_until_us = verdict.wait_until_us;
    if (!out->wait_until_us) {
        if (j->clip) {
            clip(&plan.targets, &verdict.allowed);
        }
        if ((rc = limits_in_force(c, rules, j, t, out, e)) == 0 &&
            (rc = choose(c, scope, caps, t, &plan, rules->has_dns, program, out, e)) == 0) {
            rc = fill(out, caps, t, &plan, rules, e);
        }
    }
    policy_verdict_done(&verdict);
    return rc;
}

void dispatch_done(struct dispatch *d)
{
    strvec_done(&d->argv);
    strvec_done(&d->notes);
    netset_done(&d->targets);
    buf_done(&d->lines);
    buf_done(&d->hosts);
}
