/* What follows from a task that has ended. */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "plan/internal.h"
#include "plan/pace.h"

enum { KNOWN_MAX = 20000 }; /* pairs that a task carries */

/* One task, and what it found. */
struct end {
    const struct plan *p;
    const struct plan_ended *t;
    const struct plan_spec *s;
    struct found found;
    struct target_set set; /* of the task */
    struct checks checks;  /* that it carried */
    struct pairs silent;   /* open ports of hosts that were given up, to be looked at apart */
    struct plan_tasks *out;
    struct strvec *notes, *flags;
};

static void end_done(struct end *n)
{
    found_done(&n->found);
    target_set_done(&n->set);
    checks_done(&n->checks);
    pairs_done(&n->silent);
}

static bool failed(const struct plan_ended *t)
{
    return t->state == JOB_FAILED || t->state == JOB_TIMED_OUT;
}

/* The tool's own failures: another one may do better. */
static bool tool_failed(const struct plan_ended *t)
{
    static const enum job_reason reasons[] = {REASON_TOOL_FAILED,  REASON_TOOL_CRASHED,
                                              REASON_LIMIT,        REASON_TIMEOUT,
                                              REASON_TOOL_MISSING, REASON_BAD_OUTPUT};

    for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
        if (failed(t) && t->reason == reasons[i]) {
            return true;
        }
    }
    return false;
}

/* ---- hosts ---- */

static void hosts_ended(struct end *n)
{
    for (int at = plan_stage_after(n->p, n->s->stage, 1u << STAGE_PORTS); at >= 0;
         at = plan_stage_after(n->p, at, 1u << STAGE_PORTS)) {
        shard_ports(n->p, at, &n->found.up, n->out);
    }
}

/* ---- ports ---- */

static void tell_flags(struct end *n)
{
    for (size_t i = 0; i < n->found.n_flagged; i++) {
        const struct everywhere *f = &n->found.flagged[i];
        char text[NET_TEXT];

        net_ip_text(&f->ip, text);
        strvec_pushf(n->flags, "%s %" PRIu64 " %u", text, MIN(f->open, (uint64_t)n->found.probed),
                     n->found.probed);
        strvec_pushf(n->notes,
                     "%s: most of its ports are open (a tarpit or a load balancer?); only some of "
                     "them are looked at",
                     text);
    }
    if (n->found.full) {
        strvec_push(n->notes, "ports: more open ports were found in one task than are looked at "
                              "again; the others are told without a service");
    }
}

/* What was found, without what was looked at already. */
static void only_new(const struct end *n, const struct pairs *known, struct pairs *out)
{
    for (size_t i = 0; i < n->found.open.n; i++) {
        if (!pairs_has(known, &n->found.open.v[i])) {
            pairs_add(out, &n->found.open.v[i]);
        }
    }
}

/* Of all there is, at most KNOWN_MAX. */
static char *known_text(const struct end *n, const struct pairs *known)
{
    struct chance c = {n->p->seed};
    const struct found *f = &n->found;
    auto_pairs all = {0};
    auto_buf b = {0};

    for (size_t i = 0; i < f->open.n; i++) {
        if (f->open.n <= KNOWN_MAX || chance_below(&c, f->open.n) < KNOWN_MAX) {
            pairs_add(&all, &f->open.v[i]);
        }
    }
    for (size_t i = 0; i < known->n && all.n < (size_t)2 * KNOWN_MAX; i++) {
        pairs_add(&all, &known->v[i]);
    }
    pairs_sort(&all);
    pairs_text(&all, &b);
    return b.len ? buf_take(&b) : NULL;
}

/* The other pass of a sweep: over the same, where hosts are known to be up or it is not much; of
 * many ports over hosts that answered; else over a part of the addresses, to know how much of the
 * whole was lost. */
static void second_pass(struct end *n, const struct pairs *known)
{
    const struct stage *st = &n->p->v[n->s->stage];
    bool same = plan_knows_hosts(n->p, n->s->stage) || n->s->probes <= PACE_SWEEP_AGAIN_MOST;
    auto_checks c = {0};
    struct plan_spec *t;

    if (!same && st->n_ports > 1 && n->found.up.n == 0) {
        return; /* nobody is there */
    }
    c.known = known_text(n, known);
    c.open = n->found.n_open;
    t = tasks_add(n->out);
    t->stage = n->s->stage;
    t->kind = STAGE_PORTS;
    t->tool = xstrdup(n->s->tool);
    t->ports = xstrdup(n->s->ports);
    t->arguments = xstrdup(n->s->arguments);
    t->rate = n->s->rate;
    t->round = n->s->round + 1;
    t->repeats = true;
    if (same) {
        t->targets = xstrdup(n->s->targets);
        t->pins = xstrdup(n->s->pins);
        t->addresses = n->s->addresses;
        t->probes = n->s->probes;
        t->checks = checks_text(&c);
    } else if (st->n_ports > 1) {
        spec_places(t, n->found.up.v, n->found.up.n);
        t->probes = mul_sat(t->addresses, st->n_ports);
        t->checks = checks_text(&c);
    } else {
        shard_part(n->p, &n->set, PACE_SWEEP_AGAIN_MOST, t);
        t->probes = t->addresses;
        c.fast = *n->s; /* borrowed: it is what is to be done again */
        t->checks = checks_text(&c);
        c.fast = (struct plan_spec){0};
    }
}

