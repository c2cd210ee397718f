/*
 * sandbox - how a run was confined, what it was allowed and what it used: names and figures that
 * the policy, the runner, the results and doctor share. No I/O.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Which way packets of a tool may take; reference: security.md section 0. Best first where more
 * than one will do. */
enum egress {
    EGRESS_NONE,       /* own, empty network namespace */
    EGRESS_PROXY,      /* the same with one socket on its loopback, served from outside */
    EGRESS_NFT,        /* veth, filtered at netdev ingress of its outer end by netd */
    EGRESS_ROOTLESS,   /* the same inside a user namespace, behind slirp4netns */
    EGRESS_BROKER,     /* our network namespace; connect() and sendto() are made by the runner */
    EGRESS_UNCONFINED, /* nothing but the command line: only if the server's settings say so */
    EGRESS_LEVELS,
};

const char *egress_name(enum egress l); /* "nft" */
bool egress_parse(const char *s, enum egress *out);

/* Limits of one run. 0: not limited. */
struct limits {
    uint32_t wall_s, cpu_s, memory_mb, processes, file_mb, disk_mb, inodes, output_mb, rate_pps;
};

/* One row for each member: name in files and JSON ("memory_mb"), offset, bounds. Ends with NULL. */
struct limit_row {
    const char *name;
    size_t offset;
    uint32_t min, max;
    const char *help;
};
extern const struct limit_row limit_rows[];
uint32_t *limit_at(struct limits *l, const struct limit_row *row);
/* The stricter of both, member by member, into *l. */
void limits_tighten(struct limits *l, const struct limits *by);
/* "wall_s=60,cpu_s=30": how a job's own limits are stored. Members that are 0 are left out. */
void limits_put(const struct limits *l, struct buf *out);
/* ERR_INVALID names the member and its bounds. "" and NULL are no limits. */
int limits_parse(const char *s, struct limits *out, struct err *e);

/* Which limit ended a run. */
enum limit_kind {
    LIMIT_NONE,
    LIMIT_TIMEOUT,
    LIMIT_OUTPUT,
    LIMIT_CPU,
    LIMIT_OOM,
    LIMIT_PIDS,
    LIMIT_DISK,
    LIMIT_INODES,
    LIMIT_FILE_SIZE,
    LIMIT_KINDS,
};
const char *limit_kind_name(enum limit_kind k); /* "timeout", "oom", "file_size" */

/* Packets of the box, as the filter counted them; for EGRESS_BROKER calls, for EGRESS_PROXY
 * connections (of which what it refused is out of scope). */
struct egress_counts {
    uint64_t passed, out_of_scope, spoofed, protocol, options, link, rate;
    uint64_t noise; /* the box's own kernel: neighbour discovery and the like; nobody's fault */
};

/* What this machine can do, found out by doing. Filled by the runner, told in READY. */
struct sandbox_caps {
    char box[24];    /* level of boxes: "userns", "namespaces", "plain" */
    char limits[16]; /* "cgroup2" or "rlimit" */
    bool view;       /* boxes have a file system view of their own */
    bool landlock;
    bool usable[EGRESS_LEVELS];
    char why[EGRESS_LEVELS][160];        /* why it is not; "" if it is */
    bool forward_v4, forward_v6;         /* EGRESS_NFT can carry the family */
    uint32_t dedicated_v4, dedicated_v6; /* scan addresses of our own; 0: NAT */
    bool nest;                           /* boxes can be made in a box: repository scans */
    char why_nest[160];                  /* why not; "" if they can */
};

/* From the request: what the run needs of the network. */
struct egress_need {
    bool network;       /* false: EGRESS_NONE */
    bool raw;           /* cannot work without raw sockets */
    bool wants_raw;     /* uses them where they are */
    bool nat_lies;      /* a scan type whose result NAT falsifies (-sF, -sN, -sX, -sM, ...) */
    bool slirp_lies;    /* one that a user-mode stack falsifies (-O, -sA, -sW, --traceroute, ...) */
    bool v4, v6;        /* families of the targets */
    bool own;           /* loopback or the machine's own addresses are among the targets */
    bool elsewhere;     /* others too */
    const char *option; /* the option that needs it, for messages; NULL: the tool itself */
};

/* What of the machine's files a tool sees. */
enum box_files {
    FILES_VIEW,     /* a file system of its own */
    FILES_LANDLOCK, /* all paths; Landlock lets it open the system's programs and its own files */
    FILES_OPEN,     /* what its user may read */
    FILES_KINDS,
};
const char *box_files_name(enum box_files f); /* "view", "landlock", "open" */

/* What a run asked of a model's API through the proxy, as the proxy counted it. */
struct api_use {
    uint64_t requests, refused, input_tokens, output_tokens;
};

struct sandbox_report {
    char box[24], limits[16]; /* as in struct sandbox_caps */
    enum box_files files;
    enum egress egress;
    bool dedicated; /* the box had an address of its own, no NAT */
    bool raw_sockets;
    enum limit_kind limit;
    bool
        limit_certain; /* false: only rlimits were there, which do not tell; it is the likely one */
    int64_t cpu_us, max_rss_kb;
    int64_t memory_peak_kb;           /* of the cgroup; -1: not known */
    int64_t output_bytes, disk_bytes; /* disk: at the end; -1: not known */
    bool counted;                     /* the counters below were read */
    struct egress_counts counts;
    struct api_use api;
};

/* "userns+nft+cgroup2": the short form in lists. Without a view of its own the box is called
 * "userns-landlock" or "userns-open". */
void sandbox_summary(const struct sandbox_report *r, char *out, size_t size);
/* The object that results carry as `sandbox`; `notes` (NULL-terminated array of text or NULL) are
 * what was changed in the request ("-sS became -sT: ..."). */
void sandbox_json(const struct sandbox_report *r, const char *const *notes, struct buf *out);
