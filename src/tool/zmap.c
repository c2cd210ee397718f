/*
 * zmap: how it is started.
 *
 * It sends one probe to each address in random order and prints each answer as a line of CSV. What
 * differs by version is the names of fields (hyphens in 2, underscores later), whether it takes
 * several ports (from 4), and what a rate is: addresses a second in 2, packets later. Facts that
 * shape the command line:
 *
 * - Without targets it would scan the Internet: it is not started so, and the file of targets is
 *   named always.
 * - /etc/zmap holds a configuration and a list of what is never scanned: both are replaced by
 *   nothing, because what is scanned was decided already.
 * - Version 2.1.1 waits for ever for the gateway's hardware address if it is not told.
 * - It reads IPv4 only, prefixes and single addresses.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/request.h"
#include "parse/parse.h"
#include "tool/sweep.h"
#include "tool/tool_option.h"
#include "tool/zmap_options.h"

enum {
    COOLDOWN_S = 8,
    SPARE_S = 30,
    SENDING_SPARE_S = 10,
    FIRST_KNOWN = 2,
    LAST_KNOWN = 4,
    SEVERAL_PORTS = 4
};

#define ICMP "icmp_echoscan"

/* ---- what is asked ---- */

static bool given(const struct tool_uses *u, const char *field)
{
    for (size_t i = 0; i < u->n; i++) {
        if (str_eq(u->v[i].row->field, field)) {
            return true;
        }
    }
    return false;
}

static int take_ports(const struct tool_uses *u, struct tool_plan *p, bool icmp, struct err *e)
{
    for (size_t i = 0; i < u->n; i++) {
        if (!str_eq(u->v[i].row->group, "ports")) {
            continue;
        }
        if (p->ports) {
            return err_set(e, ERR_INVALID, "contradicting arguments: '%s' and 'ports'",
                           u->v[i].row->name);
        }
        p->ports = xstrdup(u->v[i].value);
    }
    if (icmp && p->ports) {
        return err_set(e, ERR_INVALID, "contradicting arguments: '" ICMP "' and ports");
    }
    if (!icmp && !p->ports) {
        return err_set(e, ERR_INVALID,
                       "zmap needs a port, or '-M " ICMP "' to look for hosts only");
    }
    return 0;
}

/* TCP it is; ports of other protocols would never be probed. */
static int take_tcp(struct tool_plan *p, struct err *e)
{
    auto_free char *tcp = tool_ports_of(p->ports, PORTS_TCP, true);
    uint32_t n[PORTS_PROTOCOLS];

    if (!tcp || strpbrk(p->ports, "US")) {
        return err_set(e, ERR_INVALID, "zmap scans TCP ports here: use nmap or masscan for '%s'",
                       p->ports);
    }
    free(p->ports);
    p->ports = take_ptr(&tcp);
    ports_count(p->ports, n);
    p->n_ports = n[PORTS_TCP];
    p->protocols = 1u << PORTS_TCP;
    return 0;
}

static int check_shards(const struct tool_plan *p, const struct tool_uses *u, struct err *e)
{
    if (given(u, "shard") != given(u, "shards")) {
        return err_set(e, ERR_INVALID, "arguments '--shard' and '--shards' need each other");
    }
    if (!given(u, "shards")) {
        return 0;
    }
    if (!given(u, "seed")) {
        return err_set(e, ERR_INVALID,
                       "argument '--shards' needs '--seed': the shards of one whole have the same");
    }
    if (sweep_number(&tool_zmap, p, "shard", 0) >= sweep_number(&tool_zmap, p, "shards", 1)) {
        return err_set(e, ERR_INVALID, "'--shard' counts from 0: it is less than '--shards'");
    }
    return 0;
}

static int no_v6(const struct tool_plan *p, struct err *e)
{
    return target_set_has_v6(&p->targets)
               ? err_set(e, ERR_INVALID, "zmap scans IPv4 only: use nmap or masscan")
               : 0;
}