/* nmap does what another tool could not. */
static void instead(struct end *n, const struct pairs *known)
{
    auto_places hosts = {0};
    auto_free char *text = known_text(n, known);

    if (n->s->probes > PACE_NMAP_AGAIN_MOST) {
        strvec_pushf(n->notes,
                     "ports: %s failed on %" PRIu64 " addresses, too many for nmap to do "
                     "them again",
                     n->s->tool, n->s->addresses);
        return;
    }
    places_of(&n->set, 1 << 20, &hosts);
    if (hosts.n) {
        shard_again(n->p, n->s, &hosts, true, text, n->out);
        strvec_pushf(n->notes,
                     "ports: %" PRIu64 " addresses were probed again by nmap: %s ended "
                     "with %s",
                     n->s->addresses, n->s->tool, job_reason_name(n->t->reason));
    }
}

static bool fast(const struct end *n)
{
    return n->s->rate && stage_fast(n->p, &n->p->v[n->s->stage]);
}

/* Repeats that follow at once; *sample: whether what is behind is to look again. */
static int look_again(struct end *n, const struct pairs *known, bool *sample, struct err *e)
{
    bool nmap = str_eq(n->s->tool, "nmap");
    int rc;

    *sample = false;
    if (n->p->one || !fast(n)) {
        return 0;
    }
    if (!nmap && n->s->round < 2 && tool_failed(n->t)) {
        instead(n, known);
        return 0;
    }
    if (n->t->state != JOB_COMPLETED) {
        return 0;
    }
    if (!nmap && n->s->round == 0) {
        second_pass(n, known);
        return 0;
    }
    if (!nmap && n->s->round == 1) {
        rc = guard_compare(n->p, n->s, &n->checks, &n->found, n->out, n->notes, e);
        *sample = rc == 0;
        return MIN(rc, 0);
    }
    *sample = n->s->round < 2;
    return 0;
}

static int ports_ended(struct end *n, struct err *e)
{
    int at = plan_stage_after(n->p, n->s->stage, 1u << STAGE_SERVICES | 1u << STAGE_VERIFY);
    auto_pairs known = {0}, open = {0}, looked = {0};
    auto_free char *text = NULL;
    bool sample;
    int rc;

    if (n->checks.known && !pairs_read(n->checks.known, &known)) {
        return err_set(e, ERR_INTERNAL, "what a task carries cannot be read");
    }
    if (n->s->round == 0) {
        tell_flags(n);
    }
    rc = look_again(n, &known, &sample, e);
    if (rc < 0 || at < 0) {
        return rc;
    }
    only_new(n, &known, &open);
    if (sample) {
        struct checks c = {
            .fast = *n->s,
            .quiet = n->found.quiet,
            .spoke = n->found.spoke,
            .open = n->found.n_open,
            .from = mul_sat(plan_knows_hosts(n->p, n->s->stage) ? n->s->addresses : n->found.up.n,
                            MAX(n->p->v[n->s->stage].n_ports, 1u)),
        };

        guard_sample(n->p, n->s, &n->found, &n->set, &looked);
        c.known = known_text(n, &known);
        text = checks_text(&c);
        free(c.known);
    }
    services_of(n->p, at, &open, &looked, text, &n->set, n->out);
    return 0;
}

/* ---- services, verify ---- */

