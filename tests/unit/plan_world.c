#include "plan_world.h"

#include "model/request.h"

enum { TOP_MAX = 1000 };

uint64_t world_chance(struct world *w, uint64_t n)
{
    uint64_t z = w->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % n;
}

struct world *world_new(uint64_t seed)
{
    struct world *w = xcalloc(1, sizeof *w);

    w->state = seed;
    return w;
}

void world_free(struct world *w)
{
    for (size_t i = 0; i < w->n; i++) {
        free(w->v[i].open);
        free(w->found[i]);
        free(w->named[i]);
    }
    for (size_t i = 0; i < w->n_tasks; i++) {
        plan_spec_done(&w->spec[i]);
    }
    strvec_done(&w->notes);
    strvec_done(&w->flags);
    buf_done(&w->summary);
    free(w);
}

struct world_host *world_add(struct world *w, const char *ip)
{
    struct world_host *h = &w->v[w->n];

    CHECK(w->n < WORLD_HOSTS && net_ip_parse(ip, &h->ip));
    h->open = xcalloc(WORLD_PORTS / 8, 1);
    w->named[w->n] = xcalloc(WORLD_PORTS / 8, 1);
    w->found[w->n++] = xcalloc(WORLD_PORTS / 8, 1);
    return h;
}

static bool bit(const uint8_t *v, unsigned port)
{
    return v[port / 8] >> port % 8 & 1;
}

void world_open(struct world_host *h, unsigned port)
{
    h->n_open += !bit(h->open, port);
    h->open[port / 8] |= (uint8_t)(1u << port % 8);
}

/* ---- one task ---- */

struct run {
    struct world *w;
    const struct plan_spec *s;
    struct target_set set;
    uint8_t *ports;
    bool fast, sweep, half;
    bool limit; /* nmap gives up hosts */
    enum job_state state;
    enum job_reason reason;
};

static void read_ports(struct run *r)
{
    const char *top = r->s->arguments ? strstr(r->s->arguments, "--top-ports ") : NULL;
    const char *at = r->s->ports;

    r->ports = xcalloc(WORLD_PORTS / 8, 1);
    if (top) {
        for (unsigned p = 1; p <= (unsigned)atoi(top + 12) && p <= TOP_MAX; p++) {
            r->ports[p / 8] |= (uint8_t)(1u << p % 8);
        }
    }
    while (at && *at) {
        char *end;
        unsigned long low, high;

        at += str_starts(at, "T:") ? 2 : 0;
        low = strtoul(at, &end, 10);
        high = *end == '-' ? strtoul(end + 1, &end, 10) : low;
        CHECK(end > at && high < WORLD_PORTS);
        for (; low <= high; low++) {
            r->ports[low / 8] |= (uint8_t)(1u << low % 8);
        }
        at = *end == ',' ? end + 1 : end;
    }
}

static bool wanted(const struct run *r, const struct net_ip *ip)
{
    if (r->w->gossip || netset_has(&r->set.addresses, ip)) {
        return true;
    }
    for (size_t i = 0; i < r->set.n_pins; i++) {
        if (net_ip_cmp(&r->set.pins[i].ip[0], ip) == 0) {
            return true;
        }
    }
    return false;
}

static bool lost(struct run *r, unsigned x1000)
{
    return x1000 && world_chance(r->w, 1000) < x1000;
}

static void flush(struct buf *b, unsigned low, unsigned high)
{
    buf_addf(b, low == high ? "%s%u" : "%s%u-%u", b->len ? "," : "", low, high);
}

/* Identifying its services takes minutes. */
static bool is_silent(const struct run *r, const struct world_host *h)
{
    bool any = h->silent && bit(r->ports, h->silent);

    for (unsigned p = 0; p < WORLD_PORTS && h->all_silent && !any; p++) {
        any = bit(h->open, p) && bit(r->ports, p);
    }
    return r->s->kind == STAGE_SERVICES && strstr(r->s->arguments, "-sV") && any;
}

/* Ports that are not open, told as nmap tells many of them. */
static char *extraports(const uint8_t *mark, uint32_t n[3])
{
    auto_buf none = {0}, closed = {0}, filtered = {0};
    struct buf *lists[3] = {&none, &closed, &filtered};
    auto_buf out = {0};

    for (unsigned p = 0; p < WORLD_PORTS; p++) {
        unsigned first = p, kind = mark[p];

        if (!kind) {
            continue;
        }
        while (p + 1 < WORLD_PORTS && mark[p + 1] == kind) {
            p++;
        }
        flush(lists[kind], first, p);
        n[kind] += p - first + 1;
    }
    buf_adds(&out, "[");
    for (unsigned k = 1; k < 3; k++) {
        if (n[k]) {
            buf_addf(
                &out,
                "%s{\"state\":\"%s\",\"count\":%u,\"reasons\":[{\"reason\":\"%s\",\"count\":%u,"
                "\"proto\":\"tcp\",\"ports\":\"%s\"}]}",
                out.len > 1 ? "," : "", k == 1 ? "closed" : "filtered", n[k],
                k == 1 ? "reset" : "no-response", n[k], lists[k]->data);
        }
    }
    buf_adds(&out, "]");
    return buf_take(&out);
}

