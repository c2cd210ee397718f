/*
 * masscan: how it is started.
 *
 * It sends packets of its own making at a rate that it is told, in random order over addresses and
 * ports, and prints each answer as it comes, as JSON on its standard output; where it is, it says
 * on standard error. A result without findings is 0 bytes. Facts that shape the command line:
 *
 * - Above 10^9 probes it wants at least one exclusion; an address that nobody has satisfies it.
 * - /etc/masscan/masscan.conf is read where it exists, before the command line: a box has none.
 * - It ends only when a frame arrives after its wait is over (netd/beat.h sees to it).
 * - Source ports are one or a power of two.
 * - Over IPv6 it takes no address of its own that is below fc00::/7, as a box has it behind NAT.
 * - Each retry repeats at least as many probes as are sent in a second, also when there are fewer.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/request.h"
#include "parse/parse.h"
#include "tool/masscan_options.h"
#include "tool/sweep.h"
#include "tool/tool_option.h"

enum { WAIT_S = 10, SPARE_S = 60, BANNERS_S = 60 };

#define NOBODY "255.255.255.255"

/* ---- what is asked ---- */

/* *list: the ports as they were written. */
static int take_ports(const struct tool_request *q, const struct tool_uses *u,
                      const struct tool_plan *p, const char **list, struct err *e)
{
    const struct tool_use *short_ = tool_use_find(u, "-p");
    const struct tool_use *use = short_ ? short_ : tool_use_find(u, "--ports");

    if (use && p->ports) {
        return tool_use_contradiction(use->row->name, "ports", e);
    }
    *list = !use                        ? q->ports
            : str_eq(use->written, "-") ? use->value /* all */
                                        : use->written;
    if (!*list && !tool_use_given(u, "--ping")) {
        return err_set(e, ERR_INVALID, "masscan needs ports, or '--ping' to look for hosts only");
    }
    return 0;
}

/* Ports without a letter become those of a protocol, so that everybody reads the same in the list.
 */
static int divide_ports(const struct tool_uses *u, const char *written, struct tool_plan *p,
                        struct err *e)
{
    bool udp_asked = tool_use_given(u, "-sU"), tcp_asked = tool_use_given(u, "-sS") || !udp_asked;
    auto_free char *tcp = tool_ports_of(written, PORTS_TCP, tcp_asked);
    auto_free char *udp = tool_ports_of(written, PORTS_UDP, udp_asked);
    auto_free char *sctp = tool_ports_of(written, PORTS_SCTP, false);
    auto_free char *list = NULL;

    if (sctp) {
        return err_set(e, ERR_INVALID,
                       "masscan scans TCP and UDP here: use nmap with -sY for the ports 'S:%s'",
                       sctp);
    }
    p->protocols = (tcp ? 1u << PORTS_TCP : 0) | (udp ? 1u << PORTS_UDP : 0);
    if (written) {
        list = tcp && !udp ? xstrdup(tcp)
               : tcp       ? str_fmt("T:%s,U:%s", tcp, udp)
                           : str_fmt("U:%s", udp);
        free(p->ports);
        p->ports = ports_canonical(list);
    }
    return 0;
}

static uint32_t probes_each(const struct tool_plan *p, bool ping)
{
    uint32_t n[PORTS_PROTOCOLS] = {0};

    if (p->ports) {
        ports_count(p->ports, n);
    }
    return (p->protocols >> PORTS_TCP & 1 ? n[PORTS_TCP] : 0) +
           (p->protocols >> PORTS_UDP & 1 ? n[PORTS_UDP] : 0) + ping;
}

static void put_options(const struct tool_uses *u, struct strvec *tokens)
{
    static const char *const elsewhere[] = {"-p", "--ports", "-sS", "-sU", NULL};

    tool_uses_put(u, elsewhere, tokens);
}

