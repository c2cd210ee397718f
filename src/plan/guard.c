/*
 * The accuracy guard: what is looked at again, and what follows from it.
 *
 * nmap tells closed ports from silent ones. A port that was silent in haste and is closed now was
 * lost then; half of the sample is taken from such ports, and the share that was lost is estimated
 * from how many there were. Any port of the sample that is open now is one too many.
 *
 * masscan and zmap tell open ports only, and some of them are lost by chance. There a second pass
 * over the same hosts says how much one pass finds of what the other found, and by that how much
 * both missed. Where it is not known who is up, and there are many addresses, only some of them are
 * swept twice.
 */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "plan/internal.h"
#include "plan/pace.h"

enum {
    GUARD_LOST_X1000 = 5, /* of a thousand that answer */
    GUARD_RECALL_X1000 = 995,
    FEW = 2, /* what is not known of a share, counted as not found: ten that all agree are few */
    QUIET_LEAST = 2, /* one lost probe of hundreds is the network's own */
};

/* ---- the sample ---- */

/* k ports of a set, by chance. */
static void choose_ports(const struct portset *from, uint32_t k, struct chance *c,
                         struct portset *out)
{
    uint32_t n = portset_count(from), left = MIN(k, n);

    for (unsigned p = 0; p <= UINT16_MAX && left; p++) {
        if (!from->bits[p / 64]) {
            p |= 63;
        } else if (portset_has(from, p)) {
            if (chance_below(c, n) < left) {
                portset_add(out, p);
                left--;
            }
            n--;
        }
    }
}

/* Of the ports that were probed: half from those that did not answer on a host that lives. */
static void sample_ports(const struct plan_spec *s, const struct found *f, uint32_t k,
                         struct chance *c, struct portset *out)
{
    auto_free struct portset *all = xcalloc(1, sizeof *all), *quiet = xcalloc(1, sizeof *quiet);

    if (s->ports) {
        portset_read(all, s->ports, PROTO_TCP);
    }
    for (size_t i = 0; i < f->n_details; i++) {
        const struct detail *d = &f->details[i];
        bool lives = !(d->rank >> 63);

        for (unsigned w = 0; w < PORT_WORDS; w++) {
            quiet->bits[w] |= lives ? d->quiet.bits[w] : 0;
            all->bits[w] |= s->ports ? 0 : d->quiet.bits[w] | d->spoke.bits[w];
        }
    }
    for (size_t i = 0; i < f->open.n && !s->ports; i++) { /* popular elsewhere */
        if (f->open.v[i].proto == PROTO_TCP) {
            portset_add(all, f->open.v[i].port);
        }
    }
    choose_ports(quiet, k / 2, c, out);
    choose_ports(all, k - MIN(k, portset_count(out)), c, out);
}

static void add_sample(const struct found *f, const struct net_ip *ip, const struct detail *d,
                       const struct portset *ports, struct pairs *out)
{
    for (unsigned port = 0; port <= UINT16_MAX; port++) {
        struct pair p = {.ip = *ip, .port = (uint16_t)port};

        if (!ports->bits[port / 64]) {
            port |= 63;
            continue;
        }
        if (!portset_has(ports, port) || pairs_has(&f->open, &p)) {
            continue;
        }
        p.quiet =
            d && (portset_has(&d->quiet, port) || (d->rest_quiet && !portset_has(&d->spoke, port)));
        pairs_add(out, &p);
    }
}

static bool flagged(const struct found *f, const struct net_ip *ip)
{
    for (size_t i = 0; i < f->n_flagged; i++) {
        if (net_ip_cmp(&f->flagged[i].ip, ip) == 0) {
            return true;
        }
    }
    return false;
}

/* nmap: hosts of which it is known, port by port, what they answered; those that live come first,
 * and the others are only taken if they are known to be up. */
static void sample_details(const struct plan_spec *s, const struct found *f, bool hosts,
                           struct chance *c, struct pairs *out)
{
    auto_free struct portset *ports = xcalloc(1, sizeof *ports);
    size_t n = 0;

