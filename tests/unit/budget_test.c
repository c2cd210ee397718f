/* Budgets: what all tasks together send to one network stays within its bucket. */
#include "plan/budget.h"

#include "tap.h"

enum { PPS = 1000 };

static void add(struct netset *s, const char *range)
{
    struct net_range r;

    CHECK(net_range_parse(range, false, &r));
    netset_add(s, &r);
}

static bool take(struct budget *b, uint64_t task, const char *range, uint32_t rate, int64_t now_ms,
                 uint32_t *granted)
{
    auto_netset s = {0};
    uint32_t wait = 0;
    bool ok;

    add(&s, range);
    *granted = 0;
    ok = budget_take(b, task, &s, rate, now_ms, granted, &wait);
    CHECK(ok || (wait > 0 && wait <= 1000));
    return ok;
}

static void without_a_limit_everything_is_granted(void)
{
    struct budget *b = budget_new(0);
    uint32_t granted;

    CHECK(take(b, 1, "10.0.0.0/24", 5000000, 0, &granted));
    CHECK_INT(granted, 5000000);
    CHECK(take(b, 2, "10.0.0.0/24", 0, 0, &granted));
    CHECK_INT(granted, 0);
    budget_give(b, 1, 5);
    budget_give(b, 77, 5);
    budget_free(b);
}

static void one_network_has_one_bucket(void)
{
    struct budget *b = budget_new(PPS);
    uint32_t granted;

    CHECK(take(b, 1, "10.0.0.0/24", 5000, 0, &granted));
    CHECK_INT(granted, 1000);
    CHECK(!take(b, 2, "10.0.0.7", 100, 0, &granted));
    CHECK(!take(b, 2, "10.0.0.7", 100, 100000, &granted));
    CHECK(take(b, 2, "10.0.1.7", 100, 0, &granted)); /* another network */
    CHECK_INT(granted, 100);
    CHECK(take(b, 3, "2001:db8::/64", 0, 0, &granted));
    CHECK_INT(granted, 1000);
    CHECK(!take(b, 4, "2001:db8::5", 0, 0, &granted));
    CHECK(take(b, 4, "2001:db8:0:1::5", 0, 0, &granted));
    budget_give(b, 1, 100000);
    CHECK(take(b, 2, "10.0.0.7", 100, 100000, &granted));
    budget_free(b);
}

static void a_rate_is_spread_over_the_networks(void)
{
    struct budget *b = budget_new(PPS);
    uint32_t granted;

    CHECK(take(b, 1, "10.0.0.0/22", 0, 0, &granted));
    CHECK_INT(granted, 4000);
    budget_give(b, 1, 5000);
    CHECK(take(b, 2, "10.0.0.128-10.0.1.255", 0, 10000, &granted)); /* a third and two thirds */
    CHECK_INT(granted, 1500);
    CHECK(take(b, 3, "10.0.0.1", 200, 10000, &granted));
    CHECK(!take(b, 4, "10.0.1.1", 200, 10000, &granted));
    budget_free(b);
}

static void less_than_an_eighth_is_not_granted(void)
{
    struct budget *b = budget_new(PPS);
    uint32_t granted;

    CHECK(take(b, 1, "10.0.0.0/24", 900, 0, &granted));
    CHECK(!take(b, 2, "10.0.0.0/24", 1000, 5000, &granted)); /* 100 are left */
    CHECK(take(b, 2, "10.0.0.0/24", 700, 5000, &granted));
    CHECK_INT(granted, 100);
    budget_free(b);
}

static void a_changed_limit_holds_for_what_comes(void)
{
    struct budget *b = budget_new(PPS);
    uint32_t granted;

    CHECK(take(b, 1, "10.0.0.0/24", 500, 0, &granted));
    budget_set(b, 400);
    CHECK(!take(b, 2, "10.0.0.0/24", 100, 1000, &granted));
    budget_give(b, 1, 1000);
    CHECK(take(b, 2, "10.0.0.0/24", 900, 3000, &granted));
    CHECK_INT(granted, 400);
    budget_free(b);
}

static void large_sets_are_looked_at_through_a_sample(void)
{
    struct budget *b = budget_new(PPS);
    uint32_t granted;

    CHECK(take(b, 1, "10.0.0.0/8", 1000000, 0, &granted));
    CHECK_INT(granted, 1000000);
    CHECK(take(b, 2, "2001:db8::/32", 1000, 0, &granted));
    CHECK_INT(granted, 1000);
    CHECK(take(b, 3, "0.0.0.0/0", 0, 0, &granted));
    CHECK(granted > 1000000);
    budget_free(b);
}

static uint64_t state = 3;

static uint64_t below(uint64_t n)
{
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (state >> 33) % n;
}

/* Whatever comes and goes: in no network do rates add up to more than its own. */
static void what_is_granted_never_adds_up_to_more(void)
{
    enum { TASKS = 40, NETS = 4 };
    struct budget *b = budget_new(PPS);
    double load[TASKS][NETS] = {0};
    int64_t now = 0;
    unsigned granted_n = 0;

    for (unsigned i = 0; i < 20000; i++) {
        unsigned task = (unsigned)below(TASKS), low = (unsigned)below(NETS * 256);
        unsigned high = low + (unsigned)below(NETS * 256 - low);
        auto_free char *range =
            str_fmt("10.0.%u.%u-10.0.%u.%u", low / 256, low % 256, high / 256, high % 256);
        uint32_t granted;

        now += (int64_t)below(300);
        memset(load[task], 0, sizeof load[task]);
        if (below(2)) {
            budget_give(b, task, now);
            continue;
        }
        if (!take(b, task, range, (uint32_t)below(3) * 700, now, &granted)) {
            budget_give(b, task, now);
            continue;
        }
        granted_n++;
        for (unsigned ip = low; ip <= high; ip++) {
            load[task][ip / 256] += (double)granted / (high - low + 1);
        }
        for (unsigned net = 0; net < NETS; net++) {
            double sum = 0;

            for (unsigned k = 0; k < TASKS; k++) {
                sum += load[k][net];
            }
            CHECK(sum <= PPS + 1);
        }
    }
    CHECK(granted_n > 500);
    budget_free(b);
}

TESTS(without_a_limit_everything_is_granted, one_network_has_one_bucket,
      a_rate_is_spread_over_the_networks, less_than_an_eighth_is_not_granted,
      a_changed_limit_holds_for_what_comes, large_sets_are_looked_at_through_a_sample,
      what_is_granted_never_adds_up_to_more)