static int masscan_check(const struct tool_request *q, const struct strvec *tokens,
                         struct tool_plan *p, struct err *e)
{
    auto_uses uses = {0};
    const char *ports = NULL;
    int rc = tool_uses_read(&tool_masscan, q, tokens, &uses, e);

    if (rc == 0 && tool_use_given(&uses, "--banners") && tool_use_given(&uses, "--source-port")) {
        rc = tool_use_contradiction("--banners", "--source-port", e);
    }
    if (rc == 0 && tool_use_given(&uses, "--shard") && !tool_use_given(&uses, "--seed")) {
        rc = err_set(e, ERR_INVALID,
                     "argument '--shard' needs '--seed': the shards of one whole have the same");
    }
    if (rc == 0) {
        rc = take_ports(q, &uses, p, &ports, e);
    }
    if (rc == 0) {
        rc = divide_ports(&uses, ports, p, e);
    }
    if (rc < 0) {
        return rc;
    }
    put_options(&uses, &p->tokens);
    p->n_ports = probes_each(p, tool_use_given(&uses, "--ping"));
    sweep_need(&tool_masscan, &p->need);
    if (target_set_has_v6(&p->targets)) {
        p->need.nat_lies = true;
        p->need.option = "masscan over IPv6";
    }
    for (size_t i = 0; i < uses.n; i++) {
        if (uses.v[i].row->slirp_lies) {
            p->need.slirp_lies = true;
            p->need.option = uses.v[i].row->name;
        }
    }
    return 0;
}

/* ---- how it is started ---- */

static uint64_t rate_of(const struct tool_plan *p, const struct tool_start *s, struct strvec *notes)
{
    uint64_t asked = sweep_number(&tool_masscan, p, "rate", 0);

    return sweep_rate(s, asked ? asked : sweep_number(&tool_masscan, p, "max_rate", 0), notes);
}

static uint64_t waiting_s(const struct tool_plan *p)
{
    return sweep_number(&tool_masscan, p, "wait", WAIT_S);
}

static void add_link(const struct tool_start *s, struct strvec *argv)
{
    if (s->interface) {
        strvec_push(argv, "-e");
        strvec_push(argv, s->interface);
    }
    if (s->gateway_mac) {
        strvec_push(argv, "--router-mac");
        strvec_push(argv, s->gateway_mac);
    }
}

/* One option of the plan as masscan is to read it; rate and wait are merged with the limits. */
static int add_option(const struct tool_option *o, const char *value, const struct tool_start *s,
                      struct strvec *argv, struct err *e)
{
    if (s->user_stack && o->slirp_lies) {
        return err_set(e, ERR_INVALID,
                       "argument '%s' would be answered by the user-mode network stack of level "
                       "rootless, not by the target",
                       o->name);
    }
    if (str_eq(o->field, "rate") || str_eq(o->field, "max_rate") || str_eq(o->field, "wait")) {
        return 0;
    }
    tool_use_put(&(struct tool_use){.row = o, .value = (char *)(uintptr_t)value}, argv);
    if (!str_eq(o->field, "banners")) {
        return 0;
    }
    if (!s->silent_ports) {
        return err_set(e, ERR_INVALID,
                       "argument '--banners' needs a network of the run's own (levels nft and "
                       "rootless): the kernel would reset its connections; use nmap with -sV");
    }
    strvec_push(argv, "--source-port");
    strvec_pushf(argv, "%u-%u", s->silent_port, s->silent_port + s->silent_ports - 1u);
    return 0;
}

/* masscan lets a letter hold until the next one; each part has its own here. */
static void add_ports(const struct tool_plan *p, struct strvec *argv)
{
    auto_free char *tcp = tool_ports_of(p->ports, PORTS_TCP, p->protocols >> PORTS_TCP & 1);
    auto_free char *udp = tool_ports_of(p->ports, PORTS_UDP, !(p->protocols >> PORTS_TCP & 1));
    auto_buf list = {0};

    if (!p->ports) {
        return;
    }
    buf_adds(&list, tcp ? tcp : "");
    for (const char *at = udp; at && *at;) {
        size_t n = strcspn(at, ",");

        buf_addf(&list, "%sU:%.*s", list.len ? "," : "", (int)n, at);
        at += n + (at[n] == ',');
    }
    strvec_push(argv, "-p");
    strvec_push(argv, list.data);
}

