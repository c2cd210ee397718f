/*
 * identity - what makes a finding the same in the next scan, when lines move, are indented anew, or
 * files are renamed (docs/findings.md).
 *
 *   primary  SHA-256 of class, path, enclosing function, line without white space, and an ordinal
 *            among those that are equal in the file, in the order of lines
 *   moved    the same without path and ordinal
 *   around   class, path, the lines before and after, without white space
 *   github   the window hash of GitHub's code scanning over 100 UTF-16 units, with its ordinal
 *
 * Braces at the ends of a line are no part of it, so that a style of braces is none either.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/finding.h"

/* A file of the tree, split once. Borrowed text; source_done(). Lines end with LF, CR LF or CR.
 * What is beyond SOURCE_MAX is not there. */
enum { SOURCE_MAX = 64 * 1024 * 1024 };
struct source {
    const char *text;
    size_t n;
    size_t *starts; /* owned: of each line */
    int32_t lines;
    const char *path;
    void *functions; /* owned; found out when it is first asked */
    void *hashes;    /* owned; GitHub's, of each line; the same */
};
void source_init(struct source *s, const char *path, const char *text, size_t n);
void source_done(struct source *s);
/* Without its end; NULL if there is no such line. */
const char *source_line(const struct source *s, int32_t line, size_t *n);
/* Name of the function (method, shell function, ...) that holds the line, found by a reader of its
 * own for C-like, Python-like and shell-like files, wherever the syntax allows; NULL: none. Of
 * nested ones the innermost. Lives as long as `s`. */
const char *source_function(struct source *s, int32_t line);
/* GitHub's hash of a line, "39fa2ee980eb94b0:1"; false: there is no such line. */
bool source_github_hash(struct source *s, int32_t line, char out[24]);

/*
 * Fills what follows from the tree: function, line, snippet, snippet_line, verified, identity, for
 * all findings of one file at once (ordinals count over them). Texts live in `arena`, names of
 * functions in `s`; `quote` is NULL afterwards. Once per finding.
 *
 * Where a finding has a quote, its line is looked for within 5 lines and the finding snapped to it;
 * if it is not there, or there is no such line, verified is false and the confidence halved. s
 * NULL: there is no such file: verified false, no snippet. A finding without a line is about its
 * file.
 *
 * Of a finding with `secret`, the secret's characters (from at.column to at.end_column, which may
 * be in a later line; without columns the line's string literals, else its value) are redacted in
 * `line`, `snippet` and texts of all findings of the call: the first four are kept, of short ones
 * fewer. Findings may come in any order; that of equals is decided by line, column, engine rule.
 */
struct arena;
void identify(struct source *s, struct finding *const *v, size_t n, struct arena *arena);
/* Counts equals of one file anew: what merge_findings() left gets its final `primary`. */
void identify_left(struct finding *const *v, size_t n);
/* Of findings that come without their tree (foreign SARIF): moved and primary from class, path,
 * function and line as they say them themselves; `github` is kept. */
void identify_told(struct finding *const *v, size_t n);

/* ---- from scan to scan ---- */

/* A finding as a former scan left it, or this one. Borrowed. */
struct known {
    const char *rule, *path, *line;
    const struct finding_identity *identity;
    int32_t at;     /* line number, to break ties */
    void *of;       /* the caller's */
    int32_t twin;   /* out: index in the other list, -1: none */
    bool rewritten; /* out: matched, but not by `primary`: LIFE_UPDATED */
};
/*
 * Matches now to before, each at most once, in three passes: primary; moved (where unique on both
 * sides among what is left, or `renamed` says that the path was; NULL: it never was); around, or at
 * least 60 % of the line's words equal in the same path and class, best first. O(n log n), but for
 * the calls of renamed(), of which there are at most 16 a finding.
 */
void match_known(struct known *before, size_t n_before, struct known *now, size_t n_now,
                 bool (*renamed)(void *arg, const char *from, const char *to), void *arg);
