/*
 * runner - the process that starts tools and their parsers, and nothing else.
 *
 * Forked from `scanpod serve` before the daemon opens anything; drops to the service user and,
 * where user namespaces work for that user, keeps no capability at all. Only where they do not, it
 * keeps CAP_SYS_ADMIN (namespaces) and CAP_NET_ADMIN (addresses inside them), CAP_NET_RAW (to hand
 * on), if it was started with them. It dies when the daemon goes away, and takes every tool with
 * it: boxes have PR_SET_PDEATHSIG, and the data directory's lock is held by each box's init, so
 * that a new daemon cannot start while a tool of the old one lives.
 *
 *   daemon --LAUNCH(task, argv, env, limits, fds: record socket, blob)--> runner
 *          --STOP(task, grace)-->          runner --STARTED, ENDED(task, how)--> daemon
 *   tool stdout --pipe--> parser process --records--> daemon     tool stderr --pipe--> runner
 *   runner --UP(netns, ranges)--> netd --> box_go()      tool's connect() --notify--> runner
 * (broker)                          runner --OPEN(listener, hosts)--> proxy
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/netset.h"
#include "box/box.h"
#include "box/cgroup.h"
#include "event/loop.h"
#include "model/sandbox.h"
#include "netd/netd.h"
#include "parse/parse.h"
#include "proxy/proxy.h"

struct runner_launch {
    uint64_t run; /* caller's number for this run */
    /* Empty: no tool runs, the parser reads `input_fd`: a stored output (a reparse), or with
     * `plain` a file as it was handed in (an import, which may be kept through blob_fd). */
    const struct strvec *argv;
    const char *parser; /* "nmap-xml" */
    uint32_t grace_ms;
    uint64_t output_max; /* bytes of stdout; more ends the run with limit "output" */
    uint32_t wall_ms;    /* run time limit, enforced here; 0: none */
    struct limits
        limits; /* the others: cpu_s, memory_mb, processes, file_mb, disk_mb, inodes, rate_pps */
    uint32_t files;     /* open files; 0: 1024 */
    enum egress egress; /* chosen by the caller among those READY named */
    bool raw_sockets;
    bool dedicated;               /* EGRESS_NFT: needs an address of its own */
    const struct netset *targets; /* what may be sent to (nft, rootless, broker); NULL: nothing */
    const struct strvec *proxy_allow; /* EGRESS_PROXY: proxy_allow_check(); NULL: nowhere */
    bool has_dns;
    struct net_ip dns;
    const char *target_lines; /* content of /tmp/targets (TARGETS_FILE in argv); NULL: none */
    const char *hosts;        /* content of /etc/hosts: pinned names; NULL: none */
    /* A tool of ours that makes boxes itself: struct box_spec.nest, BOX_CALLS_NESTING. */
    bool nest;
    const struct box_file *texts; /* more of them: "/tmp/spec"; travel as one memfd: up to 64 MiB */
    size_t n_texts;
    const struct box_bind *binds; /* more of the machine, read-only, at the same place */
    size_t n_binds;
    int stdin_fd; /* with argv: its standard input; 0 and -1: none. Borrowed. */
    const struct proxy_gateway *gateways; /* EGRESS_PROXY, beside proxy_allow */
    size_t n_gateways;
    /*
     * Until when the run may live, in CLOCK_BOOTTIME ms: a number in shared memory that the caller
     * moves on with runner_extend(). The box's init looks at it by itself, so that a tool ends in
     * time even if everybody else hangs. 0: no such limit.
     */
    int64_t lease_until_ms;
    int blob_fd;  /* where the parser writes the compressed raw output; -1: not kept. Borrowed. */
    int input_fd; /* without argv: open for reading; else -1. Borrowed. */
    bool plain;   /* input_fd is not compressed */
};

/* How argv names the file with the targets: relative to where the tool starts. */
#define TARGETS_FILE "targets"

/* RUN_NETD: netd or the proxy went away, or could not give the box its way out: sandbox failed. */
enum runner_cause {
    RUN_BY_ITSELF,
    RUN_STOPPED,
    RUN_WALL,
    RUN_OUTPUT,
    RUN_PARSER,
    RUN_NETD,
    RUN_LEASE, /* lease_until_ms passed: killed at once */
};

enum { STDERR_TAIL_MAX = 4096 };

/* Borrowed for the call. */
struct runner_end {
    uint64_t run;
    bool started; /* false: step and errnum say why */
    int errnum;
    const char *step;              /* "exec", "chdir", ...: where starting failed */
    int exit_status, exit_signal;  /* status -1: ended by the signal */
    enum runner_cause cause;       /* what ended it: us, by which limit, or itself */
    const char *stderr_tail;       /* the last lines, at most STDERR_TAIL_MAX; "" if none */
    const char *why;               /* RUN_NETD and a start that failed for it: what netd said */
    struct sandbox_report sandbox; /* levels, the limit that ended it, use, counters */
    /* The parser process died or had to be ended, or could not keep the raw output: then its last
     * record says why (ERR_FULL, ERR_IO). */
    bool parser_failed;
};

