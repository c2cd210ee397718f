/*
 * A request for nmap: what it asks for at most, what it needs of the network, and whether its
 * options go together. nmap finds most of the contradictions itself, but only when the scan runs.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/request.h"
#include "tool/nmap_options.h"
#include "tool/tool_option.h"

enum { PORTS_DEFAULT = 1000, PORTS_FAST = 100 };

static bool is_technique(const struct tool_use *u)
{
    return str_eq(u->row->field, "technique");
}

/* ---- contradictions ---- */

/* -sn, -sL and -sO are alone; the first two have no ports and nothing that is found out there. */
static int check_alone(const struct tool_uses *u, const struct tool_plan *p, struct err *e)
{
    static const char *const alone[] = {"-sn", "-sL", "-sO"};
    static const char *const of_ports[] = {"-p",  "-F", "--top-ports", "--exclude-ports",
                                           "-sV", "-O"};

    for (size_t i = 0; i < ARRAY_LEN(alone); i++) {
        if (!tool_use_given(u, alone[i])) {
            continue;
        }
        for (size_t k = 0; k < u->n; k++) {
            if (is_technique(&u->v[k]) && !str_eq(u->v[k].row->name, alone[i])) {
                return tool_use_contradiction(alone[i], u->v[k].row->name, e);
            }
        }
        if (str_eq(alone[i], "-sO")) {
            continue;
        }
        for (size_t k = 0; k < ARRAY_LEN(of_ports); k++) {
            if (tool_use_given(u, of_ports[k])) {
                return tool_use_contradiction(alone[i], of_ports[k], e);
            }
        }
        if (p->ports) {
            return tool_use_contradiction(alone[i], "ports", e);
        }
    }
    return 0;
}

/* Pairs of which nmap refuses or overlooks one. */
static int check_pairs(const struct tool_uses *u, struct err *e)
{
    static const char *const pairs[][2] = {
        {"-Pn", "-PE"},
        {"-Pn", "-PP"},
        {"-Pn", "-PM"},
        {"-Pn", "-PS"},
        {"-Pn", "-PA"},
        {"-Pn", "-PU"},
        {"-Pn", "-PY"},
        {"-Pn", "-PO"},
        {"-sT", "--traceroute"},
        {"-sT", "--scanflags"},
        {"--defeat-rst-ratelimit", "-sT"},
        {"--defeat-rst-ratelimit", "-sA"},
        {"--defeat-rst-ratelimit", "-sW"},
        {"--defeat-rst-ratelimit", "-sM"},
        {"--defeat-rst-ratelimit", "-sN"},
        {"--defeat-rst-ratelimit", "-sF"},
        {"--defeat-rst-ratelimit", "-sX"},
    };

    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        if (tool_use_given(u, pairs[i][0]) && tool_use_given(u, pairs[i][1])) {
            return tool_use_contradiction(pairs[i][0], pairs[i][1], e);
        }
    }
    if (tool_use_given(u, "--defeat-icmp-ratelimit") && !tool_use_given(u, "-sU")) {
        return err_set(e, ERR_INVALID, "argument '--defeat-icmp-ratelimit' needs '-sU'");
    }
    return 0;
}

static int check_bounds(const struct tool_uses *u, struct err *e)
{
    static const char *const order[][2] = {
        {"--min-rate", "--max-rate"},
        {"--min-parallelism", "--max-parallelism"},
        {"--min-hostgroup", "--max-hostgroup"},
        {"--min-rtt-timeout", "--max-rtt-timeout"},
        {"--min-rtt-timeout", "--initial-rtt-timeout"},
        {"--initial-rtt-timeout", "--max-rtt-timeout"},
        {"--scan-delay", "--max-scan-delay"},
    };
    const struct tool_use *mtu = tool_use_find(u, "--mtu");

    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        const struct tool_use *low = tool_use_find(u, order[i][0]);
        const struct tool_use *high = tool_use_find(u, order[i][1]);

        if (low && high && low->number > high->number) {
            return err_set(e, ERR_INVALID, "contradicting arguments: '%s %s' is more than '%s %s'",
                           order[i][0], low->value, order[i][1], high->value);
        }
    }
    if (mtu && mtu->number % 8) {
        return err_set(e, ERR_INVALID, "invalid value for '--mtu': '%s': a multiple of 8",
                       mtu->value);
    }
    return 0;
}

