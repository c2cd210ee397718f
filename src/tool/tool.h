/*
 * tool - what ScanPod knows about one scanner: options, argv, parser, needs, limits.
 *
 * A tool is one file and one `const struct tool`. Options are names and typed values from the
 * tool's own table, never free text handed through; no shell anywhere; targets come in a file of
 * ours.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/queue.h"
#include "model/sandbox.h"
#include "model/target.h"
#include "parse/parse.h"
#include "tool/nse.h"

/* What stands behind an option. None of them can be a path. */
enum tool_value {
    TOOL_FLAG, /* nothing */
    TOOL_COUNT,
    TOOL_TIME, /* 10ms, 5s, 2m, 1h; seconds without a unit */
    TOOL_RATE,
    TOOL_PORTS,     /* model/request.h */
    TOOL_PROTOCOLS, /* the same with 0..255 and no letters */
    TOOL_SCRIPTS,   /* nse_select() */
    TOOL_SCRIPT_ARGS,
    TOOL_HEX,       /* an even number of digits, at most 2800 */
    TOOL_ADDRESS,   /* base/netset.h, canonical */
    TOOL_DECOYS,    /* addresses, ME, RND, RND:n */
    TOOL_MAC,       /* six bytes with colons, or 0 for a random one */
    TOOL_NAME,      /* [A-Za-z][A-Za-z0-9_-]{0,14} */
    TOOL_TCP_FLAGS, /* SYNACK..., or 0..255 */
    TOOL_SHARD,     /* "2/5": the second of five, at most max */
    TOOL_CHOICE,    /* one of struct tool_option.choices */
};

/* Who may use an option. */
enum tool_class {
    OPTION_PLAIN,
    OPTION_ADVANCED, /* policy: options: advanced */
    OPTION_DEBUG,    /* as advanced: prints more about the network than the result needs */
    OPTION_UNSAFE,   /* only with allow-unsafe-args; never reads, writes or runs a file */
};

struct tool_option {
    const char *name;  /* as the tool spells it: "--max-retries", "-sV" */
    const char *field; /* as the API's `options` object spells it: "max_retries" */
    const char *word;  /* flags that share a field: the field's value that means this one */
    enum tool_value value;
    const char *choices; /* TOOL_CHOICE: separated by '|' */
    bool glued;          /* the value follows without a space: "-PS22"; may be left out */
    bool apart; /* a short name that needs its value, which may stand apart: "-p22", "-p 22" */
    int64_t min, max;         /* TOOL_COUNT, TOOL_RATE; TOOL_TIME in ms */
    int64_t old_min, old_max; /* what the old routes take; old_max 0: the same */
    const char *group;        /* of rows with the same one only one may be given */
    enum tool_class class_;
    bool old;       /* the old service accepted it; its routes take it whatever the class */
    bool needs_raw; /* cannot work without raw sockets */
    bool nat_lies;  /* struct egress_need */
    bool slirp_lies;
};

/* Why an option is refused, by name, when it is one that the tool has. Ends with name NULL. */
struct tool_refusal {
    const char *name; /* "-iL" */
    const char *why;  /* "reads files" */
};

/* What a request asks, as text; ports, arguments and options may be NULL. Borrowed. */
struct tool_request {
    const char *targets, *ports, *arguments;
    const struct strvec *tokens; /* arguments already split: used instead */
    bool old;                    /* the old service's list only, and its messages */
    bool unsafe;                 /* setting allow-unsafe-args */
    bool advanced;
    enum script_level scripts;
    unsigned script_flags;
    const struct nse_db *nse; /* NULL: scripts cannot be named */
};

/* A request that was understood: what is asked, canonical. */
struct tool_plan {
    struct target_set targets; /* not pinned yet */
    struct strvec tokens;      /* the options as they will be emitted, without targets and ports */
    char *ports;               /* sorted and merged; NULL: the tool's default. Owned */
    uint32_t n_ports;          /* how many will be probed at most */
    unsigned protocols;        /* of which: 1 << enum port_protocol (model/request.h) */
    struct egress_need need;   /* option: static or in tokens; families and places not yet filled */
};
#define auto_plan __attribute__((cleanup(tool_plan_done))) struct tool_plan
void tool_plan_done(struct tool_plan *p);

/* How it is to run. */
struct tool_start {
    const char *program; /* full path */
    bool raw_sockets;
    bool broker;       /* only connect() and sendto() reach the network */
    bool user_stack;   /* level rootless: a user-mode stack answers some probes by itself */
    bool dns;          /* the policy names a resolver, which alone may be asked */
    bool names;        /* pinned names can be resolved inside (the box has /etc/hosts) */
    uint32_t rate_pps; /* 0: no cap */
    uint32_t wall_s;
    const char *interface, *gateway_mac; /* for tools that want them; may be NULL */
    /* Source ports (how many: a power of two) from which connections of the tool's own are not
     * reset by the box's kernel. 0: there are none. */
    uint16_t silent_port, silent_ports;
    const char *version;  /* of the program, as read_version() gave it; NULL: not known */
    uint64_t addresses;   /* how many targets there are: for estimates and deadlines */
    const char *data_dir; /* where nse_load() found its scripts; NULL: the tool's own choice */
};

