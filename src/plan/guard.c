/*
 * The accuracy guard: what is looked at again, and what follows from it.
 *
 * nmap tells closed ports from silent ones. A port that was silent in haste and is closed now was
 * lost then; half of the sample is taken from such ports, and the share that was lost is estimated
 * from how many there were. Any port of the sample that is open now is one too many.
 *
 * masscan and zmap tell open ports only, and some of them are lost by chance. There a second pass
 * over the same hosts says how much one pass finds of what the other found, and by that how much
 * both missed.
 */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "plan/internal.h"
#include "plan/pace.h"

enum {
    GUARD_LOST_X1000 = 5, /* of a thousand that answer */
    GUARD_RECALL_X1000 = 995,
    SWEEP_SAMPLE = 128,
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

/* nmap: hosts of which it is known, port by port, what they answered. */
static void sample_details(const struct plan_spec *s, const struct found *f, struct chance *c,
                           struct pairs *out)
{
    auto_free struct portset *ports = xcalloc(1, sizeof *ports);
    uint32_t k = (uint32_t)(GUARD_SAMPLE / f->n_details) + 1;

    sample_ports(s, f, k, c, ports);
    for (size_t i = 0; i < f->n_details; i++) {
        if (!flagged(f, &f->details[i].ip)) {
            add_sample(f, &f->details[i].ip, &f->details[i], ports, out);
        }
    }
}

/* Others: any of the addresses. */
static void sample_addresses(const struct plan_spec *s, const struct found *f,
                             const struct places *all, size_t most, struct chance *c,
                             struct pairs *out)
{
    auto_free struct portset *ports = xcalloc(1, sizeof *ports);
    size_t n = MIN(all->n, most);

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
    bool hosts = plan_knows_hosts(p, s->stage) || s->round > 0;

    if (f->full) {
        return; /* what is open is not known here, so neither is what is not */
    }
    if (str_eq(s->tool, "nmap")) {
        if (f->n_details) {
            sample_details(s, f, &c, out);
        }
    } else {
        auto_places all = {0};

        places_of(set, 1 << 20, &all);
        sample_addresses(s, f, &all, hosts ? DETAILS_MAX : SWEEP_SAMPLE, &c, out);
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

/* By nmap where that can be done; a sweep of millions again, slower. */
static bool repeat(const struct plan *p, const struct checks *c, const struct places *hosts,
                   struct plan_tasks *out)
{
    const struct plan_spec *s = &c->fast;
    bool nmap = str_eq(s->tool, "nmap");
    struct plan_spec *t;

    if (nmap || s->probes <= PACE_NMAP_AGAIN_MOST) {
        shard_again(p, s, hosts, !nmap, c->known, out);
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

/* Found by both: shares of what each found, as what each would find of all there is. */
static double recall(const struct checks *c, const struct pairs *known, const struct found *f,
                     double *common)
{
    uint64_t both = 0;
    double first, second;

    *common = 0;
    for (size_t i = 0; i < known->n; i++) {
        both += pairs_has(&f->open, &known->v[i]);
    }
    if (c->open == 0 && f->n_open == 0) {
        *common = 1;
        return 1;
    }
    if (known->n == 0 || f->n_open == 0) {
        return 0;
    }
    second = (double)both / (double)known->n;
    first = second * (double)c->open / (double)f->n_open;
    first = first > 1 ? 1 : first;
    *common = second < first ? second : first;
    return 1 - (1 - first) * (1 - second);
}

int guard_compare(const struct plan *p, const struct plan_spec *s, const struct checks *c,
                  const struct found *f, struct plan_tasks *out, struct strvec *notes,
                  struct err *e)
{
    auto_pairs known = {0};
    auto_targets set = {0};
    auto_places hosts = {0};
    auto_pairs all = {0};
    auto_buf text = {0};
    double common;
    int rc;

    if (c->known && !pairs_read(c->known, &known)) {
        return err_set(e, ERR_INTERNAL, "what a task carries cannot be read");
    }
    if (recall(c, &known, f, &common) * 1000 >= GUARD_RECALL_X1000) {
        return 0;
    }
    rc = hosts_of(s, &set, &hosts, e);
    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < known.n; i++) {
        pairs_add(&all, &known.v[i]);
    }
    for (size_t i = 0; i < f->open.n; i++) {
        pairs_add(&all, &f->open.v[i]);
    }
    pairs_sort(&all);
    pairs_text(&all, &text);
    shard_again(p, s, &hosts, true, text.data, out);
    strvec_pushf(
        notes,
        "ports: %zu addresses were probed again by nmap: two passes of %s at %u/s had only "
        "%.1f %% of what they found in common",
        hosts.n, s->tool, s->rate, common * 100);
    return 1;
}
