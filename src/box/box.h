/*
 * box - one tool run in a world of its own, which can be ended for certain.
 *
 * box_start() makes a small init process of ours (clone3 with a pidfd) in new namespaces. It builds
 * the box, starts the tool in it, reaps everything, and reports. Level, as it turned out:
 *   "userns"      user, mount, pid, ipc, uts, cgroup (and network) namespaces of its own, made
 *                 without privilege through the user namespace
 *   "namespaces"  the same but the user namespace, by the caller's CAP_SYS_ADMIN
 *   "plain"       neither: children are followed by PR_SET_CHILD_SUBREAPER, files are guarded by
 *                 Landlock where there is one
 *
 * Inside there is a read-only root of its own: /usr and the links to it, few files of /etc, /proc,
 * /dev/{null,zero,full,random,urandom}, what `binds` names, the tool's own file, and /tmp, a
 * private tmpfs with caps on size and inodes, in which the tool starts. It runs as an unprivileged
 * user with no capability (or CAP_NET_RAW alone, ambient), an empty bounding set, no_new_privs, a
 * seccomp allow-list, no terminal, in its own process group, with nothing inherited but its three
 * descriptors. Without a view (always at level "plain"; where mounts are refused, at the others
 * too) it has the caller's files, as far as Landlock allows, and starts in `dir`.
 *
 * The user is 61001 inside; outside it is the caller, or 61001 too when the caller is root (which
 * gives `dir` to it). What is bound for writing has to let that user write.
 *
 * With BOX_NET_OWN the box waits, ready but for its network, until box_go() (told by
 * BOX_WAITING): in between the caller hands `netns_fd` to whoever makes the outer end.
 *
 * The error that ends a start before the tool runs is told apart from a tool that failed: step and
 * errno in struct box_end. When the caller dies, the kernel ends the box; at level "plain" the init
 * is told and does it. The caller is a small single-threaded process: clone3 copies its page
 * tables.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/netset.h"

enum box_level { BOX_USERNS, BOX_NAMESPACES, BOX_PLAIN };

enum box_net {
    BOX_NET_SHARED, /* the caller's network namespace */
    BOX_NET_EMPTY,  /* its own, with nothing but a loopback interface that is up */
    BOX_NET_OWN,    /* its own; box_go() configures its interface eth0 */
};

/* Which system calls the tool may make; box/seccomp.h. */
/*
 * NESTING: for `nest`: what the inner lists have together, and namespaces, mounts and seccomp.
 * AGENT: a large runtime that compiles at run time (the Claude Code CLI): a list of what is
 * refused.
 */
enum box_calls {
    BOX_CALLS_NETWORK,
    BOX_CALLS_OFFLINE,
    BOX_CALLS_BROKER,
    BOX_CALLS_NESTING,
    BOX_CALLS_AGENT,
    BOX_CALLS_ALL
};

/* Of each process: processor time, size of a file, number of files, and memory: its addresses
 * (RLIMIT_AS), or with `nest` and BOX_CALLS_AGENT what it can write to (RLIMIT_DATA). `procs` is of
 * the user namespace with all below it. Never more than the caller has itself. */
struct box_limits {
    uint32_t cpu_s, mem_mb, files, procs, file_mb; /* 0: leave as it is; files: 1024 */
    uint32_t disk_mb, inodes;                      /* of /tmp; 0: 64 MiB, 4096 */
};

/* Part of the view: an absolute path of the caller's file system, at the same place inside. */
struct box_bind {
    const char *path;
    bool write;
    const char *from; /* where it is outside; NULL: at `path`, too. Needs a view. */
};

/* Written into the view before the tool starts, read-only but below /tmp: "/etc/hosts",
 * "/tmp/targets". Without a view only those of /tmp exist, in the working directory. */
struct box_file {
    const char *path;
    const char *text;
    size_t n;
};

struct box_spec {
    char *const *argv; /* argv[0] is a full path without links */
    char *const *env;  /* complete; nothing is inherited */
    const char *dir;   /* without a view: working directory, private to this run */
    const char *start; /* with a view: the directory inside where the tool starts; NULL: /tmp */
    int in, out, err;  /* descriptors for 0, 1, 2; < 0: /dev/null. The caller keeps its own. */
    enum box_net net;
    bool raw_sockets; /* keep CAP_NET_RAW (ambient) where it can be given */
    bool net_admin;   /* for tests of what the filter outside stands: CAP_NET_ADMIN too */
    enum box_calls calls;
    /*
     * The tool is one of ours that makes boxes of its own, inside this one: it may make namespaces
     * and mounts there, and sees all of /proc, without which the kernel gives the inner ones none.
     * The inner ones are what holds programs. With BOX_CALLS_NESTING.
     */
    bool nest;
    const struct box_bind *binds; /* in order; missing ones are an error (step "bind") */
    size_t n_binds;
    const struct box_file *files;
    size_t n_files;
    struct box_limits limits;
    int cgroup_fd;        /* directory of a cgroup v2 to be born in; -1: none */
    uint16_t listen_port; /* BOX_NET_EMPTY: a listener on 127.0.0.1:PORT inside; 0: none */
    int hold_fd;          /* kept open by the init process until the tree is gone; -1: none */
    /*
     * When the box is to be over, in CLOCK_BOOTTIME ms: in memory that is shared with whoever moves
     * it on. The init looks at it by itself, also while the caller does nothing, and kills the tree
     * at one stroke when it has passed. NULL: no such time.
     */
    const int64_t *until_ms;
};