static int tell_host(struct run *r, size_t i, const struct host_sink *sink, struct err *e)
{
    struct world *w = r->w;
    const struct world_host *h = &w->v[i];
    auto_free uint8_t *mark = xcalloc(WORLD_PORTS, 1), *open = xcalloc(WORLD_PORTS / 8, 1);
    uint32_t n[3] = {0};
    char ip[NET_TEXT];
    struct host_addr addr = {.addr = ip, .type = h->ip.v6 ? "ipv6" : "ipv4"};
    struct host head = {.addrs = &addr, .n_addrs = 1, .state = "up"};
    auto_free char *extra = NULL;
    bool any = !r->sweep;
    int rc;

    net_ip_text(&h->ip, ip);
    if (is_silent(r, h) && r->limit) {
        head.timed_out = true;
        rc = sink->host(sink->arg, 0, &head, e);
        return rc == 0 ? sink->host_end(sink->arg, e) : rc;
    }
    for (unsigned p = 0; p < WORLD_PORTS && r->s->kind != STAGE_HOSTS; p++) {
        if (!bit(r->ports, p)) {
            continue;
        }
        if (r->sweep) {
            if (bit(h->open, p) && !lost(r, w->sweep_lose_x1000)) {
                open[p / 8] |= (uint8_t)(1u << p % 8);
                any = true;
            }
        } else if (r->fast && lost(r, w->lose_x1000)) {
            mark[p] = 2;
        } else if (bit(h->open, p)) {
            open[p / 8] |= (uint8_t)(1u << p % 8);
        } else {
            mark[p] = h->filtered ? 2 : 1;
        }
        /* As it is merged: what looks at a port replaces what was known of it, if it saw it. */
        if (bit(open, p)) {
            w->found[i][p / 8] |= (uint8_t)(1u << p % 8);
            w->named[i][p / 8] |= r->s->kind == STAGE_SERVICES && strstr(r->s->arguments, "-sV")
                                      ? (uint8_t)(1u << p % 8)
                                      : 0;
        }
    }
    if (!any) {
        return 0;
    }
    w->up[i] = true;
    extra = extraports(mark, n);
    head.extraports = n[1] || n[2] ? extra : NULL;
    rc = sink->host(sink->arg, 0, &head, e);
    for (unsigned p = 0; p < WORLD_PORTS && rc == 0; p++) {
        if (bit(open, p)) {
            rc = sink->port(
                sink->arg,
                &(struct port){.number = (uint16_t)p, .protocol = "tcp", .state = "open"}, e);
        }
    }
    return rc == 0 ? sink->host_end(sink->arg, e) : rc;
}

static int tell(void *arg, const struct host_sink *sink, struct err *e)
{
    struct run *r = arg;
    int rc = 0;
    bool nothing = r->state != JOB_COMPLETED && !r->half;

    for (size_t i = 0; i < r->w->n && rc == 0 && !nothing; i++) {
        if (wanted(r, &r->w->v[i].ip) && !(r->half && i % 2)) {
            rc = tell_host(r, i, sink, e);
        }
    }
    return rc;
}

static void fail(struct run *r, enum job_state state, enum job_reason reason)
{
    r->state = state;
    r->reason = reason;
}

static void choose_end(struct run *r)
{
    const struct world *w = r->w;

    r->state = JOB_COMPLETED;
    if (w->crash_tool && str_eq(r->s->tool, w->crash_tool)) {
        fail(r, JOB_FAILED, REASON_TOOL_CRASHED);
    }
    if (w->crash_targets && r->s->kind == STAGE_PORTS && strstr(r->s->targets, w->crash_targets)) {
        fail(r, JOB_FAILED, REASON_TOOL_CRASHED);
    }
    if (w->hang_tool && str_eq(r->s->tool, w->hang_tool)) {
        fail(r, JOB_TIMED_OUT, REASON_TIMEOUT);
        r->half = true;
    }
    for (size_t i = 0; i < w->n && r->s->kind == STAGE_SERVICES; i++) {
        const struct world_host *h = &w->v[i];

        if (!r->limit && is_silent(r, h) && wanted(r, &h->ip) && (!r->s->light || h->mute)) {
            CHECK(r->s->wall_s > 0); /* else it would never end */
            fail(r, JOB_TIMED_OUT, REASON_TIMEOUT);
        }
    }
}

/* Every task is a request that its tool's table accepts. */
static void check_request(const struct plan_spec *s)
{
    auto_plan plan = {0};
    struct tool_request q = {
        .targets = s->targets, .ports = s->ports, .arguments = s->arguments, .advanced = true};
    const struct tool *t = tool_find(s->tool);

    if (t) {
        CHECK_OK(tool_check(t, &q, &plan, ERR));
        CHECK(!target_set_has_v4(&plan.targets) || !target_set_has_v6(&plan.targets));
        CHECK_INT(target_set_count(&plan.targets), s->addresses);
    }
}