static int masscan_build_argv(const struct tool_plan *p, const struct tool_start *s,
                              struct strvec *argv, struct strvec *notes, struct err *e)
{
    static const char *const fixed[] = {"-oJ", "-", "--exclude", NOBODY};
    int rc = sweep_may_start(&tool_masscan, p, s, e);

    if (rc < 0) {
        return rc;
    }
    strvec_push(argv, s->program);
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        strvec_push(argv, fixed[i]);
    }
    add_link(s, argv);
    for (size_t at = 0; at < p->tokens.n;) {
        const char *value;
        const struct tool_option *o = tool_use_next(&tool_masscan, &p->tokens, &at, &value);

        if (!o) {
            return err_set(e, ERR_INTERNAL, "the plan has an option that no table has");
        }
        rc = add_option(o, value, s, argv, e);
        if (rc < 0) {
            return rc;
        }
    }
    strvec_push(argv, "--rate");
    strvec_pushf(argv, "%" PRIu64, rate_of(p, s, notes));
    strvec_push(argv, "--wait");
    strvec_pushf(argv, "%" PRIu64, waiting_s(p));
    add_ports(p, argv);
    strvec_push(argv, "-iL");
    strvec_push(argv, TOOL_TARGETS_FILE);
    return 0;
}

static uint64_t shards_of(const struct tool_plan *p)
{
    const char *shard = sweep_value(&tool_masscan, p, "shard");
    const char *slash = shard ? strchr(shard, '/') : NULL;
    uint64_t n = 1;

    (void)(slash && str_to_u64(slash + 1, 1, UINT64_MAX, &n));
    return n;
}

static uint64_t sending_s(const struct tool_plan *p, const struct tool_start *s, uint64_t rate)
{
    uint64_t retries = sweep_number(&tool_masscan, p, "retries", 0);
    uint64_t probes = sweep_times(sweep_addresses(p, s), p->n_ports);

    return sweep_seconds(sweep_times(probes, retries + 1) / shards_of(p), rate) +
           retries * (retries + 1);
}

static uint32_t masscan_deadline_s(const struct tool_plan *p, const struct tool_start *s)
{
    uint64_t sending = sending_s(p, s, MIN(rate_of(p, s, NULL), (uint64_t)SWEEP_RATE_SURE));
    uint64_t rest =
        2 * waiting_s(p) + SPARE_S + (sweep_value(&tool_masscan, p, "banners") ? BANNERS_S : 0);

    return (uint32_t)MIN(2 * sending + rest, (uint64_t)UINT32_MAX);
}

static uint32_t masscan_takes_s(const struct tool_plan *p, const struct tool_start *s)
{
    return (uint32_t)MIN(sending_s(p, s, rate_of(p, s, NULL)) + waiting_s(p), (uint64_t)UINT32_MAX);
}

/* ---- what it says ---- */

/* Digits with one dot, as hundredths. *at is moved behind it. */
static bool hundredths(const char **at, int64_t *out)
{
    const char *s = *at + strspn(*at, " ");
    char *end;
    long long whole;

    if (*s < '0' || *s > '9') {
        return false;
    }
    whole = strtoll(s, &end, 10);
    if (whole > 1000000 || end[0] != '.' || strspn(end + 1, "0123456789") != 2) {
        return false;
    }
    *out = whole * 100 + (end[1] - '0') * 10 + (end[2] - '0');
    *at = end + 3;
    return true;
}

static bool skip(const char **at, const char *text)
{
    if (!str_starts(*at, text)) {
        return false;
    }
    *at += strlen(text);
    return true;
}

