/*
 * Hosts of tasks as lists, and the text that a task has for them: prefixes, ranges, and names with
 * the one address that each is pinned to in that task.
 */
#include <string.h>

#include "base/mem.h"
#include "model/request.h"
#include "plan/internal.h"

/* ---- lists of hosts ---- */

void places_done(struct places *l)
{
    free(l->v);
    *l = (struct places){0};
}

void places_add(struct places *l, const struct net_ip *ip, const char *name)
{
    if (l->n == l->size) {
        l->size = l->size ? 2 * l->size : 16;
        l->v = xrealloc(l->v, l->size * sizeof *l->v);
    }
    l->v[l->n++] = (struct place){*ip, name};
}

u128 ip_number(const struct net_ip *ip)
{
    return (u128)ip->hi << 64 | ip->lo;
}

struct net_ip ip_address(u128 v, bool v6)
{
    return (struct net_ip){.v6 = v6, .hi = (uint64_t)(v >> 64), .lo = (uint64_t)v};
}

const struct net_ip *place_ip(const struct target_set *t, const struct target_pin *pin)
{
    const struct net_ip *six = NULL;

    for (size_t i = 0; i < pin->n; i++) {
        if (!target_pin_allowed(t, &pin->ip[i])) {
            continue;
        }
        if (!pin->ip[i].v6) {
            return &pin->ip[i];
        }
        six = six ? six : &pin->ip[i];
    }
    return six;
}

void places_of(const struct target_set *t, uint64_t most, struct places *out)
{
    for (size_t i = 0; i < t->n_pins; i++) {
        const struct net_ip *ip = place_ip(t, &t->pins[i]);

        if (ip) {
            places_add(out, ip, t->pins[i].name);
        }
    }
    for (size_t i = 0; i < t->addresses.n && out->n < most; i++) {
        const struct net_range *r = &t->addresses.v[i];
        u128 last = ip_number(&r->last);

        for (u128 v = ip_number(&r->first); out->n < most; v++) {
            struct net_ip ip = ip_address(v, r->first.v6);

            places_add(out, &ip, NULL);
            if (v == last) {
                break;
            }
        }
    }
}

void places_family(const struct target_set *t, bool v6, bool numeric, struct netset *set,
                   struct places *names)
{
    for (size_t i = 0; i < t->addresses.n; i++) {
        if (t->addresses.v[i].first.v6 == v6) {
            netset_add(set, &t->addresses.v[i]);
        }
    }
    for (size_t i = 0; i < t->n_pins; i++) {
        const struct net_ip *ip = place_ip(t, &t->pins[i]);

        if (!ip || ip->v6 != v6) {
            continue;
        }
        if (numeric) {
            netset_add(set, &(struct net_range){*ip, *ip});
        } else {
            places_add(names, ip, t->pins[i].name);
        }
    }
}

/* ---- text of a task ---- */

static void prefix_text(void *arg, const struct net_ip *ip, unsigned len)
{
    struct net_range r = net_prefix(ip, len);
    struct buf *out = arg;
    char text[NET_TEXT];

    net_range_text(&r, text);
    buf_addf(out, "%s%s", out->len ? " " : "", text);
}

static void set_text(const struct netset *s, struct buf *out)
{
    for (size_t i = 0; i < s->n; i++) {
        char text[NET_TEXT];

        if (s->v[i].first.v6) { /* ranges of IPv6 are written as prefixes */
            net_range_prefixes(&s->v[i], prefix_text, out);
        } else {
            net_range_text(&s->v[i], text);
            buf_addf(out, "%s%s", out->len ? " " : "", text);
        }
    }
}

/* Names, with the one address that each has in this task. */
static void name_text(const struct place *v, size_t n, struct buf *targets, struct buf *pins)
{
    for (size_t i = 0; i < n; i++) {
        char text[NET_TEXT];

        if (v[i].name) {
            net_ip_text(&v[i].ip, text);
            buf_addf(targets, "%s%s", targets->len ? " " : "", v[i].name);
            buf_addf(pins, "%s%s=%s", pins->len ? "," : "", v[i].name, text);
        }
    }
}

void spec_set(struct plan_spec *s, const struct netset *set, const struct place *names,
              size_t n_names)
{
    auto_buf targets = {0}, pins = {0};

    set_text(set, &targets);
    name_text(names, n_names, &targets, &pins);
    free(s->targets);
    free(s->pins);
    s->targets = buf_take(&targets);
    s->pins = pins.len ? buf_take(&pins) : NULL;
    s->addresses = add_sat(netset_count(set), n_names);
}

void spec_places(struct plan_spec *s, const struct place *v, size_t n)
{
    auto_netset set = {0};
    auto_places names = {0};
    auto_free struct net_range *r = xcalloc(n + 1, sizeof *r);
    size_t n_ranges = 0;
    bool numeric = str_eq(s->tool, "masscan") || str_eq(s->tool, "zmap");

    for (size_t i = 0; i < n; i++) {
        if (v[i].name && !numeric) {
            places_add(&names, &v[i].ip, v[i].name);
        } else {
            r[n_ranges++] = (struct net_range){v[i].ip, v[i].ip};
        }
    }
    netset_add_many(&set, r, n_ranges);
    spec_set(s, &set, names.v, names.n);
}

int spec_targets(const struct plan_spec *s, struct target_set *out, struct err *e)
{
    auto_strvec words = {0};
    int rc = shell_split(s->targets ? s->targets : "", &words, e);

    if (rc == 0) {
        rc = target_set_parse(&words, out, e);
    }
    return rc == 0 && s->pins ? pins_apply(out, s->pins, e) : rc;
}
