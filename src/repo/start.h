/*
 * start - one start of one engine: the program in a box of its own inside this one, from its first
 * step until its output is there to be read.
 *
 * It sees the tree, read-only, and starts in it; /tmp is private. What it writes goes to memory of
 * ours (or to one file that is bound for it), which outlives its box. Time, output and silence are
 * watched by start_tick(); what is too much ends it, with TERM first. Never blocks, but in
 * start_done() for the little that a killed box takes to go away.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "box/box.h"
#include "engine/engine.h"

#define START_LIST "/tmp/files" /* inside: paths of the files, one a line */

/* What it is to do. Borrowed, but for the call alone. */
struct start_ask {
    const struct engine *engine;
    struct engine_ask ask;
    const char *tree; /* which tree it sees as ENGINE_TREE */
    const char *self; /* our own program, for built-in engines */
    const char *work; /* directory for output files */
    unsigned number;  /* of the start: names in `work` */
    int64_t until_ms; /* everything has to be over then */
    uint32_t stall_s; /* without a byte of output it is ended; 0: never */
};

/* Why we ended it. */
enum start_cut { CUT_NONE, CUT_TIME, CUT_STALL, CUT_OUTPUT, CUT_ALL };

struct start {
    const struct engine *engine;
    struct box box;
    bool boxed;                  /* there is one that has not been waited for */
    int out_fd, err_fd, file_fd; /* owned; file_fd: engine->output; -1: none */
    char *file;                  /* owned: its path */
    int64_t begun_ms, until_ms, grown_ms, ending_ms;
    int64_t all_until_ms; /* of the whole scan */
    uint32_t seconds, stall_s;
    bool by_all; /* until_ms is that of the whole scan */
    uint64_t out_max, out_seen;
    enum start_cut cut;
    struct box_end end;
};

int start_begin(const struct start_ask *ask, struct start *out, struct err *e);
/* Looks at it; true once it is over. Otherwise it wants to be looked at again when its box's pidfd
 * or report_fd is readable, and every START_TICK_MS. */
bool start_tick(struct start *s);
/* The box is over, or has to be at once. */
void start_stop(struct start *s, enum start_cut cut);
/* Why the program cannot have done its work, whatever it wrote: one sentence. False: nothing is
 * known against it; its output and exit status decide. */
bool start_failed(const struct start *s, struct buf *why);
void start_done(struct start *s);

enum { START_TICK_MS = 100 };
