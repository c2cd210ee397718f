/* zmap: what may be asked, the command line by version, deadlines, progress, coverage. */
#include "tool_rig.h"

static const struct tool *const rig_tool = &tool_zmap;

#define FIXED "-C /dev/null -b /dev/null --disable-syslog -T 1 -o - -O csv --output-filter "
#define LINK  "-i eth0 -G 02:00:00:00:00:01 "

static const char tcp_2[] =
    FIXED "'repeat = 0 && (classification = synack || classification = rst)' "
          "-f saddr,sport,classification,success,ttl,timestamp-ts " LINK "-M tcp_synscan ";
static const char tcp_4[] =
    FIXED "'repeat = 0 && (classification = synack || classification = rst)' "
          "-f saddr,sport,classification,success,ttl,timestamp_ts " LINK "-M tcp_synscan ";
static const char icmp_2[] =
    FIXED "'success = 1 && repeat = 0' -f saddr,classification,success,ttl,timestamp-ts " LINK
          "-M icmp_echoscan ";

/* Behind the fixed beginning, or the message. */
static const char *rest(const struct asked *a, const char *begin)
{
    const char *got = line(a);

    return str_starts(got, begin) ? got + strlen(begin) : got;
}

static void the_command_line_of_version_2(void)
{
    CHECK_STR(rest(&(struct asked){.ports = "80", .version = "2.1.1"}, tcp_2),
              "-p 80 -P 1 -r 1000 -c 8 -t 12 -w targets");
    CHECK_STR(rest(&(struct asked){.arguments = "-p 80 -r 200 -c 2", .version = "2.1.1"}, tcp_2),
              "-p 80 -P 1 -r 200 -c 2 -t 14 -w targets");
    /* Its rate is of addresses, not of packets. */
    CHECK_STR(
        rest(&(struct asked){.ports = "80", .arguments = "-P3 -r 100", .version = "2.1.1"}, tcp_2),
        "-p 80 -P 3 -r 33 -c 8 -t 26 -w targets");
    CHECK_STR(
        rest(&(struct asked){.ports = "80", .arguments = "-P 3 -r 1", .version = "2.1.1"}, tcp_2),
        "-p 80 -P 3 -r 1 -c 8 -t 1546 -w targets");
    CHECK_STR(rest(&(struct asked){.arguments = "-M icmp_echoscan", .version = "2.1.1"}, icmp_2),
              "-P 1 -r 1000 -c 8 -t 12 -w targets");
}

static void the_command_line_of_later_versions(void)
{
    CHECK_STR(rest(&(struct asked){.ports = "80", .version = "3.0.0"}, tcp_4),
              "-p 80 -P 1 -r 1000 -c 8 -t 12 -w targets");
    CHECK_STR(rest(&(struct asked){.arguments = "--target-ports=443,80-90 --probes 2 --rate 100",
                                   .version = "4.3.1"},
                   tcp_4),
              "-p 80-90,443 -P 2 -r 100 -c 8 -t 134 -w targets");
    CHECK_STR(rest(&(struct asked){.ports = "80",
                                   .arguments = "--shards 4 --shard 0 -e 9 --max-targets 100 "
                                                "--max-results 5 --cooldown-time 3",
                                   .version = "4.3.1"},
                   tcp_4),
              "-p 80 -P 1 -r 1000 -c 3 -t 12 -n 100 -N 5 -e 9 --shards 4 --shard 0 -w targets");
    CHECK_STR(line(&(struct asked){.ports = "80", .version = "4.3.1", .no_link = true}),
              FIXED "'repeat = 0 && (classification = synack || classification = rst)' "
                    "-f saddr,sport,classification,success,ttl,timestamp_ts "
                    "-M tcp_synscan -p 80 -P 1 -r 1000 -c 8 -t 12 -w targets");
}

