/* What a plan needs: numbers for the policy, for people, and for the machine. */
#include <string.h>

#include "base/mem.h"
#include "model/request.h"
#include "plan/internal.h"
#include "plan/pace.h"

enum {
    HOSTS_PROBES = 4,      /* of each address, about */
    HOSTS_PER_SECOND = 80, /* that nmap looks at with one task, silent ones among them */
    OWN_RATE = 3000,       /* probes a second of nmap at its own pace */
    UP_ONE_IN = 4,         /* addresses that answer: a guess */
    SERVICES_SECONDS = 10,
};

/* The option that cannot work without raw sockets; NULL: there is none. */
static const char *raw_option(const char *tool, const char *arguments)
{
    const struct tool *t = tool_find(tool);
    auto_strvec words = {0};

    if (!arguments || !t || shell_split(arguments, &words, NULL) < 0) {
        return NULL;
    }
    for (size_t i = 0; i < words.n; i++) {
        for (const struct tool_option *o = t->options; o && o->name; o++) {
            bool same =
                str_eq(o->name, words.v[i]) || (o->glued && str_starts(words.v[i], o->name));

            if (same && o->needs_raw) {
                return o->name;
            }
        }
    }
    return NULL;
}

enum queue_kind plan_spec_queue(const struct plan_spec *s)
{
    const struct tool *t = tool_find(s->tool);

    return t && (t->merges || raw_option(s->tool, s->arguments)) ? t->raw_queue : QUEUE_NET;
}

/* What the stage's tool says of it: its options may tell another rate, and to send each probe more
 * than once. Tasks that cannot run at the same time wait for their last answers one after the
 * other. 0: it does not say. */
static uint64_t told_seconds(const struct plan *p, const struct stage *s, uint64_t live)
{
    const struct tool *t = tool_find(s->tool);
    const struct tool_request q = {
        .targets = "192.0.2.1", .ports = s->ports, .arguments = s->arguments, .advanced = true};
    struct tool_start start = {.rate_pps = s->rate, .addresses = live};
    uint64_t tasks = p->one      ? 1
                     : p->shards ? p->shards
                                 : 1 + mul_sat(live, s->n_ports) / PACE_SWEEP_PROBES;
    auto_plan asked = {0};
    uint64_t whole;

    if (!t || !t->takes_s || tool_check(t, &q, &asked, NULL) < 0) {
        return 0;
    }
    whole = t->takes_s(&asked, &start);
    start.addresses = 1;
    return add_sat(whole, mul_sat((tasks - 1) / p->slots, t->takes_s(&asked, &start)));
}

static uint64_t seconds_of(const struct plan *p, const struct stage *s, uint64_t live,
                           uint64_t addresses)
{
    uint64_t slots = MAX(MIN(p->slots, p->first_tasks), 1u);
    uint64_t rate, told;

    switch (s->kind) {
    case STAGE_HOSTS:
        return 2 + addresses / (HOSTS_PER_SECOND * slots);
    case STAGE_PORTS:
        told = told_seconds(p, s, live);
        if (told) {
            return told;
        }
        rate = s->rate ? s->rate : (uint64_t)OWN_RATE * p->slots;
        return 1 + mul_sat(live, s->n_ports) / MAX(rate, UINT64_C(1));
    default:
        return SERVICES_SECONDS + live / (8 * (uint64_t)p->slots);
    }
}

void plan_needs(const struct plan *p, const struct target_set *t, struct plan_needs *out)
{
    uint64_t seconds = 0, live;

    *out = (struct plan_needs){.addresses = target_set_count(t)};
    live = out->addresses;
    for (size_t i = 0; i < p->n; i++) {
        const struct stage *s = &p->v[i];
        const char *option = raw_option(s->tool, s->arguments);

        if (s->kind == STAGE_HOSTS) {
            out->probes = add_sat(out->probes, mul_sat(out->addresses, HOSTS_PROBES));
        } else if (s->kind == STAGE_PORTS) {
            out->ports += s->n_ports;
            out->probes = add_sat(out->probes, mul_sat(out->addresses, s->n_ports));
            out->protocols |= s->protocols;
        }
        seconds = add_sat(seconds, seconds_of(p, s, live, out->addresses));
        if (s->kind == STAGE_HOSTS || !plan_knows_hosts(p, (int)i)) {
            live = MAX(live / UP_ONE_IN, UINT64_C(1));
        }
        if (!str_eq(s->tool, "nmap")) {
            out->raw = true;
            out->raw_by = s->tool;
        } else if (option && !out->raw) {
            out->raw = true;
            out->raw_by = option;
        }
    }
    out->seconds = (uint32_t)MIN(seconds, (uint64_t)UINT32_MAX);
}
