/* Decisions about one scan: pure functions of policy, request and time. */
#include <ifaddrs.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "policy/internal.h"

/* ---- targets ---- */

struct judging {
    const struct policy *p;
    const struct policy_ask *ask;
    struct netset open;      /* what addresses alone allow */
    struct netset out;       /* what is allowed of what was asked */
    struct net_range *named; /* allowed addresses of names, on their way into `out`; owned */
    size_t n_named, named_size;
    bool clipped;   /* `why` is set */
    bool unpinned;  /* a name whose addresses nobody knows yet */
    struct err why; /* of the first part that was left out */
};

/* A part is not allowed: the end, unless the request may be clipped. */
static int refuse(struct judging *j, int rc, const struct err *why, struct err *e)
{
    if (!j->ask->clip) {
        return err_set(e, rc, "%s", why->msg);
    }
    if (!j->clipped) {
        j->why = *why;
        j->clipped = true;
    }
    return 0;
}

static int judge_addresses(struct judging *j, struct err *e)
{
    const struct netset *asked = &j->ask->targets->addresses;
    auto_netset left_out = {0};

    for (size_t i = 0; i < asked->n && !j->clipped; i++) {
        struct net_range outside;
        struct err why;

        if (!netset_covers(&j->open, &asked->v[i], &outside)) {
            int rc = scope_explain(j->p, j->ask->own, j->ask->now_us, &outside, &why);

            rc = refuse(j, rc, &why, e);
            if (rc < 0) {
                return rc;
            }
        }
    }
    netset_add_set(&j->out, asked);
    if (j->clipped) {
        netset_add_set(&left_out, asked);
        netset_remove_set(&left_out, &j->open);
        netset_remove_set(&j->out, &left_out);
    }
    return 0;
}

/* The name's own entry, if it has one that counts now. */
static const struct entry *entry_of_name(const struct judging *j, const char *name,
                                         const struct entry **denied)
{
    const struct name_row *row;
    size_t n = scope_names(j->p, name, &row);
    const struct entry *found = NULL;

    *denied = NULL;
    for (size_t i = 0; i < n; i++) {
        if (row[i].deny) {
            *denied = row[i].entry;
        } else if (row[i].entry->expires_us > j->ask->now_us) {
            found = row[i].entry;
        }
    }
    return found;
}

static int explain_name(const struct judging *j, const struct target_pin *pin,
                        const struct net_ip *ip, const struct entry *en, struct err *why)
{
    const struct net_range one = {*ip, *ip};
    char text[NET_TEXT], fix[256];
    int rc;

    if (!en || netset_has(&j->p->denied, ip)) {
        rc = scope_explain(j->p, j->ask->own, j->ask->now_us, &one, why);
        return err_prefix(why, rc, "%.100s", pin->name);
    }
    net_ip_text(ip, text);
    scope_fix(j->p, fix, sizeof fix);
    return err_set(why, ERR_SCOPE,
                   "%.100s resolves to %s, which is not in 'within' of its entry in line %u; %s",
                   pin->name, text, en->line, fix);
}

static void named_add(struct judging *j, const struct net_ip *ip)
{
    if (j->n_named == j->named_size) {
        j->named_size = j->named_size ? 2 * j->named_size : 16;
        j->named = xrealloc(j->named, j->named_size * sizeof *j->named);
    }
    j->named[j->n_named++] = (struct net_range){*ip, *ip};
}

static int judge_name(struct judging *j, const struct target_pin *pin, struct err *e)
{
    const struct policy_ask *ask = j->ask;
    const struct entry *denied;
    const struct entry *en = entry_of_name(j, pin->name, &denied);
    struct err why;
    int rc = 0;

    if (denied) {
        rc = err_set(&why, ERR_SCOPE,
                     "%.100s is not allowed: scope.deny has it, line %u of %.128s; take it out of "
                     "the targets",
                     pin->name, denied->line, j->p->source);
        return refuse(j, rc, &why, e);
    }
    j->unpinned |= pin->n == 0;
    for (size_t i = 0; i < pin->n && rc == 0; i++) {
        const struct net_ip *ip = &pin->ip[i];

        if (netset_has(&j->open, ip) ||
            scope_name_allows(j->p, pin->name, ip, ask->own, ask->now_us)) {
            named_add(j, ip);
        } else {
            rc = explain_name(j, pin, ip, en, &why);
            rc = refuse(j, rc, &why, e);
        }
    }
    return rc;
}

