/*
 * git - one git command in a box of its own. Private to repo/.
 *
 * argv only, by its full path; nothing of the machine's or the user's configuration, no prompts, no
 * helpers, no hooks, no protocol but the one that is wanted. What git writes to its standard error
 * is hostile: it is only looked at for what went wrong (git_error.c).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "repo/checkout.h"
#include "repo/spec.h"

struct git_relay;

struct git {
    const struct repo_spec *spec;
    int64_t deadline_ms;     /* CLOCK_BOOTTIME */
    const char *ca_file;     /* inside; NULL: none that could be trusted */
    struct git_relay *relay; /* ssh only; git_ssh.h */
    /* What is known to be wrong from elsewhere than git: the proxy's or the relay's own words. */
    char why[256];
};

/* More of standard output; what it returns but 0 ends the command, and is what git_run() returns.
 */
typedef int (*git_out_fn)(void *arg, const char *p, size_t n, struct err *e);

struct git_call {
    const char *const *args; /* NULL-terminated, from the subcommand on */
    bool network;            /* else it has none, and REPO_GIT_DIR is read-only */
    int in;                  /* standard input; < 0: none */
    git_out_fn out;          /* NULL: dropped */
    void *arg;
    void (*progress)(void *arg, unsigned percent); /* of what is received; NULL */
};

struct git_end {
    int status, signal; /* status -1: ended by the signal */
    bool late;          /* the deadline passed */
    struct buf said;    /* owned: its last complaints, without what the server had it print */
};
void git_end_done(struct git_end *end);

/* 0: it ran, and *end says how it ended. ERR_SANDBOX: it could not be started. */
int git_run(struct git *g, const struct git_call *c, struct git_end *end, struct err *e);
/* The same; and a bad end is an error, told by git_explain(). *status: how the checkout exits. */
int git_must(struct git *g, const struct git_call *c, enum checkout_status *status, struct err *e);

/* A sentence for how it ended; *status: how the checkout exits. Returns the error's code. */
int git_explain(struct git *g, const struct git_end *end, enum checkout_status *status,
                struct err *e);
/* True if the server does not give out commits by their ids. */
bool git_refused_id(const struct git_end *end);
