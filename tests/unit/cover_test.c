/* What runs are said to have covered, and how the confinement of many runs is told as one. */
#include "daemon/cover.h"
#include "daemon/sandbox_sum.h"
#include "tap.h"

static void add_range(struct netset *s, const char *text)
{
    struct net_range r;

    CHECK(net_range_parse(text, true, &r));
    netset_add(s, &r);
}

static void plan_for(const struct tool *t, const char *targets, const char *ports,
                     const char *arguments, struct tool_plan *plan)
{
    const struct tool_request q = {
        .targets = targets, .ports = ports, .arguments = arguments, .advanced = true};

    CHECK_OK(tool_check(t, &q, plan, ERR));
}

static void a_whole_run_covers_its_targets_but_those_given_up(void)
{
    auto_plan plan = {0};
    auto_netset gave_up = {0}, finished = {0};
    struct cover c;

    plan_for(&tool_nmap, "10.0.0.0/29", "80,443", "-sS -Pn", &plan);
    add_range(&gave_up, "10.0.0.3");
    cover_cells(&(struct cover_ask){.tool = &tool_nmap,
                                    .plan = &plan,
                                    .whole = true,
                                    .finished = &finished,
                                    .gave_up = &gave_up,
                                    .start_us = 5,
                                    .end_us = 9},
                &c);
    CHECK_INT(c.n, 1);
    CHECK_STR(c.cells[0].addresses, "10.0.0.0/31,10.0.0.2,10.0.0.4/30");
    CHECK_STR(c.cells[0].protocol, "tcp");
    CHECK_STR(c.cells[0].ports, "80,443");
    CHECK(!c.cells[0].up_only);
    CHECK_INT(c.cells[0].start_us, 5);
    CHECK_INT(cover_probes(c.cells[0].addresses, c.cells[0].ports), 14);
    cover_done(&c);
}

static void a_run_that_looks_for_hosts_says_so(void)
{
    auto_plan plan = {0};
    auto_netset none = {0};
    struct cover c;

    plan_for(&tool_nmap, "10.0.0.0/24", NULL, "-sn", &plan);
    cover_cells(
        &(struct cover_ask){
            .tool = &tool_nmap, .plan = &plan, .whole = true, .finished = &none, .gave_up = &none},
        &c);
    CHECK_INT(c.n, 1);
    CHECK_STR(c.cells[0].protocol, "host");
    CHECK_STR(c.cells[0].addresses, "10.0.0.0/24");
    CHECK(c.cells[0].ports == NULL);
    cover_done(&c);
}

static void a_run_that_broke_off_covers_what_it_had_finished(void)
{
    auto_plan plan = {0};
    auto_netset none = {0}, finished = {0};
    struct cover c;

    plan_for(&tool_nmap, "10.0.0.0/24", "22", "-Pn", &plan);
    add_range(&finished, "10.0.0.7");
    cover_cells(
        &(struct cover_ask){
            .tool = &tool_nmap, .plan = &plan, .finished = &finished, .gave_up = &none},
        &c);
    CHECK_INT(c.n, 1);
    CHECK_STR(c.cells[0].addresses, "10.0.0.7");
    cover_done(&c);
}

/* masscan tells ports in no order: of a run that broke off nobody knows what was probed. */
static void a_sweep_that_broke_off_covers_nothing(void)
{
    auto_plan plan = {0};
    auto_netset none = {0}, finished = {0};
    struct cover c;

    plan_for(&tool_masscan, "10.0.0.0/24", "22", "--rate 100", &plan);
    add_range(&finished, "10.0.0.7");
    cover_cells(
        &(struct cover_ask){
            .tool = &tool_masscan, .plan = &plan, .finished = &finished, .gave_up = &none},
        &c);
    CHECK_INT(c.n, 0);
    cover_done(&c);
    cover_cells(&(struct cover_ask){.tool = &tool_masscan,
                                    .plan = &plan,
                                    .whole = true,
                                    .finished = &finished,
                                    .gave_up = &none},
                &c);
    CHECK_INT(c.n, 1);
    CHECK_STR(c.cells[0].addresses, "10.0.0.0/24");
    cover_done(&c);
}

