/*
 * Planned jobs at their submit: the plan is made from the pinned targets, judged as a whole, and
 * its first tasks are stored with the job.
 */
#include <string.h>

#include "base/mem.h"
#include "http/api_submit.h"

static uint64_t random_seed(void)
{
    struct id id = id_new(); /* its second half is random */
    uint64_t seed;

    memcpy(&seed, id.b + sizeof id.b - sizeof seed, sizeof seed);
    return seed;
}

static struct plan_request what_is_asked(const struct submit *s)
{
    const struct api_config *c = &s->api->cfg;
    const struct scan_request *q = &s->q;
    /* The arguments were read by the table of one tool: they stay with it. */
    bool named = q->tool_given || q->arguments || !q->profile;
    struct plan_request r = {
        .profile = q->profile,
        .tool = named ? q->tool : NULL,
        .ports = q->ports,
        .arguments = q->arguments,
        .rate = q->rate,
        .own_pace = q->own_pace,
        .shards = q->shards,
        .slots = 1,
        .max_rate = api_rules(s->api, s->key)->limits.rate_pps,
        .targets = &s->plan.targets,
        .zone = q->zone,
        .seed = random_seed(),
    };

    if (c->plan_facts) {
        c->plan_facts(c->plan_arg, &s->plan.targets, &r);
    }
    return r;
}

int staged_make(struct submit *s, bool sweepers, struct err *e)
{
    struct plan_request r = what_is_asked(s);
    struct plan *made = NULL;
    int rc;

    r.have_masscan = r.have_masscan && (sweepers || str_eq(r.tool, "masscan"));
    r.have_zmap = r.have_zmap && (sweepers || str_eq(r.tool, "zmap"));
    rc = s->q.planned ? plan_read(s->q.planned, &made, e) : plan_make(&r, &made, e);
    if (rc == 0) {
        plan_free(s->staged);
        s->staged = made;
        plan_needs(made, &s->plan.targets, &s->needs);
    }
    return rc;
}

static bool can_be_made(const struct plan_request *r)
{
    struct plan *made = NULL;
    bool can = plan_make(r, &made, NULL) == 0;

    plan_free(made);
    return can;
}

const char *staged_fault_at(struct submit *s)
{
    const struct plan_request asked = what_is_asked(s);
    auto_targets one = {0};
    static const char *const at[] = {"/arguments", "/ports",  "/ports", "/arguments",
                                     "/rate",      "/shards", "/tool",  "/targets"};
    struct plan_request r[ARRAY_LEN(at)];

    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        r[i] = asked;
    }
    target_add(&one, target_set_has_v4(asked.targets) ? "127.0.0.1" : "::1", NULL);
    r[0].arguments = NULL;
    r[1].ports = asked.ports ? NULL : "80"; /* it may be what is missing */
    r[2].ports = "80";
    r[3].arguments = NULL; /* in which the ports are */
    r[3].ports = "80";
    r[4].rate = 0;
    r[5].shards = 0;
    r[6].tool = asked.profile ? NULL : "nmap";
    r[7].targets = &one;
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        if (can_be_made(&r[i])) {
            return at[i];
        }
    }
    return s->q.profile ? "/profile" : "";
}

bool staged_chose_sweeper(const struct submit *s)
{
    for (size_t i = 0; i < plan_stages(s->staged) && !s->q.planned; i++) {
        const char *name = plan_stage_tool(s->staged, i);
        const struct tool *t = tool_find(name);

        if (t && t->merges && !(s->q.tool_given && str_eq(name, s->q.tool))) {
            return true;
        }
    }
    return false;
}

/* ---- what is needed of policy and machine ---- */

static bool used_before(const struct plan *p, size_t stage)
{
    for (size_t i = 0; i < stage; i++) {
        if (str_eq(plan_stage_tool(p, i), plan_stage_tool(p, stage))) {
            return true;
        }
    }
    return false;
}

