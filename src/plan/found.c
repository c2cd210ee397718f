/*
 * What a task found, read once. Open ports are kept as pairs; of hosts on which nearly all of many
 * ports are open only a few are. What did not answer is kept port by port for some hosts only:
 * those of which a sample is taken, or to which one belongs.
 */
#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "plan/internal.h"

enum { PAIRS_MAX = 400000 };

/* ---- pairs ---- */

void pairs_done(struct pairs *s)
{
    free(s->v);
    *s = (struct pairs){0};
}

void pairs_add(struct pairs *s, const struct pair *p)
{
    if (s->n == s->size) {
        s->size = s->size ? 2 * s->size : 64;
        s->v = xrealloc(s->v, s->size * sizeof *s->v);
    }
    s->v[s->n++] = *p;
}

static int pair_cmp(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    int d = net_ip_cmp(&x->ip, &y->ip);

    if (d == 0) {
        d = (x->proto > y->proto) - (x->proto < y->proto);
    }
    return d ? d : (x->port > y->port) - (x->port < y->port);
}

void pairs_sort(struct pairs *s)
{
    size_t n = 0;

    if (s->n) {
        qsort(s->v, s->n, sizeof *s->v, pair_cmp);
    }
    for (size_t i = 0; i < s->n; i++) {
        if (n == 0 || pair_cmp(&s->v[n - 1], &s->v[i]) != 0) {
            s->v[n++] = s->v[i];
        }
    }
    s->n = n;
}

bool pairs_has(const struct pairs *s, const struct pair *p)
{
    return s->n && bsearch(p, s->v, s->n, sizeof *s->v, pair_cmp) != NULL;
}

void pairs_text(const struct pairs *s, struct buf *out)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct pair *p = &s->v[i];
        char text[NET_TEXT];

        if (i && net_ip_cmp(&p->ip, &p[-1].ip) == 0) {
            buf_addc(out, ',');
        } else {
            net_ip_text(&p->ip, text);
            buf_addf(out, p->ip.v6 ? "%s[%s]:" : "%s%s:", i ? " " : "", text);
        }
        buf_adds(out, p->quiet ? "?" : "");
        buf_adds(out, p->proto == PROTO_UDP ? "U" : p->proto == PROTO_SCTP ? "S" : "");
        buf_addu(out, p->port);
    }
}

/* The ports behind one address, up to a blank or the end. */
static const char *read_ports(const char *s, struct pair *p, struct pairs *out)
{
    do {
        char *end;
        unsigned long v;

        p->quiet = *s == '?';
        s += p->quiet;
        p->proto = *s == 'U' ? PROTO_UDP : *s == 'S' ? PROTO_SCTP : PROTO_TCP;
        s += p->proto != PROTO_TCP;
        if (*s < '0' || *s > '9') {
            return NULL;
        }
        v = strtoul(s, &end, 10);
        if (v > UINT16_MAX) {
            return NULL;
        }
        p->port = (uint16_t)v;
        pairs_add(out, p);
        s = end;
    } while (*s++ == ',');
    s--;
    return *s == ' ' ? s + 1 : *s == '\0' ? s : NULL;
}

bool pairs_read(const char *text, struct pairs *out)
{
    while (*text) {
        bool v6 = *text == '[';
        const char *end = strchr(text, v6 ? ']' : ':');
        struct pair p = {0};
        char ip[NET_TEXT];

        text += v6;
        if (!end || (size_t)(end - text) >= sizeof ip) {
            return false;
        }
        memcpy(ip, text, (size_t)(end - text));
        ip[end - text] = '\0';
        end += v6;
        if (*end != ':' || !net_ip_parse(ip, &p.ip)) {
            return false;
        }
        text = read_ports(end + 1, &p, out);
        if (!text) {
            return false;
        }
    }
    pairs_sort(out);
    return true;
}

/* ---- hosts on which everything is open ---- */

static struct everywhere *flag_of(struct found *f, const struct net_ip *ip)
{
    for (size_t i = 0; i < f->n_flagged; i++) {
        if (net_ip_cmp(&f->flagged[i].ip, ip) == 0) {
            return &f->flagged[i];
        }
    }
    return NULL;
}

/* Keeps `look` of the n pairs at v, chosen by chance; returns how many. */
static size_t thin(struct found *f, struct pair *v, size_t n)
{
    struct chance c = {chance_hash(f->seed, &v->ip.lo, sizeof v->ip.lo)};
    size_t keep = MIN((size_t)f->look, n);

    for (size_t i = 0; i < keep; i++) {
        size_t k = i + (size_t)chance_below(&c, n - i);
        struct pair swap = v[i];

        v[i] = v[k];
        v[k] = swap;
    }
    return keep;
}