static void an_import_covers_the_hosts_and_ports_that_its_file_names(void)
{
    auto_netset none = {0}, finished = {0};
    struct cover c;

    add_range(&finished, "10.0.0.7");
    cover_cells(&(struct cover_ask){.tool = &tool_nmap,
                                    .run_json =
                                        "{\"scaninfo\":[{\"type\":\"syn\",\"protocol\":\"tcp\","
                                        "\"numservices\":\"3\",\"services\":\"1-3\"}]}",
                                    .whole = true,
                                    .finished = &finished,
                                    .gave_up = &none},
                &c);
    CHECK(c.n >= 1);
    CHECK_STR(c.cells[c.n - 1].protocol, "tcp");
    CHECK_STR(c.cells[c.n - 1].ports, "1-3");
    CHECK_STR(c.cells[c.n - 1].addresses, "10.0.0.7");
    cover_done(&c);
}

static void an_imported_sweep_covers_that_its_hosts_were_there(void)
{
    auto_netset none = {0}, finished = {0};
    struct cover c;

    add_range(&finished, "10.0.0.7");
    cover_cells(
        &(struct cover_ask){
            .tool = &tool_masscan, .whole = true, .finished = &finished, .gave_up = &none},
        &c);
    CHECK_INT(c.n, 1);
    CHECK_STR(c.cells[0].protocol, "host");
    CHECK_STR(c.cells[0].addresses, "10.0.0.7");
    cover_done(&c);
}

static void counters_are_added_peaks_are_kept_words_are_listed(void)
{
    const struct outcome one = {
        .confinement = "userns+nft+rlimit",
        .tool_version = "7.93",
        .sandbox_json = "{\"egress\":\"nft\",\"raw_sockets\":false,\"usage\":{\"cpu_ms\":5,"
                        "\"max_rss_kb\":100},\"packets\":{\"passed\":7,\"dropped\":{\"rate\":1}},"
                        "\"notes\":[\"a\"]}"};
    const struct outcome two = {
        .confinement = "userns+broker+rlimit",
        .tool_version = "1.3.2",
        .sandbox_json = "{\"egress\":\"broker\",\"raw_sockets\":true,\"usage\":{\"cpu_ms\":6,"
                        "\"max_rss_kb\":50},\"packets\":{\"passed\":3,\"dropped\":{\"rate\":2}},"
                        "\"notes\":[\"a\",\"b\"]}"};
    auto_buf summary = {0}, first = {0}, both = {0};
    auto_free char *sandbox = NULL, *confinement = NULL, *version = NULL;

    buf_adds(&summary, "{\"stages\":[]}");
    sandbox_sum(NULL, &one, "nmap", &summary, &first);
    sandbox_sum(first.data, &two, "masscan", &summary, &both);
    sandbox_sum_get(both.data, &sandbox, &confinement, &version);
    CHECK_STR(sandbox, "{\"egress\":\"nft,broker\",\"raw_sockets\":true,\"usage\":{\"cpu_ms\":11,"
                       "\"max_rss_kb\":100},\"packets\":{\"passed\":10,\"dropped\":{\"rate\":3}},"
                       "\"notes\":[\"a\",\"b\"]}");
    CHECK_STR(confinement, "userns+nft+rlimit,userns+broker+rlimit");
    CHECK_STR(version, "nmap 7.93, masscan 1.3.2");
}

static void the_same_once_more_adds_no_words(void)
{
    const struct outcome o = {.confinement = "x", .sandbox_json = "{\"egress\":\"nft\"}"};
    auto_buf summary = {0}, first = {0}, both = {0};
    auto_free char *sandbox = NULL, *confinement = NULL, *version = NULL;

    buf_adds(&summary, "{}");
    sandbox_sum(NULL, &o, "nmap", &summary, &first);
    sandbox_sum(first.data, &o, "nmap", &summary, &both);
    sandbox_sum_get(both.data, &sandbox, &confinement, &version);
    CHECK_STR(sandbox, "{\"egress\":\"nft\"}");
    CHECK_STR(confinement, "x");
    CHECK(version == NULL);
}

TESTS(a_whole_run_covers_its_targets_but_those_given_up, a_run_that_looks_for_hosts_says_so,
      a_run_that_broke_off_covers_what_it_had_finished, a_sweep_that_broke_off_covers_nothing,
      an_import_covers_the_hosts_and_ports_that_its_file_names,
      an_imported_sweep_covers_that_its_hosts_were_there,
      counters_are_added_peaks_are_kept_words_are_listed, the_same_once_more_adds_no_words)