/*
 * In the parent, early: the child closes everything but its channel, hold_fd and stderr.
 * *out_fd: the daemon's end of the channel. The child never returns. It removes what runs of a
 * former runner left in work_dir (the lock says that there is no other). Each run has a private
 * directory there, empty at its start: the tool's working directory. Before `ended` it is gone, or
 * kept for another run if nothing in it was touched; when the runner has ended, none is left.
 */
struct runner_config {
    bool change_user; /* root: become uid and gid */
    uid_t uid;
    gid_t gid;
    int hold_fd; /* the lock: held by the runner and by each box; -1: none */
    const char *work_dir;
    /* How long a parser may do nothing after its tool's end, also while its records are not read
     * (runner_pause); 0: 60 s. */
    uint32_t parser_idle_ms;
    int netd_fd;             /* netd_spawn() or netd_dial(); the caller closes its own; -1: none */
    int proxy_fd;            /* proxy_spawn(); the caller closes its own; 0 and -1: none */
    const char *slirp4netns; /* full path, for EGRESS_ROOTLESS; NULL: that level is not tried */
    const struct netd_config *netd; /* pools and scope file for EGRESS_ROOTLESS; may be NULL */
    struct cgroup_tree *cgroups;    /* NULL: rlimits only; then cgroups_why says why */
    const char *cgroups_why;
    bool allow_unconfined;
    bool net_admin; /* for tests of the filter: tools have CAP_NET_ADMIN in their own namespace */
    const struct box_bind *binds; /* more parts of every view: setting box-paths; borrowed */
    size_t n_binds;
    unsigned without; /* BOX_WITHOUT_*, and: */
    bool without_nft, without_slirp;
};
int runner_spawn(const struct runner_config *c, int *out_fd, int *out_pidfd, struct err *e);

/*
 * The daemon's side. For each run: started (if it was), records, records_end, ended: always in
 * this order, always all of them but started, unless the runner goes away. Members may be NULL.
 * runner_free() must not be called from a call-back, everything else may.
 */
struct runner;
struct runner_events {
    /* First: what it can do, tried by doing (some tens of milliseconds after its start). Again
     * whenever a way out is lost: netd has ended. */
    void (*ready)(void *arg, const struct sandbox_caps *caps);
    /* What a program printed when it was asked (runner_ask); at most 4 KiB. */
    void (*answer)(void *arg, uint64_t ask, const char *text, size_t n);
    void (*started)(void *arg, uint64_t run);
    /* The newest line of the tool's standard error (\r ends one, too), at most two a second and 256
     * bytes, NUL-terminated, as hostile as it comes. */
    void (*status)(void *arg, uint64_t run, const char *line);
    /* Bytes of the record stream; more than RECORD_MAX is never handed out at once. */
    void (*records)(void *arg, uint64_t run, const void *p, size_t n);
    void (*records_end)(void *arg, uint64_t run);
    /* The tree is gone; comes after records_end. */
    void (*ended)(void *arg, const struct runner_end *end);
    void (*gone)(void *arg); /* the runner itself died: every run ended */
    void *arg;
};
/* Takes fd, also on failure. */
int runner_connect(struct loop *l, int fd, const struct runner_events *ev, struct runner **out,
                   struct err *e);
/* Calls back later, never from inside. ERR_INVALID: no such parser; ERR_LIMIT: the command line is
 * too long; ERR_IO: the runner is gone. */
int runner_launch(struct runner *r, const struct runner_launch *l, struct err *e);
/* Runs a program (argv[0] a full path) in a box without network, 2 s at most, for what it prints:
 * its version. Comes as answer(), with "" if it could not be run. */
int runner_ask(struct runner *r, uint64_t ask, const struct strvec *argv, struct err *e);
/* TERM, then KILL after the launch's grace. Idempotent. */
void runner_stop(struct runner *r, uint64_t run);
/* Moves on a run's lease_until_ms; no message, no system call. Later than it was only. */
void runner_extend(struct runner *r, uint64_t run, int64_t until_ms);
/* Backpressure: no records are read for this run until resumed. */
void runner_pause(struct runner *r, uint64_t run, bool pause);
/* Closes the channel, which ends the runner and every run. No call-backs any more. */
void runner_free(struct runner *r);

/* For tests: one more parser that launches can name. Before runner_spawn(). */
void runner_add_parser(const struct parser *p);