int staged_judge(struct submit *s, struct policy_ask *ask, struct policy_verdict *out,
                 struct err *e)
{
    int rc = 0;

    ask->ports = plan_ports(s->staged);
    ask->n_ports = s->needs.ports;
    ask->protocols = s->needs.protocols;
    for (size_t i = 0; i < plan_stages(s->staged) && rc == 0; i++) {
        if (!used_before(s->staged, i)) {
            policy_verdict_done(out);
            *out = (struct policy_verdict){0};
            ask->tool = plan_stage_tool(s->staged, i);
            rc = policy_judge(api_policy(s->api), ask, out, e);
        }
    }
    return rc;
}

/* What tasks of one stage and family need of the network. Their tables know; whether places are
 * our own is that of the whole job. */
static struct egress_need stage_need(const struct submit *s, size_t i, bool v6,
                                     const struct egress_need *places)
{
    const struct tool *t = tool_find(plan_stage_tool(s->staged, i));
    bool hosts = plan_stage_kind(s->staged, i) == STAGE_HOSTS;
    const struct tool_request q = {
        .targets = v6 ? "::1" : "127.0.0.1",
        .ports = t->merges ? "80"
                 : hosts   ? NULL
                           : plan_ports(s->staged),
        .arguments = plan_stage_arguments(s->staged, i),
        .unsafe = s->api->cfg.allow_unsafe_args,
        .advanced = true,
        .scripts = SCRIPTS_AGGRESSIVE,
        .script_flags = ~0u,
        .nse = s->api->cfg.nse,
    };
    struct egress_need need = {.network = true, .wants_raw = true, .raw = t->merges};
    auto_plan plan = {0};

    if (tool_check(t, &q, &plan, NULL) == 0) {
        need = plan.need;
    }
    need.v4 = !v6 && places->v4;
    need.v6 = v6;
    need.own = places->own;
    need.elsewhere = places->elsewhere;
    return need;
}

int staged_level(const struct submit *s, const struct sandbox_caps *caps,
                 const struct egress_need *places, struct decision *d, struct err *e)
{
    for (size_t i = 0; i < plan_stages(s->staged); i++) {
        for (int six = places->v6 && !places->v4; six <= (int)places->v6; six++) {
            const struct egress_need need = stage_need(s, i, six, places);
            int rc =
                egress_choose(caps, s->api->cfg.allow_unconfined, &need, &d->level, &d->raw, e);

            if (rc < 0) {
                return err_prefix(e, rc, "the stage '%s' (%s) cannot run here",
                                  stage_kind_name(plan_stage_kind(s->staged, i)),
                                  plan_stage_tool(s->staged, i));
            }
        }
    }
    return 0;
}

/* ---- tasks ---- */

/* Borrows the pins. Names of which nothing is allowed stay: their runs say so. */
static void clip(const struct target_set *whole, const struct netset *allowed,
                 struct target_set *out)
{
    auto_netset outside = {0};

    *out = *whole;
    out->addresses = (struct netset){0};
    netset_add_set(&outside, &whole->addresses);
    netset_remove_set(&outside, allowed);
    netset_add_set(&out->addresses, &whole->addresses);
    netset_remove_set(&out->addresses, &outside);
}

int staged_first(const struct submit *s, const struct decision *d, struct plan_tasks *out,
                 struct err *e)
{
    struct target_set t;
    int rc;

    clip(&s->plan.targets, &d->verdict.allowed, &t);
    rc = plan_first(s->staged, &t, out, e);
    netset_done(&t.addresses);
    if (rc == 0 && out->n == 0) {
        return err_set(e, ERR_INTERNAL, "the plan has no tasks");
    }
    if (rc == 0 && out->n > TASKS_MAX) {
        return err_set(e, ERR_INVALID, "this would be %zu tasks, at most %d: ask for fewer shards",
                       out->n, TASKS_MAX);
    }
    return rc;
}
