#include "daemon/cover.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/request.h"

static const char *const protocols[4] = {"tcp", "udp", "sctp", "ip"};

/* A name stands for its first address: that is the one that tools probe. */
static void targets_of(const struct tool_plan *p, struct netset *out)
{
    netset_add_set(out, &p->targets.addresses);
    for (size_t i = 0; i < p->targets.n_pins; i++) {
        const struct target_pin *pin = &p->targets.pins[i];

        if (pin->n > 0) {
            netset_add(out, &(struct net_range){pin->ip[0], pin->ip[0]});
        }
    }
}

static char *text_of(const struct netset *set)
{
    struct target_set t = {0};
    struct buf lines = {0};

    netset_add_set(&t.addresses, set);
    target_set_lines(&t, true, &lines);
    target_set_done(&t);
    for (size_t i = 0; i < lines.len; i++) {
        if (lines.data[i] == '\n') {
            lines.data[i] = ',';
        }
    }
    if (lines.len > 0) { /* the last line's end */
        lines.data[lines.len - 1] = '\0';
    }
    return buf_take(&lines);
}

static void add(struct cover *c, const struct cover_ask *ask, const char *protocol,
                const char *ports, bool up_only)
{
    c->cells[c->n++] = (struct coverage_cell){
        .addresses = c->addresses,
        .protocol = protocol,
        .ports = ports,
        .up_only = up_only,
        .start_us = ask->start_us,
        .end_us = ask->end_us,
    };
}

static void addresses_of(const struct cover_ask *ask, struct netset *out)
{
    if (ask->whole && ask->plan) {
        targets_of(ask->plan, out);
        netset_remove_set(out, ask->gave_up);
    } else if (!ask->plan || !ask->tool->merges) {
        netset_add_set(out, ask->finished);
    }
}

void cover_cells(const struct cover_ask *ask, struct cover *out)
{
    static const struct tool_plan nothing;
    struct tool_cover c = {0};
    auto_netset set = {0};

    *out = (struct cover){0};
    addresses_of(ask, &set);
    if (set.n == 0 || !ask->tool->covers) {
        return;
    }
    ask->tool->covers(ask->plan ? ask->plan : &nothing, ask->run_json, &c);
    out->addresses = text_of(&set);
    /* A sweeper's file does not say what was probed: that these hosts were is all that is known. */
    if (c.hosts || (!ask->plan && ask->tool->merges)) {
        add(out, ask, "host", NULL, false);
    }
    for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
        out->ports[i] = c.ports[i];
        if (c.ports[i]) {
            add(out, ask, protocols[i], c.ports[i], c.up_only);
        }
    }
}

void cover_done(struct cover *c)
{
    free(c->addresses);
    for (size_t i = 0; i < ARRAY_LEN(c->ports); i++) {
        free(c->ports[i]);
    }
    *c = (struct cover){0};
}

uint64_t cover_probes(const char *addresses, const char *ports)
{
    auto_free char *copy = xstrdup(addresses);
    auto_targets set = {0};
    uint32_t n[PORTS_PROTOCOLS] = {0};
    uint64_t a;

    for (char *save, *t = strtok_r(copy, ",", &save); t; t = strtok_r(NULL, ",", &save)) {
        if (target_add(&set, t, NULL) != 0) {
            return 0; /* not ours */
        }
    }
    a = target_set_count(&set);
    if (ports) {
        ports_count(ports, n);
        a = a > UINT64_MAX / MAX(n[PORTS_TCP], 1) ? UINT64_MAX : a * n[PORTS_TCP];
    }
    return a;
}
