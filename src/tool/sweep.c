#include "tool/sweep.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tool/tool_option.h"

uint64_t sweep_rate(const struct tool_start *s, uint64_t asked, struct strvec *notes)
{
    uint64_t most = s->rate_pps;

    if (!asked) {
        return most ? most : SWEEP_RATE;
    }
    if (!most || asked <= most) {
        return asked;
    }
    if (notes) {
        strvec_pushf(notes, "--rate became %" PRIu64 ": the limit of packets per second", most);
    }
    return most;
}

uint64_t sweep_times(uint64_t a, uint64_t b)
{
    uint64_t product;

    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

uint64_t sweep_seconds(uint64_t probes, uint64_t rate)
{
    return MIN(probes / rate + (probes % rate != 0), (uint64_t)UINT32_MAX);
}

uint64_t sweep_addresses(const struct tool_plan *p, const struct tool_start *s)
{
    return s->addresses ? s->addresses : target_set_count(&p->targets);
}

int sweep_may_start(const struct tool *t, const struct tool_plan *p, const struct tool_start *s,
                    struct err *e)
{
    if (!s->raw_sockets) {
        return err_set(e, ERR_INVALID, "%s needs raw sockets%s; use nmap with -sT", t->name,
                       s->broker ? ": at level broker only connect() and sendto() reach the network"
                                 : ", which this run cannot have");
    }
    if (target_set_count(&p->targets) == 0) {
        return err_set(e, ERR_INVALID, "%s is not started without targets", t->name);
    }
    return 0;
}

void sweep_need(const struct tool *t, struct egress_need *need)
{
    need->network = need->raw = need->wants_raw = true;
    need->option = t->name;
}

const char *sweep_value(const struct tool *t, const struct tool_plan *p, const char *field)
{
    for (size_t at = 0; at < p->tokens.n;) {
        const char *value;
        const struct tool_option *o = tool_use_next(t, &p->tokens, &at, &value);

        if (o && str_eq(o->field, field)) {
            return value ? value : "";
        }
    }
    return NULL;
}

uint64_t sweep_number(const struct tool *t, const struct tool_plan *p, const char *field,
                      uint64_t otherwise)
{
    const char *value = sweep_value(t, p, field);
    uint64_t n = otherwise;

    (void)(value && str_to_u64(value, 0, UINT64_MAX, &n));
    return n;
}

bool sweep_version(const char *output, const char *intro, char *version, size_t size)
{
    static const char *const letters =
        "0123456789.ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+-";
    const char *at = strstr(output, intro);
    size_t n;

    if (!at) {
        return false;
    }
    at += strlen(intro);
    n = strspn(at, letters);
    if (*at < '0' || *at > '9' || n >= size) {
        return false;
    }
    memcpy(version, at, n);
    version[n] = '\0';
    return true;
}

char *tool_ports_of(const char *ports, enum port_protocol protocol, bool plain)
{
    static const char letters[PORTS_PROTOCOLS] = {
        [PORTS_TCP] = 'T', [PORTS_UDP] = 'U', [PORTS_SCTP] = 'S'};
    bool take = plain;
    auto_buf list = {0};

    while (ports && *ports) {
        size_t n;

        if (ports[0] >= 'A' && ports[1] == ':') {
            take = ports[0] == letters[protocol];
            ports += 2;
        }
        n = strcspn(ports, ",");
        if (take) {
            buf_addf(&list, "%s%.*s", list.len ? "," : "", (int)n, ports);
        }
        ports += n + (ports[n] == ',');
    }
    return list.len ? ports_canonical(list.data) : NULL;
}
