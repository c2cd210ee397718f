/*
 * policy - the administrator's scope and policy file, and every decision that is made by it.
 *
 * A policy is immutable once loaded: whoever reloads swaps the pointer. Decisions are pure
 * functions of (policy, request, time): submit, dispatch, netd and `scanpod policy check` ask the
 * same ones. Reading the file is the only I/O.
 *
 * The file (YAML, docs/policy.md; unknown and repeated keys are errors with line and column):
 *
 *     version: 1
 *     scope:
 *       allow:
 *         - target: 10.20.0.0/16          # prefix, address, range; or a host name
 *           note: production              # free text
 *           authorised_by: J. Doe, change 4711
 *           expires: 2027-01-31           # last day (UTC) or RFC 3339 time; later it does not
 * allow
 *         - target: www.example.org
 *           within: [192.0.2.0/24]        # needed for names: what the name may resolve to
 *       deny:                             # deny wins; expiry is not accepted here
 *         - {target: 10.20.9.0/24, note: payment}
 *     policies:
 *       - name: default                   # for keys that `keys` does not name
 *         targets: [10.20.0.0/17]         # its scans stay inside; default: all of the scope
 *         tools: [nmap, masscan, zmap]
 *         options: standard               # standard | advanced (decoys are never allowed)
 *         scripts: safe                   # none | safe | standard | aggressive
 *         script_flags: []                # of: dos, exploit, external, broadcast, brute
 *         ports: "T:1-65535,U:1-65535"
 *         max_addresses: 65536            # of one scan
 *         max_probes: 16777216            # addresses x ports of one scan
 *         max_concurrent: 4               # running scans of one key; 0: no limit
 *         windows: ["Mon-Fri 22:00-06:00", "Sat,Sun 00:00-24:00"]   # with
 *         timezone: UTC                   # "UTC" or "+HH:MM"/"-HH:MM"
 *         dns: none                       # none | ADDRESS of the one resolver that tools may ask
 *         limits: {wall_s: 3600, rate_pps: 1000, memory_mb: 1024, ...}   # model/sandbox.h
 *     keys:
 *       - {key: night-scanner, policy: night}    # name or id of an API key
 *     repositories:                       # where checkouts may come from; without it: hosts that
 *       - host: "*.example.org"           # have global addresses, at ports 443 (https), 22 (ssh)
 *       - {host: git.internal, port: 8443, within: [10.20.0.0/16]}   # what it may resolve to
 *
 * No file: loopback and private ranges (10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7) are
 * allowed, all else is refused. Hard denials (this network 0/8, loopback, link local and metadata
 * 169.254/16, fe80::/10, multicast, 240/4, broadcast, ::, ::1, ff00::/8, ::ffff:0:0/96,
 * 64:ff9b::/96, 2002::/16, 2001::/32, metadata addresses of clouds elsewhere, the machine's own
 * addresses) are lifted only by an allow entry that lies inside the hard denied range, or is equal
 * to it; the built-in default has 127.0.0.0/8 and ::1.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/netset.h"
#include "model/sandbox.h"
#include "model/target.h"
#include "tool/nse.h"

struct policy; /* counted: policy_ref(), policy_unref() */

/* Refuses a file that others than its owner and root may write, that is not owned by root or
 * `owner`, or larger than 1 MiB. ERR_INVALID: "FILE:LINE:COLUMN: what is wrong and how to mend". */
int policy_load(const char *path, uid_t owner, struct policy **out, struct err *e);
/* `name` is how messages call the text. */
int policy_parse(const char *text, size_t n, const char *name, struct policy **out, struct err *e);
struct policy *policy_builtin(void);
struct policy *policy_ref(struct policy *p);
void policy_unref(struct policy *p);               /* NULL is fine */
const char *policy_source(const struct policy *p); /* the path, or "built-in" */
/* The machine's own addresses, hard denied from now on; read anew by whoever dispatches. */
int own_addresses(struct netset *out, struct err *e);