    while (n < f->n_details && (hosts || !(f->details[n].rank >> 63))) {
        n++;
    }
    if (n == 0) {
        return;
    }
    sample_ports(s, f, (uint32_t)(GUARD_SAMPLE / n) + 1, c, ports);
    for (size_t i = 0; i < n; i++) {
        if (!flagged(f, &f->details[i].ip)) {
            add_sample(f, &f->details[i].ip, &f->details[i], ports, out);
        }
    }
}

/* Others: any of the hosts that are up. */
static void sample_addresses(const struct plan_spec *s, const struct found *f,
                             const struct places *all, struct chance *c, struct pairs *out)
{
    auto_free struct portset *ports = xcalloc(1, sizeof *ports);
    size_t n = MIN(all->n, (size_t)DETAILS_MAX);

    sample_ports(s, f, (uint32_t)(GUARD_SAMPLE / MAX(n, (size_t)1)) + 1, c, ports);
    for (size_t i = 0; i < n; i++) {
        size_t k = i + (size_t)chance_below(c, all->n - i);
        struct place keep = all->v[i];

        all->v[i] = all->v[k];
        all->v[k] = keep;
        if (!flagged(f, &all->v[i].ip)) {
            add_sample(f, &all->v[i].ip, NULL, ports, out);
        }
    }
}

void guard_sample(const struct plan *p, const struct plan_spec *s, const struct found *f,
                  const struct target_set *set, struct pairs *out)
{
    struct chance c = {chance_hash(p->seed, s->targets, strlen(s->targets)) + (uint64_t)s->round};
    bool hosts = plan_knows_hosts(p, s->stage);

    if (f->full) {
        return; /* what is open is not known here, so neither is what is not */
    }
    if (str_eq(s->tool, "nmap")) {
        sample_details(s, f, hosts, &c, out);
    } else {
        auto_places all = {0};

        if (hosts) {
            places_of(set, 1 << 20, &all);
        }
        for (size_t i = 0; i < f->up.n && !hosts; i++) {
            places_add(&all, &f->up.v[i].ip, f->up.v[i].name);
        }
        sample_addresses(s, f, &all, &c, out);
    }
    pairs_sort(out);
}

/* ---- what came of it ---- */

struct tally {
    uint64_t open, quiet, quiet_answered, sampled;
};

static const struct detail *detail_of(const struct found *f, const struct net_ip *ip)
{
    for (size_t i = 0; i < f->n_details; i++) {
        if (net_ip_cmp(&f->details[i].ip, ip) == 0) {
            return &f->details[i];
        }
    }
    return NULL;
}

static void count_sample(const struct found *f, const struct pairs *sample, struct tally *t)
{
    for (size_t i = 0; i < sample->n; i++) {
        const struct pair *p = &sample->v[i];
        const struct detail *d = detail_of(f, &p->ip);
        bool open = pairs_has(&f->open, p);
        bool closed = d && (portset_has(&d->spoke, p->port) ||
                            (d->rest_spoke && !portset_has(&d->quiet, p->port)));

        t->sampled++;
        t->open += open;
        t->quiet += p->quiet;
        t->quiet_answered += p->quiet && (open || closed);
    }
}

/* Of a thousand probes that should have been answered, how many were not; rounded up. */
static uint64_t lost_x1000(const struct checks *c, const struct tally *t)
{
    uint64_t lost = t->quiet ? mul_sat(c->quiet, t->quiet_answered) / t->quiet : 0;
    uint64_t all = add_sat(lost, c->spoke);

    return all && lost ? mul_sat(lost, 1000) / all + 1 : 0;
}

/* A sweep tells no live hosts: of `from` addresses that it did not find some were in the sample. */
static bool sweep_lost(const struct checks *c, const struct tally *t)
{
    uint64_t lost;

    if (!t->open || !t->sampled) {
        return false;
    }
    lost = mul_sat(c->from, t->open) / t->sampled;
    return mul_sat(c->open, 1000) < mul_sat(add_sat(c->open, lost), GUARD_RECALL_X1000);
}

