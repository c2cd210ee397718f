/* masscan: what may be asked, the command line, deadlines, progress, coverage. */
#include "tool_rig.h"

static const struct tool *const rig_tool = &tool_masscan;

static const char head[] =
    "-oJ - --exclude 255.255.255.255 -e eth0 --router-mac 02:00:00:00:00:01 ";

/* Between the fixed beginning and the file of targets, or the message; notes behind "; ". */
static const char *middle(const struct asked *a)
{
    static char text[4096];
    const char *got = line(a);
    char *end;

    if (!str_starts(got, head)) {
        return got;
    }
    snprintf(text, sizeof text, "%s", got + strlen(head));
    end = strstr(text, " -iL targets");
    CHECK(end != NULL);
    memmove(end, end + strlen(" -iL targets"), strlen(end + strlen(" -iL targets")) + 1);
    return text;
}

static void the_command_line_comes_from_the_plan_only(void)
{
    CHECK_STR(line(&(struct asked){.ports = "443,80"}),
              "-oJ - --exclude 255.255.255.255 -e eth0 --router-mac 02:00:00:00:00:01 --rate 1000 "
              "--wait 10 -p 80,443 -iL targets");
    CHECK_STR(line(&(struct asked){.ports = "80", .no_link = true}),
              "-oJ - --exclude 255.255.255.255 --rate 1000 --wait 10 -p 80 -iL targets");
    CHECK_STR(middle(&(struct asked){.arguments = "-p80,443 --rate 500 --wait=2 --retries 1"}),
              "--retries 1 --rate 500 --wait 2 -p 80,443");
    CHECK_STR(middle(&(struct asked){.arguments = "--ports 1-10 --seed 7 --shard 2/3"}),
              "--seed 7 --shard 2/3 --rate 1000 --wait 10 -p 1-10");
    CHECK_STR(middle(&(struct asked){.arguments = "--ping"}), "--ping --rate 1000 --wait 10");
    CHECK_STR(middle(&(struct asked){.arguments = "--ttl 9 --source-port 40000 --noreset -p-",
                                     .advanced = true}),
              "--ttl 9 --source-port 40000 --noreset --rate 1000 --wait 10 -p 1-65535");
    CHECK_STR(middle(&(struct asked){.arguments = "--banners", .ports = "22"}),
              "--banners --source-port 61440-61455 --rate 1000 --wait 10 -p 22");
}