static int zmap_check(const struct tool_request *q, const struct strvec *tokens,
                      struct tool_plan *p, struct err *e)
{
    auto_uses uses = {0};
    bool icmp;
    int rc = tool_uses_read(&tool_zmap, q, tokens, &uses, e);

    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < uses.n; i++) {
        if (!str_eq(uses.v[i].row->group, "ports")) {
            tool_use_put(&uses.v[i], &p->tokens);
        }
    }
    icmp = str_eq(sweep_value(&tool_zmap, p, "probe_module"), ICMP);
    rc = take_ports(&uses, p, icmp, e);
    if (rc == 0) {
        rc = check_shards(p, &uses, e);
    }
    if (rc == 0) {
        rc = no_v6(p, e);
    }
    p->n_ports = 1;
    if (rc == 0 && !icmp) {
        rc = take_tcp(p, e);
    }
    sweep_need(&tool_zmap, &p->need);
    if (icmp) {
        p->need.slirp_lies = true;
        p->need.option = ICMP;
    }
    return rc;
}

/* ---- how it is started ---- */

/* 2, 3 or 4; 0: not known. */
static unsigned major_of(const char *version)
{
    auto_free char *major = xstrndup(version ? version : "", version ? strcspn(version, ".") : 0);
    uint64_t v = 0;

    return str_to_u64(major, FIRST_KNOWN, LAST_KNOWN, &v) ? (unsigned)v : 0;
}

static int version_of(const struct tool_start *s, unsigned *out, struct err *e)
{
    *out = major_of(s->version);
    if (*out) {
        return 0;
    }
    return err_set(e, ERR_INVALID,
                   "zmap %s is not known here: install version %d to %d, or set --tool-zmap",
                   s->version ? s->version : "of unknown version", FIRST_KNOWN, LAST_KNOWN);
}

int zmap_takes_ports(const char *version, uint32_t n_ports, struct err *e)
{
    unsigned major = major_of(version);

    if (major == 0 || major >= SEVERAL_PORTS || n_ports <= 1) {
        return 0;
    }
    return err_set(e, ERR_INVALID,
                   "zmap %s takes one port per scan, got %u: submit one for each, or use masscan",
                   version, n_ports);
}

struct numbers {
    uint64_t rate, probes, sent, cooldown, shards, runtime;
};

static void numbers_of(const struct tool_plan *p, const struct tool_start *s, struct strvec *notes,
                       struct numbers *out)
{
    uint64_t sent = sweep_times(sweep_addresses(p, s), p->n_ports);

    *out = (struct numbers){
        .rate = sweep_rate(s, sweep_number(&tool_zmap, p, "rate", 0), notes),
        .probes = sweep_number(&tool_zmap, p, "probes", 1),
        .cooldown = sweep_number(&tool_zmap, p, "cooldown_time", COOLDOWN_S),
        .shards = sweep_number(&tool_zmap, p, "shards", 1),
    };
    sent = MIN(sent, sweep_number(&tool_zmap, p, "max_targets", UINT64_MAX));
    out->sent = sweep_times(sent, out->probes) / out->shards;
    out->runtime =
        2 * sweep_seconds(out->sent, MIN(out->rate, (uint64_t)SWEEP_RATE_SURE)) + SENDING_SPARE_S;
    out->runtime = MIN(out->runtime, (uint64_t)INT32_MAX);
}

static int may_start(const struct tool_plan *p, const struct tool_start *s, unsigned *version,
                     struct err *e)
{
    int rc = sweep_may_start(&tool_zmap, p, s, e);

