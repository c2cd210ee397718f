/*
 * checkout - the working tree of a repository scan: from a server by git, or from standard input.
 *
 * git runs in boxes of its own inside this one (box/box.h). Those that fetch have the network,
 * which is the proxy's listener and nothing else; those that read objects have none. git never
 * writes a file of the tree: names and blobs come out of a bare repository (`ls-tree`, `cat-file
 * --batch`) and are written here, beneath ENGINE_TREE, so that no filter, attribute, hook, smudge
 * or link of the repository is ever acted on. Links, submodules and files above a limit are left
 * out and told.
 *
 * Afterwards there is ENGINE_TREE with files and directories, all readable, and nothing else: no
 * .git, no key. /tmp has to hold both the objects and the files while it runs.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "repo/spec.h"

enum { CHECKOUT_LEFT_MAX = 1000, CHECKOUT_RANGES_MAX = 100000 };

/* Exit statuses of repo/box.h. */
enum checkout_status {
    CHECKOUT_OK = 0,
    CHECKOUT_FAILED = 1,  /* anything else */
    CHECKOUT_REFUSED = 2, /* not to be had, or not allowed: trying again would not help */
    CHECKOUT_NETWORK = 3, /* failed on its way: may be tried again */
    CHECKOUT_LIMIT = 4,   /* a cap was reached; the message names it */
};

struct checkout_left {
    char *path; /* owned; escaped where it was no valid UTF-8 or had controls */
    char *why;  /* owned: "symbolic link", "submodule", "Git LFS pointer", "larger than 10 MiB" */
};

struct checkout_range {
    uint32_t first, last; /* lines of the new file */
};

/* A file of `head` that differs from `base`. Deleted ones are not told. */
struct checkout_change {
    char *path; /* owned */
    char *from; /* owned: its name in `base` when it was renamed; else NULL */
    bool whole; /* every line counts: it is new, or its lines could not be compared */
    struct checkout_range *lines; /* owned; in order; empty without `whole`: only deletions */
    uint32_t n_lines;
};

struct checkout_rename {
    char *from, *to; /* owned */
};

struct checkout {
    char *branch; /* owned: as asked, or what the remote's HEAD names; NULL: none */
    bool aside;   /* commit is not what the branch has now: its issues are not to be moved */
    char *commit; /* owned: hex; NULL: a directory that is no repository */
    char *base;   /* owned: hex, of what `changed` is against; NULL: everything counts */
    uint64_t bytes;
    uint32_t files;
    struct checkout_left *left; /* owned; of what is left out the first CHECKOUT_LEFT_MAX */
    uint32_t n_left, left_more;
    struct checkout_change *changed; /* owned, sorted by path (strcmp); with `base` */
    uint32_t n_changed;
    struct checkout_rename *renamed; /* owned; since spec.last_commit, and from base to head */
    uint32_t n_renamed;
    struct strvec notes;         /* sentences for the run's record */
    enum checkout_status status; /* set on failure, too */
    uint32_t duration_ms;
};

/*
 * Makes ENGINE_TREE. Blocks, at most spec.clone_s. Zeroes the spec's key as soon as it is not
 * needed. `progress` lines go to standard error (repo/box.h). On failure *e has one sentence for a
 * person with what would do instead, nothing secret and nothing raw of the server in it;
 * out->status how to exit, and checkout_done() is still called.
 */
int checkout_run(struct repo_spec *s, struct checkout *out, struct err *e);
void checkout_done(struct checkout *c);

/* The change of this path; NULL: it did not change. Only with `base`. */
const struct checkout_change *checkout_changed(const struct checkout *c, const char *path);
/* True if this line counts: everything does without `base`. line 0: the file as a whole. */
bool checkout_line_changed(const struct checkout *c, const char *path, uint32_t line);