static int judge_targets(struct judging *j, struct err *e)
{
    const struct policy_ask *ask = j->ask;
    auto_netset all = {0};
    int rc;

    target_set_all(ask->targets, &all);
    scope_open(j->p, &all, ask->own, ask->now_us, false, &j->open);
    rc = judge_addresses(j, e);
    for (size_t i = 0; i < ask->targets->n_pins && rc == 0; i++) {
        rc = judge_name(j, &ask->targets->pins[i], e);
    }
    netset_add_many(&j->out, j->named, j->n_named);
    if (rc == 0 && j->clipped && j->out.n == 0 && !j->unpinned) {
        rc = err_set(e, ERR_SCOPE, "%s", j->why.msg); /* nothing is left */
    }
    return rc;
}

/* ---- rules ---- */

int policy_tool(const struct policy_rules *r, const char *tool, struct err *e)
{
    for (const char *const *t = r->tools; tool && t && *t; t++) {
        if (strcmp(*t, tool) == 0) {
            return 0;
        }
    }
    if (!r->tools || !tool) {
        return 0;
    }
    return err_set(e, ERR_SCOPE, "policy '%s' does not allow the tool %.32s; add it to its 'tools'",
                   r->name, tool);
}

/* The policy's own targets: a part of the scope. */
static int judge_part(const struct rules *r, struct judging *j, struct err *e)
{
    auto_netset outside = {0};
    char text[NET_TEXT];

    if (!r->has_targets) {
        return 0;
    }
    netset_add_set(&outside, &j->out);
    netset_remove_set(&outside, &r->targets);
    if (j->ask->clip) {
        netset_remove_set(&j->out, &outside);
    }
    if (outside.n == 0 || (j->ask->clip && (j->out.n || j->unpinned))) {
        return 0;
    }
    net_range_text(&outside.v[0], text);
    return err_set(e, ERR_SCOPE,
                   "%s is not allowed: it is in the scope, but not among the 'targets' of policy "
                   "'%s'; leave it out, or add it there",
                   text, r->name);
}

static int judge_size(const struct policy_rules *r, const struct judging *j, struct err *e)
{
    uint64_t n = netset_count(&j->out);
    uint64_t ports = MAX(j->ask->n_ports, 1u);
    uint64_t probes;

    if (n > r->max_addresses) {
        return err_set(e, ERR_SCOPE,
                       "policy '%s' allows %" PRIu64 " addresses in one scan, these are %s%" PRIu64
                       "; split the scan or raise 'max_addresses'",
                       r->name, r->max_addresses, n == UINT64_MAX ? "at least " : "", n);
    }
    if (__builtin_mul_overflow(n, ports, &probes) || probes > r->max_probes) {
        return err_set(e, ERR_SCOPE,
                       "policy '%s' allows %" PRIu64
                       " probes (addresses x ports) in one scan, these "
                       "are %" PRIu64 " x %" PRIu64 "; split the scan or raise 'max_probes'",
                       r->name, r->max_probes, n, ports);
    }
    return 0;
}

static int judge_ports(const struct rules *r, const struct policy_ask *ask, struct err *e)
{
    unsigned protocols = ask->protocols ? ask->protocols : ASK_TCP;
    char text[16];

    if (!r->set || ask->n_ports == 0) {
        return 0;
    }
    if (!ask->ports || !*ask->ports) {
        return err_set(e, ERR_SCOPE,
                       "policy '%s' allows the ports %.200s only: name the ports to scan", r->name,
                       r->ports);
    }
    if (!port_set_covers(r->set, ask->ports, protocols, text)) {
        return err_set(
            e, ERR_SCOPE,
            "policy '%s' does not allow port %s, only %.200s; leave it out or change its "
            "'ports'",
            r->name, text, r->ports);
    }
    return 0;
}

/* ---- which entries ---- */