/* Sorts what there is and thins it out. */
static void compact(struct found *f)
{
    size_t n = 0, end;

    pairs_sort(&f->open);
    for (size_t i = 0; i < f->open.n; i = end) {
        struct pair *run = &f->open.v[i];
        struct everywhere *flag = f->probed ? flag_of(f, &run->ip) : NULL;
        size_t kept;

        for (end = i; end < f->open.n && net_ip_cmp(&f->open.v[end].ip, &run->ip) == 0; end++) {
        }
        kept = end - i;
        if (f->probed && !flag && kept >= OPEN_EVERYWHERE_MIN && kept * 2 >= f->probed) {
            f->flagged = xrealloc(f->flagged, (f->n_flagged + 1) * sizeof *f->flagged);
            flag = &f->flagged[f->n_flagged++];
            *flag = (struct everywhere){.ip = run->ip};
        }
        if (flag && kept > f->look) {
            flag->open += kept - (flag->open ? MIN(f->look, flag->open) : 0);
            kept = thin(f, run, kept);
        }
        memmove(&f->open.v[n], run, kept * sizeof *run);
        n += kept;
    }
    f->open.n = n;
    pairs_sort(&f->open);
}

/* ---- reading ---- */

struct reading {
    struct found *f;
    struct netset asked; /* what the task may send to; empty: not known */
    struct detail *now;  /* of the host that is read */
    struct net_ip ip;
    bool ok, dirty, whole;
    uint64_t quiet, spoke, open;
};

static bool is_quiet(const char *reason)
{
    return reason && str_starts(reason, "no-response");
}

static void mark_list(struct reading *r, const char *list, bool quiet)
{
    portset_read(quiet ? &r->now->quiet : &r->now->spoke, list, PROTO_TCP);
    r->dirty = true;
}

/* [{"state","count","reasons":[{"reason","count","proto","ports"}]}] */
static void read_extraports(struct reading *r, const char *text)
{
    json_t *list = json_loads(text, 0, NULL);
    size_t groups = json_array_size(list), i, k;
    const json_t *group, *reason;

    json_array_foreach(list, i, group)
    {
        const char *state = json_string_value(json_object_get(group, "state"));
        const json_t *reasons = json_object_get(group, "reasons");
        bool closed = str_eq(state, "closed");

        if (json_array_size(reasons) == 0 && closed) {
            const char *ports = json_string_value(json_object_get(group, "ports"));
            json_int_t n = json_integer_value(json_object_get(group, "count"));

            r->spoke += n > 0 ? (uint64_t)n : 0;
            if (ports) {
                mark_list(r, ports, false);
            }
        }
        json_array_foreach(reasons, k, reason)
        {
            bool quiet = is_quiet(json_string_value(json_object_get(reason, "reason")));
            const char *ports = json_string_value(json_object_get(reason, "ports"));
            const char *proto = json_string_value(json_object_get(reason, "proto"));
            json_int_t n = json_integer_value(json_object_get(reason, "count"));

            if ((!quiet && !closed) || (proto && !str_eq(proto, "tcp"))) {
                continue;
            }
            *(quiet ? &r->quiet : &r->spoke) += n > 0 ? (uint64_t)n : 0;
            if (ports) {
                mark_list(r, ports, quiet);
            } else if (groups == 1 && json_array_size(reasons) == 1) {
                *(quiet ? &r->now->rest_quiet : &r->now->rest_spoke) = true;
                r->dirty = true;
            }
        }
    }
    json_decref(list);
}

/* The name that an address is probed by. */
static const char *name_of(const struct target_set *t, const struct net_ip *ip)
{
    for (size_t i = 0; t && i < t->n_pins; i++) {
        for (size_t k = 0; k < t->pins[i].n; k++) {
            if (net_ip_cmp(&t->pins[i].ip[k], ip) == 0) {
                return t->pins[i].name;
            }
        }
    }
    return NULL;
}

static int on_host(void *arg, int64_t seq, const struct host *h, struct err *e)
{
    struct reading *r = arg;
    struct found *f = r->f;
    const char *text = host_address(h);

    if (r->dirty) {
        *r->now = (struct detail){0};
    }
    r->dirty = false;
    r->quiet = r->spoke = r->open = 0;
    r->ok = text && net_ip_parse(text, &r->ip);
    if (r->ok && r->asked.n > 0) {
        /* What a tool tells of others than it was asked about is no reason to look at them. */
        r->ok = netset_has(&r->asked, &r->ip);
    }
    if (!r->ok) {
        return 0;
    }
    if (h->timed_out) {
        places_add(&f->gone, &r->ip, name_of(f->pins, &r->ip));
        r->ok = false;
        return 0;
    }
    r->ok = !h->state || str_eq(h->state, "up") || str_eq(h->state, "unknown");
    if (r->ok) {
        places_add(&f->up, &r->ip, name_of(f->pins, &r->ip));
    }
    if (r->ok && h->extraports) {
        read_extraports(r, h->extraports);
    }
    return 0;
}

