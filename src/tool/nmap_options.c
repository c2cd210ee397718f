/*
 * nmap's options as rows: who may use them, with which values, and what they need of the network.
 *
 * Rows marked `old` are the old service's list, no more and no less. A row may stand here only if
 * nothing that it takes can read, write or run a file, move the result elsewhere, or add to what
 * is scanned. That holds for OPTION_UNSAFE too: such rows forge or deform packets, and what they
 * forge stays inside the scope, because the filter of the box drops what does not come from its
 * own address, what has IP options, and what goes elsewhere.
 */
#include "tool/nmap_options.h"

#define DAY_MS    INT64_C(86400000)
#define WEEK_MS   (7 * DAY_MS)
#define COUNT_MAX 1000000000

/* clang-format off */
#define FLAG(n, f)        .name = (n), .field = (f), .value = TOOL_FLAG
#define WORD(n, f, w)     .name = (n), .field = (f), .word = (w), .value = TOOL_FLAG
#define COUNT(n, f, a, b) .name = (n), .field = (f), .value = TOOL_COUNT, .min = (a), .max = (b)
#define RATE(n, f)        .name = (n), .field = (f), .value = TOOL_RATE, .min = 1, .max = 10000000
#define TIME(n, f, a, b)  .name = (n), .field = (f), .value = TOOL_TIME, .min = (a), .max = (b)
#define PORTS(n, f)       .name = (n), .field = (f), .value = TOOL_PORTS
#define OLD               .old = true
/* The old service took any number: its routes still do, nmap judges it. */
#define OLD_COUNT(a)      .old = true, .old_min = (a), .old_max = COUNT_MAX
#define OLD_TIME          .old = true, .old_min = 0, .old_max = WEEK_MS
#define RAW               .needs_raw = true
#define LIES_NAT          .nat_lies = true
#define LIES_STACK        .slirp_lies = true
#define ADVANCED          .class_ = OPTION_ADVANCED
#define DEBUG             .class_ = OPTION_DEBUG
#define UNSAFE            .class_ = OPTION_UNSAFE
#define GROUP(g)          .group = (g)

