/*
 * worker - runs tasks on this machine: from a leased task to an argv, through the runner, and back
 * from records to rows and an outcome.
 *
 * The scheduler calls it through struct worker_link, a transport through worker_run(). It reports
 * hosts under the task's lease as they come (daemon/reports.h); a commit that failed took rows away
 * that the parser will not send again, so such a run is stopped and its task tried again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/dispatch.h"
#include "daemon/reports.h"
#include "event/loop.h"
#include "sched/sched.h"
#include "store/store.h"

struct programs;
struct repo_means;
struct worker;

struct worker_config {
    int runner_fd;          /* taken */
    const char *blob_dir;   /* NULL: raw output is not kept */
    const char *import_dir; /* where files that were handed in are; NULL: there are none */
    struct dispatch_config dispatch;
    const struct repo_means *repo; /* borrowed; NULL: no repository scans */
    struct in_force *scope;        /* borrowed */
    struct programs *programs;     /* borrowed */
    /* The runner has said what it can do, in a turn of the loop: once, and again whenever it can
     * do less. May be NULL. */
    void (*ready)(void *arg, const struct sandbox_caps *caps);
    void *ready_arg;
};

/* Without a store (NULL) there are neither imports nor reparses. */
int worker_new(struct loop *l, struct store *s, const struct worker_config *c, struct worker **out,
               struct err *e);
/* NULL until the runner has said it: until then reports.ready says that nothing can be run. */
const struct sandbox_caps *worker_caps(const struct worker *w);
/* Asks a tool for its version, in a box: `answered` gets what it printed ("" if nothing). One
 * question at a time. */
int worker_ask(struct worker *w, const struct tool *t, const char *program,
               void (*answered)(void *arg, const char *text), void *arg, struct err *e);
void worker_free(struct worker *w);
/* Who is told, before the first turn: the store, through the scheduler; or others (copied). */
void worker_attach(struct worker *w, struct sched *s);
void worker_report_to(struct worker *w, const struct reports *to);
struct worker_link worker_link(struct worker *w);
/* What a transport hands over. It may be over before this returns. key_name: of the job's key,
 * NULL: the configured one. lease_until_ms: as runner_launch. */
struct worker_task {
    struct lease lease;
    const struct job *job;
    const char *key_name;
    int64_t lease_until_ms;
};
void worker_run(struct worker *w, const struct worker_task *t);
void worker_extend(struct worker *w, const struct lease *l, int64_t until_ms);
void worker_cancel(struct worker *w, const struct lease *l);
/* It is not ours any more: stopped, and handed back whatever came of it. */
void worker_fence(struct worker *w, const struct lease *l);
uint32_t worker_busy(const struct worker *w); /* runs that are not over */
/* The turn's changes were undone: runs that stored hosts in it are stopped, to be tried again. */
void worker_turn_done(struct worker *w, bool committed);
/* Stops every run; each is handed back. */
void worker_stop_all(struct worker *w);
/* Called when the runner process died: nothing can run any more. */
void worker_on_runner_gone(struct worker *w, void (*fn)(void *arg), void *arg);

/* Parses a finished job's raw output anew in a parser process; `done` tells how it went, once: in
 * worker_free() at the latest. raw_fd: the file, taken in any case; -1: it is in blob_dir. */
int worker_reparse(struct worker *w, const struct id *job, int raw_fd,
                   void (*done)(void *arg, int rc, const char *message), void *arg, struct err *e);