static bool entry_used(const struct judging *j, const struct entry *en)
{
    const struct target_set *t = j->ask->targets;

    if (en->expires_us <= j->ask->now_us) {
        return false;
    }
    if (!en->name) {
        struct net_range part;

        return netset_meets(&j->out, &en->range, &part) && hard_lifted(&en->range, &part.first);
    }
    for (size_t i = 0; i < t->n_pins; i++) {
        if (strcmp(t->pins[i].name, en->name) == 0) {
            return true;
        }
    }
    return false;
}

static void name_rules(const struct judging *j, char out[160])
{
    const struct entry *first = NULL;
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; i < j->p->allow.n; i++) {
        if (entry_used(j, &j->p->allow.v[i])) {
            first = first ? first : &j->p->allow.v[i];
            n++;
        }
    }
    if (n > 1) {
        snprintf(out, 160, "%s, +%zu more", first->label, n - 1);
    } else if (first) {
        snprintf(out, 160, "%s", first->label);
    }
}

int policy_judge(const struct policy *p, const struct policy_ask *ask, struct policy_verdict *out,
                 struct err *e)
{
    const struct policy_rules *pub = policy_rules(p, ask->key_id, ask->key_name);
    const struct rules *r =
        (const struct rules *)(const void *)((const char *)pub - offsetof(struct rules, pub));
    struct judging j = {.p = p, .ask = ask};
    struct policy_verdict v = {.rules = pub};
    int rc = policy_tool(pub, ask->tool, e);

    if (rc == 0) {
        rc = judge_targets(&j, e);
    }
    if (rc == 0) {
        rc = judge_part(r, &j, e);
    }
    if (rc == 0) {
        rc = judge_size(pub, &j, e);
    }
    if (rc == 0) {
        rc = judge_ports(r, ask, e);
    }
    if (rc == 0) {
        v.wait_until_us = r->open ? window_wait(r->open, r->offset_min, ask->now_us) : 0;
        name_rules(&j, v.rule);
        v.allowed = j.out;
        j.out = (struct netset){0};
        *out = v;
    }
    free(j.named);
    netset_done(&j.open);
    netset_done(&j.out);
    return rc;
}

void policy_verdict_done(struct policy_verdict *v)
{
    netset_done(&v->allowed);
    *v = (struct policy_verdict){0};
}

int policy_check_ranges(const struct policy *p, const struct netset *ranges,
                        const struct netset *own, int64_t now_us, struct err *e)
{
    auto_netset open = {0};

    scope_open(p, ranges, own, now_us, true, &open);
    for (size_t i = 0; i < ranges->n; i++) {
        struct net_range outside;

        if (!netset_covers(&open, &ranges->v[i], &outside)) {
            return scope_explain(p, own, now_us, &outside, e);
        }
    }
    return 0;
}

/* ---- the machine ---- */

bool policy_names_dns(const struct policy *p, const struct net_ip *ip)
{
    for (size_t i = 0; i < p->n_rules; i++) {
        const struct policy_rules *r = &p->rules[i].pub;

        if (r->has_dns && net_ip_cmp(&r->dns, ip) == 0) {
            return true;
        }
    }
    return false;
}

int own_addresses(struct netset *out, struct err *e)
{
    static const struct net_range loopbacks[] = {
        {{.lo = 0x7f000000}, {.lo = 0x7fffffff}},
        {{.v6 = true, .lo = 1}, {.v6 = true, .lo = 1}},
    };
    struct netset found = {0};
    struct ifaddrs *list;

    if (getifaddrs(&list) < 0) {
        return err_errno(e, "list the machine's addresses");
    }
    for (size_t i = 0; i < ARRAY_LEN(loopbacks); i++) {
        netset_add(&found, &loopbacks[i]);
    }
    for (const struct ifaddrs *a = list; a; a = a->ifa_next) {
        socklen_t len = a->ifa_addr && a->ifa_addr->sa_family == AF_INET6
                            ? sizeof(struct sockaddr_in6)
                            : sizeof(struct sockaddr_in);
        struct net_ip ip;

        if (a->ifa_addr && net_ip_from(a->ifa_addr, len, &ip)) {
            netset_add(&found, &(struct net_range){ip, ip});
        }
    }
    freeifaddrs(list);
    *out = found;
    return 0;
}
