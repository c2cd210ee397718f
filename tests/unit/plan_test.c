/* Plans, run to their end in networks on paper: what is found is what is there. */
#include <jansson.h>
#include <stdlib.h>

#include "model/request.h"
#include "plan/pace.h"
#include "plan_world.h"

struct asked {
    const char *profile, *tool, *ports, *arguments, *targets;
    uint32_t shards, slots, rate;
    bool own_pace, no_raw, none; /* none: neither masscan nor zmap */
    const char *zmap;            /* its version; NULL: not known */
    uint64_t seed;
};

static struct profiles *profiles;

static void read_targets(const char *s, struct target_set *t)
{
    auto_strvec words = {0};

    CHECK_OK(shell_split(s, &words, ERR));
    CHECK_OK(target_set_parse(&words, t, ERR));
}

static int make_from(const struct asked *a, const struct target_set *t, struct plan **out)
{
    struct plan_request q = {
        .tool = a->tool,
        .ports = a->ports,
        .arguments = a->arguments,
        .rate = a->rate,
        .own_pace = a->own_pace,
        .shards = a->shards,
        .slots = a->slots ? a->slots : 4,
        .raw = !a->no_raw,
        .have_masscan = !a->none,
        .have_zmap = !a->none,
        .zmap_version = a->zmap,
        .targets = t,
        .seed = a->seed ? a->seed : 42,
    };

    if (!profiles) {
        CHECK_OK(profiles_load(NULL, &profiles, ERR));
    }
    q.profile = a->profile ? profiles_find(profiles, a->profile, ERR) : NULL;
    CHECK(!a->profile || q.profile);
    return plan_make(&q, out, ERR);
}

static struct plan *make(const struct asked *a, struct target_set *t)
{
    struct plan *p = NULL, *again = NULL;
    auto_buf b = {0}, c = {0};

    read_targets(a->targets, t);
    CHECK_OK(make_from(a, t, &p));
    plan_write(p, &b);
    CHECK_OK(plan_read(b.data, &again, ERR));
    plan_write(again, &c);
    CHECK_STR(c.data, b.data);
    plan_free(p);
    return again; /* what was stored does all of the work */
}

static json_t *summary(const struct world *w, const struct plan *p, uint64_t lost)
{
    auto_buf b = {0};
    json_t *o;

    plan_summary(p, w->task, w->n_tasks, lost, &w->notes, &w->flags, NULL, &b);
    o = json_loadb(b.data, b.len, JSON_REJECT_DUPLICATES, NULL);
    CHECK(o != NULL);
    return o;
}

static double covered(const json_t *o)
{
    return json_number_value(json_object_get(json_object_get(o, "coverage"), "percent"));
}

static const char *cover_text(const json_t *o)
{
    return json_string_value(json_object_get(json_object_get(o, "coverage"), "text"));
}

/* The laboratory: 26 hosts in a /24, 13 of them with 65 open ports in 1-10000. */
static struct world *laboratory(uint64_t seed)
{
    struct world *w = world_new(seed);

    for (unsigned i = 0; i < 26; i++) {
        auto_free char *ip = str_fmt("10.0.0.%u", 3 + i * 9);
        struct world_host *h = world_add(w, ip);

        while (i < 13 && h->n_open < 5) {
            world_open(h, 1 + (unsigned)world_chance(w, 10000));
        }
    }
    return w;
}

static void check_found(const struct world *w, double least)
{
    uint64_t right, wrong, all;

    world_compare(w, &right, &wrong, &all);
    CHECK_INT(wrong, 0);
    if ((double)right < least * (double)all) {
        tap_fail(__FILE__, __LINE__, "%d of %d open ports were found", (int)right, (int)all);
    }
}

/* One wave of tasks of a stage sends at the rate of the stage, each with the same work. */
static void check_rates(const struct world *w, enum stage_kind kind, uint32_t rate)
{
    uint64_t sum = 0, least = UINT64_MAX, most = 0;
    size_t n = 0;

    for (size_t i = 0; i < w->n_tasks; i++) {
        const struct plan_spec *s = &w->spec[i];
        auto_free char *words = str_fmt("--min-rate %u", s->rate);

        if (s->kind == kind) {
            CHECK(strstr(s->arguments, words) && !strstr(s->arguments, "--max-retries"));
            sum += s->rate;
            least = MIN(least, s->addresses);
            most = MAX(most, s->addresses);
            n++;
        }
    }
    CHECK(sum <= rate && sum + n > rate && most <= least + 1);
}

static void everything_is_found_in_the_laboratory(void)
{
    for (uint32_t slots = 1; slots <= 8; slots *= 2) {
        struct asked a = {
            .profile = "full", .ports = "1-10000", .targets = "10.0.0.0/24", .slots = slots};
        auto_targets t = {0};
        struct plan *p = make(&a, &t);
        struct world *w = laboratory(7);
        json_t *o;

        world_run(w, p, &t, false);
        check_found(w, 1);
        CHECK_INT(world_count(w, STAGE_PORTS, true) + world_count(w, STAGE_SERVICES, true), 0);
        CHECK_INT(world_count(w, STAGE_HOSTS, false), 1);
        CHECK_INT(world_count(w, STAGE_PORTS, false), MIN(slots, 260000u / PACE_PROBES_LEAST));
        CHECK_INT(world_count(w, STAGE_SERVICES, false), world_count(w, STAGE_PORTS, false));
        check_rates(w, STAGE_HOSTS, PACE_HOSTS_RATE);
        check_rates(w, STAGE_PORTS, PACE_PORTS_RATE);
        CHECK_INT(w->probes, 260000);
        CHECK_INT(w->notes.n + w->flags.n, 0);
        o = summary(w, p, 0);
        CHECK(covered(o) == 100.0);
        CHECK_STR(cover_text(o), "covered 100.0 %");
        json_decref(o);
        world_free(w);
        plan_free(p);
    }
}

