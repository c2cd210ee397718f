/*
 * nmap: what of its command line a client may use, and how it is started.
 *
 * The result is read from its standard output as XML while it runs; so nothing that a client sends,
 * checked or not, may send the output elsewhere or end the options before the targets.
 */
#include <string.h>

#include "base/mem.h"
#include "model/request.h"
#include "tool/tool.h"

enum { COUNT_MAX = 1000000000, DAY_MS = 86400000 };

#define FLAG(n)                         \
    {                                   \
        .name = (n), .value = TOOL_FLAG \
    }
#define RAW(n)                                             \
    {                                                      \
        .name = (n), .value = TOOL_FLAG, .needs_raw = true \
    }
#define COUNT(n, lo)                                                    \
    {                                                                   \
        .name = (n), .value = TOOL_COUNT, .min = (lo), .max = COUNT_MAX \
    }
#define RATE(n)                                                     \
    {                                                               \
        .name = (n), .value = TOOL_RATE, .min = 1, .max = COUNT_MAX \
    }
#define TIME(n)                                                               \
    {                                                                         \
        .name = (n), .value = TOOL_TIME, .min = 0, .max = 7 * (int64_t)DAY_MS \
    }

/* The old service's list, word for word. Long names come as "--flag value" or "--flag=value". */
static const struct tool_option options[] = {
    RAW("-sS"),
    FLAG("-sT"),
    RAW("-sU"),
    RAW("-sA"),
    RAW("-sW"),
    RAW("-sM"),
    RAW("-sN"),
    RAW("-sF"),
    RAW("-sX"),
    FLAG("-sn"),
    FLAG("-sV"),
    FLAG("-Pn"),
    FLAG("-n"),
    FLAG("-R"),
    FLAG("-6"),
    FLAG("-r"),
    FLAG("-F"),
    RAW("-O"),
    FLAG("-v"),
    FLAG("-vv"),
    FLAG("-vvv"),
    FLAG("-d"),
    FLAG("-dd"),
    FLAG("-T0"),
    FLAG("-T1"),
    FLAG("-T2"),
    FLAG("-T3"),
    FLAG("-T4"),
    FLAG("-T5"),
    FLAG("--open"),
    FLAG("--reason"),
    RAW("--traceroute"),
    FLAG("--packet-trace"),
    COUNT("--top-ports", 1),
    COUNT("--max-retries", 0),
    TIME("--host-timeout"),
    TIME("--scan-delay"),
    TIME("--max-scan-delay"),
    RATE("--min-rate"),
    RATE("--max-rate"),
    COUNT("--min-parallelism", 0),
    COUNT("--max-parallelism", 0),
    COUNT("--min-hostgroup", 1),
    COUNT("--max-hostgroup", 1),
    TIME("--max-rtt-timeout"),
    TIME("--min-rtt-timeout"),
    TIME("--initial-rtt-timeout"),
    {.name = "--mtu", .value = TOOL_COUNT, .min = 0, .max = 65535, .needs_raw = true},
    {0},
};

/* The row of a token: its whole text, or for a row with a value the text before '='. */
static const struct tool_option *option_of(const char *token, const char **value)
{
    size_t n = strcspn(token, "=");

    *value = NULL;
    for (const struct tool_option *o = options; o->name; o++) {
        if (str_eq(o->name, token)) {
            return o;
        }
        if (token[n] && o->value != TOOL_FLAG && strlen(o->name) == n &&
            strncmp(o->name, token, n) == 0) {
            *value = token + n + 1;
            return o;
        }
    }
    return NULL;
}

/* Digits with an optional ms, s, m or h; seconds without. */
static bool time_ok(const char *v, int64_t min, int64_t max)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    size_t n = strspn(v, "0123456789");
    auto_free char *number = xstrndup(v, n);

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        uint64_t count;

        if (str_eq(v + n, units[i].unit)) {
            return str_to_u64(number, 0, (uint64_t)max / units[i].ms, &count) &&
                   count * units[i].ms >= (uint64_t)min;
        }
    }
    return false;
}

static bool value_ok(const struct tool_option *o, const char *v)
{
    uint64_t count;

    if (o->value == TOOL_TIME) {
        return time_ok(v, o->min, o->max);
    }
    return str_to_u64(v, (uint64_t)o->min, (uint64_t)o->max, &count);
}

static int nmap_check_arguments(const struct strvec *tokens, struct err *e)
{
    for (size_t i = 0; i < tokens->n; i++) {
        const char *token = tokens->v[i];
        const char *value;
        const struct tool_option *o = option_of(token, &value);

        if (!o) {
            return err_set(e, ERR_INVALID, "disallowed argument: '%s'", token);
        }
        if (o->value == TOOL_FLAG) {
            continue;
        }
        if (!value) {
            if (i + 1 == tokens->n) {
                return err_set(e, ERR_INVALID, "argument '%s' requires a value", o->name);
            }
            value = tokens->v[++i];
        }
        if (!value_ok(o, value)) {
            return err_set(e, ERR_INVALID, "invalid value for '%s': '%s'", o->name, value);
        }
    }
    return 0;
}