    if (rc == 0) {
        rc = no_v6(p, e); /* a name may have been pinned to one */
    }
    if (rc == 0 && s->user_stack && !p->ports) {
        rc = err_set(e, ERR_INVALID,
                     "'" ICMP
                     "' would be answered by the user-mode network stack of level rootless, "
                     "not by the target");
    }
    if (rc == 0) {
        rc = version_of(s, version, e);
    }
    if (rc == 0 && p->ports) {
        rc = zmap_takes_ports(s->version, p->n_ports, e);
    }
    if (rc == 0 && *version < 3 && !s->gateway_mac) {
        rc = err_set(e, ERR_INVALID,
                     "zmap %s needs to be told the gateway's hardware address, which is known at "
                     "the levels nft and rootless only; use masscan, or zmap 4",
                     s->version);
    }
    return rc;
}

static void add_fixed(const struct tool_start *s, unsigned version, bool icmp, struct strvec *argv)
{
    const char *time = version < 3 ? "timestamp-ts" : "timestamp_ts";
    const char *const fixed[] = {
        s->program, "-C", "/dev/null", "-b", "/dev/null", "--disable-syslog", "-T", "1", "-o", "-",
        "-O", "csv", "--output-filter",
        /* An unreachable has the sender's address, not the target's. */
        icmp ? "success = 1 && repeat = 0"
             : "repeat = 0 && (classification = synack || classification = rst)"};

    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        strvec_push(argv, fixed[i]);
    }
    strvec_push(argv, "-f");
    strvec_pushf(argv, "saddr,%sclassification,success,ttl,%s", icmp ? "" : "sport,", time);
    if (s->interface) {
        strvec_push(argv, "-i");
        strvec_push(argv, s->interface);
    }
    if (s->gateway_mac) {
        strvec_push(argv, "-G");
        strvec_push(argv, s->gateway_mac);
    }
}

static void add_number(struct strvec *argv, const char *name, uint64_t n)
{
    strvec_push(argv, name);
    strvec_pushf(argv, "%" PRIu64, n);
}

static void add_part(const struct tool_plan *p, struct strvec *argv)
{
    static const char *const fields[][2] = {
        {"max_targets", "-n"},  {"max_results", "-N"}, {"seed", "-e"},
        {"shards", "--shards"}, {"shard", "--shard"},
    };

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        const char *value = sweep_value(&tool_zmap, p, fields[i][0]);

        if (value) {
            strvec_push(argv, fields[i][1]);
            strvec_push(argv, value);
        }
    }
}

static int zmap_build_argv(const struct tool_plan *p, const struct tool_start *s,
                           struct strvec *argv, struct strvec *notes, struct err *e)
{
    bool icmp = str_eq(sweep_value(&tool_zmap, p, "probe_module"), ICMP);
    struct numbers n;
    unsigned version = 0;
    int rc = may_start(p, s, &version, e);

    if (rc < 0) {
        return rc;
    }
    numbers_of(p, s, notes, &n);
    add_fixed(s, version, icmp, argv);
    strvec_push(argv, "-M");
    strvec_push(argv, icmp ? ICMP : "tcp_synscan");
    if (p->ports) {
        strvec_push(argv, "-p");
        strvec_push(argv, p->ports);
    }
    add_number(argv, "-P", n.probes);
    add_number(argv, "-r", version < 3 ? MAX(n.rate / n.probes, 1u) : n.rate);
    add_number(argv, "-c", n.cooldown);
    add_number(argv, "-t", n.runtime);
    add_part(p, argv);
    strvec_push(argv, "-w");
    strvec_push(argv, TOOL_TARGETS_FILE);
    return 0;
}

static uint32_t zmap_deadline_s(const struct tool_plan *p, const struct tool_start *s)
{
    struct numbers n;

    numbers_of(p, s, NULL, &n);
    return (uint32_t)MIN(n.runtime + 2 * n.cooldown + SPARE_S, (uint64_t)UINT32_MAX);
}

static uint32_t zmap_takes_s(const struct tool_plan *p, const struct tool_start *s)
{
    struct numbers n;

    numbers_of(p, s, NULL, &n);
    return (uint32_t)MIN(sweep_seconds(n.sent, n.rate) + n.cooldown, (uint64_t)UINT32_MAX);
}