static int services_ended(struct end *n, struct err *e)
{
    int at = plan_stage_after(n->p, n->s->stage, 1u << STAGE_SERVICES);
    bool timed_out = n->t->state == JOB_TIMED_OUT;
    size_t before = n->out->n;
    auto_pairs none = {0};
    int rc = 0;

    if (n->s->kind == STAGE_SERVICES && n->found.gone.n && n->s->open && !timed_out) {
        services_given_up(n->s, &n->found, &n->silent);
        if (n->s->sample) {
            services_sample(n->p, n->s, &n->set, n->out);
        }
    } else if (n->s->kind == STAGE_SERVICES && (timed_out || n->found.gone.n)) {
        services_again(n->p, n->t, &n->found, &n->set, n->out, n->notes);
    }
    if (n->t->state == JOB_COMPLETED && !n->found.gone.n) {
        rc = guard_judge(n->p, n->t, &n->found, n->out, n->notes, e);
    } else if (n->s->sample && n->out->n == before && !n->silent.n) {
        strvec_push(n->notes, "ports: whether probes were lost could not be checked everywhere: a "
                              "task that looked again did not come to its end");
    }
    if (rc == 0 && at >= 0 && n->found.open.n) {
        services_of(n->p, at, &n->found.open, &none, NULL, &n->set, n->out);
    }
    return rc;
}

/* Tasks after which there may be hosts that are given up. */
static bool may_give_up(const struct plan_spec *s)
{
    return s->kind == STAGE_HOSTS || s->kind == STAGE_PORTS ||
           (s->kind == STAGE_SERVICES && s->round == 0);
}

static bool others_are_to_come(const struct end *n)
{
    for (size_t i = 0; i < n->t->n_tasks; i++) {
        const struct plan_task *t = &n->t->tasks[i];

        if (t->spec != n->s && !job_state_terminal(t->state) && may_give_up(t->spec)) {
            return true;
        }
    }
    for (size_t i = 0; i < n->out->n && n->t->n_tasks; i++) {
        if (may_give_up(&n->out->v[i])) {
            return true;
        }
    }
    return false;
}

/* Ports that are to be looked at apart wait until there are many, or no others are to come. */
static void look_apart(struct end *n)
{
    int at = n->s->kind == STAGE_SERVICES
                 ? n->s->stage
                 : plan_stage_after(n->p, n->s->stage, 1u << STAGE_SERVICES);
    auto_pairs waiting = {0};
    bool first = n->s->kind != STAGE_SERVICES || n->s->round == 0;

    if (at < 0) {
        return;
    }
    if (first) {
        services_waiting(n->t->summary, &waiting);
    }
    if (first && n->silent.n + waiting.n <= PACE_APART_WAIT && others_are_to_come(n)) {
        services_wait(&n->silent, &n->set, n->notes);
    } else if (waiting.n) {
        for (size_t i = 0; i < waiting.n; i++) {
            pairs_add(&n->silent, &waiting.v[i]);
        }
        strvec_push(n->notes, WAITING_NOTE);
    }
    services_apart(n->p, at, first ? 0 : n->s->round, &n->silent, &n->set, n->out, n->notes);
}

static int read_end(struct end *n, const struct pairs *sample, struct err *e)
{
    const struct stage *st = &n->p->v[n->s->stage];
    int rc = spec_targets(n->s, &n->set, e);

    if (rc == 0) {
        rc = checks_read(n->s->checks, &n->checks, e);
    }
    if (rc < 0) {
        return rc;
    }
    n->found.pins = &n->set;
    if (n->s->kind == STAGE_PORTS) {
        n->found.probed = n->s->ports ? ports_of(n->s->ports, st->protocols) : st->n_ports;
        n->found.look = (uint32_t)MAX(
            (uint64_t)OPEN_EVERYWHERE_LOOK * n->found.probed / MAX(st->n_ports, 1u), UINT64_C(3));
        n->found.seed = chance_hash(n->p->seed, n->s->targets, strlen(n->s->targets)) | 1;
    } else if (sample->n) {
        n->found.only = sample;
    }
    return found_read(&n->found, n->t, e);
}

int plan_next(const struct plan *p, const struct plan_ended *t, struct plan_tasks *out,
              struct strvec *notes, struct strvec *flags, struct err *e)
{
    __attribute__((cleanup(end_done))) struct end n = {
        .p = p, .t = t, .s = t->spec, .out = out, .notes = notes, .flags = flags};
    auto_pairs sample = {0};
    int rc;

    if (t->state == JOB_CANCELLED || t->spec->stage < 0 || (size_t)t->spec->stage >= p->n) {
        return 0;
    }
    if (t->spec->sample && !pairs_read(t->spec->sample, &sample)) {
        return err_set(e, ERR_INTERNAL, "the sample of a task cannot be read");
    }
    rc = read_end(&n, &sample, e);
    if (rc < 0) {
        return rc;
    }
    switch (t->spec->kind) {
    case STAGE_HOSTS:
        hosts_ended(&n);
        break;
    case STAGE_PORTS:
        rc = ports_ended(&n, e);
        break;
    default:
        rc = services_ended(&n, e);
    }
    if (rc == 0) {
        look_apart(&n);
    }
    return rc;
}
