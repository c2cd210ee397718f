/*
 * runner - the process that starts tools and their parsers, and nothing else.
 *
 * Forked from `scanpod serve` before the daemon opens anything; drops to the service user and
 * keeps only the capabilities that starting a tool needs (CAP_SYS_ADMIN for the pid namespace,
 * CAP_NET_RAW to hand on) when it was started with them. It dies when the daemon goes away, and
 * takes every tool with it: boxes have PR_SET_PDEATHSIG, and the data directory's lock is held
 * by each box's init, so that a new daemon cannot start while a tool of the old one lives.
 *
 *   daemon --LAUNCH(task, argv, env, limits, fds: record socket, blob)--> runner
 *          --STOP(task, grace)-->          runner --STARTED, ENDED(task, how)--> daemon
 *   tool stdout --pipe--> parser process --records--> daemon     tool stderr --pipe--> runner
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "event/loop.h"
#include "parse/parse.h"

struct runner_launch {
    uint64_t run; /* caller's number for this run */
    const struct strvec *argv;
    const char *parser; /* "nmap-xml" */
    uint32_t grace_ms;
    uint64_t output_max; /* bytes of stdout; more ends the run with limit "output" */
    uint32_t wall_ms;    /* run time limit, enforced here; 0: none */
    bool raw_sockets;
    uint32_t cpu_s, mem_mb, files, procs; /* 0: no limit of ours */
    int blob_fd; /* where the parser writes the compressed raw output; -1: not kept. Borrowed. */
};

enum runner_cause { RUN_BY_ITSELF, RUN_STOPPED, RUN_WALL, RUN_OUTPUT, RUN_PARSER };

enum { STDERR_TAIL_MAX = 4096 };

/* Borrowed for the call. */
struct runner_end {
    uint64_t run;
    bool started; /* false: step and errnum say why */
    int errnum;
    const char *step;             /* "exec", "chdir", ...: where starting failed */
    int exit_status, exit_signal; /* status -1: ended by the signal */
    enum runner_cause cause;      /* what ended it: us, by which limit, or itself */
    const char *stderr_tail;      /* the last lines, at most STDERR_TAIL_MAX; "" if none */
    const char *level;            /* box level */
    bool raw_sockets;
    int64_t cpu_us, max_rss_kb;
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
    const char *user; /* name to become when root (else nobody); NULL: stay */
    int hold_fd;      /* the lock: held by the runner and by each box; -1: none */
    const char *work_dir;
    /* How long a parser may do nothing after its tool's end, also while its records are not read
     * (runner_pause); 0: 60 s. */
    uint32_t parser_idle_ms;
};
int runner_spawn(const struct runner_config *c, int *out_fd, int *out_pidfd, struct err *e);

/*
 * The daemon's side. For each run: started (if it was), records, records_end, ended: always in
 * this order, always all of them but started, unless the runner goes away. Members may be NULL.
 * runner_free() must not be called from a call-back, everything else may.
 */
struct runner;
struct runner_events {
    /* Once, first: the level of its boxes, and whether tools can have raw sockets. */
    void (*ready)(void *arg, const char *level, bool raw_sockets);
    void (*started)(void *arg, uint64_t run);
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
/* TERM, then KILL after the launch's grace. Idempotent. */
void runner_stop(struct runner *r, uint64_t run);
/* Backpressure: no records are read for this run until resumed. */
void runner_pause(struct runner *r, uint64_t run, bool pause);
/* Closes the channel, which ends the runner and every run. No call-backs any more. */
void runner_free(struct runner *r);

/* For tests: one more parser that launches can name. Before runner_spawn(). */
void runner_add_parser(const struct parser *p);