/* True if `word` (n bytes) is a beginning of `name`, at least `least` long; '_' reads as '-'. */
static bool abbreviates(const char *word, size_t n, const char *name, size_t least)
{
    if (n < least || n > strlen(name)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if ((word[i] == '_' ? '-' : word[i]) != name[i]) {
            return false;
        }
    }
    return true;
}

/*
 * Arguments that nobody checked may do what nmap can, but not take the result away: nmap accepts
 * long names with one dash, shortened, and with underscores.
 */
static bool takes_result_away(const char *token)
{
    static const struct {
        const char *name;
        size_t least; /* shorter could be another option */
    } names[] = {{"append-output", 2}, {"resume", 3}, {"webxml", 2}, {"stylesheet", 3}};
    const char *word = token + strspn(token, "-");
    size_t n = strcspn(word, "=");

    if (word == token) {
        return false;
    }
    if (n == 0) {
        return true; /* "--": what follows would be targets */
    }
    if (word[0] == 'o') {
        return !abbreviates(word, n, "open", 2) && !abbreviates(word, n, "osscan-guess", 2) &&
               !abbreviates(word, n, "osscan-limit", 2);
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (abbreviates(word, n, names[i].name, names[i].least)) {
            return true;
        }
    }
    return false;
}

static int arguments_allowed(const struct tool_scan *s, struct err *e)
{
    for (size_t i = 0; i < s->arguments->n; i++) {
        const char *token = s->arguments->v[i];
        const char *value;
        const struct tool_option *o = option_of(token, &value);

        if (takes_result_away(token)) {
            return err_set(e, ERR_INVALID,
                           "disallowed argument: '%s': the result is read from nmap's output",
                           token);
        }
        if (o && o->needs_raw && !s->raw_sockets) {
            return err_set(e, ERR_INVALID,
                           "argument '%s' needs raw sockets, which this server cannot give: start "
                           "it as root, or use -sT",
                           token);
        }
    }
    return 0;
}

static bool has(const struct strvec *tokens, const char *word)
{
    for (size_t i = 0; i < tokens->n; i++) {
        if (str_eq(tokens->v[i], word)) {
            return true;
        }
    }
    return false;
}

static int nmap_build_argv(const struct tool_scan *s, const char *program, struct strvec *argv,
                           struct err *e)
{
    /* nmap decides by the user id what it can do; it does not see what the box gives. */
    const char *const before[] = {program, "-oX",
                                  "-",     "--stats-every",
                                  "1s",    s->raw_sockets ? "--privileged" : "--unprivileged"};
    int rc = arguments_allowed(s, e);

    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < ARRAY_LEN(before); i++) {
        strvec_push(argv, before[i]);
    }
    for (size_t i = 0; i < s->arguments->n; i++) {
        strvec_push(argv, s->arguments->v[i]);
    }
    if (s->ipv6 && !has(s->arguments, "-6")) {
        strvec_push(argv, "-6");
    }
    if (s->ports) {
        strvec_push(argv, "-p");
        strvec_push(argv, s->ports);
    }
    strvec_push(argv, "--");
    for (size_t i = 0; i < s->targets->n; i++) {
        strvec_push(argv, s->targets->v[i]);
    }
    return 0;
}

/* "Nmap version 7.93 ( https://nmap.org )" */
static bool nmap_read_version(const char *output, char *version, size_t size)
{
    static const char intro[] = "Nmap version ";
    const char *at = strstr(output, intro);
    size_t n;

    if (!at) {
        return false;
    }
    at += strlen(intro);
    n = strspn(at, "0123456789.ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+-");
    if (n == 0 || n >= size) {
        return false;
    }
    memcpy(version, at, n);
    version[n] = '\0';
    return true;
}

const struct tool tool_nmap = {
    .name = "nmap",
    .summary = "hosts, ports, services and operating systems",
    .setting = "tool-nmap",
    .program = "nmap",
    .options = options,
    .check_arguments = nmap_check_arguments,
    .build_argv = nmap_build_argv,
    .parser = &parser_nmap_xml,
    .needs = TOOL_NEEDS_NET | TOOL_WANTS_RAW,
    .limits = {.wall_s = 86400, .mem_mb = 4096, .output_mb = 1024, .files = 4096, .procs = 256},
    .version_args = (const char *const[]){"--version", NULL},
    .read_version = nmap_read_version,
};
