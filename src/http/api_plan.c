/*
 * What a scan request asks, checked by the tool's tables. The check is made once over all of it;
 * only when that fails each member is looked at alone, so that every wrong one can be named.
 */
#include <string.h>

#include "base/mem.h"
#include "http/api_priv.h"
#include "model/request.h"

enum { TEXT_MAX = 16 * 1024 }; /* ports, arguments */

void scan_request_init(struct scan_request *q)
{
    *q = (struct scan_request){.tool = "nmap",
                               .timeout_s = INT64_MIN,
                               .priority = INT64_MIN,
                               .retries = INT64_MIN,
                               .queue_timeout_s = INT64_MIN};
}

bool scan_is_planned(const struct scan_request *q)
{
    const struct tool *t = q->tool ? tool_find(q->tool) : NULL;

    return q->profile || q->planned || (t && t->merges && !q->old);
}

struct policy *api_policy(const struct api *a)
{
    return a->cfg.policy(a->cfg.policy_arg);
}

const struct policy_rules *api_rules(const struct api *a, const struct key *k)
{
    return policy_rules(api_policy(a), k->id, *k->name ? k->name : NULL);
}

/* The tool's check, with everything that the policy allows or only with what needs no flag. */
static int check(const struct api *a, const struct key *k, const struct scan_request *q, bool plain,
                 struct tool_plan *plan, struct err *e)
{
    const struct policy_rules *rules = api_rules(a, k);
    const struct tool_request request = {
        .targets = q->targets,
        .ports = q->ports,
        .arguments = q->arguments,
        .old = q->old,
        .unsafe = !plain && a->cfg.allow_unsafe_args,
        .advanced = !plain && rules->advanced,
        .scripts = plain ? MIN(rules->scripts, SCRIPTS_SAFE) : rules->scripts,
        .script_flags = plain ? 0 : rules->script_flags,
        .nse = a->cfg.nse,
    };

    return tool_check(tool_find(q->tool ? q->tool : "nmap"), &request, plan, e);
}

static bool same_tokens(const struct strvec *a, const struct strvec *b)
{
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        if (!str_eq(a->v[i], b->v[i])) {
            return false;
        }
    }
    return a->n == b->n;
}

/*
 * A key without the scope `aggressive` may ask for what a plain request gives, to the word: a
 * category of scripts that stands for more under this policy is more.
 */
static bool is_plain(const struct api *a, const struct key *k, const struct scan_request *q,
                     const struct tool_plan *plan)
{
    auto_plan other = {0};

    return check(a, k, q, true, &other, NULL) == 0 && same_tokens(&other.tokens, &plan->tokens);
}

static void refuse(struct scan_faults *f, const char *rule, const struct err *e)
{
    f->rule = rule;
    f->refused = *e;
}

static void check_scopes(const struct api *a, const struct key *k, const struct scan_request *q,
                         const struct tool_plan *plan, struct scan_faults *f)
{
    unsigned held = key_scopes_held(k);
    struct err e = {0};

    if (plan->need.raw && !(held & KEY_RAW)) {
        key_scope_fault(KEY_RAW, &e);
        err_prefix(&e, e.code, "%s needs raw sockets",
                   plan->need.option ? plan->need.option : q->tool);
        refuse(f, "key.scope", &e);
    } else if (!(held & KEY_AGGRESSIVE) && !is_plain(a, k, q, plan)) {
        key_scope_fault(KEY_AGGRESSIVE, &e);
        err_prefix(&e, e.code, "the arguments go beyond plain options and safe scripts");
        refuse(f, "key.scope", &e);
    }
}

/* The old service named the token and gave no reason. */
static void cut_reason(const char *targets, struct err *e)
{
    auto_strvec tokens = {0};

    if (shell_split(targets, &tokens, NULL) < 0) {
        return;
    }
    for (size_t i = 0; i < tokens.n; i++) {
        auto_free char *start = str_fmt("invalid target: '%s'", tokens.v[i]);
        size_t n = strlen(start);

        if (str_starts(e->msg, start) && e->msg[n] == ':') {
            e->msg[n] = '\0';
            return;
        }
    }
}

static int parse_targets(const struct scan_request *q, struct target_set *out, struct err *e)
{
    return q->old                     ? targets_parse_old(q->targets, out, e)
           : q->profile || q->planned ? targets_parse_planned(q->targets, out, e)
           : scan_is_planned(q)       ? targets_parse_sweep(q->targets, out, e)
                                      : targets_parse(q->targets, out, e);
}

/* What to do instead, where the size of IPv6 is what is wrong. */
static void advise(const struct scan_request *q, struct err *e)
{
    const struct err said = *e;

    if (str_starts(said.msg, "too many addresses") && strchr(q->targets, ':')) {
        err_set(e, said.code, "%s; IPv6 prefixes cannot be walked through: name the hosts, or %s",
                said.msg, "prefixes of /112 and longer");
    }
}

static int check_targets(const struct scan_request *q, struct err *e)
{
    auto_targets set = {0};

    return parse_targets(q, &set, e);
}

static int too_long(const char *what, const char *s, struct err *e)
{
    return s && strlen(s) > TEXT_MAX
               ? err_set(e, ERR_INVALID, "%s are longer than %d bytes", what, TEXT_MAX)
               : 0;
}

