/*
 * Plans: a profile and a request become stages, each with its tool, ports and options; and what
 * all of it needs.
 */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "model/request.h"
#include "plan/internal.h"
#include "plan/pace.h"

static const char *const names[STAGE_KINDS] = {
    [STAGE_HOSTS] = "hosts",
    [STAGE_PORTS] = "ports",
    [STAGE_SERVICES] = "services",
    [STAGE_VERIFY] = "verify",
};

const char *stage_kind_name(enum stage_kind k)
{
    return names[k];
}

uint64_t mul_sat(uint64_t a, uint64_t b)
{
    uint64_t v;

    return __builtin_mul_overflow(a, b, &v) ? UINT64_MAX : v;
}

uint64_t add_sat(uint64_t a, uint64_t b)
{
    uint64_t v;

    return __builtin_add_overflow(a, b, &v) ? UINT64_MAX : v;
}

struct plan *plan_new(void)
{
    return xcalloc(1, sizeof(struct plan));
}

static void stage_done(struct stage *s)
{
    free(s->tool);
    free(s->extra);
    free(s->ports);
    free(s->arguments);
    *s = (struct stage){0};
}

void plan_free(struct plan *p)
{
    if (!p) {
        return;
    }
    for (size_t i = 0; i < p->n; i++) {
        stage_done(&p->v[i]);
    }
    free(p->profile);
    free(p->ports);
    free(p);
}

static void plan_cleanup(struct plan **p)
{
    plan_free(*p);
}

size_t plan_stages(const struct plan *p)
{
    return p->n;
}

enum stage_kind plan_stage_kind(const struct plan *p, size_t i)
{
    return p->v[i].kind;
}

const char *plan_stage_tool(const struct plan *p, size_t i)
{
    return p->v[i].tool;
}

const char *plan_stage_arguments(const struct plan *p, size_t i)
{
    return p->v[i].arguments;
}

const char *plan_ports(const struct plan *p)
{
    return p->ports;
}

bool stage_fast(const struct plan *p, const struct stage *s)
{
    return s->kind == STAGE_PORTS && s->rate && !p->own_pace && !p->one;
}

int plan_stage_after(const struct plan *p, int at, unsigned kinds)
{
    for (int i = at + 1; i < (int)p->n; i++) {
        if (kinds >> p->v[i].kind & 1) {
            return i;
        }
    }
    return -1;
}

bool plan_knows_hosts(const struct plan *p, int at)
{
    for (int i = 0; i < at && (size_t)i < p->n; i++) {
        if (p->v[i].kind == STAGE_HOSTS) {
            return true;
        }
    }
    return false;
}

const char *plan_tcp_scan(const struct plan *p)
{
    static const char letters[] = "STAWMNFX";
    static const char *const how[] = {"syn",    "connect", "ack", "window",
                                      "maimon", "null",    "fin", "xmas"};
    const char *found = "syn";

    for (size_t i = 0; i < p->n; i++) {
        auto_strvec words = {0};

        if (p->v[i].kind != STAGE_PORTS || !str_eq(p->v[i].tool, "nmap") ||
            !(p->v[i].protocols >> PROTO_TCP & 1) || !p->v[i].arguments ||
            shell_split(p->v[i].arguments, &words, NULL) < 0) {
            continue;
        }
        for (size_t k = 0; k < words.n; k++) {
            const char *word = words.v[k];
            const char *at = str_starts(word, "-s") && word[2] ? strchr(letters, word[2]) : NULL;

            found = at && !word[3] ? how[at - letters] : found;
        }
        if (!p->raw && str_eq(found, "syn")) {
            return "connect"; /* what nmap does without raw sockets */
        }
    }
    return found;
}

/* ---- of a request ---- */

static bool skips_hosts(const struct plan_request *q)
{
    auto_strvec words = {0};
    bool ports = false;

    for (size_t i = 0; i < q->profile->n_stages; i++) {
        ports |= q->profile->stages[i].kind == STAGE_PORTS;
    }
    if (!q->arguments || shell_split(q->arguments, &words, NULL) < 0) {
        return false;
    }
    return ports && options_have("nmap", &words, "-Pn");
}