static void tasks_are_as_many_as_slots_unless_there_is_too_little_or_too_much(void)
{
    static const struct {
        unsigned hosts;
        const char *ports;
        uint32_t slots, rate;
        size_t tasks, parts; /* of hosts */
        bool own;
    } cases[] = {
        {26, "1-10000", 1, 0, 1, 1, false},    {26, "1-10000", 4, 0, 4, 4, false},
        {26, "1-10000", 16, 0, 4, 4, false},   {26, "1-65535", 4, 0, 4, 4, false},
        {26, "1-65535", 16, 0, 16, 16, false}, {200, "1-65535", 4, 0, 7, 7, false},
        {1, "1-65535", 4, 0, 1, 1, false},     {4, "1-65535", 16, 0, 4, 4, false},
        {2, "1-65535", 16, 0, 2, 2, false},    {3, "1-65535", 2, 0, 2, 2, false},
        {26, "1-100", 4, 0, 1, 1, false},      {26, "1-10000", 4, 1000, 4, 4, false},
        {26, "1-10000", 4, 0, 4, 4, true},     {2, "1-10000", 4, 0, 4, 1, true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct asked a = {.profile = "full",
                          .ports = cases[i].ports,
                          .targets = "10.0.0.0/24",
                          .slots = cases[i].slots,
                          .rate = cases[i].rate,
                          .own_pace = cases[i].own};
        auto_targets t = {0};
        struct plan *p = make(&a, &t);
        struct world *w = world_new(1);
        uint64_t sum[STAGE_KINDS] = {0};
        auto_strvec parts = {0};

        for (unsigned k = 1; k <= cases[i].hosts; k++) {
            auto_free char *ip = str_fmt("10.0.0.%u", k);

            world_open(world_add(w, ip), 1 + k % 100);
        }
        world_run(w, p, &t, false);
        check_found(w, 1);
        for (size_t k = 0; k < w->n_tasks; k++) {
            const struct plan_spec *s = &w->spec[k];
            bool seen = s->kind != STAGE_PORTS;

            for (size_t m = 0; m < parts.n && !seen; m++) {
                seen = str_eq(parts.v[m], s->targets);
            }
            if (!seen) {
                strvec_push(&parts, s->targets);
            }
            sum[s->kind] += s->rate;
        }
        if (world_count(w, STAGE_PORTS, false) != cases[i].tasks || parts.n != cases[i].parts) {
            tap_fail(__FILE__, __LINE__, "case %d: %d tasks, %d parts of hosts", (int)i,
                     (int)world_count(w, STAGE_PORTS, false), (int)parts.n);
        }
        CHECK(cases[i].own ? sum[STAGE_PORTS] == 0
                           : sum[STAGE_PORTS] / MAX(cases[i].tasks / cases[i].slots, 1u) >
                                 (cases[i].rate ? cases[i].rate : 20000u) / 2);
        CHECK(!cases[i].rate ||
              (sum[STAGE_HOSTS] <= cases[i].rate && sum[STAGE_PORTS] <= cases[i].rate &&
               sum[STAGE_SERVICES] <= cases[i].rate));
        world_free(w);
        plan_free(p);
    }
}

static void the_same_seed_gives_the_same_tasks(void)
{
    struct asked a = {.profile = "full", .ports = "1-10000", .targets = "10.0.0.0/22"};
    auto_buf one = {0}, two = {0}, three = {0};
    struct buf *text[3] = {&one, &two, &three};

    for (int i = 0; i < 3; i++) {
        auto_targets t = {0};
        struct plan *p;
        struct world *w = laboratory(7);

        a.seed = i < 2 ? 1 : 2;
        p = make(&a, &t);
        world_run(w, p, &t, false);
        for (size_t k = 0; k < w->n_tasks; k++) {
            plan_spec_write(&w->spec[k], text[i]);
        }
        world_free(w);
        plan_free(p);
    }
    CHECK_STR(one.data, two.data);
    CHECK(strcmp(one.data, three.data) != 0);
}

static void tasks_of_hosts_cut_the_set_without_rest_and_have_some_of_every_network(void)
{
    struct asked a = {.profile = "ping", .targets = "10.0.0.0/18 10.9.0.0/20 10.0.1.7 b.example"};
    auto_targets t = {0}, v = {0};
    auto_tasks tasks = {0};
    auto_netset all = {0};
    struct plan *p;
    size_t named = 0;

    read_targets(a.targets, &v);
    p = make(&a, &t);
    CHECK_OK(pins_apply(&t, "b.example=10.77.0.1+2001:db8::1", ERR));
    CHECK_OK(plan_first(p, &t, &tasks, ERR));
    CHECK_INT(tasks.n, 6); /* 20481 of 4096 at most */
    for (size_t i = 0; i < tasks.n; i++) {
        auto_targets part = {0};
        struct net_range net;

        read_targets(tasks.v[i].targets, &part);
        CHECK_INT(target_set_count(&part), tasks.v[i].addresses);
        CHECK(tasks.v[i].addresses >= 3413 && tasks.v[i].addresses <= 3415);
        CHECK(net_range_parse("10.9.0.0/20", false, &net) &&
              netset_meets(&part.addresses, &net, NULL));
        for (size_t k = 0; k < part.addresses.n; k++) {
            CHECK(!netset_meets(&all, &part.addresses.v[k], NULL));
        }
        netset_add_set(&all, &part.addresses);
        if (part.n_pins) {
            CHECK_STR(tasks.v[i].pins, "b.example=10.77.0.1");
            named++;
        }
    }
    CHECK(netset_equal(&all, &v.addresses));
    CHECK_INT(named, 1);
    plan_free(p);
}

static void names_are_kept_to_the_last_stage(void)
{
    struct asked a = {.profile = "standard", .ports = "1-100", .targets = "www.example 10.0.0.9"};
    auto_targets t = {0};
    struct plan *p = make(&a, &t);
    struct world *w = world_new(1);
    size_t kept = 0;

    world_open(world_add(w, "10.0.0.5"), 80);
    world_open(world_add(w, "10.0.0.9"), 22);
    CHECK_OK(pins_apply(&t, "www.example=10.0.0.5", ERR));
    world_run(w, p, &t, false);
    check_found(w, 1);
    for (size_t i = 0; i < w->n_tasks; i++) {
        if (strstr(w->spec[i].targets, "www.example")) {
            CHECK_STR(w->spec[i].pins, "www.example=10.0.0.5");
            CHECK(!strstr(w->spec[i].targets, "10.0.0.5"));
            kept |= 1u << w->spec[i].kind;
        }
    }
    CHECK_INT(kept, 1u << STAGE_HOSTS | 1u << STAGE_PORTS | 1u << STAGE_SERVICES);
    world_free(w);
    plan_free(p);
}

static void nobody_is_looked_at_who_was_not_asked_for(void)
{
    struct asked a = {.profile = "standard", .ports = "1-50", .targets = "10.0.0.0/29 !10.0.0.5"};
    auto_targets t = {0};
    struct plan *p = make(&a, &t);
    struct world *w = world_new(1);
    const struct net_ip *out[2];

    world_open(world_add(w, "10.0.0.1"), 7);
    out[0] = &world_add(w, "10.0.0.5")->ip;
    out[1] = &world_add(w, "10.0.0.200")->ip;
    w->gossip = true;
    world_run(w, p, &t, false);
    CHECK(world_count(w, STAGE_PORTS, false) > 0 && world_count(w, STAGE_SERVICES, false) > 0);
    for (size_t i = 0; i < w->n_tasks; i++) {
        auto_targets set = {0};

        read_targets(w->spec[i].targets, &set);
        CHECK(!netset_has(&set.addresses, out[0]) && !netset_has(&set.addresses, out[1]));
    }
    world_free(w);
    plan_free(p);
}

static void the_two_families_never_meet_in_a_task(void)
{
    struct asked a = {
        .profile = "standard", .ports = "1-50", .targets = "a.example b.example c.example"};
    auto_targets t = {0};
    struct plan *p = make(&a, &t);
    struct world *w = world_new(1);

    world_open(world_add(w, "10.0.0.5"), 7);
    world_open(world_add(w, "2001:db8::5"), 9);
    world_open(world_add(w, "2001:db8::6"), 11);
    CHECK_OK(pins_apply(
        &t, "a.example=2001:db8::1+10.0.0.5,b.example=2001:db8::5,c.example=2001:db8::6", ERR));
    world_run(w, p, &t, true); /* check_request() looks */
    check_found(w, 1);
    world_free(w);
    plan_free(p);
}

static void targets_of_both_families_are_one_job(void)
{
    static const char *const names[] = {"standard", "sweep", "ping"};

    for (size_t k = 0; k < ARRAY_LEN(names); k++) {
        struct asked a = {.profile = names[k],
                          .ports = k == 2 ? NULL : "1-50",
                          .rate = 400,
                          .targets = "10.0.0.0/24 2001:db8::/120"};
        auto_targets t = {0};
        auto_tasks first = {0};
        struct plan *p = make(&a, &t);
        struct world *w = world_new(1);
        uint64_t addresses = 0, rate = 0;

        world_open(world_add(w, "10.0.0.5"), 7);
        world_open(world_add(w, "2001:db8::5"), 9);
        CHECK_OK(plan_first(p, &t, &first, ERR));
        CHECK(first.n >= 2);
        for (size_t i = 0; i < first.n; i++) {
            addresses += first.v[i].addresses;
            rate += i < 4 ? first.v[i].rate : 0; /* in four slots */
        }
        CHECK_INT(addresses, 512);
        CHECK(rate <= 400);
        world_run(w, p, &t, true); /* check_request() looks at the families of each task */
        if (k < 2) {
            check_found(w, 1);
        }
        CHECK(w->up[0] && w->up[1]);
        world_free(w);
        plan_free(p);
    }
}

static void lost_probes_are_noticed_and_repeated_slower(void)
{
    struct asked a = {.profile = "full", .ports = "1-10000", .targets = "10.0.0.0/24"};
    auto_targets t = {0};
    struct plan *p = make(&a, &t);
    struct world *w = laboratory(3);
    json_t *o;

    w->lose_x1000 = 100;
    world_run(w, p, &t, true);
    check_found(w, 1);
    CHECK(world_count(w, STAGE_PORTS, true) > 0);
    for (size_t i = 0; i < w->n_tasks; i++) {
        if (w->spec[i].kind == STAGE_PORTS && w->spec[i].repeats) {
            CHECK(!strstr(w->spec[i].arguments, "--min-rate") && w->spec[i].rate == 0);
        }
    }
    CHECK(w->notes.n > 0 && strstr(w->notes.v[0], "probed again at nmap's own pace"));
    o = summary(w, p, 0);
    CHECK(covered(o) == 100.0);
    CHECK(json_array_size(json_object_get(o, "notes")) > 0);
    json_decref(o);
    world_free(w);
    plan_free(p);
}

static void firewalls_that_never_answer_are_no_loss(void)
{
    struct asked a = {.profile = "full", .ports = "1-10000", .targets = "10.0.0.0/24"};
    auto_targets t = {0};
    struct plan *p = make(&a, &t);
    struct world *w = laboratory(5);

    for (size_t i = 0; i < w->n; i += 2) {
        w->v[i].filtered = true;
    }
    world_run(w, p, &t, true);
    check_found(w, 1);
    CHECK_INT(world_count(w, STAGE_PORTS, true), 0);
    world_free(w);
    plan_free(p);
}

static void at_the_tools_own_pace_nothing_is_sampled(void)
{
    struct asked a = {
        .profile = "full", .ports = "1-10000", .targets = "10.0.0.0/24", .own_pace = true};
    auto_targets t = {0};
    struct plan *p = make(&a, &t);
    struct world *w = laboratory(5);

    world_run(w, p, &t, false);
    check_found(w, 1);
    for (size_t i = 0; i < w->n_tasks; i++) {
        CHECK(!w->spec[i].sample && w->spec[i].rate == 0);
        CHECK(!strstr(w->spec[i].arguments, "-T") && !strstr(w->spec[i].arguments, "-rate"));
    }
    world_free(w);
    plan_free(p);
}

static void masscan_that_loses_answers_is_helped_by_nmap(void)
{
    static const unsigned losses[] = {0, 20, 100, 450};

    for (size_t i = 0; i < ARRAY_LEN(losses); i++) {
        struct asked a = {
            .profile = "full", .tool = "masscan", .ports = "1-10000", .targets = "10.0.0.0/24"};
        auto_targets t = {0};
        struct plan *p = make(&a, &t);
        struct world *w = laboratory(11 + i);

        w->sweep_lose_x1000 = losses[i];
        world_run(w, p, &t, true);
        check_found(w, 0.99);
        CHECK(w->n_tasks < 80);
        if (losses[i] == 450) {
            CHECK(w->notes.n > 0 && strstr(w->notes.v[0], "by nmap: two passes of masscan"));
        } else if (losses[i] == 0) {
            CHECK_INT(w->notes.n, 0);
        }
        world_free(w);
        plan_free(p);
    }
}

/* Two passes that find nothing on hosts that are up say nothing. */
static void masscan_that_finds_little_is_not_trusted(void)
{
    for (unsigned lose = 0; lose <= 1000; lose += 500) {
        struct asked a = {
            .profile = "full", .tool = "masscan", .ports = "1-1000", .targets = "10.0.0.0/24"};
        auto_targets t = {0};
        struct plan *p = make(&a, &t);
        struct world *w = world_new(lose);
        size_t again = 0;

        world_open(world_add(w, "10.0.0.5"), 80);
        world_open(world_add(w, "10.0.0.9"), 22);
        w->sweep_lose_x1000 = lose;
        world_run(w, p, &t, true);
        check_found(w, 1);
        for (size_t i = 0; i < w->n_tasks; i++) {
            const struct plan_spec *s = &w->spec[i];

            again += s->kind == STAGE_PORTS && s->repeats && str_eq(s->tool, "nmap");
        }
        CHECK_INT(again, 1);
        CHECK_INT(w->notes.n, 1);
        world_free(w);
        plan_free(p);
    }
}

/* Without hosts that are known to be up: small ones twice, of large ones a part. */
static void sweeps_of_one_port_are_guarded(void)
{
    static const struct {
        const char *targets, *tool;
        unsigned lose;
        bool again;
    } cases[] = {{"10.0.0.0/22", "masscan", 0, false},  {"10.0.0.0/22", "masscan", 400, true},
                 {"10.0.0.0/11", "zmap", 0, false},     {"10.0.0.0/11", "zmap", 400, true},
                 {"10.0.0.0/11", "masscan", 300, true}, {"10.0.0.0/15", "zmap", 400, true}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct asked a = {
            .profile = "sweep", .tool = cases[i].tool, .ports = "443", .targets = cases[i].targets};
        auto_targets t = {0};
        struct plan *p = make(&a, &t);
        struct world *w = world_new(i + 1);
        uint64_t most = target_set_count(&t), first = 0, second = 0, right, wrong, all;

        for (unsigned k = 0; k < 400; k++) {
            uint64_t n = 0x0a000000u + most / 400 * k + world_chance(w, 2);
            auto_free char *ip = str_fmt("10.%u.%u.%u", (unsigned)(n >> 16 & 255),
                                         (unsigned)(n >> 8 & 255), (unsigned)(n & 255));

            world_open(world_add(w, ip), 443);
        }
        w->sweep_lose_x1000 = cases[i].lose;
        world_run(w, p, &t, true);
        for (size_t k = 0; k < w->n_tasks; k++) {
            const struct plan_spec *s = &w->spec[k];

            first += s->kind == STAGE_PORTS && s->round == 0 ? s->addresses : 0;
            second += s->kind == STAGE_PORTS && s->round == 1 ? s->addresses : 0;
            CHECK(s->kind != STAGE_VERIFY || s->addresses <= 400);
        }
        CHECK_INT(first, most);
        CHECK(second > 0 && second <= 2 * (most / PACE_SWEEP_PROBES + 1) * PACE_SWEEP_AGAIN_MOST);
        CHECK((w->notes.n > 0) == cases[i].again);
        world_compare(w, &right, &wrong, &all);
        CHECK_INT(wrong, 0);
        CHECK(right >= all * (100 - cases[i].lose / 20) / 100 || most <= 4096);
        if (most <= 4096) {
            CHECK_INT(right, all);
        }
        world_free(w);
        plan_free(p);
    }
}

static void hosts_that_nobody_heard_of_are_not_sampled(void)
{
    struct asked a = {
        .profile = "full", .arguments = "-Pn", .ports = "1-2000", .targets = "10.0.0.0/25"};
    auto_targets t = {0};
    struct plan *p = make(&a, &t);
    struct world *w = world_new(4);

    for (unsigned k = 1; k < 100; k++) {
        auto_free char *ip = str_fmt("10.0.0.%u", k);
        struct world_host *h = world_add(w, ip);

        h->filtered = k % 4 != 0; /* and nothing open: as if nobody was there */
        if (k % 4 == 0) {
            world_open(h, k);
        }
    }
    world_run(w, p, &t, true);
    check_found(w, 1);
    for (size_t i = 0; i < w->n_tasks; i++) {
        CHECK(w->spec[i].kind != STAGE_SERVICES || w->spec[i].addresses <= 24);
    }
    world_free(w);
    plan_free(p);
}

static void a_sweeper_that_crashes_or_hangs_is_replaced(void)
{
    for (int hang = 0; hang < 2; hang++) {
        struct asked a = {
            .profile = "full", .tool = "masscan", .ports = "1-5000", .targets = "10.0.0.0/24"};
        auto_targets t = {0};
        struct plan *p = make(&a, &t);
        struct world *w = laboratory(2);
        json_t *o;

        w->crash_tool = hang ? NULL : "masscan";
        w->hang_tool = hang ? "masscan" : NULL;
        for (size_t i = 0; i < w->n; i++) {
            for (unsigned k = 5001; k <= 10000; k++) {
                w->v[i].open[k / 8] &= (uint8_t) ~(1u << k % 8);
            }
        }
        world_run(w, p, &t, false);
        check_found(w, 1);
        o = summary(w, p, 0);
        CHECK(covered(o) == 100.0);
        CHECK(strstr(w->notes.v[0],
                     hang ? "masscan ended with timeout" : "masscan ended with tool_crashed"));
        json_decref(o);
        world_free(w);
        plan_free(p);
    }
}

static void shards_that_crash_are_missing_and_the_others_are_kept(void)
{
    struct asked a = {
        .profile = "full", .ports = "1-100", .targets = "10.0.0.1 10.0.0.2", .shards = 2};
    auto_targets t = {0};
    struct plan *p = make(&a, &t);
    struct world *w = world_new(1);
    auto_buf b = {0};
    json_t *o, *missing;

    world_open(world_add(w, "10.0.0.1"), 5);
    world_open(world_add(w, "10.0.0.2"), 5);
    w->crash_targets = "10.0.0.2";
    world_run(w, p, &t, false);
    o = summary(w, p, 0);
    CHECK(covered(o) == 50.0);
    CHECK_STR(cover_text(o),
              "covered 50.0 %, 1 shard failed: ports 10.0.0.2 tcp 1-100 (tool_crashed)");
    missing = json_array_get(json_object_get(json_object_get(o, "coverage"), "missing"), 0);
    CHECK_STR(json_string_value(json_object_get(missing, "addresses")), "10.0.0.2");
    CHECK_STR(json_string_value(json_object_get(missing, "reason")), "tool_crashed");
    json_decref(o);
    plan_summary(p, w->task, w->n_tasks, 0, NULL, NULL, NULL, &b);
    CHECK_INT(plan_summary_missing_x100(b.data), 5000);
    world_free(w);
    plan_free(p);
}

static const char *note_of(const json_t *summary, const char *words)
{
    const json_t *v, *list = json_object_get(summary, "notes");
    const char *found = NULL;
    size_t i;

    json_array_foreach(list, i, v)
    {
        if (strstr(json_string_value(v), words)) {
            CHECK(!found); /* once */
            found = json_string_value(v);
        }
    }
    return found;
}

/* Eight of them, on seven hosts; the other services of these hosts are told. */
static void services_that_are_silent_cost_no_other_its_name(void)
{
    for (uint32_t slots = 1; slots <= 4; slots += 3) {
        struct asked a = {
            .profile = "full", .ports = "1-10000", .targets = "10.0.0.0/24", .slots = slots};
        auto_targets t = {0};
        struct plan *p = make(&a, &t);
        struct world *w = laboratory(9);
        json_t *o;

        for (size_t i = 0; i < 8; i++) {
            unsigned port = 1;

            while (!(w->v[i].open[port / 8] >> port % 8 & 1)) {
                port++;
            }
            w->v[i].silent = (uint16_t)port;
        }
        world_run(w, p, &t, false);
        check_found(w, 1);
        CHECK_INT(world_unnamed(w), 8);
        CHECK(world_count(w, STAGE_SERVICES, true) >= 5);         /* each has five ports */
        CHECK(world_count(w, STAGE_SERVICES, true) <= 7 + slots); /* samples that are taken again */
        CHECK(strstr(w->summary.data, "\"waiting\":[]"));
        for (size_t i = 0; i < w->n_tasks; i++) {
            const struct plan_spec *spec = &w->spec[i];

            CHECK(spec->kind != STAGE_SERVICES ||
                  (spec->open ? strstr(spec->arguments, "-sV") &&
                                    strstr(spec->arguments, spec->round ? "--host-timeout 25s"
                                                                        : "--host-timeout 10s")
                              : spec->sample && !strstr(spec->arguments, "-sV")));
        }
        o = summary(w, p, 0);
        CHECK_STR(note_of(o, "told without a service"),
                  "services: open ports that did not say what they are, told without a service: 8");
        CHECK_INT(json_array_size(json_object_get(o, "notes")), 1);
        CHECK_STR(cover_text(o), "covered 100.0 %");
        json_decref(o);
        world_free(w);
        plan_free(p);
    }
}

static void a_host_that_is_silent_everywhere_is_left_after_two_rounds(void)
{
    struct asked a = {.profile = "full", .ports = "1-10000", .targets = "10.0.0.0/24"};
    auto_targets t = {0};
    struct plan *p = make(&a, &t);
    struct world *w = laboratory(9);
    uint64_t silent = 60;
    json_t *o;

    for (unsigned i = 0; w->v[1].n_open < silent; i++) {
        world_open(&w->v[1], 100 + 7 * i);
    }
    w->v[1].all_silent = true;
    world_run(w, p, &t, true);
    check_found(w, 1);
    CHECK_INT(world_unnamed(w), silent);
    CHECK(world_count(w, STAGE_SERVICES, true) <= silent + 20 + 5);
    o = summary(w, p, 0);
    CHECK(strstr(note_of(o, "told without a service"), ": 60"));
    json_decref(o);
    world_free(w);
    plan_free(p);
}

static void silent_services_at_nmaps_own_pace_have_a_bound(void)
{
    for (int mute = 0; mute < 2; mute++) {
        struct asked a = {
            .profile = "standard", .ports = "1-10000", .targets = "10.0.0.0/24", .own_pace = true};
        auto_targets t = {0};
        struct plan *p = make(&a, &t);
        struct world *w = laboratory(9);
        size_t light = 0;
        int told = 0;

        world_open(&w->v[0], 9999);
        w->v[0].silent = 9999;
        w->v[0].mute = mute;
        world_run(w, p, &t, false);
        check_found(w, 1);
        for (size_t i = 0; i < w->n_tasks; i++) {
            if (w->spec[i].light) {
                CHECK(
                    (w->spec[i].sample || strstr(w->spec[i].arguments, "--version-intensity 2")) &&
                    w->spec[i].wall_s);
                light++;
            }
        }
        CHECK(light >= 1 && light <= 5);
        for (size_t i = 0; i < w->notes.n; i++) {
            CHECK(!strstr(w->notes.v[i], "could not be checked"));
            told += strstr(w->notes.v[i], "without a service") != NULL;
        }
        CHECK_INT(told, mute);
        world_free(w);
        plan_free(p);
    }
}

static void hosts_on_which_everything_is_open_are_flagged_and_limited(void)
{
    struct asked a = {.profile = "full", .ports = "1-10000", .targets = "10.0.0.0/24"};
    auto_targets t = {0};
    struct plan *p = make(&a, &t);
    struct world *w = laboratory(9);
    json_t *o, *flag;
    uint64_t looked = 0;

    for (unsigned k = 1; k <= 9900; k++) {
        world_open(&w->v[20], k);
    }
    world_run(w, p, &t, true);
    check_found(w, 1);
    o = summary(w, p, 0);
    CHECK_INT(json_array_size(json_object_get(o, "flagged")), 1);
    flag = json_array_get(json_object_get(o, "flagged"), 0);
    CHECK_STR(json_string_value(json_object_get(flag, "address")), "10.0.0.183");
    CHECK_INT(json_integer_value(json_object_get(flag, "open")), 9900);
    CHECK_INT(json_integer_value(json_object_get(flag, "probed")), 10000);
    for (size_t i = 0; i < w->n_tasks; i++) {
        looked += w->spec[i].kind == STAGE_SERVICES ? w->spec[i].probes : 0;
    }
    CHECK(looked < 40000);
    CHECK(world_count(w, STAGE_SERVICES, true) == 0);
    json_decref(o);
    world_free(w);
    plan_free(p);
}

static void a_sweep_takes_the_tool_that_fits(void)
{
    static const struct {
        struct asked a;
        const char *tool;
    } cases[] = {
        {{.profile = "sweep", .ports = "443", .targets = "10.0.0.0/16"}, "zmap"},
        {{.profile = "sweep", .ports = "80,443", .targets = "10.0.0.0/16"}, "masscan"},
        {{.profile = "sweep", .ports = "443", .targets = "10.0.0.0/16", .no_raw = true}, "nmap"},
        {{.profile = "sweep", .ports = "443", .targets = "10.0.0.0/16", .none = true}, "nmap"},
        {{.profile = "sweep", .ports = "443", .targets = "2001:db8::/112"}, "nmap"},
        {{.profile = "sweep", .ports = "U:53", .targets = "10.0.0.0/16"}, "nmap"},
        {{.profile = "standard", .targets = "10.0.0.0/16"}, "nmap"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_targets t = {0};
        struct plan *p = make(&cases[i].a, &t);
        size_t at = plan_stages(p) == 2 ? 0 : 1;

        CHECK_STR(plan_stage_tool(p, at), cases[i].tool);
        plan_free(p);
    }
}

static void sweeps_find_what_is_there(void)
{
    static const char *const ports[] = {"443", "80,443"};

    for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
        struct asked a = {.profile = "sweep", .ports = ports[i], .targets = "10.0.0.0/16"};
        auto_targets t = {0};
        struct plan *p = make(&a, &t);
        struct world *w = world_new(4);
        json_t *o;

        for (unsigned k = 0; k < 200; k++) {
            auto_free char *ip = str_fmt("10.0.%u.%u", k, 7 * k % 256);
            struct world_host *h = world_add(w, ip);

            world_open(h, 443);
            if (i) {
                world_open(h, 80);
            }
        }
        world_run(w, p, &t, true);
        check_found(w, 1);
        CHECK(world_count(w, STAGE_VERIFY, false) >= 1 && w->n_tasks < 20);
        o = summary(w, p, 0);
        CHECK(covered(o) == 100.0);
        CHECK_INT(json_integer_value(json_object_get(json_object_get(o, "coverage"), "asked")),
                  (int64_t)65536 * (i + 1));
        json_decref(o);
        world_free(w);
        plan_free(p);
    }
}

static void sweepers_wait_three_seconds_unless_they_are_told(void)
{
    static const struct {
        const char *tool, *arguments, *there, *not_there;
    } cases[] = {{"zmap", NULL, "-c 3", "--wait"},
                 {"zmap", "--cooldown-time 9", "--cooldown-time 9", "-c 3"},
                 {"masscan", NULL, "--wait 3", "-c 3"},
                 {"masscan", "--wait 7", "--wait 7", "--wait 3"}};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct asked a = {.profile = "sweep",
                          .tool = cases[i].tool,
                          .arguments = cases[i].arguments,
                          .ports = "443",
                          .targets = "10.0.0.0/24"};
        auto_targets t = {0};
        struct plan *p = make(&a, &t);

        CHECK(strstr(plan_stage_arguments(p, 0), cases[i].there));
        CHECK(!strstr(plan_stage_arguments(p, 0), cases[i].not_there));
        plan_free(p);
    }
}