/* ---- what it says ---- */

/* "2d04h", "1h20m", "2m05s", "7s" */
static bool seconds_left(const char *s, int32_t *out)
{
    static const struct {
        char unit;
        int64_t s;
    } units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
    int64_t sum = 0;
    size_t parts = 0;

    for (; *s >= '0' && *s <= '9'; parts++) {
        char *end;
        long long v = strtoll(s, &end, 10);
        size_t i = 0;

        while (i < ARRAY_LEN(units) && units[i].unit != *end) {
            i++;
        }
        if (i == ARRAY_LEN(units) || v > 1000000) {
            return false;
        }
        sum += v * units[i].s;
        s = end + 1;
    }
    *out = (int32_t)MIN(sum, (int64_t)INT32_MAX);
    return parts > 0 && str_starts(s, " left)");
}

/*
 * " 0:01 48%; send: 11 done (118 p/s avg); recv: 3 2 p/s (2 p/s avg); drops: ..."
 * " 0:05 100% (0s left); send: 11 done (3 p/s avg); ..."
 */
static bool zmap_read_status(const char *line, struct progress *out)
{
    const char *at = line + strspn(line, " ");
    size_t clock = strspn(at, "0123456789:");
    int32_t left = -1;
    uint64_t percent;

    if (!memchr(at, ':', clock) || at[clock] != ' ') {
        return false;
    }
    at += clock + 1;
    auto_free char *number = xstrndup(at, strspn(at, "0123456789"));

    at += strlen(number);
    if (*at != '%' || !str_to_u64(number, 0, UINT32_MAX, &percent)) {
        return false;
    }
    if (str_starts(at, "% (") && !seconds_left(at + 3, &left)) {
        return false;
    }
    at += strcspn(at, ";");
    if (!str_starts(at, "; send: ") && !str_starts(at, "; sent: ")) {
        return false;
    }
    *out = (struct progress){.task = strstr(at, " done (") ? "waiting for answers" : "probing",
                             .percent_x100 = (int32_t)MIN(percent, 100u) * 100,
                             .remaining_s = left};
    return true;
}

/* A shard, or what a maximum left, is a part chosen by chance: nothing can be said of it. */
static void zmap_covers(const struct tool_plan *p, const char *run_json, struct tool_cover *out)
{
    static const char *const parts[] = {"max_targets", "max_results"};

    (void)run_json; /* it says nothing of ports or addresses */
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (sweep_value(&tool_zmap, p, parts[i])) {
            return;
        }
    }
    if (sweep_number(&tool_zmap, p, "shards", 1) > 1) {
        return;
    }
    out->hosts = str_eq(sweep_value(&tool_zmap, p, "probe_module"), ICMP);
    out->ports[PORTS_TCP] = p->ports ? xstrdup(p->ports) : NULL;
}

/* "zmap 2.1.1" */
static bool zmap_read_version(const char *output, char *version, size_t size)
{
    return sweep_version(output, "zmap ", version, size);
}

const struct tool tool_zmap = {
    .name = "zmap",
    .summary = "one port across large IPv4 ranges",
    .setting = "tool-zmap",
    .program = "zmap",
    .options = zmap_options,
    .refusals = zmap_refusals,
    .check = zmap_check,
    .build_argv = zmap_build_argv,
    .parser = &parser_zmap,
    .merges = true,
    .raw_queue = QUEUE_NET_ZMAP,
    .numeric_targets = true,
    .deadline_s = zmap_deadline_s,
    .takes_s = zmap_takes_s,
    .read_status = zmap_read_status,
    .covers = zmap_covers,
    .needs = TOOL_NEEDS_NET | TOOL_WANTS_RAW | TOOL_WANTS_ETHERNET,
    .limits = {.wall_s = 86400, .memory_mb = 4096, .output_mb = 4096, .processes = 64},
    .files = 1024,
    .version_args = (const char *const[]){"--version", NULL},
    .read_version = zmap_read_version,
};