struct box_end {
    bool started; /* false: the tool could not be started; `errnum` and `step` say why */
    int errnum;
    char step[32];   /* "exec", "bind", "pivot_root", "address", ... */
    int exit_status; /* -1 if ended by a signal */
    int exit_signal; /* 0 if it ended by itself; SIGKILL too when the whole box was killed */
    int64_t cpu_us;  /* user + system, of the tree */
    int64_t max_rss_kb;
    int64_t disk_bytes, disk_files; /* in /tmp at the end; -1: not known */
    bool disk_full, inodes_full;    /* nothing was left of /tmp at the end */
    bool late;                      /* until_ms had passed: killed, or not started (step "late") */
};

struct box {
    pid_t pid;         /* of the init process, in our namespace */
    int pidfd;         /* owned; readable when the whole tree is gone */
    int report_fd;     /* owned; readable when there is something for box_poll() */
    int netns_fd;      /* owned; from BOX_WAITING on; -1 before and without BOX_NET_OWN */
    int notify_fd;     /* owned; BOX_CALLS_BROKER: the seccomp listener, from BOX_STARTED on */
    int listen_fd;     /* owned; the listener of listen_port, from BOX_STARTED on */
    const char *level; /* static */
    bool raw_sockets;  /* really granted */
    bool asked;        /* to kill its tree, at level "plain" */
    enum { BOX_SILENT, BOX_WAITING, BOX_STARTED, BOX_NOT_STARTED, BOX_ENDED } told;
    struct box_end end; /* as told so far */
};

/* The inner end of the box's interface. No address: the family is not there (and IPv6 is off). */
struct box_address {
    bool has_v4, has_v6;
    struct net_ip v4, v6, gateway4, gateway6;
    uint8_t prefix4, prefix6;
    uint8_t gateway_mac[6]; /* a permanent neighbour: nothing is asked on the wire */
};

/* What box_start() can do: tried by doing, once, and again after a change of user. */
struct box_can {
    enum box_level level;
    bool raw_shared; /* raw sockets in our network namespace */
    bool own_net;    /* BOX_NET_OWN and BOX_NET_EMPTY; raw sockets are always there inside */
    bool view;
    bool notify; /* BOX_CALLS_BROKER: a listener, the tool's memory and its sockets */
    bool landlock;
    /* Why the level is not "userns", or is without a view or a network of its own; "" if it is all
     * of that. */
    char why[160];
};
const struct box_can *box_probe(void);
const char *box_level_name(enum box_level l);

/*
 * Whether boxes with `nest` can be made, and boxes in them, tried by doing: some milliseconds, each
 * time. False: `why` says why not, else it is "".
 */
bool box_can_nest(char why[160]);

/* Features that box_probe() does not try from now on, as if the kernel had none: for support
 * (setting `without`) and tests. */
enum {
    BOX_WITHOUT_USERNS = 1,
    BOX_WITHOUT_PRIVILEGE = 2,
    BOX_WITHOUT_MOUNT = 4,
    BOX_WITHOUT_NET = 8,
    BOX_WITHOUT_NOTIFY = 16,
    BOX_WITHOUT_LANDLOCK = 32,
    BOX_WITHOUT_CGROUP = 64,
};
void box_without(unsigned features);
bool box_is_without(unsigned feature);

/* ERR_SANDBOX when the init process could not be made, or no box with `nest`; everything later is
 * told by box_wait(). */
int box_start(const struct box_spec *spec, struct box *out, struct err *e);
/* After BOX_WAITING: configures eth0 and starts the tool. Never blocks. */
int box_go(struct box *b, const struct box_address *a, struct err *e);
/* Reads what the init has told; never blocks. True once the tool runs, or ran. */
bool box_poll(struct box *b);
/* To the tool's process group: SIGTERM. */
void box_terminate(const struct box *b);
/* The init of a started tool is asked to kill its tree at one stroke, and tells what was used.
 * Before the start, and when called again, SIGKILL to the init: the kernel ends everything in the
 * namespace (at level "plain" that loses what escaped; there the init is asked in any case first).
 */
void box_kill(struct box *b);
/* After pidfd became readable (blocks until then): reaps and tells. Nothing of the tree is left
 * when it returns. A box that was killed before its init said anything did not start ("init"). */
int box_wait(struct box *b, struct box_end *end, struct err *e);
void box_done(struct box *b); /* closes the descriptors; call after box_wait() */