static void what_cannot_be_done_is_refused_with_the_reason(void)
{
    static const struct {
        struct asked a;
        const char *why;
    } cases[] = {
        {{.profile = "sweep", .targets = "10.0.0.0/16"}, "needs ports, for example \"443\""},
        {{.profile = "standard", .tool = "zmap", .ports = "80,443", .targets = "10.0.0.0/24"},
         "zmap takes one port per job, got 2"},
        {{.profile = "standard", .tool = "masscan", .targets = "10.0.0.0/24"},
         "masscan has no list of popular ports"},
        {{.profile = "full", .tool = "masscan", .targets = "127.0.0.1", .no_raw = true},
         "masscan needs raw sockets"},
        {{.profile = "full", .tool = "masscan", .targets = "10.0.0.1", .none = true},
         "masscan is not installed here"},
        {{.profile = "full", .targets = "2001:db8::/64"}, "2^64 or more addresses of IPv6"},
        {{.profile = "full", .targets = "0.0.0.0/0"},
         "4294967296 addresses are too many for nmap, at most 1048576"},
        {{.profile = "full", .targets = "0.0.0.0/0"},
         "divide them, or use profile sweep with masscan or zmap"},
        {{.profile = "sweep", .ports = "80", .targets = "0.0.0.0/0", .none = true},
         "divide them, or install masscan or zmap, which take more"},
        {{.profile = "sweep", .ports = "80", .targets = "0.0.0.0/0", .no_raw = true},
         "divide them; masscan and zmap take more, but need raw sockets"},
        {{.profile = "sweep", .tool = "nmap", .ports = "80", .targets = "0.0.0.0/0"},
         "divide them, or name the tool masscan or zmap"},
        {{.profile = "full", .ports = "1-99999", .targets = "10.0.0.1"},
         "invalid ports specification"},
        {{.profile = "udp", .ports = "T:80", .targets = "10.0.0.1"}, "could probe"},
        {{.tool = "masscan", .ports = "80", .targets = "10.0.0.1", .no_raw = true},
         "masscan needs raw sockets"},
        {{.profile = "udp", .tool = "zmap", .ports = "53", .targets = "10.0.0.1"},
         "zmap does not find what profile udp looks for (-sU -T4): use nmap"},
        {{.tool = "zmap", .ports = "80,443", .targets = "10.0.0.1", .zmap = "2.1.1"},
         "zmap 2.1.1 takes one port per scan, got 2"},
        {{.tool = "zmap",
          .arguments = "--target-ports=1-9",
          .targets = "10.0.0.1",
          .zmap = "3.0.0"},
         "zmap 3.0.0 takes one port per scan, got 9"},
        {{.profile = "ping", .ports = "80", .targets = "10.0.0.1"},
         "takes no ports, tool or options"},
        {{.profile = "ping", .tool = "masscan", .targets = "10.0.0.1"},
         "profile ping finds no ports"},
        {{.profile = "ping", .arguments = "-sV", .targets = "10.0.0.1"},
         "profile ping finds no ports"},
        {{.profile = "standard", .arguments = "-6", .targets = "10.0.0.1 ::1"},
         "'-6' and IPv4 targets"},
        {{.profile = "standard", .tool = "zmap", .ports = "80", .targets = "10.0.0.1 ::1"},
         "zmap reads IPv4 targets only"},
        {{.profile = "standard", .arguments = "-sn", .targets = "10.0.0.1"},
         "'-sn' finds no ports"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_targets t = {0};
        struct plan *p = NULL;

        read_targets(cases[i].a.targets, &t);
        CHECK_ERR(make_from(&cases[i].a, &t, &p), ERR_INVALID);
        if (!strstr(tap_err.msg, cases[i].why)) {
            tap_fail(__FILE__, __LINE__, "case %d gave: %s", (int)i, tap_err.msg);
        }
        CHECK(!p);
    }
}

static void options_of_the_request_take_the_place_of_ours(void)
{
    struct asked a = {.profile = "full",
                      .arguments = "-T2 --max-retries 5 -sT -p 1-100 --script-args "
                                   "'a b'",
                      .targets = "10.0.0.1"};
    struct asked up = {.profile = "full", .arguments = "-Pn", .targets = "10.0.0.1"};
    auto_targets t = {0}, u = {0};
    struct plan *p = make(&a, &t), *q = make(&up, &u);
    const char *words = plan_stage_arguments(p, 1);

    CHECK(strstr(words, "-T2") && !strstr(words, "-T4") && !strstr(words, "-sS"));
    CHECK(strstr(words, "--max-retries 5") && !strstr(words, "--max-retries 2"));
    CHECK(strstr(words, "'a b'") && !strstr(words, "-p"));
    CHECK(strstr(plan_stage_arguments(p, 2), "-sV") && !strstr(plan_stage_arguments(p, 2), "-T2"));
    CHECK_STR(plan_ports(p), "1-100");
    CHECK_INT(plan_stages(q), 2);
    CHECK_INT(plan_stage_kind(q, 0), STAGE_PORTS);
    CHECK_STR(plan_stage_tool(q, 0), "nmap");
    plan_free(p);
    plan_free(q);
}

static void another_tool_looks_for_the_protocol_of_the_profile(void)
{
    struct asked a = {.profile = "udp", .tool = "masscan", .ports = "53", .targets = "10.0.0.1"};
    struct asked own = {.profile = "udp",
                        .tool = "masscan",
                        .ports = "53",
                        .arguments = "-sU --retries 1",
                        .targets = "10.0.0.1"};
    auto_targets t = {0}, u = {0};
    struct plan *p = make(&a, &t), *q = make(&own, &u);

    CHECK(strstr(plan_stage_arguments(p, 1), "-sU"));
    CHECK(!strstr(strstr(plan_stage_arguments(q, 1), "-sU") + 1, "-sU"));
    plan_free(p);
    plan_free(q);
}

static void a_rate_that_is_asked_is_never_gone_beyond(void)
{
    for (int own_pace = 0; own_pace < 2; own_pace++) {
        struct asked a = {.profile = "full",
                          .ports = "1-10000",
                          .targets = "10.0.0.0/24",
                          .rate = 400,
                          .own_pace = own_pace};
        auto_targets t = {0};
        struct plan *p = make(&a, &t);
        struct world *w = world_new(1);

        world_open(world_add(w, "10.0.0.7"), 80);
        world_run(w, p, &t, false);
        for (size_t i = 0; i < w->n_tasks; i++) {
            const char *most = strstr(w->spec[i].arguments, "--max-rate ");

            CHECK(most && atoi(most + strlen("--max-rate ")) <= 400);
        }
        world_free(w);
        plan_free(p);
    }
}

static void a_tool_without_a_profile_is_one_task(void)
{
    struct asked a = {.tool = "masscan",
                      .ports = "80",
                      .arguments = "--retries 1",
                      .targets = "10.0.0.0/24 !10.0.0.5",
                      .rate = 1000};
    auto_targets t = {0};
    struct plan *p = make(&a, &t);
    struct world *w = world_new(1);

    world_open(world_add(w, "10.0.0.7"), 80);
    world_run(w, p, &t, false);
    check_found(w, 1);
    CHECK_INT(w->n_tasks, 1);
    CHECK_STR(w->spec[0].tool, "masscan");
    CHECK_STR(w->spec[0].arguments, "--rate 1000 --retries 1");
    CHECK_STR(w->spec[0].ports, "80");
    CHECK_INT(w->spec[0].rate, 1000);
    CHECK_INT(w->spec[0].addresses, 255);
    world_free(w);
    plan_free(p);
}

static void names_count_once_where_addresses_are_swept(void)
{
    struct asked a = {
        .profile = "sweep", .ports = "443", .targets = "10.0.0.0/24 a.example b.example"};
    struct plan_request q = {.ports = "443", .slots = 2, .raw = true, .have_zmap = true, .seed = 1};
    auto_targets t = {0};
    auto_tasks tasks = {0};
    struct plan *p = NULL;
    struct world *w = world_new(1);
    json_t *o;

    read_targets(a.targets, &t);
    CHECK_OK(pins_apply(&t, "a.example=10.0.0.5,b.example=10.9.0.5", ERR));
    if (!profiles) {
        CHECK_OK(profiles_load(NULL, &profiles, ERR));
    }
    q.profile = profiles_find(profiles, "sweep", ERR);
    q.targets = &t;
    CHECK_OK(plan_make(&q, &p, ERR));
    CHECK_OK(plan_first(p, &t, &tasks, ERR));
    CHECK_INT(tasks.n, 1);
    CHECK_INT(tasks.v[0].addresses, 257);
    CHECK(!tasks.v[0].pins && strstr(tasks.v[0].arguments, "--rate "));
    world_run(w, p, &t, false);
    o = summary(w, p, 0);
    CHECK(covered(o) == 100.0);
    json_decref(o);
    world_free(w);
    plan_free(p);
}

static void what_is_stored_wrongly_is_refused(void)
{
    static const char *const specs[] = {
        "",
        "[]",
        "{}",
        "{\"stage\":0,\"kind\":\"ports\",\"tool\":\"nmap\"}",
        "{\"stage\":99,\"kind\":\"ports\",\"tool\":\"nmap\",\"targets\":\"10.0.0.1\"}",
        "{\"stage\":0,\"kind\":\"port\",\"tool\":\"nmap\",\"targets\":\"10.0.0.1\"}",
        "{\"stage\":0,\"stage\":0,\"kind\":\"ports\",\"tool\":\"nmap\",\"targets\":\"a\"}",
        "{\"stage\":0,\"kind\":\"ports\",\"tool\":\"nmap\",\"targets\":\"a\",\"rate\":-1}",
        "{\"stage\":0,\"kind\":\"ports\",\"tool\":\"nmap\",\"targets\":7}",
    };
    static const char *const plans[] = {"", "{}", "[]", "{\"version\":1}",
                                        "{\"version\":2,\"seed\":\"1\"}"};

    for (size_t i = 0; i < ARRAY_LEN(specs); i++) {
        struct plan_spec s = {0};

        CHECK_ERR(plan_spec_read(specs[i], &s, ERR), ERR_INTERNAL);
        CHECK(!s.tool);
    }
    for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
        struct plan *p = NULL;

        CHECK_ERR(plan_read(plans[i], &p, ERR), ERR_INTERNAL);
        CHECK(!p);
    }
}

