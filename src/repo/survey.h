/*
 * survey - what is in the tree: which files are text and in which language, what is left out and
 * why. The tree is made fit for the engines on the way:
 *
 *   - text that is not UTF-8 is rewritten as such (repo/text.h)
 *   - names that a finding could not tell (not UTF-8, control characters) are percent-encoded, on
 *     disk, too: what is told is what is there
 *   - links, devices, FIFOs and everything called .git are removed
 *
 * Nothing is followed, nothing unpacked. Files come in the order of their paths, whatever order the
 * file system has them in.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "engine/engine.h"
#include "model/host.h" /* struct arena */

/* The record is one line of at most 1 MiB: lists in it are bounded in bytes, too. */
enum { SURVEY_LEFT_MAX = 1000, SURVEY_LEFT_BYTES = 96 << 10, SURVEY_LANGUAGES = 5 };

struct survey_file {
    struct engine_file file;
    const char *origin; /* the path that the repository has; NULL: the same */
    bool agent;         /* instructions or settings of an agent: it never sees them */
};

struct survey_left {
    const char *path, *why;
};

struct survey {
    struct survey_file *files; /* owned: text alone, in order */
    size_t n, size;
    struct survey_left left[SURVEY_LEFT_MAX];
    size_t n_left, left_more, left_bytes;
    size_t
        hidden; /* of those left out: source by its name, or a directory with whatever is in it */
    uint64_t total, bytes;                /* files, also those left out; bytes of text */
    uint64_t languages[SURVEY_LANGUAGES]; /* files, by the lowest bit of their language */
    size_t rewritten, renamed, agent;     /* how many files */
    struct arena *arena;                  /* owned */
};

struct survey_ask {
    const char *dir;         /* of the tree */
    const char *subdir;      /* only below it; NULL: everything */
    uint32_t max_files;      /* more: ERR_LIMIT; 0: no limit */
    uint32_t max_file_bytes; /* larger ones are left out; 0: 64 MiB */
};

/* ERR_NOT_FOUND: no such subdir. ERR_LIMIT: max_files. survey_done() also after an error. */
int survey_run(const struct survey_ask *ask, struct survey *out, struct err *e);
void survey_done(struct survey *s);
/* NULL: no text file of this path. */
const struct survey_file *survey_find(const struct survey *s, const char *path);
/*
 * One more that is not looked at. One byte, or very many, are enough to make of a source file one
 * that no engine reads and a compiler still does: such a tree was not seen whole.
 */
void survey_leave(struct survey *s, const char *path, const char *why);
bool survey_hides(const char *path, const char *why); /* what `hidden` counts */
/* The object `files` of the run's record. */
void survey_json(const struct survey *s, struct json *j, const char *key);
/* Whether a file of this path tells agents what to do, or sets them up. */
bool survey_is_agents(const char *path);
/* The tree as an agent may see it, by hard links, in a new directory: text, without what is an
 * agent's. */
/* The directories above a file, below dir_fd. */
int survey_make_parents(int dir_fd, const char *file, struct err *e);
/*
 * The files of an engine that obeys marks in sources (struct engine.obeys), in `to`: those that
 * have the word in a comment are copies in which it is another one, all others links. It sees
 * nothing else of the tree.
 */
int survey_plain_tree(const struct engine_file *files, size_t n, const char *word, const char *dir,
                      const char *to, struct err *e);
int survey_agent_tree(const struct survey *s, const char *dir, const char *to, struct err *e);
