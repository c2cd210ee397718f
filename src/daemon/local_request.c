#include "daemon/local_request.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/resolver.h"
#include "model/queue.h"
#include "model/request.h"
#include "sched/add.h"

/* Nobody is made to sit in front of a scan that starts tonight. */
static int window_closed(const struct policy_rules *rules, int64_t opens_us, struct err *e)
{
    char at[RFC3339_LEN + 1];

    rfc3339_us(opens_us, at);
    return err_set(e, ERR_SCOPE,
                   "the scan window of policy '%s' is closed until %.19sZ: start the scan then, or "
                   "submit it to a server, where it waits",
                   rules->name, at);
}

static int judge(const struct local_request *r, struct policy_ask *ask, struct err *e)
{
    const struct policy *p = in_force_policy(r->planning->scope);
    const struct policy_rules *rules = policy_rules(p, NULL, NULL);
    struct policy_verdict verdict = {0};
    int rc;

    ask->own = in_force_own(r->planning->scope);
    ask->now_us = wall_us();
    ask->clip = r->ls->clip;
    rc = policy_judge(in_force_policy(r->planning->scope), ask, &verdict, e);
    if (rc == 0 && verdict.wait_until_us) {
        rc = window_closed(rules, verdict.wait_until_us, e);
    }
    policy_verdict_done(&verdict);
    return rc;
}

static void job_fill(const struct local_request *r, const char *tool, const struct target_set *t,
                     struct job *j)
{
    const struct local_scan *ls = r->ls;
    auto_buf pins = {0};

    job_init(j);
    j->id = id_new();
    j->tool = xstrdup(tool);
    j->targets = xstrdup(ls->targets);
    j->ports = xstrdup(ls->ports);
    j->arguments = xstrdup(ls->arguments);
    pins_put(t, &pins);
    j->pins = pins.len ? buf_take(&pins) : NULL;
    j->limits = ls->limits && *ls->limits ? xstrdup(ls->limits) : NULL;
    j->clip = ls->clip;
    j->timeout_s = ls->timeout_s;
    j->run_timeout_s = ls->timeout_s == INT64_MIN
                           ? (int32_t)option_int(ls->settings, "scan-timeout")
                           : (int32_t)ls->timeout_s;
    j->queue_timeout_s = JOB_TIMEOUT_MAX_S;
    j->priority = JOB_PRIORITY_DEFAULT;
    j->max_attempts = 1;
    j->created_us = wall_us();
    j->queue_expires_us = j->created_us + (int64_t)j->queue_timeout_s * 1000000;
}

/* One run of one tool, whose tables say whether it may be. */
static int check_arguments(const struct local_request *r, const struct tool *t,
                           struct tool_plan *plan, struct err *e)
{
    const struct local_scan *ls = r->ls;
    const struct policy_rules *rules =
        policy_rules(in_force_policy(r->planning->scope), NULL, NULL);
    const struct tool_request request = {
        .targets = ls->targets,
        .ports = ls->ports,
        .arguments = ls->arguments,
        .unsafe = option_bool(ls->settings, "allow-unsafe-args"),
        .advanced = rules->advanced,
        .scripts = rules->scripts,
        .script_flags = rules->script_flags,
        .nse = r->nse,
    };

    return tool_check(t, &request, plan, e);
}

static int submit_plain(const struct local_request *r, const struct tool *t, struct job *j,
                        struct err *e)
{
    auto_plan plan = {0};
    int rc = check_arguments(r, t, &plan, e);

    if (rc == 0) {
        rc = resolver_pin_now(&plan.targets, e);
    }
    if (rc == 0) {
        struct policy_ask ask = {.tool = t->name,
                                 .targets = &plan.targets,
                                 .ports = plan.ports,
                                 .n_ports = plan.n_ports,
                                 .protocols = plan.protocols};

        rc = judge(r, &ask, e);
    }
    job_fill(r, t->name, &plan.targets, j);
    return rc == 0 ? store_job_add(r->planning->store, j, e) : rc;
}