static int check_together(const struct tool_uses *u, const struct tool_plan *p, struct err *e)
{
    static const char *const choices[] = {"-F", "--top-ports"};
    int rc = check_alone(u, p, e);

    if (rc == 0) {
        rc = check_pairs(u, e);
    }
    if (rc == 0) {
        rc = check_bounds(u, e);
    }
    for (size_t i = 0; rc == 0 && p->ports && i < ARRAY_LEN(choices); i++) {
        if (tool_use_given(u, choices[i])) {
            rc = tool_use_contradiction(choices[i], "ports", e);
        }
    }
    if (rc == 0 && tool_use_given(u, "-6") && target_set_has_v4(&p->targets)) {
        rc = err_set(e, ERR_INVALID, "contradicting arguments: '-6' and IPv4 targets");
    }
    return rc;
}

/* ---- scripts ---- */

static int put_scripts(const struct tool_request *q, const struct tool_uses *u,
                       struct strvec *tokens, struct err *e)
{
    const struct tool_use *list = tool_use_find(u, "--script");
    const struct tool_use *args = tool_use_find(u, "--script-args");
    bool by_default = tool_use_given(u, "-sC");
    auto_strvec names = {0};
    auto_buf text = {0};
    int rc;

    if (!list && !by_default) {
        return args ? err_set(e, ERR_INVALID, "argument '--script-args' needs '--script'") : 0;
    }
    if (!q->nse) {
        return err_set(e, ERR_INVALID,
                       "scripts cannot be chosen: nmap's script.db was not found on this server");
    }
    auto_free char *wanted = str_fmt("%s%s%s", by_default ? "default" : "",
                                     by_default && list ? "," : "", list ? list->value : "");
    rc = nse_select(q->nse, wanted, q->scripts, q->script_flags, &names, e);
    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < names.n; i++) {
        buf_addf(&text, "%s%s", i ? "," : "", names.v[i]);
    }
    strvec_push(tokens, "--script");
    strvec_push(tokens, text.data);
    if (args) {
        buf_reset(&text);
        rc = nse_arguments(args->value, &names, &text, e);
        if (rc < 0) {
            return rc;
        }
        strvec_push(tokens, "--script-args");
        strvec_push(tokens, text.data);
    }
    return 0;
}

/* ---- what it comes to ---- */

/* How many values a list without letters has. */
static uint32_t list_count(const char *list)
{
    uint32_t n[PORTS_PROTOCOLS];

    ports_count(list, n);
    return MAX(MAX(n[PORTS_TCP], n[PORTS_UDP]), n[PORTS_SCTP]);
}

static void fill_protocols(const struct tool_uses *u, struct tool_plan *p)
{
    if (tool_use_given(u, "-sn") || tool_use_given(u, "-sL") || tool_use_given(u, "-sO")) {
        return;
    }
    for (size_t i = 0; i < u->n; i++) {
        p->protocols |= str_eq(u->v[i].row->group, "tcp") ? 1u << PORTS_TCP : 0;
        p->protocols |= str_eq(u->v[i].row->group, "sctp") ? 1u << PORTS_SCTP : 0;
    }
    p->protocols |= tool_use_given(u, "-sU") ? 1u << PORTS_UDP : 0;
    p->protocols |= p->protocols ? 0 : 1u << PORTS_TCP; /* nmap's own choice */
}

/* One host's probes, at most: (protocol, port) pairs, or IP protocols. */
static uint32_t probes(const struct tool_uses *u, const struct tool_plan *p)
{
    const struct tool_use *top = tool_use_find(u, "--top-ports");
    uint32_t each = top                       ? (uint32_t)MIN(top->number, 65535)
                    : tool_use_given(u, "-F") ? PORTS_FAST
                                              : PORTS_DEFAULT;
    uint32_t n[PORTS_PROTOCOLS] = {each, each, each};
    uint32_t sum = 0;

    if (tool_use_given(u, "-sO")) {
        return list_count(p->ports);
    }
    if (p->ports) {
        ports_count(p->ports, n);
    }
    for (unsigned k = 0; k < PORTS_PROTOCOLS; k++) {
        sum += p->protocols >> k & 1 ? n[k] : 0;
    }
    return MAX(sum, 1u);
}