/* What one key may do; borrowed from the policy. Names point into it. */
struct policy_rules {
    const char *name;
    const char *const *tools; /* NULL-terminated; NULL: all */
    bool advanced;            /* options of the category "advanced" */
    enum script_level scripts;
    unsigned script_flags;
    const char *ports; /* NULL: all */
    uint64_t max_addresses, max_probes;
    uint32_t max_concurrent;
    bool has_dns;
    struct net_ip dns;
    struct limits limits;
};
/* By key id or name; both may be NULL: the policy named default. Never NULL. */
const struct policy_rules *policy_rules(const struct policy *p, const char *key_id,
                                        const char *key_name);

/* ERR_SCOPE if these rules list tools, and not this one (repository scans: "repo"). */
int policy_tool(const struct policy_rules *r, const char *tool, struct err *e);

/* What ports of a request mean that name no protocol. */
enum { ASK_TCP = 1, ASK_UDP = 2, ASK_SCTP = 4 };

/* What is asked; all borrowed. */
struct policy_ask {
    const char *key_id, *key_name;
    const char *tool;
    const struct target_set *targets; /* pinned; names without pins are judged by name only */
    const char *ports;                /* as in the request; NULL: the tool's default */
    uint32_t n_ports;                 /* how many (protocol, port) pairs will be probed at most */
    unsigned protocols;               /* bits of ASK_*; 0: ASK_TCP */
    const struct netset *own;         /* own_addresses(); may be NULL */
    int64_t now_us;
    bool clip; /* parts outside the scope are left out instead of refused */
};

struct policy_verdict {
    const struct policy_rules *rules;
    /* When the key's window opens, if it is closed now; 0: open. */
    int64_t wait_until_us;
    struct netset allowed; /* what may be sent to: the filter's set; owned, netset_done() */
    char rule[160]; /* which entries allowed it: "allow 10.20.0.0/16 (production)", "+3 more" */
};

/*
 * 0, or ERR_SCOPE with the rule and the fix in the message: "203.0.113.7 is not allowed: no entry
 * of scope.allow covers it; add it to FILE and reload, or see 'scanpod policy check'".
 */
int policy_judge(const struct policy *p, const struct policy_ask *ask, struct policy_verdict *out,
                 struct err *e);
void policy_verdict_done(struct policy_verdict *v);
/* All of the ranges allowed, by address alone, at that time? What netd asks. ERR_SCOPE names the
 * offending range. Addresses that `within` of a name allows count as allowed. */
int policy_check_ranges(const struct policy *p, const struct netset *ranges,
                        const struct netset *own, int64_t now_us, struct err *e);
/* Is it the resolver that one of the policies names? What netd asks, which knows no keys. */
bool policy_names_dns(const struct policy *p, const struct net_ip *ip);
/* What is not wrong but likely not meant, one line each: expired entries, entries that are denied
 * whole, keys that nothing names. */
void policy_warnings(const struct policy *p, int64_t now_us, struct strvec *out);
/* As JSON, for `policy show` and GET /api/v1/policy: what is in force, with what has expired. */
void policy_json(const struct policy *p, int64_t now_us, struct buf *out);

/* ---- checkouts ---- */

/* May a repository be fetched from that host (a name in lower case, or an address)? 0: *entry is
 * what the proxy is told (proxy/proxy.h), which judges each address that the name
 * turns out to have. ERR_SCOPE has the rule and the fix. */
int policy_repository(const struct policy *p, const char *host, uint16_t port, bool ssh,
                      struct buf *entry, struct err *e);

/* ---- which way a run goes out ---- */

/* Fills v4, v6, own and elsewhere of a need from all that will be sent to (target_set_all()). */
void egress_places(struct egress_need *need, const struct netset *all, const struct netset *own);
/*
 * The best usable level for the need, and whether raw sockets come with it. ERR_SCOPE says what is
 * missing and what would help: "-sF needs an address of its own: NAT would falsify it; set
 * scan-addresses", "-sU needs raw sockets, which loopback targets (level broker) do not get".
 */
int egress_choose(const struct sandbox_caps *have, bool allow_unconfined,
                  const struct egress_need *need, enum egress *out, bool *raw, struct err *e);