const struct tool_option nmap_options[] = {
    /* Techniques. -sS has a stand-in where there are no raw sockets, so it does not need them. */
    {WORD("-sS", "technique", "syn"), OLD, GROUP("tcp")},
    {WORD("-sT", "technique", "connect"), OLD, GROUP("tcp")},
    {WORD("-sU", "technique", "udp"), OLD, RAW},
    {WORD("-sA", "technique", "ack"), OLD, RAW, LIES_STACK, GROUP("tcp")},
    {WORD("-sW", "technique", "window"), OLD, RAW, LIES_STACK, GROUP("tcp")},
    {WORD("-sM", "technique", "maimon"), OLD, RAW, LIES_NAT, LIES_STACK, ADVANCED, GROUP("tcp")},
    {WORD("-sN", "technique", "null"), OLD, RAW, LIES_NAT, LIES_STACK, ADVANCED, GROUP("tcp")},
    {WORD("-sF", "technique", "fin"), OLD, RAW, LIES_NAT, LIES_STACK, ADVANCED, GROUP("tcp")},
    {WORD("-sX", "technique", "xmas"), OLD, RAW, LIES_NAT, LIES_STACK, ADVANCED, GROUP("tcp")},
    {WORD("-sO", "technique", "protocols"), RAW, LIES_STACK, ADVANCED},
    {WORD("-sY", "technique", "sctp_init"), RAW, LIES_STACK, ADVANCED, GROUP("sctp")},
    {WORD("-sZ", "technique", "sctp_cookie"), RAW, LIES_NAT, LIES_STACK, ADVANCED, GROUP("sctp")},
    {WORD("-sn", "technique", "ping"), OLD},
    {WORD("-sL", "technique", "list")},

    /* Which hosts are up. */
    {FLAG("-Pn", "skip_discovery"), OLD},
    {FLAG("-PE", "ping_echo"), RAW},
    {FLAG("-PP", "ping_timestamp"), RAW},
    {FLAG("-PM", "ping_netmask"), RAW},
    {PORTS("-PS", "ping_syn"), .glued = true},
    {PORTS("-PA", "ping_ack"), .glued = true, LIES_STACK},
    {PORTS("-PU", "ping_udp"), .glued = true, RAW},
    {PORTS("-PY", "ping_sctp"), .glued = true, RAW, LIES_STACK},
    {.name = "-PO", .field = "ping_protocols", .value = TOOL_PROTOCOLS, .glued = true, RAW,
     LIES_STACK},
    {FLAG("--disable-arp-ping", "disable_arp_ping")},

    /* Which ports. `-p` becomes the request's own list of ports. */
    {PORTS("-p", NULL), .apart = true, GROUP("ports")},
    {FLAG("-F", "fast"), OLD, GROUP("ports")},
    {COUNT("--top-ports", "top_ports", 1, 65535), OLD_COUNT(1), GROUP("ports")},
    {PORTS("--exclude-ports", "exclude_ports")},
    {FLAG("-r", "in_order"), OLD},

    /* What is found out about them. */
    {FLAG("-sV", "service_version"), OLD},
    {COUNT("--version-intensity", "version_intensity", 0, 9), GROUP("version")},
    {FLAG("--version-light", "version_light"), GROUP("version")},
    {FLAG("--version-all", "version_all"), GROUP("version")},
    {FLAG("-O", "os"), OLD, RAW, LIES_STACK},
    {FLAG("--osscan-limit", "os_limit")},
    {FLAG("--osscan-guess", "os_guess")},
    {COUNT("--max-os-tries", "max_os_tries", 1, 5)},
    {FLAG("--traceroute", "traceroute"), OLD, RAW, LIES_STACK},
    {FLAG("-sC", "default_scripts")},
    {.name = "--script", .field = "scripts", .value = TOOL_SCRIPTS},
    {.name = "--script-args", .field = "script_args", .value = TOOL_SCRIPT_ARGS},
    {TIME("--script-timeout", "script_timeout", 1000, DAY_MS)},

    /* How fast. */
    {WORD("-T0", "timing", "0"), OLD, GROUP("timing")},
    {WORD("-T1", "timing", "1"), OLD, GROUP("timing")},
    {WORD("-T2", "timing", "2"), OLD, GROUP("timing")},
    {WORD("-T3", "timing", "3"), OLD, GROUP("timing")},
    {WORD("-T4", "timing", "4"), OLD, GROUP("timing")},
    {WORD("-T5", "timing", "5"), OLD, GROUP("timing")},
    {RATE("--min-rate", "min_rate"), OLD_COUNT(1)},
    {RATE("--max-rate", "max_rate"), OLD_COUNT(1)},
    {COUNT("--max-retries", "max_retries", 0, 10), OLD_COUNT(0)},
    {TIME("--host-timeout", "host_timeout", 1000, WEEK_MS), OLD_TIME},
    {TIME("--scan-delay", "scan_delay", 0, 3600000), OLD_TIME},
    {TIME("--max-scan-delay", "max_scan_delay", 0, 3600000), OLD_TIME},
    {COUNT("--min-parallelism", "min_parallelism", 1, 1000), OLD_COUNT(0)},
    {COUNT("--max-parallelism", "max_parallelism", 1, 1000), OLD_COUNT(0)},
    {COUNT("--min-hostgroup", "min_hostgroup", 1, 4096), OLD_COUNT(1)},
    {COUNT("--max-hostgroup", "max_hostgroup", 1, 4096), OLD_COUNT(1)},
    {TIME("--min-rtt-timeout", "min_rtt_timeout", 5, 60000), OLD_TIME},
    {TIME("--max-rtt-timeout", "max_rtt_timeout", 5, 60000), OLD_TIME},
    {TIME("--initial-rtt-timeout", "initial_rtt_timeout", 5, 60000), OLD_TIME},
    {FLAG("--defeat-rst-ratelimit", "defeat_rst_ratelimit"), RAW},
    {FLAG("--defeat-icmp-ratelimit", "defeat_icmp_ratelimit"), RAW},
    {FLAG("--randomize-hosts", "randomize_hosts")},

    /* The rest. Names are looked up by us: -n is given, -R has no effect but where the policy names
     * a resolver. */
    {FLAG("-6", "ipv6"), OLD},
    {FLAG("-n", "no_dns"), OLD, GROUP("dns")},
    {FLAG("-R", "reverse_dns"), OLD, GROUP("dns")},
    {FLAG("--open", "open_only"), OLD},
    {FLAG("--reason", "reason"), OLD},
    {WORD("-v", "verbosity", "1"), OLD, GROUP("verbosity")},
    {WORD("-vv", "verbosity", "2"), OLD, GROUP("verbosity")},
    {WORD("-vvv", "verbosity", "3"), OLD, GROUP("verbosity")},
    {WORD("-d", "debugging", "1"), OLD, GROUP("debugging")},
    {WORD("-dd", "debugging", "2"), OLD, DEBUG, GROUP("debugging")},
    {FLAG("--packet-trace", "packet_trace"), OLD, DEBUG},
    {FLAG("--version-trace", "version_trace"), DEBUG},
    {FLAG("--script-trace", "script_trace"), DEBUG},
    {COUNT("-g", "source_port", 1, 65535), .apart = true, ADVANCED, GROUP("source")},
    {COUNT("--source-port", "source_port", 1, 65535), ADVANCED, GROUP("source")},
    {COUNT("--ttl", "ttl", 1, 255), RAW, ADVANCED},
    {COUNT("--data-length", "data_length", 0, 1400), RAW, ADVANCED},

    /* Deformed packets. Address translation puts fragments together and drops bad checksums. */
    {FLAG("-f", "fragment"), RAW, LIES_STACK, UNSAFE, GROUP("fragment")},
    {FLAG("-ff", "fragment_16"), RAW, LIES_STACK, UNSAFE, GROUP("fragment")},
    {COUNT("--mtu", "mtu", 8, 1496), .old = true, .old_min = 0, .old_max = 65535, RAW, UNSAFE,
     GROUP("fragment")},
    {.name = "--data", .field = "data", .value = TOOL_HEX, RAW, UNSAFE},
    {FLAG("--badsum", "bad_checksums"), RAW, LIES_NAT, LIES_STACK, UNSAFE},
    {FLAG("--adler32", "adler32"), RAW, UNSAFE},
    {.name = "--scanflags", .field = "scan_flags", .value = TOOL_TCP_FLAGS, RAW, LIES_NAT,
     LIES_STACK, UNSAFE},
    /* Forged senders: dropped at the box unless they are its own address. */
    {.name = "-S", .field = "source_address", .value = TOOL_ADDRESS, .apart = true, RAW, LIES_STACK,
     UNSAFE},
    {.name = "-D", .field = "decoys", .value = TOOL_DECOYS, .apart = true, RAW, LIES_STACK, UNSAFE},
    {.name = "--spoof-mac", .field = "spoof_mac", .value = TOOL_MAC, RAW, LIES_STACK, UNSAFE},
    /* The box has one interface; another name ends the scan. */
    {.name = "-e", .field = "interface", .value = TOOL_NAME, .apart = true, UNSAFE},
    {FLAG("--send-eth", "send_eth"), RAW, UNSAFE, GROUP("send")},
    {FLAG("--send-ip", "send_ip"), RAW, UNSAFE, GROUP("send")},
    /* About nmap's own work only. */
    {.name = "--nsock-engine", .field = "nsock_engine", .value = TOOL_NAME, UNSAFE},
    {FLAG("--release-memory", "release_memory"), UNSAFE},
    {0},
};

