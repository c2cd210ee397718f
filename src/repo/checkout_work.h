/* checkout_work - what the steps of a checkout share. Private to repo/. */
#pragma once

#include "engine/engine.h"
#include "repo/checkout.h"
#include "repo/git.h"

enum { COMMIT_TEXT = 65 };

struct checkout_work {
    struct repo_spec *s;
    struct checkout *out;
    struct git git;
    const char *url;                                              /* what git is told: borrowed */
    char head[COMMIT_TEXT], base[COMMIT_TEXT], last[COMMIT_TEXT]; /* "": none */
    bool answered; /* the server has told its branches */
    int percent;   /* told last */
    int64_t told_ms;
    uint32_t seen; /* entries of the tree, those that are left out too */
};

/* A line for the run's progress; of the whole checkout. */
void checkout_tell(struct checkout_work *w, unsigned percent);
/* Of what is not in the tree: one more. */
void checkout_leave(struct checkout *c, const char *path, const char *why);
/* Sets w->out->status and returns the code. */
int checkout_fail(struct checkout_work *w, enum checkout_status status, int rc);
/* A limit of the tree. */
int checkout_over(struct checkout_work *w, bool bytes, struct err *e);
/* True if it is wanted: below the request's subdir. */
bool checkout_wanted(const struct checkout_work *w, const char *path);

/* The commit may be another than the branch has. With `commit` a branch that is named is believed:
   the two belong together. */
bool checkout_elsewhere(const struct repo_request *q);

/* An empty repository in REPO_GIT_DIR. */
int repository_make(bool sha256, struct err *e);
/* The whole of standard output, up to max bytes. */
int git_read(struct checkout_work *w, const char *const *args, bool network, size_t max,
             struct buf *out, struct err *e);
/* The commit that a revision names, or "" if there is none. */
int git_commit_of(struct checkout_work *w, const char *revision, char out[COMMIT_TEXT],
                  struct err *e);

/* Objects of head (and base, last) from the server; fills them in, and out->branch. */
int checkout_fetch(struct checkout_work *w, struct err *e);
/* The same from standard input. */
int checkout_unpack(struct checkout_work *w, struct err *e);
/* Files of head to ENGINE_TREE. */
int checkout_files(struct checkout_work *w, struct err *e);
/* out->changed and out->renamed. */
int checkout_compare(struct checkout_work *w, struct err *e);