/* A whole number of up to nine digits, maybe behind spaces and with a sign. */
static bool take_number(const char **at, int64_t *out)
{
    const char *s = *at + strspn(*at, " ");
    size_t sign = *s == '-', n = strspn(s + sign, "0123456789");

    if (n == 0 || n > 9) {
        return false;
    }
    *out = strtoll(s, NULL, 10);
    *at = s + sign + n;
    return true;
}

/* "0:04:44 remaining" */
static bool take_time(const char *at, int32_t *out)
{
    int64_t h, m, s;

    if (!take_number(&at, &h) || !skip(&at, ":") || !take_number(&at, &m) || !skip(&at, ":") ||
        !take_number(&at, &s) || !skip(&at, " remaining") || h < 0 || m < 0 || s < 0) {
        return false;
    }
    *out = (int32_t)MIN(h * 3600 + m * 60 + s, (int64_t)INT32_MAX);
    return true;
}

/*
 * "rate:  9.99-kpps,  2.27% done,   0:04:44 remaining, found=1       "
 * "rate:  0.00-kpps, 100.00% done, waiting 2-secs, found=9       "
 * The first ones come before anything was measured, with rate 0 and a time of weeks.
 */
static bool masscan_read_status(const char *line, struct progress *out)
{
    int64_t rate, done, wait;

    if (!skip(&line, "rate:") || !hundredths(&line, &rate) || !skip(&line, "-kpps,") ||
        !hundredths(&line, &done) || !skip(&line, "% done,")) {
        return false;
    }
    *out = (struct progress){
        .task = "probing", .percent_x100 = (int32_t)MIN(done, 10000), .remaining_s = -1};
    if (skip(&line, " waiting ") && take_number(&line, &wait) && skip(&line, "-secs")) {
        out->task = "waiting for answers";
        out->remaining_s = (int32_t)MAX(wait, 0);
    } else if (rate > 0) {
        (void)take_time(line, &out->remaining_s);
    }
    return true;
}

/* A shard is a part of every cell, chosen by chance: nothing can be said of it. */
static void masscan_covers(const struct tool_plan *p, const char *run_json, struct tool_cover *out)
{
    (void)run_json; /* it says nothing of ports or addresses */
    if (shards_of(p) > 1) {
        return;
    }
    out->hosts = sweep_value(&tool_masscan, p, "ping") != NULL;
    out->ports[PORTS_TCP] = tool_ports_of(p->ports, PORTS_TCP, p->protocols >> PORTS_TCP & 1);
    out->ports[PORTS_UDP] = tool_ports_of(p->ports, PORTS_UDP, !(p->protocols >> PORTS_TCP & 1));
}

/* "Masscan version 1.3.2 ( https://... )" */
static bool masscan_read_version(const char *output, char *version, size_t size)
{
    return sweep_version(output, "Masscan version ", version, size);
}

const struct tool tool_masscan = {
    .name = "masscan",
    .summary = "many ports of many hosts at a given rate",
    .setting = "tool-masscan",
    .program = "masscan",
    .options = masscan_options,
    .refusals = masscan_refusals,
    .check = masscan_check,
    .build_argv = masscan_build_argv,
    .parser = &parser_masscan,
    .merges = true,
    .raw_queue = QUEUE_NET_MASSCAN,
    .numeric_targets = true,
    .deadline_s = masscan_deadline_s,
    .takes_s = masscan_takes_s,
    .read_status = masscan_read_status,
    .covers = masscan_covers,
    .needs = TOOL_NEEDS_NET | TOOL_WANTS_RAW | TOOL_WANTS_ETHERNET,
    .limits = {.wall_s = 86400, .memory_mb = 4096, .output_mb = 4096, .processes = 64},
    .files = 1024,
    .version_args = (const char *const[]){"--version", NULL},
    .read_version = masscan_read_version,
};