static int hosts_of(const struct plan_spec *s, struct target_set *set, struct places *out,
                    struct err *e)
{
    int rc = spec_targets(s, set, e);

    if (rc == 0) {
        places_of(set, 1 << 20, out);
    }
    return rc;
}

/* Whether nmap can do again what a sweep did. */
static bool nmap_can(const struct plan *p, const struct plan_spec *s)
{
    return s->probes <= PACE_NMAP_AGAIN_MOST &&
           (plan_knows_hosts(p, s->stage) || s->addresses <= PACE_NMAP_DARK_MOST);
}

/* By nmap where that can be done; a large sweep again, slower. */
static bool repeat(const struct plan *p, const struct checks *c, const struct places *hosts,
                   struct plan_tasks *out)
{
    const struct plan_spec *s = &c->fast;
    bool nmap = str_eq(s->tool, "nmap");
    struct plan_spec *t;

    if (nmap || nmap_can(p, s)) {
        shard_again(p, s, hosts, false, c->known, out); /* in no haste any more */
        return true;
    }

    struct checks carried = {.known = c->known};

    t = tasks_add(out);
    *t = (struct plan_spec){
        .stage = s->stage,
        .kind = s->kind,
        .tool = xstrdup(s->tool),
        .targets = xstrdup(s->targets),
        .ports = xstrdup(s->ports),
        .arguments = xstrdup(s->arguments),
        .pins = xstrdup(s->pins),
        .rate = MAX(s->rate / 2, 1u),
        .probes = s->probes,
        .addresses = s->addresses,
        .repeats = true,
        .round = 2,
        .checks = checks_text(&carried),
    };
    return false;
}

int guard_judge(const struct plan *p, const struct plan_ended *t, const struct found *f,
                struct plan_tasks *out, struct strvec *notes, struct err *e)
{
    __attribute__((cleanup(checks_done))) struct checks c = {0};
    auto_pairs sample = {0};
    auto_targets set = {0};
    auto_places hosts = {0};
    struct tally n = {0};
    bool sweep;
    int rc = checks_read(t->spec->checks, &c, e);

    if (rc < 0 || !c.fast.targets || !t->spec->sample || !pairs_read(t->spec->sample, &sample)) {
        return rc;
    }
    if ((size_t)c.fast.stage >= p->n) {
        return err_set(e, ERR_INTERNAL, "what a task carries is not of its plan");
    }
    count_sample(f, &sample, &n);
    sweep = !str_eq(c.fast.tool, "nmap") && !plan_knows_hosts(p, c.fast.stage) && c.from;
    if (sweep ? !sweep_lost(&c, &n)
              : n.open == 0 &&
                    (n.quiet_answered < QUIET_LEAST || lost_x1000(&c, &n) <= GUARD_LOST_X1000)) {
        return 0;
    }
    if (c.fast.round >= 2) {
        strvec_pushf(notes,
                     "ports: %" PRIu64 " of %" PRIu64 " sampled ports were lost again; what "
                     "was found may not be all",
                     MAX(n.open, n.quiet_answered), n.sampled);
        return 0;
    }
    rc = hosts_of(&c.fast, &set, &hosts, e);
    if (rc < 0) {
        return rc;
    }
    bool nmap = repeat(p, &c, &hosts, out);

    strvec_pushf(notes,
                 "ports: %" PRIu64 " addresses were probed again %s: %" PRIu64 " of %" PRIu64
                 " sampled ports had been lost at %u/s",
                 c.fast.addresses,
                 !nmap                         ? "at half the rate"
                 : str_eq(c.fast.tool, "nmap") ? "at nmap's own pace"
                                               : "by nmap",
                 MAX(n.open, n.quiet_answered), n.sampled, c.fast.rate);
    return 0;
}

/* What two passes found, and both of them. */
struct passes {
    double first, second, both;
    double share; /* that one pass finds of what there is, at least */
};