static void ports_have_one_meaning_for_everybody(void)
{
    static const char *const cases[][3] = {
        {"443,80", "", " | 80,443"},
        {"T:80,443", "", " | 80,443"},
        {"1-100,U:53", "", " | T:1-100,U:53"},
        {NULL, "-p 1-100,U:53", " | T:1-100,U:53"},
        {NULL, "-p-", " | 1-65535"},
        {"80,U:53", "", " | T:80,U:53"},
        {"U:53,161", "", " | U:53,161"},
        {"53", "-sU", " | U:53"},
        {"53,T:80", "-sU", " | T:80,U:53"},
        {"53", "-sS -sU", " | T:53,U:53"},
        {"S:80", "", "masscan scans TCP and UDP here: use nmap with -sY for the ports 'S:80'"},
        {NULL, "", "masscan needs ports, or '--ping' to look for hosts only"},
        {"80", "-p 80", "contradicting arguments: '-p' and 'ports'"},
        {NULL, "-p 80 --ports 80", "contradicting arguments: '-p' and '--ports'"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_STR(planned(&(struct asked){.ports = cases[i][0], .arguments = cases[i][1]}),
                  cases[i][2]);
    }
    CHECK_STR(middle(&(struct asked){.ports = "22,80,U:53,67-69,161"}),
              "--rate 1000 --wait 10 -p 22,80,U:53,U:67-69,U:161");
    CHECK_STR(middle(&(struct asked){.ports = "U:53"}), "--rate 1000 --wait 10 -p U:53");
}

static void probes_and_needs_are_told(void)
{
    static const struct {
        const char *ports, *arguments;
        uint32_t n;
        unsigned protocols;
    } cases[] = {
        {"1-100", "", 100, 1},      {"1-100,U:53", "", 101, 3}, {"U:53", "", 1, 2},
        {NULL, "--ping", 1, 0},     {"80", "--ping", 2, 1},     {"1-65535", "-sU", 65535, 2},
        {"1-10", "-sS -sU", 20, 3},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        auto_plan plan = {0};

        CHECK_OK(rig_plan(&(struct asked){.ports = cases[i].ports, .arguments = cases[i].arguments},
                          &plan, ERR));
        CHECK_INT(plan.n_ports, cases[i].n);
        CHECK_INT(plan.protocols, cases[i].protocols);
        CHECK(plan.need.network && plan.need.raw && plan.need.wants_raw);
        CHECK_INT(plan.need.slirp_lies,
                  cases[i].arguments[0] == '-' && cases[i].arguments[2] == 'p');
        CHECK(!plan.need.nat_lies);
    }
    CHECK(tool_masscan.merges && tool_masscan.numeric_targets);
    CHECK(tool_masscan.needs & TOOL_WANTS_ETHERNET);
}

static void over_ipv6_it_needs_an_address_of_its_own(void)
{
    auto_plan plan = {0};

    CHECK_OK(rig_plan(&(struct asked){.targets = "2001:db8::/120", .ports = "80"}, &plan, ERR));
    CHECK(plan.need.nat_lies);
    CHECK_STR(plan.need.option, "masscan over IPv6");
}

static void without_raw_sockets_it_is_refused_with_what_to_use(void)
{
    CHECK_STR(line(&(struct asked){.ports = "80", .no_raw = true}),
              "masscan needs raw sockets, which this run cannot have; use nmap with -sT");
    CHECK_STR(line(&(struct asked){.ports = "80", .broker = true}),
              "masscan needs raw sockets: at level broker only connect() and sendto() reach the "
              "network; use nmap with -sT");
    CHECK_STR(
        line(&(struct asked){.ports = "80", .arguments = "--banners", .no_silent = true}),
        "argument '--banners' needs a network of the run's own (levels nft and rootless): the "
        "kernel would reset its connections; use nmap with -sV");
    CHECK_STR(line(&(struct asked){.arguments = "--ping", .user_stack = true}),
              "argument '--ping' would be answered by the user-mode network stack of level "
              "rootless, not by the target");
    CHECK_STR(middle(&(struct asked){.ports = "80", .user_stack = true}),
              "--rate 1000 --wait 10 -p 80");
}

static void it_is_not_started_without_targets(void)
{
    const struct tool_start start = rig_start(&(struct asked){0});
    auto_plan plan = {.ports = xstrdup("80"), .n_ports = 1, .protocols = 1};
    auto_strvec argv = {0};

    CHECK_ERR(tool_masscan.build_argv(&plan, &start, &argv, NULL, ERR), ERR_INVALID);
    CHECK_STR(tap_err.msg, "masscan is not started without targets");
    CHECK_INT(argv.n, 0);
}

static void the_stricter_rate_holds(void)
{
    CHECK_STR(middle(&(struct asked){.ports = "80", .rate = 300}), "--rate 300 --wait 10 -p 80");
    CHECK_STR(middle(&(struct asked){.ports = "80", .arguments = "--rate 200", .rate = 300}),
              "--rate 200 --wait 10 -p 80");
    CHECK_STR(middle(&(struct asked){.ports = "80", .arguments = "--max-rate 900", .rate = 300}),
              "--rate 300 --wait 10 -p 80; --rate became 300: the limit of packets per second");
}

static void bad_values_and_contradictions_are_named(void)
{
    static const char *const cases[][2] = {
        {"--shard 3/2 --seed 1", "invalid value for '--shard': '3/2': the number of a shard and of "
                                 "all, as 1/4; at most 1024"},
        {"--shard 0/2 --seed 1", "invalid value for '--shard': '0/2': the number of a shard and of "
                                 "all, as 1/4; at most 1024"},
        {"--shard 1/1025 --seed 1", "invalid value for '--shard': '1/1025': the number of a shard "
                                    "and of all, as 1/4; at most 1024"},
        {"--shard 2 --seed 1",
         "invalid value for '--shard': '2': the number of a shard and of all, "
         "as 1/4; at most 1024"},
        {"--shard /2 --seed 1", "invalid value for '--shard': '/2': the number of a shard and of "
                                "all, as 1/4; at most 1024"},
        {"--shard 1/2", "argument '--shard' needs '--seed': the shards of one whole have the same"},
        {"--rate 0", "invalid value for '--rate': '0': a number from 1 to 10000000"},
        {"--rate 1e6", "invalid value for '--rate': '1e6': a number from 1 to 10000000"},
        {"--rate 5 --max-rate 6", "contradicting arguments: '--rate' and '--max-rate'"},
        {"--rate 5 --rate 6", "contradicting arguments: '--rate' is given twice"},
        {"--wait forever", "invalid value for '--wait': 'forever': a number from 0 to 300"},
        {"--retries 11", "invalid value for '--retries': '11': a number from 0 to 10"},
        {"--retries", "argument '--retries' requires a value"},
        {"--seed time", "invalid value for '--seed': 'time': a number from 1 to 4294967295"},
        {"--banners=1", "disallowed argument: '--banners=1'"},
        {"--Banners", "disallowed argument: '--Banners'"},
        {"--router_mac x", "disallowed argument: '--router_mac'"},
        {"10.0.0.9", "disallowed argument: '10.0.0.9'"},
        {"--ttl 256", "invalid value for '--ttl': '256': a number from 1 to 255"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_STR(
            planned(&(struct asked){.ports = "80", .arguments = cases[i][0], .advanced = true}),
            cases[i][1]);
    }
    CHECK_STR(planned(&(struct asked){
                  .ports = "80", .arguments = "--banners --source-port 5", .advanced = true}),
              "contradicting arguments: '--banners' and '--source-port'");
    CHECK_STR(planned(&(struct asked){.ports = "80", .arguments = "--ttl 5", .code = ERR_SCOPE}),
              "argument '--ttl' is not allowed: the policy would need 'options: advanced'");
}

static void a_deadline_has_room_to_spare(void)
{
    uint32_t small = deadline(&(struct asked){.ports = "80", .arguments = "--wait 0"});
    uint32_t large = deadline(
        &(struct asked){.ports = "1-1000", .arguments = "--wait 0 --rate 1000", .addresses = 1000});

    CHECK(small >= 60 && small <= 70);
    CHECK(large >= 2000 && large <= 2100); /* sending takes 1000 s */
    CHECK(deadline(&(struct asked){.ports = "80", .arguments = "--wait 100"}) >= small + 200);
    CHECK(deadline(&(struct asked){.ports = "80", .arguments = "--retries 10"}) >= small + 110);
    CHECK(deadline(&(struct asked){.ports = "1-1000",
                                   .arguments = "--wait 0 --shard 1/10 --seed 1 --rate 1000",
                                   .addresses = 1000}) < large / 5);
    /* A rate that a machine may not reach is not counted on. */
    CHECK(deadline(&(struct asked){
              .ports = "1-1000", .arguments = "--rate 10000000", .addresses = 1000000}) > 40000);
    CHECK_INT(deadline(&(struct asked){
                  .ports = "1-65535", .arguments = "--rate 1", .addresses = UINT64_MAX}),
              UINT32_MAX);
}

/* As masscan 1.3.2 wrote them. */
static void progress_is_read_from_status_lines(void)
{
    static const char *const cases[][2] = {
        {"rate:  0.30-kpps, 12.81% done,   0:00:41 remaining, found=0       ", "probing 1281 41"},
        {"rate:  0.30-kpps, 57.76% done,   0:00:04 remaining, found=0       ", "probing 5776 4"},
        {"rate:  0.00-kpps,  2.27% done,2255:04:44 remaining, found=1       ", "probing 227 -1"},
        {"rate:  1.00-kpps, 45.45% done,  63:33:43 remaining, found=0       ",
         "probing 4545 228823"},
        {"rate:  0.00-kpps, 100.00% done, waiting 2-secs, found=9       ",
         "waiting for answers 10000 2"},
        {"rate:  0.00-kpps, 100.00% done, waiting -21-secs, found=0       ",
         "waiting for answers 10000 0"},
        {"rate:  0.00-kpps, 140.00% done, waiting 1-secs, found=0       ",
         "waiting for answers 10000 1"},
        {"rate:  9.00-kpps, 1.00% done, 999999999:59:59 remaining", "probing 100 2147483647"},
        {"rate:  0.30-kpps, 12.81% done,", "probing 1281 -1"},
        {"rate:  0.30-kpps, syn/s=3 ack/s=1 tcb-rate=0, 0-tcbs,", "no"},
        {"Starting masscan 1.3.2 (http://bit.ly/14GZzcT) at 2026-11-22 06:40:09 GMT", "no"},
        {"Initiating SYN Stealth Scan", "no"},
        {"Scanning 98 hosts [20 ports/host]", "no"},
        {"                                                                        ", "no"},
        {"", "no"},
        {"rate:", "no"},
        {"rate: -1.00-kpps, 2.00% done,", "no"},
        {"rate:  99999999999999999999.00-kpps, 2.00% done,", "no"},
        {"rate:  0.30-kpps, 12% done,", "no"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_STR(status(cases[i][0]), cases[i][1]);
    }
}

static void it_covers_what_it_was_asked_but_a_shard_nothing(void)
{
    CHECK_STR(covered(&(struct asked){.ports = "1-100"}, NULL), "tcp=1-100");
    CHECK_STR(covered(&(struct asked){.ports = "80,U:53"}, "{}"), "tcp=80 udp=53");
    CHECK_STR(covered(&(struct asked){.ports = "U:53"}, NULL), "udp=53");
    CHECK_STR(covered(&(struct asked){.arguments = "--ping"}, NULL), "host");
    CHECK_STR(covered(&(struct asked){.ports = "80", .arguments = "--ping"}, NULL), "host tcp=80");
    CHECK_STR(covered(&(struct asked){.ports = "80", .arguments = "--shard 1/2 --seed 1"}, NULL),
              "");
    CHECK_STR(covered(&(struct asked){.ports = "80", .arguments = "--shard 1/1 --seed 1"}, NULL),
              "tcp=80");
}

static void the_version_is_read(void)
{
    char version[16] = "unchanged";

    CHECK(tool_masscan.read_version("\nMasscan version 1.3.2 ( https://github.com/x )\n", version,
                                    sizeof version));
    CHECK_STR(version, "1.3.2");
    CHECK(!tool_masscan.read_version("", version, sizeof version));
    CHECK(!tool_masscan.read_version("Masscan version x", version, sizeof version));
    CHECK(!tool_masscan.read_version("Masscan version 1.3.2222222222222", version, sizeof version));
    CHECK_STR(version, "1.3.2");
}

static void sets_of_two_to_the_32_addresses_are_taken(void)
{
    auto_plan plan = {0};

    CHECK_OK(rig_plan(&(struct asked){.targets = "0.0.0.0/0", .ports = "80"}, &plan, ERR));
    CHECK_INT(target_set_count(&plan.targets), INT64_C(1) << 32);
}

TESTS(rig_table_is_sound, the_command_line_comes_from_the_plan_only,
      ports_have_one_meaning_for_everybody, probes_and_needs_are_told,
      over_ipv6_it_needs_an_address_of_its_own, without_raw_sockets_it_is_refused_with_what_to_use,
      it_is_not_started_without_targets, the_stricter_rate_holds,
      bad_values_and_contradictions_are_named, a_deadline_has_room_to_spare,
      progress_is_read_from_status_lines, it_covers_what_it_was_asked_but_a_shard_nothing,
      the_version_is_read, sets_of_two_to_the_32_addresses_are_taken)