/* In the order in which a reader would look for them. What has a row above is refused only to
 * those who may not use it. */
const struct tool_refusal nmap_refusals[] = {
    {"-A", "name its parts: -sV -O --traceroute -sC"},

    {"-iL", "reads files: name the targets in the request"},
    {"-iR", "chooses targets at random"},
    {"--excludefile", "reads files"},
    {"--script-args-file", "reads files"},
    {"--resume", "reads files"},
    {"--datadir", "reads files"},
    {"--servicedb", "reads files"},
    {"--versiondb", "reads files"},

    {"-oN", "writes files: the result is read from nmap's output"},
    {"-oX", "writes files: the result is read from nmap's output"},
    {"-oS", "writes files: the result is read from nmap's output"},
    {"-oG", "writes files: the result is read from nmap's output"},
    {"-oA", "writes files: the result is read from nmap's output"},
    {"-oM", "writes files: the result is read from nmap's output"},
    {"-oH", "writes files: the result is read from nmap's output"},
    {"--append-output", "writes files"},
    {"--script-updatedb", "writes files"},
    {"--log-errors", "writes files"},

    {"-f", "hides from filters by fragments"},
    {"-ff", "hides from filters by fragments"},
    {"--mtu", "hides from filters by fragments"},
    {"--data", "deforms packets"},
    {"--data-string", "deforms packets"},
    {"--badsum", "deforms packets"},
    {"--adler32", "deforms packets"},
    {"--scanflags", "deforms packets"},
    {"--ip-options", "may route packets over hosts that are not targets"},
    {"-S", "forges the sender"},
    {"-D", "forges the sender"},
    {"--spoof-mac", "forges the sender"},
    {"-e", "the network is set by the server"},
    {"--send-eth", "the network is set by the server"},
    {"--send-ip", "the network is set by the server"},
    {"--route-dst", "shows this server's network"},
    {"--iflist", "shows this server's network"},

    {"-sI", "uses a third party"},
    {"-b", "uses a third party"},
    {"--proxies", "uses a third party"},
    {"--proxy", "uses a third party"},
    {"--dns-servers", "uses a third party"},
    {"--system-dns", "names are looked up by the server, once"},
    {"--resolve-all", "changes the set of targets"},
    {"--exclude", "changes the set of targets: leave them out of the targets"},
    {"--unique", "changes the set of targets"},

    {"--webxml", "the form of the output is set by the server"},
    {"--stylesheet", "the form of the output is set by the server"},
    {"--no-stylesheet", "set by the server"},
    {"--stats-every", "set by the server"},
    {"--noninteractive", "set by the server"},
    {"--interactive", "there is nobody to talk to"},
    {"--privileged", "set by the server"},
    {"--unprivileged", "set by the server"},
    {"--script-help", "scans nothing"},
    {"--nsock-engine", "is about nmap's own work"},
    {"--release-memory", "is about nmap's own work"},
    {"--port-ratio", "use --top-ports"},
    {"-V", "scans nothing"},
    {"--version", "scans nothing"},
    {"-h", "scans nothing"},
    {"--help", "scans nothing"},
    {"--", "targets have a member of their own"},
    {NULL, NULL},
};
/* clang-format on */
