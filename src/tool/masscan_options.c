/*
 * masscan's options as rows. A row may stand here only if nothing that it takes can read, write or
 * run a file, move the result elsewhere, or add to what is scanned. masscan itself reads names
 * without regard to case, '-', '_' and '.', and takes each as a line of a configuration file, too;
 * ours are compared byte by byte and emitted in one spelling.
 */
#include "tool/masscan_options.h"

/* clang-format off */
#define FLAG(n, f)        .name = (n), .field = (f), .value = TOOL_FLAG
#define WORD(n, f, w)     .name = (n), .field = (f), .word = (w), .value = TOOL_FLAG
#define COUNT(n, f, a, b) .name = (n), .field = (f), .value = TOOL_COUNT, .min = (a), .max = (b)
#define RATE(n, f)        .name = (n), .field = (f), .value = TOOL_RATE, .min = 1, .max = 10000000
#define PORTS(n)          .name = (n), .value = TOOL_PORTS, .group = "ports"
#define ADVANCED          .class_ = OPTION_ADVANCED
#define RAW               .needs_raw = true
#define LIES_STACK        .slirp_lies = true
#define GROUP(g)          .group = (g)

const struct tool_option masscan_options[] = {
    /* What is probed. `-p` becomes the request's own list of ports; the techniques say what those
     * without a letter are: TCP when nothing is said. */
    {PORTS("-p"), .apart = true},
    {PORTS("--ports")},
    {WORD("-sS", "technique", "syn"), RAW},
    {WORD("-sU", "technique", "udp"), RAW},
    {FLAG("--ping", "ping"), RAW, LIES_STACK},
    {FLAG("--banners", "banners"), RAW},

    /* How fast, and how long. */
    {RATE("--rate", "rate"), GROUP("rate")},
    {RATE("--max-rate", "max_rate"), GROUP("rate")},
    {COUNT("--retries", "retries", 0, 10)},
    {COUNT("--wait", "wait", 0, 300)},

    /* Which part of the whole. Shards of one whole have the same seed. */
    {.name = "--shard", .field = "shard", .value = TOOL_SHARD, .max = 1024},
    {COUNT("--seed", "seed", 1, 4294967295)},

    /* How packets look. */
    {COUNT("--ttl", "ttl", 1, 255), RAW, LIES_STACK, ADVANCED},
    {COUNT("--source-port", "source_port", 1, 65535), RAW, ADVANCED},
    {FLAG("--noreset", "no_reset"), RAW, ADVANCED},
    {0},
};

const struct tool_refusal masscan_refusals[] = {
    {"-c", "reads files"},
    {"--conf", "reads files"},
    {"--resume", "reads files"},
    {"--readscan", "reads files"},
    {"-iL", "reads files: name the targets in the request"},
    {"--includefile", "reads files: name the targets in the request"},
    {"--excludefile", "reads files"},
    {"--pcap-payloads", "reads files"},
    {"--nmap-payloads", "reads files"},
    {"--nmap-service-probes", "reads files"},
    {"--hello-file", "reads files"},
    {"--script", "runs code"},
    {"--stylesheet", "the form of the output is set by the server"},

    {"--pcap", "writes files"},
    {"--output-format", "the form of the output is set by the server"},
    {"--output-filename", "writes files: the result is read from masscan's output"},
    {"-oX", "writes files: the result is read from masscan's output"},
    {"-oJ", "writes files: the result is read from masscan's output"},
    {"-oD", "writes files: the result is read from masscan's output"},
    {"-oL", "writes files: the result is read from masscan's output"},
    {"-oG", "writes files: the result is read from masscan's output"},
    {"-oB", "writes files: the result is read from masscan's output"},
    {"-oU", "writes files: the result is read from masscan's output"},
    {"--append-output", "writes files"},
    {"--rotate", "writes files"},
    {"--rotate-dir", "writes files"},
    {"--rotate-size", "writes files"},
    {"--rotate-offset", "writes files"},
    {"--redis", "sends the result elsewhere"},
    {"--redis-pwd", "sends the result elsewhere"},

    {"--exclude", "changes the set of targets: leave them out with the request's 'exclude'"},
    {"--range", "changes the set of targets: name the targets in the request"},
    {"--exclude-ports", "leave them out of the ports"},
    {"--top-ports", "name the ports in the request"},
    {"--resume-index", "use --shard"},
    {"--resume-count", "use --shard"},
    {"--infinite", "never ends"},
    {"--offline", "scans nothing"},

    {"-e", "the network is set by the server"},
    {"--interface", "the network is set by the server"},
    {"--adapter", "the network is set by the server"},
    {"--adapter-ip", "forges the sender"},
    {"--adapter-port", "use --source-port"},
    {"--adapter-mac", "forges the sender"},
    {"--adapter-vlan", "the network is set by the server"},
    {"--source-ip", "forges the sender"},
    {"--src-ip", "forges the sender"},
    {"--source-mac", "forges the sender"},
    {"--spoof-ip", "forges the sender"},
    {"--spoof-mac", "forges the sender"},
    {"--router-ip", "the network is set by the server"},
    {"--router-mac", "the network is set by the server"},
    {"--pfring", "the network is set by the server"},
    {"--sendq", "the network is set by the server"},
    {"--arp", "asks the link, which has nobody on it but the gateway"},
    {"--bpf", "the network is set by the server"},

    {"--hello", "sends text of its own to services"},
    {"--hello-string", "sends text of its own to services"},
    {"--hello-timeout", "sends text of its own to services"},
    {"--http-user-agent", "sends text of its own to services"},
    {"--http-header", "sends text of its own to services"},
    {"--http-cookie", "sends text of its own to services"},
    {"--http-payload", "sends text of its own to services"},
    {"--http-method", "sends text of its own to services"},
    {"--http-url", "sends text of its own to services"},
    {"--heartbleed", "attacks services"},
    {"--ticketbleed", "attacks services"},
    {"--poodle", "attacks services"},
    {"--vuln", "attacks services"},
    {"--capture", "the form of the output is set by the server"},
    {"--nocapture", "the form of the output is set by the server"},

    {"--packet-trace", "prints what the result does not need"},
    {"--interactive", "there is nobody to talk to"},
    {"--nmap", "scans nothing"},
    {"--echo", "scans nothing"},
    {"--echo-all", "scans nothing"},
    {"--iflist", "shows this server's network"},
    {"--selftest", "scans nothing"},
    {"--regress", "scans nothing"},
    {"--test", "scans nothing"},
    {"-V", "scans nothing"},
    {"--version", "scans nothing"},
    {"-h", "scans nothing"},
    {"--help", "scans nothing"},
    {"-sT", "connects: use nmap"},
    {"-sV", "masscan identifies no services: use nmap, or --banners"},
    {"-O", "masscan guesses no systems: use nmap"},
    {"-A", "masscan identifies no services: use nmap, or --banners"},
    {"--", "targets have a member of their own"},
    {NULL, NULL},
};
/* clang-format on */