static void large_plans_stay_within_the_tasks_of_a_job(void)
{
    struct asked a = {.profile = "full", .targets = "10.0.0.0/16", .slots = 64};
    auto_targets t = {0};
    struct plan *p = make(&a, &t);
    auto_tasks tasks = {0};
    struct plan_needs needs;

    CHECK_OK(plan_first(p, &t, &tasks, ERR));
    CHECK(tasks.n <= 64 && tasks.n >= 16);
    plan_needs(p, &t, &needs);
    CHECK_INT(needs.addresses, 65536);
    CHECK_INT(needs.ports, 65535);
    CHECK(needs.probes > UINT64_C(65536) * 65535 && needs.seconds > 60);
    CHECK_INT(needs.protocols, 1u << PORTS_TCP);
    CHECK(!needs.raw);
    plan_free(p);
}

static void progress_is_sane_without_tasks(void)
{
    struct asked a = {.profile = "standard", .targets = "10.0.0.0/24"};
    auto_targets t = {0};
    struct plan *p = make(&a, &t);
    struct progress now;
    auto_buf b = {0};

    plan_progress(p, NULL, 0, 0, 0, &now);
    CHECK_INT(now.percent_x100, 0);
    CHECK_INT(now.remaining_s, -1);
    CHECK_STR(now.task, "hosts");
    plan_summary(p, NULL, 0, 0, NULL, NULL, NULL, &b);
    CHECK_INT(plan_summary_missing_x100(b.data), 10000);
    CHECK_INT(plan_summary_missing_x100("garbage"), 0);
    plan_free(p);
}