static int make_stages(const struct plan_request *q, struct plan *p, struct err *e)
{
    bool skip = skips_hosts(q), hosts = false;
    const struct profile *f = q->profile;

    for (size_t i = 0; i < f->n_stages; i++) {
        const struct profile_stage *from = &f->stages[i];
        int rc;

        hosts |= from->kind == STAGE_HOSTS;
        if (skip && from->kind == STAGE_HOSTS) {
            continue;
        }
        if (from->kind == STAGE_VERIFY && q->own_pace && p->n &&
            str_eq(p->v[p->n - 1].tool, "nmap")) {
            continue; /* nothing is fast */
        }
        rc = stage_make(q, from, !hosts, &p->v[p->n++], e);
        if (rc < 0) {
            return rc;
        }
    }
    if (plan_stage_after(p, -1, 1u << STAGE_PORTS) < 0 && (q->ports || q->tool || q->arguments)) {
        return err_set(e, ERR_INVALID,
                       "profile %s finds no ports, so it takes no ports, tool or options: leave "
                       "them out, or use another profile",
                       f->name);
    }
    if (p->n < PLAN_STAGES_MAX && p->n && stage_fast(p, &p->v[p->n - 1])) {
        p->v[p->n++] = (struct stage){
            .kind = STAGE_VERIFY, .tool = xstrdup("nmap"), .protocols = 1u << PROTO_TCP};
    }
    return 0;
}

/* The request's own tool, in one task. The tool's table reads its ports, in whatever option they
 * are, as it will when the task starts: they are what the policy is asked about. */
static int make_one(const struct plan_request *q, struct plan *p, struct err *e)
{
    struct stage *s = &p->v[p->n++];
    const struct tool *t = tool_find(q->tool ? q->tool : "nmap");
    const struct tool_request asked = {.targets = "192.0.2.1",
                                       .ports = q->ports,
                                       .arguments = q->arguments,
                                       .unsafe = true,
                                       .advanced = true};
    auto_plan read = {0};
    int rc;

    if (!t) {
        return err_set(e, ERR_INVALID, "unknown tool '%s'", q->tool);
    }
    rc = tool_check(t, &asked, &read, e);
    if (rc < 0) {
        return rc;
    }
    s->kind = STAGE_PORTS;
    s->tool = xstrdup(t->name);
    s->extra = xstrdup(q->arguments);
    s->ports = q->ports ? ports_canonical(q->ports) : NULL;
    s->protocols = read.protocols ? read.protocols : 1u << PROTO_TCP;
    s->n_ports = read.ports ? ports_of(read.ports, s->protocols) : 0; /* 0: hosts only */
    s->rate = least_rate(q->rate, q->max_rate);
    p->one = true;
    p->ports = xstrdup(read.ports);
    return stage_check(q, s, e);
}

/* What would take that many addresses. */
static const char *wider(const struct plan_request *q, const struct plan *p)
{
    if (!q->raw) {
        return "; masscan and zmap take more, but need raw sockets, which cannot be had for these "
               "targets";
    }
    if (!q->have_masscan && !q->have_zmap) {
        return ", or install masscan or zmap, which take more";
    }
    return p->v[0].kind == STAGE_PORTS ? ", or name the tool masscan or zmap, which take more"
                                       : ", or use profile sweep with masscan or zmap";
}

/* Only what cannot be walked through is refused here; budgets are the policy's. */
static int check_size(const struct plan_request *q, const struct plan *p, struct err *e)
{
    uint64_t n = target_set_count(q->targets), most = TARGET_SWEEP_MAX;
    bool v6 = target_set_has_v6(q->targets) && (n > most || !target_set_has_v4(q->targets));
    const char *tool = "this scan";

    for (size_t i = 0; i < p->n; i++) {
        if (str_eq(p->v[i].tool, "nmap") && (i == 0 || p->v[i - 1].kind == STAGE_HOSTS)) {
            most = TARGET_ADDRESSES_MAX;
            tool = "nmap";
        }
    }
    if (n <= most && n) {
        return 0;
    }
    if (n == 0) {
        return err_set(e, ERR_INVALID, "targets must not be empty");
    }
    if (v6) {
        auto_free char *count = n == UINT64_MAX ? xstrdup("2^64 or more") : str_fmt("%" PRIu64, n);

        return err_set(e, ERR_INVALID,
                       "%s addresses of IPv6 prefixes cannot be walked through: name hosts, or "
                       "prefixes of /108 and longer (at most %" PRIu64 " addresses)",
                       count, most);
    }
    return err_set(e, ERR_INVALID,
                   "%" PRIu64 " addresses are too many for %s, at most %" PRIu64 ": divide them%s",
                   n, tool, most, n > TARGET_SWEEP_MAX ? "" : wider(q, p));
}

