/*
 * Services that do not speak. nmap waits minutes for one of them, or gives up its host with all of
 * its ports. So hosts that were given up are looked at again, with their ports apart from each
 * other: in a task each host has one of its open ports, or few of many. What is given up once more
 * is cut again, until a port is alone: that one is silent. The more hosts there are, the more of
 * them go into one task, so those of several tasks are put together.
 */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "plan/internal.h"
#include "plan/pace.h"

/* Some ports of one host. */
struct part {
    const struct pair *v;
    size_t n;
};

/* Parts that go into one task. */
struct crowd {
    struct part *v; /* owned */
    size_t n, n_ports;
};

struct apart {
    const struct pairs *all; /* open ports of the hosts that were given up; sorted */
    struct crowd *v;         /* owned */
    size_t n, most;
    uint64_t left; /* ports that no task looks at */
};

static void apart_done(struct apart *a)
{
    for (size_t i = 0; i < a->n; i++) {
        free(a->v[i].v);
    }
    free(a->v);
}

static int by_ip(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    return net_ip_cmp(&x->ip, &y->ip);
}

void services_given_up(const struct plan_spec *s, const struct found *f, struct pairs *out)
{
    auto_pairs open = {0};

    if (!s->open || !pairs_read(s->open, &open)) {
        return;
    }
    for (size_t i = 0; i < open.n; i++) {
        struct place p = {.ip = open.v[i].ip};

        if (bsearch(&p, f->gone.v, f->gone.n, sizeof p, by_ip)) {
            pairs_add(out, &open.v[i]);
        }
    }
}

/* ---- waiting for others ---- */

static bool is_named(const struct target_set *t, const struct net_ip *ip)
{
    for (size_t i = 0; t && i < t->n_pins; i++) {
        for (size_t k = 0; k < t->pins[i].n; k++) {
            if (net_ip_cmp(&t->pins[i].ip[k], ip) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Hosts that are probed by name do not wait: who looks at them later does not know it. */
void services_wait(struct pairs *open, const struct target_set *pins, struct strvec *notes)
{
    auto_pairs wait = {0};
    auto_buf b = {0};
    size_t n = 0;

    for (size_t i = 0; i < open->n; i++) {
        if (is_named(pins, &open->v[i].ip)) {
            open->v[n++] = open->v[i];
        } else {
            pairs_add(&wait, &open->v[i]);
        }
    }
    open->n = n;
    if (wait.n) {
        pairs_text(&wait, &b);
        strvec_pushf(notes, WAITING_NOTE "%s", b.data);
    }
}

void services_waiting(const char *summary, struct pairs *out)
{
    json_t *o = summary ? json_loads(summary, 0, NULL) : NULL;
    const json_t *v;
    size_t i;

    json_array_foreach(json_object_get(o, "waiting"), i, v)
    {
        if (json_is_string(v) && !pairs_read(json_string_value(v), out)) {
            break; /* those that were read are fine */
        }
    }
    json_decref(o);
    pairs_sort(out);
}

/* ---- apart ---- */

static bool part_has(const struct part *mine, const struct pair *p)
{
    for (size_t i = 0; i < mine->n; i++) {
        if (mine->v[i].port == p->port && mine->v[i].proto == p->proto) {
            return true;
        }
    }
    return false;
}

/* True if one of these ports is open on the host of `mine`, and is not among those. */
static bool meets(const struct apart *a, const struct part *ports, const struct part *mine)
{
    for (size_t i = 0; i < ports->n; i++) {
        struct pair p = ports->v[i];

        p.ip = mine->v->ip;
        if (!part_has(mine, &p) && pairs_has(a->all, &p)) {
            return true;
        }
    }
    return false;
}

static bool same_host(const struct part *a, const struct part *b)
{
    return net_ip_cmp(&a->v->ip, &b->v->ip) == 0;
}

static bool fits(const struct apart *a, const struct crowd *c, const struct part *p)
{
    if (c->n_ports + p->n > PACE_SERVICE_PORTS) {
        return false;
    }
    for (size_t i = 0; i < c->n; i++) {
        if (same_host(p, &c->v[i]) || meets(a, p, &c->v[i]) || meets(a, &c->v[i], p)) {
            return false;
        }
    }
    return true;
}

static void place_part(struct apart *a, const struct part *p)
{
    size_t i = 0;

    while (i < a->n && !fits(a, &a->v[i], p)) {
        i++;
    }
    if (i == a->most) {
        a->left += p->n;
        return;
    }
    if (i == a->n) {
        a->v = xrealloc(a->v, (a->n + 1) * sizeof *a->v);
        a->v[a->n++] = (struct crowd){0};
    }
    a->v[i].v = xrealloc(a->v[i].v, (a->v[i].n + 1) * sizeof *p);
    a->v[i].v[a->v[i].n++] = *p;
    a->v[i].n_ports += p->n;
}

/* All ports of one host. One that was alone before is not looked at again. */
static void place_host(struct apart *a, const struct pair *v, size_t n, int32_t round)
{
    size_t parts = round == 0 ? MIN(n, (size_t)PACE_APART_PARTS) : n;

    if (n == 1 && round > 0) {
        a->left++;
        return;
    }
    for (size_t k = 0; k < parts; k++) {
        size_t low = n * k / parts, high = n * (k + 1) / parts;

        place_part(a, &(struct part){v + low, high - low});
    }
}

static void add_crowd(const struct plan *p, int at, int32_t round, const struct crowd *c,
                      const struct target_set *pins, struct plan_tasks *out)
{
    auto_pairs open = {0};

    for (size_t i = 0; i < c->n; i++) {
        for (size_t k = 0; k < c->v[i].n; k++) {
            pairs_add(&open, &c->v[i].v[k]);
        }
    }
    services_task(p, at, &open, pins, round, out);
}

void services_apart(const struct plan *p, int at, int32_t round, struct pairs *open,
                    const struct target_set *pins, struct plan_tasks *out, struct strvec *notes)
{
    struct apart a = {.all = open, .most = services_apart_most(p)};
    size_t end;

    pairs_sort(open);
    for (size_t i = 0; i < open->n; i = end) {
        for (end = i; end < open->n && net_ip_cmp(&open->v[end].ip, &open->v[i].ip) == 0; end++) {
        }
        place_host(&a, &open->v[i], end - i, round);
    }
    for (size_t i = 0; i < a.n; i++) {
        add_crowd(p, at, round + 1, &a.v[i], pins, out);
    }
    if (a.left) {
        strvec_pushf(notes, SILENT_NOTE "%" PRIu64, a.left);
    }
    apart_done(&a);
}