static void how_tcp_is_scanned_is_known(void)
{
    static const struct {
        struct asked a;
        const char *how;
    } cases[] = {
        {{.profile = "standard"}, "syn"},
        {{.profile = "standard", .no_raw = true}, "connect"},
        {{.profile = "standard", .arguments = "-sT"}, "connect"},
        {{.profile = "standard", .arguments = "-sF"}, "fin"},
        {{.profile = "standard", .arguments = "-sX -sV"}, "xmas"},
        {{.profile = "udp", .no_raw = true}, "syn"},
        {{.tool = "masscan", .ports = "80"}, "syn"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct asked a = cases[i].a;
        auto_targets t = {0};
        struct plan *p;

        a.targets = "10.0.0.1";
        p = make(&a, &t);
        CHECK_STR(plan_tcp_scan(p), cases[i].how);
        plan_free(p);
    }
}

static void ports_of_a_lone_tool_are_known_wherever_they_stand(void)
{
    static const struct asked cases[] = {
        {.tool = "zmap", .ports = "23"},
        {.tool = "zmap", .arguments = "-p 23"},
        {.tool = "zmap", .arguments = "--target-ports=23"},
        {.tool = "zmap", .arguments = "--target-port 23"},
        {.tool = "masscan", .arguments = "-p23"},
        {.tool = "masscan", .arguments = "--ports=23"},
        {.tool = "masscan", .arguments = "--ping", .ports = "23"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct asked a = cases[i];
        auto_targets t = {0};
        struct plan_needs needs;
        struct plan *p;

        a.targets = "10.0.0.0/24";
        p = make(&a, &t);
        plan_needs(p, &t, &needs);
        CHECK_STR(plan_ports(p), "23");
        CHECK_INT(needs.ports, 1);
        CHECK_INT(needs.probes, 256);
        CHECK_INT(needs.protocols, 1u << PORTS_TCP);
        plan_free(p);
    }
}

static void estimates_of_sweeps_count_rate_retries_and_waits(void)
{
    const struct {
        struct asked asked;
        uint32_t seconds;
    } cases[] = {
        {{.tool = "masscan", .arguments = "-p1-1000 --rate 1000 --wait 20"}, 256 + 20},
        {{.tool = "masscan", .ports = "1-1000", .arguments = "--rate=1000"}, 256 + 10},
        {{.tool = "masscan", .ports = "1-1000"}, 256 + 10}, /* what it sends if it is not told */
        {{.tool = "masscan", .ports = "1-1000", .arguments = "--rate 9000", .rate = 500}, 512 + 10},
        {{.tool = "masscan", .ports = "1-1000", .arguments = "--max-rate 2000 --retries 2"},
         384 + 6 + 10},
        {{.tool = "masscan", .ports = "1-1000", .arguments = "--shard 1/4 --seed 1"}, 64 + 10},
        {{.tool = "zmap", .arguments = "-p 80 -r 100"}, 3 + 8},
        {{.tool = "zmap", .ports = "80", .arguments = "-P 3 -c 30 --rate 8"}, 96 + 30},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct asked a = cases[i].asked;
        auto_targets t = {0};
        struct plan_needs needs;
        struct plan *p;

        a.targets = "10.0.0.0/24";
        p = make(&a, &t);
        plan_needs(p, &t, &needs);
        CHECK_INT(needs.seconds, cases[i].seconds);
        plan_free(p);
    }
}

static void estimates_of_profiles_with_a_sweeper_count_every_wait(void)
{
    struct asked a = {
        .profile = "full", .tool = "masscan", .targets = "10.0.0.0/20", .rate = 50000, .slots = 4};
    auto_targets t = {0}, u = {0};
    struct plan *p = make(&a, &t);
    struct plan_needs more, less;

    plan_needs(p, &t, &less);
    plan_free(p);
    a.arguments = "--wait 60";
    p = make(&a, &u);
    plan_needs(p, &u, &more);
    /* 4096 addresses, a quarter of them up: 12 tasks, four at a time */
    CHECK_INT(more.seconds - less.seconds, 3 * (60 - 3));
    plan_free(p);
}

enum { SECOND = 1000000 };

/* Hosts and ports are done after ten seconds; two tasks of services, with a limit of 40 s each,
 * began then. */
static void fill_services(struct plan_task v[4], struct plan_spec s[4])
{
    for (int i = 0; i < 4; i++) {
        s[i] = (struct plan_spec){.stage = MIN(i, 2),
                                  .kind = i == 0   ? STAGE_HOSTS
                                          : i == 1 ? STAGE_PORTS
                                                   : STAGE_SERVICES,
                                  .wall_s = i >= 2 ? 40 : 0,
                                  .probes = i >= 2 ? 10 : 1000};
        v[i] = (struct plan_task){.spec = &s[i],
                                  .state = i >= 2 ? JOB_RUNNING : JOB_COMPLETED,
                                  .percent_x100 = i >= 2 ? 9900 : 10000,
                                  .started_us = (i >= 2 ? 10 : 1 + 4 * i) * (int64_t)SECOND,
                                  .ended_us = i >= 2 ? 0 : (5 + 4 * i) * (int64_t)SECOND};
    }
}

static void a_job_that_waits_for_silent_services_has_time_left(void)
{
    struct asked a = {.profile = "standard", .targets = "10.0.0.0/24"};
    auto_targets t = {0};
    struct plan *p = make(&a, &t);
    struct plan_spec s[4];
    struct plan_task v[4];
    struct progress now;

    fill_services(v, s);
    CHECK_INT(plan_stages(p), 3);
    plan_progress(p, v, 4, INT64_C(22) * SECOND, SECOND, &now);
    CHECK_INT(now.remaining_s, 28); /* of 40 s, 12 are over */
    /* Its sister was quick; this one is late, and has its limit. */
    v[2].state = JOB_COMPLETED;
    v[2].ended_us = INT64_C(16) * SECOND;
    plan_progress(p, v, 4, INT64_C(22) * SECOND, SECOND, &now);
    CHECK_INT(now.remaining_s, 28);
    plan_progress(p, v, 4, INT64_C(12) * SECOND, SECOND, &now);
    CHECK_INT(now.remaining_s, 4);
    /* It never says that nothing is left while something is. */
    plan_progress(p, v, 4, INT64_C(60) * SECOND, SECOND, &now);
    CHECK_INT(now.remaining_s, 1);
    v[3].state = JOB_COMPLETED;
    plan_progress(p, v, 4, INT64_C(60) * SECOND, SECOND, &now);
    CHECK_INT(now.remaining_s, 0);
    plan_free(p);
}

static void what_has_no_limit_and_tells_nothing_leaves_the_time_open(void)
{
    struct asked a = {.profile = "standard", .targets = "10.0.0.0/24"};
    auto_targets t = {0};
    struct plan *p = make(&a, &t);
    struct plan_spec s[4];
    struct plan_task v[4];
    struct progress now;

    fill_services(v, s);
    v[2].state = JOB_COMPLETED;
    v[2].ended_us = INT64_C(12) * SECOND;
    s[2].probes = 100000; /* nearly all of it is done */
    s[3].wall_s = 0;
    v[3].percent_x100 = -1;
    plan_progress(p, v, 4, INT64_C(20) * SECOND, SECOND, &now);
    CHECK_INT(now.remaining_s, -1);
    v[3].percent_x100 = 5000; /* half of it in ten seconds */
    plan_progress(p, v, 4, INT64_C(20) * SECOND, SECOND, &now);
    CHECK_INT(now.remaining_s, 10);
    plan_free(p);
}

static void what_was_said_before_is_said_again_once(void)
{
    struct asked a = {.profile = "ping", .targets = "10.0.0.1"};
    auto_targets t = {0};
    struct plan *p = make(&a, &t);
    auto_strvec notes = {0}, flags = {0};
    auto_buf first = {0}, second = {0};
    json_t *o;

    strvec_push(&notes, "one");
    strvec_push(&flags, "10.0.0.7 500 600");
    plan_summary(p, NULL, 0, 0, &notes, &flags, NULL, &first);
    strvec_push(&notes, "two");
    plan_summary(p, NULL, 0, 0, &notes, &flags, first.data, &second);
    o = json_loads(second.data, 0, NULL);
    CHECK_INT(json_array_size(json_object_get(o, "notes")), 2);
    CHECK_INT(json_array_size(json_object_get(o, "flagged")), 1);
    CHECK_INT(json_integer_value(
                  json_object_get(json_array_get(json_object_get(o, "flagged"), 0), "open")),
              1000);
    json_decref(o);
    plan_free(p);
}

static void random_networks_are_found_whole(void)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct world *w = world_new(seed);
        auto_free char *ports = NULL;
        struct asked a = {.profile = "full", .targets = "10.0.0.0/24 10.3.0.0/25", .seed = seed};
        auto_targets t = {0};
        struct plan *p;
        json_t *o;
        unsigned most = 200 + (unsigned)world_chance(w, 3000);
        size_t hosts = (size_t)world_chance(w, 40);

        ports = str_fmt("1-%u", most);
        a.ports = ports;
        a.slots = 1 + (uint32_t)world_chance(w, 8);
        a.shards = world_chance(w, 3) ? 0 : 1 + (uint32_t)world_chance(w, 40);
        a.tool = world_chance(w, 3) ? NULL : "masscan";
        a.own_pace = world_chance(w, 4) == 0 && !a.tool;
        for (size_t i = 0; i < hosts; i++) {
            auto_free char *ip = str_fmt("10.%u.0.%u", i % 2 ? 3 : 0, (unsigned)(3 * i + 1));
            struct world_host *h = world_add(w, ip);
            uint64_t open = world_chance(w, 12);

            h->filtered = world_chance(w, 3) == 0;
            for (uint64_t k = 0; k < open; k++) {
                world_open(h, 1 + (unsigned)world_chance(w, most));
            }
        }
        p = make(&a, &t);
        world_run(w, p, &t, true);
        check_found(w, 1);
        for (size_t i = 0; i < w->notes.n; i++) {
            CHECK(a.tool && strstr(w->notes.v[i], "too few open ports to tell"));
        }
        CHECK(w->n_tasks <= 200);
        o = summary(w, p, 0);
        CHECK(covered(o) == 100.0);
        json_decref(o);
        world_free(w);
        plan_free(p);
    }
}