static int find_profile(const struct local_request *r, const struct profile **out, struct err *e)
{
    *out = r->ls->profile ? profiles_find(r->profiles, r->ls->profile, e) : NULL;
    return r->ls->profile && !*out ? e->code : 0;
}

static int judge_plan(const struct local_request *r, const struct plan *plan, const char *tool,
                      const struct target_set *t, struct err *e)
{
    struct plan_needs needs;
    struct policy_ask ask = {.tool = tool, .targets = t, .ports = plan_ports(plan)};

    plan_needs(plan, t, &needs);
    ask.n_ports = needs.ports;
    ask.protocols = needs.protocols;
    return judge(r, &ask, e);
}

static int submit_planned(const struct local_request *r, const struct tool *t, struct job *j,
                          struct err *e)
{
    const struct local_scan *ls = r->ls;
    const struct policy_rules *rules =
        policy_rules(in_force_policy(r->planning->scope), NULL, NULL);
    struct plan_request q = {.tool = t ? t->name : NULL,
                             .ports = ls->ports,
                             .arguments = ls->arguments,
                             .rate = ls->rate,
                             .own_pace = ls->own_pace,
                             .shards = ls->shards,
                             .max_rate = rules->limits.rate_pps};
    auto_targets targets = {0};
    auto_buf text = {0};
    struct plan *plan = NULL;
    int rc;

    if ((rc = find_profile(r, &q.profile, e)) != 0 ||
        (rc = targets_parse(ls->targets, &targets, e)) != 0 ||
        (rc = resolver_pin_now(&targets, e)) != 0) {
        return rc;
    }
    q.targets = &targets;
    random_bytes(&q.seed, sizeof q.seed);
    planning_facts(r->planning, &targets, &q);
    rc = plan_make(&q, &plan, e);
    if (rc == 0 && ls->arguments && t) {
        auto_plan unused = {0};

        rc = check_arguments(r, t, &unused, e);
    }
    if (rc == 0) {
        const char *tool = t ? t->name : plan_stage_tool(plan, 0);

        rc = judge_plan(r, plan, tool, &targets, e);
        job_fill(r, tool, &targets, j);
        plan_write(plan, &text);
        j->plan = buf_take(&text);
        j->profile = q.profile ? str_fmt("%s@%u", q.profile->name, q.profile->version) : NULL;
    }
    if (rc == 0) {
        rc = sched_add_planned(r->planning->store, j, plan, &targets, e);
    }
    plan_free(plan);
    return rc;
}

static int submit_repository(const struct local_request *r, struct job *j, struct err *e)
{
    const struct local_scan *ls = r->ls;
    const struct target_set nothing = {0};

    job_fill(r, tool_repo.name, &nothing, j);
    j->repo = xstrdup(ls->repo);
    j->queue = xstrdup(queue_kind_names[QUEUE_REPO]);
    if (ls->timeout_s == INT64_MIN) {
        j->run_timeout_s = (int32_t)option_int(ls->settings, "repo-timeout");
    }
    return store_job_add(r->planning->store, j, e);
}

int local_request_submit(const struct local_request *r, struct id *job, struct err *e)
{
    const struct local_scan *ls = r->ls;
    const char *name = ls->tool ? ls->tool : ls->profile ? NULL : "nmap";
    const struct tool *t = name ? tool_find(name) : NULL;
    struct job j = {0};
    int rc;

    if (!ls->repo && name && !t) {
        return err_set(e, ERR_INVALID,
                       "there is no tool '%s'; there are nmap, masscan, zmap and noop", name);
    }
    if (ls->repo) {
        rc = submit_repository(r, &j, e);
    } else {
        rc = ls->profile || t->merges ? submit_planned(r, t, &j, e) : submit_plain(r, t, &j, e);
    }
    *job = j.id;
    job_done(&j);
    return rc == 0 ? store_commit(r->planning->store, e) : rc;
}
