/*
 * worker - runs tasks on this machine: from a leased task to an argv, through the runner, and back
 * from records to rows and an outcome.
 *
 * The scheduler calls it through struct worker_link. It writes hosts into the store under the
 * task's lease as they come; a commit that failed took rows away that the parser will not send
 * again, so such a run is stopped and its task tried again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/option.h"
#include "event/loop.h"
#include "sched/sched.h"
#include "store/store.h"

struct worker;

struct worker_config {
    int runner_fd;         /* taken */
    const char *blob_dir;  /* NULL: raw output is not kept */
    const char *tool_nmap; /* configured path or NULL */
    bool allow_unsafe_args;
    uint32_t grace_ms;
    uint64_t output_max;
};

/*
 * Turns the loop until the runner has said what its boxes can do (a few milliseconds after its
 * start, at most 5 s). worker_level() names them.
 */
int worker_new(struct loop *l, struct store *s, const struct worker_config *c, struct worker **out,
               struct err *e);
const char *worker_level(const struct worker *w);
void worker_free(struct worker *w);
void worker_attach(struct worker *w, struct sched *s); /* before the first turn */
struct worker_link worker_link(struct worker *w);
/* The turn's changes were undone: runs that stored hosts in it are stopped, to be tried again. */
void worker_turn_done(struct worker *w, bool committed);
/* Stops every run; each is handed back. */
void worker_stop_all(struct worker *w);
/* Called when the runner process died: nothing can run any more. */
void worker_on_runner_gone(struct worker *w, void (*fn)(void *arg), void *arg);

/* Parses a finished job's raw output anew in a parser process; `done` tells how it went. */
int worker_reparse(struct worker *w, const struct id *job,
                   void (*done)(void *arg, int rc, const char *message), void *arg, struct err *e);