static void add_tasks(struct world *w, struct plan_tasks *t, int32_t least)
{
    for (size_t i = 0; i < t->n; i++) {
        auto_buf b = {0};

        CHECK(w->n_tasks < WORLD_TASKS);
        CHECK(t->v[i].stage >= least && t->v[i].addresses > 0 && t->v[i].round <= 2);
        plan_spec_write(&t->v[i], &b);
        CHECK_OK(plan_spec_read(b.data, &w->spec[w->n_tasks], ERR));
        check_request(&w->spec[w->n_tasks]);
        w->task[w->n_tasks] = (struct plan_task){
            .spec = &w->spec[w->n_tasks], .state = JOB_QUEUED, .percent_x100 = -1};
        w->n_tasks++;
    }
}

/* What a reader is told; what plan_next() is to have back is in the summary. */
static void keep_words(struct world *w, const struct strvec *notes, const struct strvec *flags)
{
    for (size_t i = 0; i < notes->n; i++) {
        if (!str_starts(notes->v[i], "waiting:")) {
            strvec_push(&w->notes, notes->v[i]);
        }
    }
    for (size_t i = 0; i < flags->n; i++) {
        strvec_push(&w->flags, flags->v[i]);
    }
}

static void run_task(struct world *w, const struct plan *p, size_t at)
{
    struct plan_spec *s = &w->spec[at];
    auto_strvec words = {0};
    auto_tasks next = {0};
    struct run r = {.w = w, .s = s};
    struct plan_ended end = {.spec = s,
                             .hosts = tell,
                             .arg = &r,
                             .summary = w->summary.len ? w->summary.data : NULL,
                             .tasks = w->task,
                             .n_tasks = w->n_tasks};
    auto_strvec notes = {0}, flags = {0};
    auto_buf text = {0};

    CHECK_OK(shell_split(s->targets, &words, ERR));
    CHECK_OK(target_set_parse(&words, &r.set, ERR));
    if (s->pins) {
        CHECK_OK(pins_apply(&r.set, s->pins, ERR));
    }
    r.sweep = !str_eq(s->tool, "nmap");
    r.fast = s->arguments && strstr(s->arguments, "--min-rate");
    r.limit = s->arguments && strstr(s->arguments, "--host-timeout");
    read_ports(&r);
    choose_end(&r);
    w->probes += s->kind == STAGE_PORTS ? s->probes : 0;
    end.state = w->task[at].state = r.state;
    end.reason = w->task[at].reason = r.reason;
    w->task[at].partial = r.half;
    w->done++;
    CHECK_OK(plan_next(p, &end, &next, &notes, &flags, ERR));
    add_tasks(w, &next, 0);
    plan_summary(p, w->task, w->n_tasks, 0, &notes, &flags, end.summary, &text);
    buf_reset(&w->summary);
    buf_add(&w->summary, text.data, text.len);
    keep_words(w, &notes, &flags);
    target_set_done(&r.set);
    free(r.ports);
}

void world_run(struct world *w, const struct plan *p, const struct target_set *t, bool mix)
{
    auto_tasks first = {0};
    struct progress now = {0};

    CHECK_OK(plan_first(p, t, &first, ERR));
    add_tasks(w, &first, 0);
    while (w->done < w->n_tasks) {
        size_t at = mix ? (size_t)world_chance(w, w->n_tasks) : 0;

        while (w->task[at].state != JOB_QUEUED) {
            at = (at + 1) % w->n_tasks;
        }
        w->task[at].state = JOB_RUNNING;
        plan_progress(p, w->task, w->n_tasks, 2000000, 1, &now);
        CHECK(now.percent_x100 >= 0 && now.percent_x100 <= 9999 && now.task);
        run_task(w, p, at);
    }
    plan_progress(p, w->task, w->n_tasks, 2000000, 1, &now);
    CHECK_INT(now.percent_x100, 9999);
}

void world_compare(const struct world *w, uint64_t *right, uint64_t *wrong, uint64_t *all)
{
    *right = *wrong = *all = 0;
    for (size_t i = 0; i < w->n; i++) {
        for (unsigned p = 0; p < WORLD_PORTS; p++) {
            bool is = bit(w->v[i].open, p), told = bit(w->found[i], p);

            *all += is;
            *right += is && told;
            *wrong += told && !is;
        }
    }
}

uint64_t world_unnamed(const struct world *w)
{
    uint64_t n = 0;

    for (size_t i = 0; i < w->n; i++) {
        for (unsigned p = 0; p < WORLD_PORTS; p++) {
            n += bit(w->v[i].open, p) && !bit(w->named[i], p);
        }
    }
    return n;
}

size_t world_count(const struct world *w, enum stage_kind kind, bool repeats)
{
    size_t n = 0;

    for (size_t i = 0; i < w->n_tasks; i++) {
        n += w->spec[i].kind == kind && w->spec[i].repeats == repeats;
    }
    return n;
}