static void join_ports(struct plan *p)
{
    auto_buf all = {0};

    for (size_t i = 0; i < p->n; i++) {
        struct portset sets[PROTOS] = {0};
        const struct stage *s = &p->v[i];

        if (s->kind != STAGE_PORTS) {
            continue;
        }
        if (!s->ports) {
            return;
        }
        for (unsigned k = 0; k < PROTOS; k++) {
            portset_read(&sets[k], s->ports, k);
        }
        buf_adds(&all, all.len ? "," : "");
        /* With letters: what follows must not take those of what stands before. */
        for (unsigned k = 0, any = 0; k < PROTOS; k++) {
            if (s->protocols >> k & 1 && portset_count(&sets[k])) {
                buf_addf(&all, "%s%c:", any++ ? "," : "", "TUS"[k]);
                portset_text(&sets[k], &all);
            }
        }
    }
    if (!all.len || p->one) {
        return;
    }
    if (p->n && plan_stage_after(p, -1, 1u << STAGE_PORTS) >= 0) {
        int only = plan_stage_after(p, -1, 1u << STAGE_PORTS);

        /* One list as it was asked for, where there is one. */
        p->ports = plan_stage_after(p, only, 1u << STAGE_PORTS) < 0 ? xstrdup(p->v[only].ports)
                                                                    : ports_canonical(all.data);
    }
}

/* How many tasks of the first stage there will be, and how many each may give rise to. A task has
 * one family; a name is an address of its own where the tool reads names, and that of its address
 * where it does not. */
static void choose_sizes(struct plan *p, const struct target_set *t)
{
    uint64_t n = 0, k, least = 0;

    for (int six = 0; six < 2; six++) {
        auto_netset set = {0};
        auto_places named = {0};

        places_family(t, six, !str_eq(p->v[0].tool, "nmap"), &set, &named);
        n = add_sat(n, add_sat(netset_count(&set), named.n));
        least += set.n || named.n;
    }
    for (size_t i = 0; i < t->n_pins; i++) {
        n = add_sat(n, t->pins[i].n == 0); /* not known yet */
    }
    p->addresses = n;
    k = (n + PACE_HOSTS_MOST - 1) / PACE_HOSTS_MOST;
    k = MIN(k, (uint64_t)PACE_HOSTS_TASKS);
    if (p->shards) {
        k = MIN(MIN((uint64_t)p->shards, n), (uint64_t)PACE_HOSTS_TASKS);
    }
    p->first_tasks = (uint32_t)MAX(k, MAX(least, UINT64_C(1)));
    p->batch = MAX((p->shards ? p->shards : PACE_TASKS_MOST) / p->first_tasks, 1u);
}

int plan_make(const struct plan_request *q, struct plan **out, struct err *e)
{
    __attribute__((cleanup(plan_cleanup))) struct plan *p = plan_new();
    auto_strvec words = {0};
    int rc;

    p->slots = MIN(MAX(q->slots, 1u), (uint32_t)PLAN_SHARDS_MAX);
    p->shards = MIN(q->shards, (uint32_t)PLAN_SHARDS_MAX);
    p->seed = q->seed;
    p->most = q->rate;
    p->own_pace = q->own_pace;
    p->raw = q->raw;
    p->service_s =
        q->profile && q->profile->service_s ? q->profile->service_s : PACE_SERVICE_SECONDS;
    if (q->arguments && q->profile && shell_split(q->arguments, &words, NULL) == 0) {
        for (size_t i = 0; i < words.n; i++) {
            p->connect |= str_eq(words.v[i], "-sT");
        }
    }
    if (q->profile) {
        p->profile = str_fmt("%s@%u", q->profile->name, q->profile->version);
    }
    rc = q->profile ? make_stages(q, p, e) : make_one(q, p, e);
    if (rc == 0) {
        rc = check_size(q, p, e);
    }
    if (rc < 0) {
        return rc;
    }
    choose_sizes(p, q->targets);
    join_ports(p);
    plan_arguments(p);
    *out = take_ptr(&p);
    return 0;
}