/* How argv names the file with target_set_lines(): relative to where the tool starts. */
#define TOOL_TARGETS_FILE "targets"

/* Which cells (model/job.h) a complete run stands for. */
struct tool_cover {
    bool hosts, up_only;
    char *ports[4]; /* tcp, udp, sctp, ip */
};

/* TOOL_WANTS_ETHERNET: argv needs interface and gateway_mac where the level has them. */
enum { TOOL_NEEDS_NET = 1, TOOL_WANTS_RAW = 2, TOOL_WANTS_ETHERNET = 4 };

struct tool {
    const char *name, *summary;
    const char *setting;               /* option row with its path: "tool-nmap" */
    const char *program;               /* looked up in PATH by default: "nmap" */
    const char *install;               /* a command; NULL: apt-get install PROGRAM */
    const struct tool_option *options; /* ends with name NULL */
    const struct tool_refusal *refusals;
    /*
     * p->targets and p->ports are filled. Checks q's arguments against the table and appends what
     * is to be emitted to p->tokens; fills p->n_ports and p->need. Messages of the old service:
     * "disallowed argument: '<token>'" (with
     * ": reads files" where the refusal is known and the route is not old), "argument '<flag>'
     * requires a value", "invalid value for '<flag>': '<v>'". ERR_SCOPE: the policy forbids it.
     */
    int (*check)(const struct tool_request *q, const struct strvec *tokens, struct tool_plan *p,
                 struct err *e);
    /* argv, in which TOOL_TARGETS_FILE stands for the targets. `notes`: what had to be
     * changed ("-sS became -sT: ..."). */
    int (*build_argv)(const struct tool_plan *p, const struct tool_start *s, struct strvec *argv,
                      struct strvec *notes, struct err *e);
    const struct parser *parser;
    /*
     * Findings come in no order, many of one host: the job is planned (one stage, one task), so
     * that its result is merged by address.
     */
    bool merges;
    enum queue_kind raw_queue; /* where tasks of it wait that need raw sockets */
    /* A task completes at once, with empty results: there is no program, no process, no command
     * line and no parser (build_argv and parser are NULL). */
    bool instant;
    bool numeric_targets; /* the file of targets has no names, but their first address */
    /*
     * How long a run of this plan may take before it is ended, in seconds, from probes, rate and
     * waits, with room to spare; 0: no bound but the limits. For tools that are known to hang at
     * their end: such a run is ended with what it found (reason timeout, partial).
     */
    uint32_t (*deadline_s)(const struct tool_plan *p, const struct tool_start *s);
    /* How long it will take, about, in seconds: its probes at its rate, and its wait for the last
     * answers. Of `s` only rate_pps and addresses are looked at. NULL: only the run tells. */
    uint32_t (*takes_s)(const struct tool_plan *p, const struct tool_start *s);
    /* One line of standard error (no line end, at most 256 bytes, hostile): true if it says how far
     * the tool is. NULL: it says so in its output, or never. */
    bool (*read_status)(const char *line, struct progress *out);
    /*
     * What the run really covered, from its plan and its own record (run_info.json, NULL: none):
     * ports per protocol as ports_canonical() without letters (NULL: none of that protocol),
     * hosts: it finds out which hosts are up; up_only: ports of those only. Caller frees ports[].
     */
    void (*covers)(const struct tool_plan *p, const char *run_json, struct tool_cover *out);
    unsigned needs;
    struct limits limits;
    uint32_t files; /* open files */
    /* argv that prints the version, and how to read it from the first 4 KiB of output. */
    const char *const *version_args;
    bool (*read_version)(const char *output, char *version, size_t size);
};

extern const struct tool tool_nmap, tool_masscan, tool_zmap, tool_noop;
/* Repository scans: not among tool_all(), no request names it as its tool. */
extern const struct tool tool_repo;

/* ERR_INVALID if this version of zmap (NULL: not known) does not take so many ports at once. */
int zmap_takes_ports(const char *version, uint32_t n_ports, struct err *e);

/* Splits and checks all of a request. tool_plan_done() *out, also after an error. */
int tool_check(const struct tool *t, const struct tool_request *q, struct tool_plan *out,
               struct err *e);
/* One member of the API's `options` object as tokens: name and value as text (NULL: true). */
int tool_option_tokens(const struct tool *t, const char *field, const char *value,
                       struct strvec *tokens, struct err *e);

const struct tool *tool_find(const char *name); /* NULL if there is none */
/* The tool of a stored job: of those, or tool_repo. */
const struct tool *tool_of_job(const char *name);
const struct tool *const *tool_all(void); /* NULL-terminated */
/* The program's full path: the configured one, else looked up in PATH. ERR_NOT_FOUND names what
 * to install. Caller frees. */
int tool_path(const struct tool *t, const char *configured, char **out, struct err *e);
