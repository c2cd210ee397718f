/*
 * hit - what engines share on the way from a program's output to findings; for src/engine only.
 *
 * Output is hostile: the program read a repository before it wrote it. Text becomes valid UTF-8 and
 * is cut to what a finding may hold; paths become relative to the tree or nothing.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "engine/engine.h"
#include "model/finding.h"
#include "model/host.h" /* struct arena */

/* What an engine's own rule means. Tables are in the order of strcmp(id). */
struct hit_rule {
    const char *id;     /* the engine's */
    const char *class_; /* assess/classes.h; NULL: it is no finding */
    const char *title;  /* ours, one line */
    int32_t cwe;        /* 0: the engine says it, or the class's */
    enum severity severity;
};
/* NULL: not in the table. */
const struct hit_rule *hit_rule(const struct hit_rule *table, size_t n, const char *id);

/* Findings of one output. Strings of the finding at hand live in `arena`. */
struct hits {
    finding_fn fn;
    void *arg;
    struct engine_notes *notes;
    struct arena *arena; /* hits_init() to hits_done() */
    int rc;              /* what fn said, non-zero: it wants no more */
};
void hits_init(struct hits *h, finding_fn fn, void *arg, struct engine_notes *notes);
void hits_done(struct hits *h);
/* Hands it out, unless fn has said stop, and empties the arena. */
int hits_add(struct hits *h, const struct finding *f, struct err *e);

/* At most `max` bytes of valid UTF-8 without NUL. one_line: controls become spaces. */
const char *hit_text(struct arena *a, const char *s, size_t n, size_t max, bool one_line);
/* The same, but NULL where anything would have to be changed: for quotes. */
const char *hit_quote(struct arena *a, const char *s, size_t n);
/* Relative to the tree; NULL: it is outside, or no path that a finding may have. */
const char *hit_path(struct arena *a, const char *s, size_t n);
/* As an argument: never taken for an option. */
void hit_push_path(struct strvec *argv, const char *path);

/* Class, title, CWE and severity of a rule; title and severity of the class where `r` has none. */
void hit_classify(struct finding *f, const struct hit_rule *r);
/* Unless it is there already, or the list is full. */
void hit_cwe(struct finding *f, int32_t cwe);
/* By its CWE alone. */
void hit_classify_cwe(struct finding *f, int32_t cwe);

/* The program could not read or parse a file. reason: one line. */
void hit_failed(struct engine_notes *notes, const char *path, const char *reason);
/* ERR_TOOL, and notes->why unless there is one. */
int hit_failure(struct engine_notes *notes, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/*
 * 0: the program ended by itself with one of `ok` (bit s: status s), its output is whole as far as
 * we know. Else hit_failure(), with the last line of its complaints.
 */
int hit_end(const struct engine_end *end, const char *name, uint32_t ok, struct engine_notes *notes,
            struct err *e);
/* The number that stands behind `intro` in what a program prints of itself. */
bool hit_version(const char *output, const char *intro, char *version, size_t size);
