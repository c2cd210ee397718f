/*
 * nmap: how it is started.
 *
 * The result is read from its standard output as XML while it runs. Everything behind the fixed
 * words comes from a plan, which has no word that the tables did not write; the targets are in a
 * file of ours. nmap looks no name up but in the box's own /etc/hosts.
 */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "parse/parse.h"
#include "tool/nmap_options.h"
#include "tool/tool_option.h"

struct start {
    const struct tool_start *s;
    struct strvec *argv, *notes;
    const char *min_rate;    /* borrowed from the plan; NULL: not asked for */
    uint64_t max_rate;       /* 0: none */
    uint64_t host_timeout;   /* ms; 0: none */
    bool v6, pings, guesses; /* -6, -P*, -O */
};

static void note(struct start *b, const char *text)
{
    if (b->notes) {
        strvec_push(b->notes, text);
    }
}

/* The stricter of two limits, of which 0 is none. */
static uint64_t stricter(uint64_t a, uint64_t b)
{
    return a == 0 ? b : b == 0 ? a : MIN(a, b);
}

static int cannot(const struct start *b, const struct tool_option *o, struct err *e)
{
    if (b->s->broker) {
        return err_set(e, ERR_INVALID,
                       "argument '%s' needs raw sockets: at level broker only connect() and "
                       "sendto() reach the network; use -sT",
                       o->name);
    }
    return err_set(e, ERR_INVALID,
                   "argument '%s' needs raw sockets, which this run cannot have; use -sT", o->name);
}

/* One option of the plan: passed on, changed, or kept back to be merged with the run's limits. */
static int add_option(struct start *b, const struct tool_option *o, const char *value,
                      struct err *e)
{
    int64_t ms = 0;
    uint64_t rate = 0;

    if (!b->s->raw_sockets && o->needs_raw) {
        return cannot(b, o, e);
    }
    if (b->s->user_stack && o->slirp_lies) {
        return err_set(e, ERR_INVALID,
                       "argument '%s' would be answered by the user-mode network stack of level "
                       "rootless, not by the target",
                       o->name);
    }
    b->guesses |= str_eq(o->name, "-O");
    b->pings |= str_starts(o->name, "-P") || str_eq(o->name, "-sL");
    if (str_eq(o->name, "-sS") && !b->s->raw_sockets) {
        strvec_push(b->argv, "-sT");
        note(b, "-sS became -sT: no raw sockets at this level");
    } else if (str_eq(o->name, "-R") && !b->s->dns) {
        note(b, "-R has no effect: names are looked up by the server, not by the scan");
    } else if (str_eq(o->name, "-6")) {
        b->v6 = true;
    } else if (str_eq(o->name, "--min-rate")) {
        b->min_rate = value;
    } else if (str_eq(o->name, "--max-rate") && str_to_u64(value, 1, UINT64_MAX, &rate)) {
        b->max_rate = rate;
    } else if (str_eq(o->name, "--host-timeout") && tool_time_value(value, 0, INT64_MAX, &ms)) {
        b->host_timeout = (uint64_t)ms;
    } else {
        tool_use_put(&(struct tool_use){.row = o, .value = (char *)(uintptr_t)value}, b->argv);
    }
    return 0;
}

static void add_limits(struct start *b)
{
    uint64_t asked = b->max_rate, rate = stricter(asked, b->s->rate_pps);
    uint64_t wall = (uint64_t)b->s->wall_s * 1000, host = stricter(b->host_timeout, wall);
    uint64_t min = 0;

    if (b->min_rate && str_to_u64(b->min_rate, 1, UINT64_MAX, &min)) {
        if (rate && min > rate) {
            auto_free char *text =
                str_fmt("--min-rate became %" PRIu64 ": the limit of packets per second", rate);

            note(b, text);
            min = rate;
        }
        strvec_push(b->argv, "--min-rate");
        strvec_pushf(b->argv, "%" PRIu64, min);
    }
    if (rate) {
        if (asked > rate) {
            auto_free char *text =
                str_fmt("--max-rate became %" PRIu64 ": the limit of packets per second", rate);

            note(b, text);
        }
        strvec_push(b->argv, "--max-rate");
        strvec_pushf(b->argv, "%" PRIu64, rate);
    }
    if (host) {
        strvec_push(b->argv, "--host-timeout");
        strvec_pushf(b->argv, "%" PRIu64 "%s", host % 1000 ? host : host / 1000,
                     host % 1000 ? "ms" : "s");
    }
}

/* Targets are looked up by us. What asks for names of addresses asks the policy's resolver. */
static bool asks_names(const struct tool_plan *p, const struct tool_start *s)
{
    for (size_t i = 0; s->dns && i < p->tokens.n; i++) {
        if (str_eq(p->tokens.v[i], "-R")) {
            return true;
        }
    }
    return false;
}

static void add_fixed(const struct tool_plan *p, const struct tool_start *s, struct strvec *argv)
{
    /* nmap decides by the user id what it can do; it does not see what the box gives. */
    const char *const fixed[] = {s->program,
                                 "-oX",
                                 "-",
                                 "--no-stylesheet",
                                 "--noninteractive",
                                 "--stats-every",
                                 "1s",
                                 s->raw_sockets ? "--privileged" : "--unprivileged"};

    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        strvec_push(argv, fixed[i]);
    }
    if (!asks_names(p, s)) {
        strvec_push(argv, "-n");
    }
    if (s->data_dir) {
        strvec_push(argv, "--datadir");
        strvec_push(argv, s->data_dir);
    }
}

static int nmap_build_argv(const struct tool_plan *p, const struct tool_start *s,
                           struct strvec *argv, struct strvec *notes, struct err *e)
{
    struct start b = {.s = s, .argv = argv, .notes = notes};

    add_fixed(p, s, argv);
    for (size_t at = 0; at < p->tokens.n;) {
        const char *value;
        const struct tool_option *o = tool_use_next(&tool_nmap, &p->tokens, &at, &value);
        int rc;

        if (!o) {
            return err_set(e, ERR_INTERNAL, "the plan has an option that no table has");
        }
        rc = add_option(&b, o, value, e);
        if (rc < 0) {
            return rc;
        }
    }
    if (s->user_stack && s->raw_sockets && !b.pings) {
        strvec_push(argv, "-PE");
        strvec_push(argv, "-PS80,443");
        note(&b, "hosts are looked for by echo and SYN only: the user-mode network stack would "
                 "answer other probes itself");
    }
    add_limits(&b);
    if (b.v6 || (target_set_has_v6(&p->targets) && !target_set_has_v4(&p->targets))) {
        strvec_push(argv, "-6");
        if (b.guesses) {
            note(&b, "-O over IPv6 rests on fewer probes: those with extension headers do not "
                     "leave a box, and are counted as dropped (protocol)");
        }
    }
    if (p->ports) {
        strvec_push(argv, "-p");
        strvec_push(argv, p->ports);
    }
    strvec_push(argv, "-iL");
    strvec_push(argv, TOOL_TARGETS_FILE);
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
    .options = nmap_options,
    .refusals = nmap_refusals,
    .check = nmap_check,
    .build_argv = nmap_build_argv,
    .parser = &parser_nmap_xml,
    .covers = nmap_covers,
    .raw_queue = QUEUE_NET_RAW,
    .needs = TOOL_NEEDS_NET | TOOL_WANTS_RAW,
    .limits = {.wall_s = 86400, .memory_mb = 4096, .output_mb = 1024, .processes = 256},
    .files = 4096,
    .version_args = (const char *const[]){"--version", NULL},
    .read_version = nmap_read_version,
};