static void versions_that_cannot_do_it_are_refused_with_advice(void)
{
    static const struct asked cases[] = {
        {.ports = "80,443", .version = "2.1.1"},
        {.ports = "80,443", .version = "3.0.0"},
        {.ports = "80"},
        {.ports = "80", .version = "1.2.1"},
        {.ports = "80", .version = "5.0"},
        {.ports = "80", .version = "Development"},
        {.ports = "80", .version = "2.1.1", .no_link = true},
    };
    static const char *const says[] = {
        "zmap 2.1.1 takes one port per scan, got 2: submit one for each, or use masscan",
        "zmap 3.0.0 takes one port per scan, got 2: submit one for each, or use masscan",
        "zmap of unknown version is not known here: install version 2 to 4, or set --tool-zmap",
        "zmap 1.2.1 is not known here: install version 2 to 4, or set --tool-zmap",
        "zmap 5.0 is not known here: install version 2 to 4, or set --tool-zmap",
        "zmap Development is not known here: install version 2 to 4, or set --tool-zmap",
        ("zmap 2.1.1 needs to be told the gateway's hardware address, which is known at the levels "
         "nft and rootless only; use masscan, or zmap 4"),
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_STR(line(&cases[i]), says[i]);
    }
}

static void what_it_cannot_scan_is_named(void)
{
    static const char *const cases[][3] = {
        {NULL, "", "zmap needs a port, or '-M icmp_echoscan' to look for hosts only"},
        {"80", "-M icmp_echoscan", "contradicting arguments: 'icmp_echoscan' and ports"},
        {"80", "-p 80", "contradicting arguments: '-p' and 'ports'"},
        {NULL, "-p 80 --target-port 80", "contradicting arguments: '-p' and '--target-port'"},
        {"U:53", "", "zmap scans TCP ports here: use nmap or masscan for 'U:53'"},
        {"80,U:53", "", "zmap scans TCP ports here: use nmap or masscan for '80,U:53'"},
        {"80", "-M udp", "invalid value for '-M': 'udp': one of tcp_synscan|icmp_echoscan"},
        {"80", "-M tcp", "invalid value for '-M': 'tcp': one of tcp_synscan|icmp_echoscan"},
        {"80", "--probe-module=",
         "invalid value for '--probe-module': '': one of "
         "tcp_synscan|icmp_echoscan"},
        {"80", "-M tcp_synscan|icmp_echoscan",
         "invalid value for '-M': 'tcp_synscan|icmp_echoscan': one of tcp_synscan|icmp_echoscan"},
        {"80", "-P 4", "invalid value for '-P': '4': a number from 1 to 3"},
        {"80", "-P 2 --probes 3", "contradicting arguments: '-P' and '--probes'"},
        {"80", "-r 0", "invalid value for '-r': '0': a number from 1 to 10000000"},
        {"80", "-n 10%", "invalid value for '-n': '10%': a number from 1 to 4294967295"},
        {"80", "--shard 1", "arguments '--shard' and '--shards' need each other"},
        {"80", "--shards 2 --shard 1",
         "argument '--shards' needs '--seed': the shards of one whole have the same"},
        {"80", "--shards 2 --shard 2 --seed 5",
         "'--shard' counts from 0: it is less than '--shards'"},
        {"80", "--vpn", "disallowed argument: '--vpn': the network is set by the server"},
        {"80", "--allowlist_file x", "disallowed argument: '--allowlist_file'"},
        {"80", "0.0.0.0/0", "disallowed argument: '0.0.0.0/0'"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_STR(planned(&(struct asked){.ports = cases[i][0], .arguments = cases[i][1]}),
                  cases[i][2]);
    }
    CHECK_STR(planned(&(struct asked){.targets = "fd00::/120", .ports = "80"}),
              "zmap scans IPv4 only: use nmap or masscan");
    CHECK_STR(planned(&(struct asked){.ports = "T:443,80"}), " | 80,443");
}

static void a_name_that_is_pinned_to_ipv6_is_refused_at_the_start(void)
{
    const struct tool_start start = rig_start(&(struct asked){.version = "4.0"});
    auto_plan plan = {0};
    auto_strvec argv = {0};

    CHECK_OK(rig_plan(&(struct asked){.targets = "example.com", .ports = "80"}, &plan, ERR));
    CHECK_OK(pins_apply(&plan.targets, "example.com=fd00::1", ERR));
    CHECK_ERR(tool_zmap.build_argv(&plan, &start, &argv, NULL, ERR), ERR_INVALID);
    CHECK_STR(tap_err.msg, "zmap scans IPv4 only: use nmap or masscan");
}

static void it_is_not_started_without_targets_or_raw_sockets(void)
{
    const struct tool_start start = rig_start(&(struct asked){.version = "4.0"});
    auto_plan plan = {.ports = xstrdup("80"), .n_ports = 1, .protocols = 1};
    auto_strvec argv = {0};

    CHECK_ERR(tool_zmap.build_argv(&plan, &start, &argv, NULL, ERR), ERR_INVALID);
    CHECK_STR(tap_err.msg, "zmap is not started without targets");
    CHECK_INT(argv.n, 0);
    CHECK_STR(line(&(struct asked){.ports = "80", .version = "4.0", .no_raw = true}),
              "zmap needs raw sockets, which this run cannot have; use nmap with -sT");
    CHECK_STR(line(&(struct asked){.ports = "80", .version = "4.0", .broker = true}),
              "zmap needs raw sockets: at level broker only connect() and sendto() reach the "
              "network; use nmap with -sT");
    CHECK_STR(line(&(struct asked){
                  .arguments = "-M icmp_echoscan", .version = "2.1.1", .user_stack = true}),
              "'icmp_echoscan' would be answered by the user-mode network stack of level rootless, "
              "not by the target");
}

static void probes_and_needs_are_told(void)
{
    auto_plan tcp = {0}, icmp = {0};

    CHECK_OK(rig_plan(&(struct asked){.ports = "80-89"}, &tcp, ERR));
    CHECK_INT(tcp.n_ports, 10);
    CHECK_INT(tcp.protocols, 1u << PORTS_TCP);
    CHECK(tcp.need.network && tcp.need.raw && tcp.need.wants_raw && !tcp.need.slirp_lies);
    CHECK_OK(rig_plan(&(struct asked){.arguments = "-M icmp_echoscan"}, &icmp, ERR));
    CHECK_INT(icmp.n_ports, 1);
    CHECK_INT(icmp.protocols, 0);
    CHECK(icmp.need.raw && icmp.need.slirp_lies);
    CHECK(tool_zmap.merges && tool_zmap.numeric_targets);
    CHECK(tool_zmap.needs & TOOL_WANTS_ETHERNET);
}

static void the_stricter_rate_holds(void)
{
    CHECK_STR(rest(&(struct asked){.ports = "80", .version = "2.1.1", .rate = 64}, tcp_2),
              "-p 80 -P 1 -r 64 -c 8 -t 18 -w targets");
    CHECK_STR(
        rest(&(struct asked){.ports = "80", .arguments = "-r 500", .version = "2.1.1", .rate = 64},
             tcp_2),
        "-p 80 -P 1 -r 64 -c 8 -t 18 -w targets; --rate became 64: the limit of packets per "
        "second");
}

static void a_deadline_has_room_to_spare(void)
{
    uint32_t small = deadline(&(struct asked){.ports = "80"});
    uint32_t large =
        deadline(&(struct asked){.ports = "80", .arguments = "-r 100", .addresses = 100000});

    CHECK(small >= 40 && small <= 80);
    CHECK(large >= 2000 && large <= 2100); /* sending takes 1000 s */
    CHECK(deadline(&(struct asked){.ports = "80", .arguments = "-c 100"}) >= small + 180);
    CHECK(deadline(&(struct asked){
              .ports = "80", .arguments = "-r 100 -P 3", .addresses = 100000}) >= 3 * 2000);
    CHECK(deadline(&(struct asked){
              .ports = "80", .arguments = "-r 100 -n 10", .addresses = 100000}) <= small);
    CHECK(deadline(&(struct asked){.ports = "80", .arguments = "-r 1", .addresses = UINT64_MAX}) >=
          INT32_MAX);
}

/* As zmap 2.1.1 wrote them; the last form is that of version 4. */
static void progress_is_read_from_status_lines(void)
{
    static const char *const cases[][2] = {
        {" 0:00 0%; send: 0 0 p/s (0 p/s avg); recv: 0 0 p/s (0 p/s avg); drops: 0 p/s (0 p/s "
         "avg); hitrate: 0.00%",
         "probing 0 -1"},
        {" 0:06 47% (7s left); send: 36 5 p/s (5 p/s avg); recv: 0 0 p/s (0 p/s avg); drops: 0 p/s "
         "(0 p/s avg); hitrate: 0.00%",
         "probing 4700 7"},
        {" 0:12 94% (1s left); send: 64 done (5 p/s avg); recv: 0 0 p/s (0 p/s avg); drops: 0 p/s",
         "waiting for answers 9400 1"},
        {" 0:01 101%; send: 5 done (219 p/s avg); recv: 1 0 p/s", "waiting for answers 10000 -1"},
        {"1:02:03 5% (2h04m left); send: 9 1 Kp/s (1 Kp/s avg)", "probing 500 7440"},
        {" 0:09 5% (1d20h left); send: 9 1 p/s (1 p/s avg)", "probing 500 158400"},
        {" 0:06 47% (7s left); sent: 36 5 p/s (5 p/s avg)", "probing 4700 7"},
        {"Nov 22 06:15:11.618 [INFO] zmap: syslog support disabled", "no"},
        {"Nov 22 06:15:14.634 [INFO] zmap: completed", "no"},
        {"Nov 22 06:15:14.634 [WARN] zmap: too few targets relative to senders, dropping to one",
         "no"},
        {"", "no"},
        {" 0:06", "no"},
        {" 0:06 ", "no"},
        {" 0:06 %; send: 1", "no"},
        {" 0:06 47% (7x left); send: 36", "no"},
        {" 0:06 47% ( left); send: 36", "no"},
        {" 0:06 47% (99999999999999999999d left); send: 36", "no"},
        {" 0:06 99999999999999999999%; send: 36", "no"},
        {" 0:06 47% (7s left)", "no"},
        {" 006 47%; send: 36", "no"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_STR(status(cases[i][0]), cases[i][1]);
    }
}

static void it_covers_what_it_was_asked_but_a_part_nothing(void)
{
    CHECK_STR(covered(&(struct asked){.ports = "80,443"}, NULL), "tcp=80,443");
    CHECK_STR(covered(&(struct asked){.arguments = "-M icmp_echoscan"}, "{}"), "host");
    CHECK_STR(
        covered(&(struct asked){.ports = "80", .arguments = "--shards 2 --shard 0 -e 1"}, NULL),
        "");
    CHECK_STR(covered(&(struct asked){.ports = "80", .arguments = "-n 10"}, NULL), "");
    CHECK_STR(covered(&(struct asked){.ports = "80", .arguments = "--max-results 10"}, NULL), "");
}

static void the_version_is_read(void)
{
    char version[16] = "unchanged";

    CHECK(tool_zmap.read_version("zmap 2.1.1\n", version, sizeof version));
    CHECK_STR(version, "2.1.1");
    CHECK(!tool_zmap.read_version("zmap Development Build. Commit x", version, sizeof version));
    CHECK(!tool_zmap.read_version("", version, sizeof version));
    CHECK_STR(version, "2.1.1");
}

TESTS(rig_table_is_sound, the_command_line_of_version_2, the_command_line_of_later_versions,
      versions_that_cannot_do_it_are_refused_with_advice, what_it_cannot_scan_is_named,
      a_name_that_is_pinned_to_ipv6_is_refused_at_the_start,
      it_is_not_started_without_targets_or_raw_sockets, probes_and_needs_are_told,
      the_stricter_rate_holds, a_deadline_has_room_to_spare, progress_is_read_from_status_lines,
      it_covers_what_it_was_asked_but_a_part_nothing, the_version_is_read)