static int check_ports(const struct scan_request *q, struct err *e)
{
    int rc = too_long("ports", q->ports, e);

    return rc == 0 && q->ports ? ports_parse(q->ports, e) : rc;
}

/* The arguments alone: wrong targets are none of their faults, of whatever family they may be. */
static void check_arguments(const struct api *a, const struct key *k, struct scan_request q,
                            struct err *e)
{
    static const char *const stand_ins[] = {"127.0.0.1", "::1"};
    bool given = q.targets != NULL;

    for (size_t i = 0; i < ARRAY_LEN(stand_ins); i++) {
        auto_plan plan = {0};

        if (!given) {
            q.targets = stand_ins[i];
        }
        *e = (struct err){0};
        if (check(a, k, &q, false, &plan, e) == ERR_SCOPE) {
            *e = (struct err){0}; /* that is not malformed */
        }
        if (given || !e->code) {
            return;
        }
    }
}

/* ---- profiles: targets and ports are for all stages, the arguments for the stage of ports ---- */

/*
 * The arguments by the tables of their tool, beside stand-ins: a stage of the profile may bring the
 * ports, and tools that read one family are started once for each.
 */
static void check_stage_arguments(const struct api *a, const struct key *k,
                                  const struct scan_request *q, struct scan_faults *f)
{
    static const char *const stand_ins[] = {"127.0.0.1", "::1"};
    struct scan_request alone = *q;
    bool sweeps = tool_find(q->tool)->merges;
    struct err e = {0};

    if (too_long("arguments", q->arguments, &f->arguments) < 0) {
        return;
    }
    if (sweeps && !q->ports) {
        alone.ports = "80";
    }
    for (size_t i = 0; i < (sweeps ? 1 : ARRAY_LEN(stand_ins)); i++) {
        auto_plan plan = {0};
        int rc;

        alone.targets = stand_ins[i];
        e = (struct err){0};
        rc = check(a, k, &alone, false, &plan, &e);
        if (rc != 0 && rc != ERR_SCOPE && sweeps && !q->ports && alone.ports) {
            tool_plan_done(&plan); /* they may stand among the arguments */
            alone.ports = NULL;
            if (check(a, k, &alone, false, &plan, NULL) == 0) {
                rc = 0;
            }
        }
        if (rc == 0) {
            plan.need.raw = false; /* judged over the whole plan, when it is made */
            check_scopes(a, k, &alone, &plan, f);
            return;
        }
        if (rc == ERR_SCOPE) {
            refuse(f, "policy.options", &e);
            return;
        }
    }
    f->arguments = e;
}

static void check_stages(const struct api *a, const struct key *k, const struct scan_request *q,
                         struct tool_plan *plan, struct scan_faults *f)
{
    if (q->targets && parse_targets(q, &plan->targets, &f->targets) < 0) {
        advise(q, &f->targets);
    }
    if (check_ports(q, &f->ports) == 0 && q->tool && q->arguments) {
        check_stage_arguments(a, k, q, f);
    }
}

/* Some tools have no ports of their own to start from. */
static bool lacks_ports(const struct api *a, const struct key *k, const struct scan_request *q)
{
    struct scan_request with = *q;
    auto_plan plan = {0};

    with.ports = "80";
    return !q->ports && check(a, k, &with, false, &plan, NULL) == 0;
}

/* Others take none. */
static bool minds_ports(const struct api *a, const struct key *k, const struct scan_request *q)
{
    struct scan_request without = *q;
    auto_plan plan = {0};

    without.ports = NULL;
    return q->ports && !q->arguments && check(a, k, &without, false, &plan, NULL) == 0;
}

/* Which members are wrong, when something is: *whole is what the check of all said. */
static void find_faults(const struct api *a, const struct key *k, const struct scan_request *q,
                        const struct err *whole, struct scan_faults *f)
{
    struct scan_request alone = *q;
    bool found = false;

    if (q->targets && check_targets(q, &f->targets) < 0) {
        if (q->old) {
            cut_reason(q->targets, &f->targets);
        } else {
            advise(q, &f->targets);
        }
        alone.targets = NULL;
        found = true;
    }
    if (check_ports(q, &f->ports) < 0) {
        alone.ports = NULL;
        found = true;
    }
    if (q->arguments && q->tool && too_long("arguments", q->arguments, &f->arguments) == 0) {
        check_arguments(a, k, alone, &f->arguments);
    }
    if (found || f->arguments.code) {
        return;
    }
    if (whole->code == ERR_SCOPE) {
        refuse(f, "policy.options", whole);
    } else if (whole->code && (lacks_ports(a, k, q) || minds_ports(a, k, q))) {
        f->ports = *whole;
    } else if (whole->code) {
        *(q->arguments ? &f->arguments : &f->targets) = *whole;
    }
}

bool api_plan(struct api *a, const struct key *k, const struct scan_request *q,
              struct tool_plan *plan, struct scan_faults *f)
{
    struct err e = {0};

    *f = (struct scan_faults){0};
    if (q->profile || q->profile_name) {
        check_stages(a, k, q, plan, f);
    } else if (!q->targets || !q->tool || too_long("ports", q->ports, NULL) ||
               too_long("arguments", q->arguments, NULL) || check(a, k, q, false, plan, &e) < 0) {
        find_faults(a, k, q, &e, f);
    } else {
        check_scopes(a, k, q, plan, f);
    }
    return !f->targets.code && !f->ports.code && !f->arguments.code;
}