/* known: those of the first pass, or many of them; `in`: what the second one was about. */
static void compare(const struct checks *c, const struct pairs *known, const struct netset *in,
                    const struct found *f, struct passes *out)
{
    uint64_t both = 0, n = 0;

    for (size_t i = 0; i < known->n; i++) {
        if (!in || netset_has(in, &known->v[i].ip)) {
            both += pairs_has(&f->open, &known->v[i]);
            n++;
        }
    }
    out->first = in ? (double)n : (double)MAX(c->open, n);
    out->second = (double)f->n_open;
    out->both = n ? (double)both / (double)n * out->first : 0;
    out->both = MIN(out->both, out->second);
    out->share = 2 * out->both / (out->first + out->second + FEW);
}

/* Neither pass found what the other one did not. */
static bool all_agree(const struct passes *n)
{
    return n->both >= n->first && n->both >= n->second;
}

static void tell_passes(const struct plan_spec *s, const struct passes *n, uint64_t addresses,
                        bool nmap, struct strvec *notes)
{
    const char *how = nmap ? "by nmap" : "at half the rate";

    if (all_agree(n)) {
        strvec_pushf(notes,
                     "ports: %" PRIu64 " addresses were probed again %s: two passes of %s at %u/s "
                     "found too few open ports to tell how many were lost",
                     addresses, how, s->tool, s->rate);
        return;
    }
    strvec_pushf(notes,
                 "ports: %" PRIu64 " addresses were probed again %s: two passes of %s at %u/s had "
                 "only %.1f %% of what they found in common",
                 addresses, how, s->tool, s->rate,
                 100 * n->both / (n->first + n->second - n->both));
}

/* A part of the addresses was swept twice: the whole is as good as one pass there. */
static int judge_part(const struct plan *p, const struct checks *c, const struct passes *n,
                      struct plan_tasks *out, struct strvec *notes, struct err *e)
{
    auto_targets set = {0};
    auto_places hosts = {0};
    int rc;

    if (all_agree(n) || n->share * 1000 >= GUARD_RECALL_X1000) {
        return 0;
    }
    rc = nmap_can(p, &c->fast) ? hosts_of(&c->fast, &set, &hosts, e) : 0;
    if (rc < 0) {
        return rc;
    }
    tell_passes(&c->fast, n, c->fast.addresses, repeat(p, c, &hosts, out), notes);
    return 1;
}

int guard_compare(const struct plan *p, const struct plan_spec *s, const struct checks *c,
                  const struct found *f, struct plan_tasks *out, struct strvec *notes,
                  struct err *e)
{
    bool part = c->fast.targets;
    auto_pairs known = {0}, all = {0};
    auto_targets set = {0};
    auto_places hosts = {0};
    auto_buf text = {0};
    struct checks again = {.fast = *s}; /* borrowed */
    struct passes n;
    int rc;

    if (c->known && !pairs_read(c->known, &known)) {
        return err_set(e, ERR_INTERNAL, "what a task carries cannot be read");
    }
    rc = hosts_of(s, &set, &hosts, e);
    if (rc < 0) {
        return rc;
    }
    compare(c, &known, part ? &set.addresses : NULL, f, &n);
    if (part) {
        return judge_part(p, c, &n, out, notes, e);
    }
    if ((1 - (1 - n.share) * (1 - n.share)) * 1000 >= GUARD_RECALL_X1000 ||
        (all_agree(&n) && !nmap_can(p, s))) {
        return 0;
    }
    for (size_t i = 0; i < known.n; i++) {
        pairs_add(&all, &known.v[i]);
    }
    for (size_t i = 0; i < f->open.n; i++) {
        pairs_add(&all, &f->open.v[i]);
    }
    pairs_sort(&all);
    pairs_text(&all, &text);
    again.known = text.data;
    tell_passes(s, &n, hosts.n, repeat(p, &again, &hosts, out), notes);
    return 1;
}
