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
    const char *dir;    /* working directory of the run, made by the runner, removed after */
    const char *parser; /* "nmap-xml" */
    uint32_t grace_ms;
    uint64_t output_max; /* bytes of stdout; more ends the run with limit "output" */
    uint32_t wall_ms;    /* run time limit, enforced here; 0: none */
    bool raw_sockets;
    uint32_t cpu_s, mem_mb, files, procs;
    int blob_fd; /* where the parser writes the compressed raw output; -1: not kept */
};

enum runner_cause { RUN_BY_ITSELF, RUN_STOPPED, RUN_WALL, RUN_OUTPUT, RUN_PARSER };

/* Borrowed for the call. */
struct runner_end {
    uint64_t run;
    bool started; /* false: step and errnum say why */
    int errnum;
    const char *step;
    int exit_status, exit_signal;
    enum runner_cause cause; /* what ended it */
    const char *stderr_tail; /* at most 4 KiB */
    const char *level;       /* box level */
    bool raw_sockets;
    int64_t cpu_us, max_rss_kb;
    bool parser_failed; /* the parser process died */
};

/* In the parent, before anything else is opened. *out_fd: the daemon's end of the channel.
 * hold_fd: the lock. user: NULL to stay. The child never returns. */
struct runner_config {
    const char *user; /* name to become when root; NULL: stay */
    int hold_fd;
    const char *work_dir;
};
int runner_spawn(const struct runner_config *c, int *out_fd, int *out_pidfd, struct err *e);

/* The daemon's side. */
struct runner;
struct runner_events {
    void (*started)(void *arg, uint64_t run);
    /* Bytes of the record stream; more than RECORD_MAX is never handed out at once. */
    void (*records)(void *arg, uint64_t run, const void *p, size_t n);
    void (*records_end)(void *arg, uint64_t run);
    /* The tree is gone; comes after records_end. */
    void (*ended)(void *arg, const struct runner_end *end);
    void (*gone)(void *arg); /* the runner itself died: every run ended */
    void *arg;
};
int runner_connect(struct loop *l, int fd, const struct runner_events *ev, struct runner **out,
                   struct err *e);
int runner_launch(struct runner *r, const struct runner_launch *l, struct err *e);
/* TERM, then KILL after the launch's grace. Idempotent. */
void runner_stop(struct runner *r, uint64_t run);
/* Backpressure: no records are read for this run until resumed. */
void runner_pause(struct runner *r, uint64_t run, bool pause);
void runner_free(struct runner *r);