static int on_port(void *arg, const struct port *p, struct err *e)
{
    struct reading *r = arg;
    int proto = proto_of(p->protocol);

    if (!r->ok || proto < 0) {
        return 0;
    }
    if (str_eq(p->state, "open")) {
        r->open++;
        r->f->n_open++;
        if (r->f->open.n >= PAIRS_MAX && !r->f->full) {
            compact(r->f);
            r->f->full = r->f->open.n > PAIRS_MAX - PAIRS_MAX / 4;
        }
        if (!r->f->full) {
            pairs_add(&r->f->open, &(struct pair){r->ip, (uint8_t)proto, false, p->number});
        }
    } else if (proto == PROTO_TCP && str_eq(p->state, "closed")) {
        r->spoke++;
        portset_add(&r->now->spoke, p->number);
        r->dirty = true;
    } else if (proto == PROTO_TCP && is_quiet(p->reason)) {
        r->quiet++;
        portset_add(&r->now->quiet, p->number);
        r->dirty = true;
    }
    return 0;
}

static bool asked_for(const struct found *f, const struct net_ip *ip)
{
    size_t low = 0, high = f->only->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (net_ip_cmp(&f->only->v[mid].ip, ip) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < f->only->n && net_ip_cmp(&f->only->v[low].ip, ip) == 0;
}

static void keep_detail(struct found *f, const struct detail *d)
{
    size_t worst = 0;

    if (!f->details) {
        f->details = xcalloc(DETAILS_MAX, sizeof *f->details);
    }
    if (f->n_details < DETAILS_MAX) {
        f->details[f->n_details++] = *d;
        return;
    }
    for (size_t i = 1; i < f->n_details; i++) {
        worst = f->details[i].rank > f->details[worst].rank ? i : worst;
    }
    if (d->rank < f->details[worst].rank) {
        f->details[worst] = *d;
    }
}

static int on_end(void *arg, struct err *e)
{
    struct reading *r = arg;
    struct found *f = r->f;
    bool live = r->spoke || r->open;

    if (!r->ok) {
        return 0;
    }
    f->spoke += r->spoke;
    f->quiet += live ? r->quiet : 0;
    if (f->only ? asked_for(f, &r->ip) : f->seed != 0) {
        r->now->ip = r->ip;
        /* Hosts that live first. */
        r->now->rank =
            chance_hash(f->seed, &r->ip.lo, sizeof r->ip.lo) >> 1 | (live ? 0 : UINT64_C(1) << 63);
        keep_detail(f, r->now);
    }
    return 0;
}

void found_done(struct found *f)
{
    places_done(&f->up);
    places_done(&f->gone);
    pairs_done(&f->open);
    free(f->details);
    free(f->flagged);
    *f = (struct found){0};
}

static int by_rank(const void *a, const void *b)
{
    const struct detail *x = a, *y = b;

    return (x->rank > y->rank) - (x->rank < y->rank);
}

static int by_ip(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    return net_ip_cmp(&x->ip, &y->ip);
}

/* Each address once, in order. */
static void sort_places(struct places *l)
{
    size_t n = 0;

    if (l->n) {
        qsort(l->v, l->n, sizeof *l->v, by_ip);
    }
    for (size_t i = 0; i < l->n; i++) {
        if (n == 0 || by_ip(&l->v[n - 1], &l->v[i]) != 0) {
            l->v[n++] = l->v[i];
        }
    }
    l->n = n;
}

int found_read(struct found *f, const struct plan_ended *t, struct err *e)
{
    auto_free struct detail *now = xcalloc(1, sizeof *now);
    struct reading r = {.f = f, .now = now};
    struct host_sink sink = {on_host, on_port, on_end, &r};
    int rc;

    if (f->pins) {
        target_set_all(f->pins, &r.asked);
    }
    rc = t->hosts ? t->hosts(t->arg, &sink, e) : 0;
    netset_done(&r.asked);
    compact(f);
    sort_places(&f->up);
    sort_places(&f->gone);
    if (f->n_details) {
        qsort(f->details, f->n_details, sizeof *f->details, by_rank);
    }
    return rc;
}
