/*
 * box - one tool run in a tree of processes that can be ended for certain.
 *
 * box_start() makes a small init process of ours (clone3 with a pidfd, a new pid namespace where
 * that is possible, a session and process group of its own) which starts the tool, reaps
 * everything, and reports. Level, as it turned out:
 *   "pidns"     new pid namespace by privilege
 *   "userns"    new user and pid namespace (no raw sockets)
 *   "subreaper" neither: children are followed by PR_SET_CHILD_SUBREAPER
 * The later, full sandbox (mounts, network, seccomp, cgroup) has its place here.
 *
 * The caller is a small single-threaded process: clone3 copies its page tables.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct box_limits {
    uint32_t cpu_s, mem_mb, files, procs, file_mb; /* 0: leave as it is */
};

struct box_spec {
    char *const *argv; /* argv[0] is a full path */
    char *const *env;  /* complete; nothing is inherited */
    const char *dir;   /* working directory */
    int in, out, err;  /* descriptors for 0, 1, 2; in < 0: /dev/null */
    bool raw_sockets;  /* keep CAP_NET_RAW (ambient) if the caller has it */
    bool keep_uid;     /* tests only */
    struct box_limits limits;
    int hold_fd; /* kept open by the init process until the tree is gone; -1: none */
};

struct box {
    pid_t pid;         /* of the init process, in our namespace */
    int pidfd;         /* owned; readable when the whole tree is gone */
    int report_fd;     /* owned; the init's word on how it went, read by box_wait() */
    const char *level; /* static */
    bool raw_sockets;  /* really granted */
};

struct box_end {
    bool started; /* false: the tool could not be started; `errnum` and `step` say why */
    int errnum;
    char step[32];   /* "exec", "chdir", "setrlimit", ... */
    int exit_status; /* -1 if ended by a signal */
    int exit_signal;
    int64_t cpu_us; /* user + system, of the tree */
    int64_t max_rss_kb;
};

enum box_level { BOX_PIDNS, BOX_USERNS, BOX_SUBREAPER };
/* Tried by doing, once. What box_start() will use. *raw: raw sockets can be given. */
enum box_level box_probe(bool *raw);
const char *box_level_name(enum box_level l);

int box_start(const struct box_spec *spec, struct box *out, struct err *e);
/* To the tool's process group: SIGTERM. */
void box_terminate(const struct box *b);
/* SIGKILL to the init: the kernel ends everything in the namespace. At level subreaper the init
 * is asked first (it kills its tree), then killed. */
void box_kill(const struct box *b);
/* After pidfd became readable: reaps and tells. Nothing of the tree is left when it returns. */
int box_wait(struct box *b, struct box_end *end, struct err *e);
void box_done(struct box *b);