static void fill_need(const struct tool_uses *u, struct egress_need *need)
{
    unsigned best = 0;

    need->network = true;
    /* Without them nmap knocks by connect(); a connect scan without discovery has no use. */
    need->wants_raw = !(tool_use_given(u, "-sT") && tool_use_given(u, "-Pn"));
    for (size_t i = 0; i < u->n; i++) {
        const struct tool_option *o = u->v[i].row;
        unsigned rank = o->nat_lies ? 3 : o->slirp_lies ? 2 : o->needs_raw ? 1 : 0;

        need->raw |= o->needs_raw;
        need->wants_raw |= o->needs_raw;
        need->nat_lies |= o->nat_lies;
        need->slirp_lies |= o->slirp_lies;
        if (rank > best) {
            best = rank;
            need->option = o->name;
        }
    }
}

/* -sC and what stands in members of the plan's own is left out. */
static void put_options(const struct tool_uses *u, struct strvec *tokens)
{
    static const char *const elsewhere[] = {"-p", "-n", "-sC", "--script", "--script-args", NULL};

    tool_uses_put(u, elsewhere, tokens);
}

/* Which IP protocols the filter of a box lets out (netd): of others -sO would say "open or
 * filtered", because no answer came to what was never sent. */
static bool leaves_box(uint64_t protocol)
{
    static const uint8_t out[] = {IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMPV6,
                                  IPPROTO_SCTP};

    return memchr(out, (int)protocol, sizeof out) != NULL;
}

/* `list` is canonical: "1,6,17-20". */
static int check_protocols(const char *list, struct err *e)
{
    if (!tool_protocols_value(list)) {
        return err_set(e, ERR_INVALID, "'-sO' takes protocols from 0 to 255, without letters");
    }
    for (const char *at = list; *at;) {
        char *end;
        unsigned long first = strtoul(at, &end, 10);
        unsigned long last = *end == '-' ? strtoul(end + 1, &end, 10) : first;

        for (unsigned long n = first; n <= last; n++) {
            if (!leaves_box(n)) {
                return err_set(e, ERR_INVALID,
                               "'-sO' takes the protocols 1, 6, 17, 58 and 132: probes of %lu do "
                               "not leave a box",
                               n);
            }
        }
        at = *end ? end + 1 : end;
    }
    return 0;
}

static int choose_protocols(const struct tool_uses *u, struct tool_plan *p, struct err *e)
{
    bool v6_only = target_set_has_v6(&p->targets) && !target_set_has_v4(&p->targets);

    if (!tool_use_given(u, "-sO")) {
        return 0;
    }
    if (p->ports) {
        return check_protocols(p->ports, e);
    }
    p->ports = xstrdup(v6_only ? "6,17,58,132" : "1,6,17,132");
    return 0;
}

int nmap_check(const struct tool_request *q, const struct strvec *tokens, struct tool_plan *p,
               struct err *e)
{
    auto_uses uses = {0};
    const struct tool_use *ports;
    int rc = tool_uses_read(&tool_nmap, q, tokens, &uses, e);

    if (rc == 0 && !q->old) {
        rc = check_together(&uses, p, e);
    }
    if (rc < 0) {
        return rc;
    }
    ports = tool_use_find(&uses, "-p");
    if (ports && p->ports) {
        return tool_use_contradiction("-p", "ports", e);
    }
    if (ports) {
        p->ports = xstrdup(ports->value);
    }
    put_options(&uses, &p->tokens);
    rc = choose_protocols(&uses, p, e);
    if (rc == 0) {
        rc = put_scripts(q, &uses, &p->tokens, e);
    }
    if (rc < 0) {
        return rc;
    }
    fill_protocols(&uses, p);
    p->n_ports = probes(&uses, p);
    fill_need(&uses, &p->need);
    return 0;
}
