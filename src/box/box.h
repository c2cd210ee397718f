/*
 * box - one tool run in a tree of processes that can be ended for certain.
 *
 * box_start() makes a small init process of ours (clone3 with a pidfd, a new pid namespace where
 * that is possible, a session of its own) which starts the tool, reaps everything, and reports.
 * Level, as it turned out:
 *   "pidns"     new pid namespace by privilege
 *   "userns"    new user and pid namespace (no raw sockets)
 *   "subreaper" neither: children are followed by PR_SET_CHILD_SUBREAPER
 * The later, full sandbox (mounts, network, seccomp, cgroup) has its place here.
 *
 * The tool runs as the caller's user without capabilities (or with CAP_NET_RAW alone), with
 * no_new_privs, in its own process group, with nothing inherited but its three descriptors. When
 * the caller dies, the kernel ends the box; at level subreaper the init is told and does it.
 *
 * The caller is a small single-threaded process: clone3 copies its page tables.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct box_limits {
    uint32_t cpu_s, mem_mb, files, procs, file_mb; /* 0: leave as it is; files: 1024 */
};

struct box_spec {
    char *const *argv; /* argv[0] is a full path */
    char *const *env;  /* complete; nothing is inherited */
    const char *dir;   /* working directory; NULL: the root directory */
    int in, out, err;  /* descriptors for 0, 1, 2; < 0: /dev/null. The caller keeps its own. */
    bool raw_sockets;  /* keep CAP_NET_RAW (ambient) if the caller has it */
    struct box_limits limits;
    int hold_fd; /* kept open by the init process until the tree is gone; -1: none */
};

struct box_end {
    bool started; /* false: the tool could not be started; `errnum` and `step` say why */
    int errnum;
    char step[32];   /* "exec", "chdir", "setrlimit", ... */
    int exit_status; /* -1 if ended by a signal */
    int exit_signal; /* 0 if it ended by itself; SIGKILL too when the whole box was killed */
    int64_t cpu_us;  /* user + system, of the tree */
    int64_t max_rss_kb;
};

struct box {
    pid_t pid;         /* of the init process, in our namespace */
    int pidfd;         /* owned; readable when the whole tree is gone */
    int report_fd;     /* owned; readable when there is something for box_poll() */
    const char *level; /* static */
    bool raw_sockets;  /* really granted */
    bool asked;        /* to kill its tree, at level subreaper */
    enum { BOX_SILENT, BOX_STARTED, BOX_NOT_STARTED, BOX_ENDED } told;
    struct box_end end; /* as told so far */
};

enum box_level { BOX_PIDNS, BOX_USERNS, BOX_SUBREAPER };
/* What box_start() will use: tried by doing, once, and again after a change of user. *raw (may be
 * NULL): raw sockets can be given. */
enum box_level box_probe(bool *raw);
const char *box_level_name(enum box_level l);
/* For tests: this level from now on, without a fallback. False: it does not work here. */
bool box_force_level(enum box_level l);

/* ERR_SANDBOX when the init process could not be made; everything later is told by box_wait(). */
int box_start(const struct box_spec *spec, struct box *out, struct err *e);
/* Reads what the init has told; never blocks. True once the tool runs, or ran. */
bool box_poll(struct box *b);
/* To the tool's process group: SIGTERM. */
void box_terminate(const struct box *b);
/* SIGKILL to the init: the kernel ends everything in the namespace. At level subreaper the init
 * is asked to kill its tree; a second call kills the init itself, which loses what escaped. */
void box_kill(struct box *b);
/* After pidfd became readable (blocks until then): reaps and tells. Nothing of the tree is left
 * when it returns. A box that was killed before its init said anything did not start ("init"). */
int box_wait(struct box *b, struct box_end *end, struct err *e);
void box_done(struct box *b); /* closes the descriptors; call after box_wait() */
