/*
 * zmap's options as rows. A row may stand here only if nothing that it takes can read, write or run
 * a file, move the result elsewhere, or add to what is scanned. Long names are those of zmap 4;
 * where zmap 2 called them differently both are taken, and the command line has the short ones,
 * which did not change.
 */
#include "tool/zmap_options.h"

/* clang-format off */
#define COUNT(n, f, a, b) .name = (n), .field = (f), .value = TOOL_COUNT, .min = (a), .max = (b)
#define RATE(n, f)        .name = (n), .field = (f), .value = TOOL_RATE, .min = 1, .max = 10000000
#define PORTS(n)          .name = (n), .value = TOOL_PORTS, .group = "ports"
#define MODULE(n)         .name = (n), .field = "probe_module", .value = TOOL_CHOICE, \
                          .choices = "tcp_synscan|icmp_echoscan", .needs_raw = true, .group = "module"
#define APART             .apart = true
#define GROUP(g)          .group = (g)

const struct tool_option zmap_options[] = {
    /* What is probed. `-p` becomes the request's own list of ports. */
    {PORTS("-p"), APART},
    {PORTS("--target-ports")},
    {PORTS("--target-port")},
    {MODULE("-M"), APART},
    {MODULE("--probe-module")},
    {COUNT("-P", "probes", 1, 3), APART, GROUP("probes")},
    {COUNT("--probes", "probes", 1, 3), GROUP("probes")},

    /* How fast, and how long. */
    {RATE("-r", "rate"), APART, GROUP("rate")},
    {RATE("--rate", "rate"), GROUP("rate")},
    {COUNT("-c", "cooldown_time", 1, 300), APART, GROUP("cooldown")},
    {COUNT("--cooldown-time", "cooldown_time", 1, 300), GROUP("cooldown")},

    /* Which part of the whole. Shards of one whole have the same seed. */
    {COUNT("-n", "max_targets", 1, 4294967295), APART, GROUP("targets")},
    {COUNT("--max-targets", "max_targets", 1, 4294967295), GROUP("targets")},
    {COUNT("-N", "max_results", 1, 4294967295), APART, GROUP("results")},
    {COUNT("--max-results", "max_results", 1, 4294967295), GROUP("results")},
    {COUNT("--shards", "shards", 1, 1024)},
    {COUNT("--shard", "shard", 0, 1023)},
    {COUNT("-e", "seed", 1, 4294967295), APART, GROUP("seed")},
    {COUNT("--seed", "seed", 1, 4294967295), GROUP("seed")},
    {0},
};

const struct tool_refusal zmap_refusals[] = {
    {"-C", "reads files"},
    {"--config", "reads files"},
    {"-w", "reads files: name the targets in the request"},
    {"--allowlist-file", "reads files: name the targets in the request"},
    {"--whitelist-file", "reads files: name the targets in the request"},
    {"-I", "reads files: name the targets in the request"},
    {"--list-of-ips-file", "reads files: name the targets in the request"},
    {"-b", "reads files: leave targets out with the request's 'exclude'"},
    {"--blocklist-file", "reads files: leave targets out with the request's 'exclude'"},
    {"--blacklist-file", "reads files: leave targets out with the request's 'exclude'"},
    {"--probe-args", "reads files for some probes"},

    {"-o", "writes files: the result is read from zmap's output"},
    {"--output-file", "writes files: the result is read from zmap's output"},
    {"-l", "writes files"},
    {"--log-file", "writes files"},
    {"-L", "writes files"},
    {"--log-directory", "writes files"},
    {"-m", "writes files"},
    {"--metadata-file", "writes files"},
    {"-u", "writes files: progress is read from zmap's output"},
    {"--status-updates-file", "writes files: progress is read from zmap's output"},
    {"-O", "the form of the output is set by the server; some forms send it elsewhere"},
    {"--output-module", "the form of the output is set by the server; some forms send it elsewhere"},
    {"--output-args", "sends the result elsewhere"},
    {"-f", "the form of the output is set by the server"},
    {"--output-fields", "the form of the output is set by the server"},
    {"--output-filter", "the form of the output is set by the server"},
    {"--no-header-row", "the form of the output is set by the server"},
    {"--dedup-method", "set by the server"},
    {"--dedup-window-size", "set by the server"},
    {"--user-metadata", "the result has no place for it"},
    {"--notes", "the result has no place for it"},

    {"-i", "the network is set by the server"},
    {"--interface", "the network is set by the server"},
    {"-G", "the network is set by the server"},
    {"--gateway-mac", "the network is set by the server"},
    {"-S", "forges the sender"},
    {"--source-ip", "forges the sender"},
    {"--source-mac", "forges the sender"},
    {"-s", "the network is set by the server"},
    {"--source-port", "the network is set by the server"},
    {"-X", "the network is set by the server"},
    {"--iplayer", "the network is set by the server"},
    {"--vpn", "the network is set by the server"},
    {"--netmap-wait-ping", "the network is set by the server"},

    {"-B", "use --rate"},
    {"--bandwidth", "use --rate"},
    {"--batch", "set by the server"},
    {"-t", "set by the server, from targets and rate"},
    {"--max-runtime", "set by the server, from targets and rate"},
    {"-T", "set by the server"},
    {"--sender-threads", "set by the server"},
    {"--cores", "set by the server"},
    {"-q", "set by the server"},
    {"--quiet", "set by the server"},
    {"-v", "set by the server"},
    {"--verbosity", "set by the server"},
    {"--disable-syslog", "set by the server"},
    {"-d", "scans nothing"},
    {"--dryrun", "scans nothing"},
    {"--list-probe-modules", "scans nothing"},
    {"--list-output-modules", "scans nothing"},
    {"--list-output-fields", "scans nothing"},
    {"-V", "scans nothing"},
    {"--version", "scans nothing"},
    {"-h", "scans nothing"},
    {"--help", "scans nothing"},
    {"-sS", "zmap has modules: -M tcp_synscan"},
    {"-sU", "zmap's answers to UDP depend on what is sent: use nmap or masscan"},
    {"-sV", "zmap identifies no services: use nmap"},
    {"--", "targets have a member of their own"},
    {NULL, NULL},
};
/* clang-format on */