TESTS(names_count_once_where_addresses_are_swept, what_is_stored_wrongly_is_refused,
      everything_is_found_in_the_laboratory,
      tasks_are_as_many_as_slots_unless_there_is_too_little_or_too_much,
      sweepers_wait_three_seconds_unless_they_are_told, the_same_seed_gives_the_same_tasks,
      tasks_of_hosts_cut_the_set_without_rest_and_have_some_of_every_network,
      names_are_kept_to_the_last_stage, nobody_is_looked_at_who_was_not_asked_for,
      the_two_families_never_meet_in_a_task, targets_of_both_families_are_one_job,
      lost_probes_are_noticed_and_repeated_slower, firewalls_that_never_answer_are_no_loss,
      at_the_tools_own_pace_nothing_is_sampled, masscan_that_loses_answers_is_helped_by_nmap,
      masscan_that_finds_little_is_not_trusted, sweeps_of_one_port_are_guarded,
      hosts_that_nobody_heard_of_are_not_sampled, a_sweeper_that_crashes_or_hangs_is_replaced,
      shards_that_crash_are_missing_and_the_others_are_kept,
      services_that_are_silent_cost_no_other_its_name,
      a_host_that_is_silent_everywhere_is_left_after_two_rounds,
      silent_services_at_nmaps_own_pace_have_a_bound,
      hosts_on_which_everything_is_open_are_flagged_and_limited, a_sweep_takes_the_tool_that_fits,
      sweeps_find_what_is_there, what_cannot_be_done_is_refused_with_the_reason,
      options_of_the_request_take_the_place_of_ours,
      another_tool_looks_for_the_protocol_of_the_profile, a_rate_that_is_asked_is_never_gone_beyond,
      a_tool_without_a_profile_is_one_task, large_plans_stay_within_the_tasks_of_a_job,
      ports_of_a_lone_tool_are_known_wherever_they_stand, how_tcp_is_scanned_is_known,
      estimates_of_sweeps_count_rate_retries_and_waits,
      estimates_of_profiles_with_a_sweeper_count_every_wait,
      a_job_that_waits_for_silent_services_has_time_left,
      what_has_no_limit_and_tells_nothing_leaves_the_time_open, progress_is_sane_without_tasks,
      what_was_said_before_is_said_again_once, random_networks_are_found_whole)
