/*
 * engine - what ScanPod knows about one program (or code of its own) that looks at source text.
 *
 * An engine is one file and one `const struct engine`; its first part is a struct tool, so that it
 * is found, asked for its version and shown like a scanner. It runs in a box inside the repository
 * scan's box (repo/box.h): the tree read-only at ENGINE_TREE, a private /tmp, no network, nothing
 * of the machine. The repository's own configuration must not reach it: each argv says so.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "model/finding.h"
#include "tool/tool.h"

#define ENGINE_TREE "/tmp/src" /* the tree, inside; also the working directory */

/* Languages and kinds of files: bits. */
enum {
    LANG_C = 1,
    LANG_CXX = 2,
    LANG_PYTHON = 4,
    LANG_SHELL = 8,
    LANG_OTHER_TEXT = 16,
    LANG_ANY = 31, /* all text */
};
/* By name, then by the first line ("#!/bin/sh"); 0: not text that anybody reads. */
unsigned language_of(const char *path, const char *head, size_t n);

/* One file of the tree as the survey has it. */
struct engine_file {
    const char *path; /* in the tree */
    uint64_t size;
    unsigned language;
};

/* Which files one start of the program is given. Borrowed. */
struct engine_ask {
    const char *program; /* full path */
    const struct engine_file *files;
    size_t n_files;
    const char *list_file; /* has their paths, one a line, where argv cannot hold them: inside;
                              those with a line end in their name are not in it */
    bool whole;            /* these are all the files of the tree that it reads */
    const struct agent_ask *agent;       /* engine/agent.h; for engines that are one */
    const struct sarif_engine *declared; /* engine/sarif.h; for those of the configuration */
};

/* What the engine's output said, but findings. */
struct engine_notes {
    struct strvec failed; /* "PATH\tREASON" of files that it could not read or parse */
    char *why;            /* owned: why the whole run is worth nothing or is partial; NULL: it is
                             whole */
    bool cut;             /* the output ended too early */
    struct buf more;      /* JSON members for the run's record: cost, turns, ...; owned */
};
void engine_notes_done(struct engine_notes *n);

/* How a start of the program ended. Borrowed. */
struct engine_end {
    const char *out, *err; /* its output (or output file), its complaints */
    size_t n_out, n_err;
    int exit_status, exit_signal;        /* status -1: ended by the signal */
    bool cut;                            /* it wrote more than is kept: `out` ends anywhere */
    const struct sarif_engine *declared; /* engine/sarif.h; for those of the configuration */
};

struct engine {
    struct tool tool;   /* name, summary, setting, program, version_args, read_version, limits,
                           files; the rest unused */
    unsigned languages; /* which files it reads */
    const char *family; /* engines that share one count once in a merged confidence */
    bool network;       /* may reach the model's API through the proxy; else no network at all */
    bool built_in;      /* no program: read() is run over each file in a process of ours */
    bool on_demand;     /* not among the defaults */
    /* A word in comments by which a source silences it, where no option makes it look past: the
     * tree that it sees has another word of the same length there. NULL: there is none. */
    const char *obeys;
    uint32_t chunk;      /* most files of one start; 0: all at once */
    uint32_t per_file_s; /* added to the time limit of a start for each file */
    uint32_t usual_us; /* for a file, measured: who takes longest is started first; 0: not known */
    /* Files written into its /tmp before the start: configuration of ours. Ends with path NULL. */
    struct engine_input {
        const char *path, *text;
    } const *inputs;
    const char *const *env; /* NULL-terminated, added; may be NULL */
    const char *output;     /* file that has the findings; NULL: standard output */
    int (*build_argv)(const struct engine_ask *a, struct strvec *argv, struct err *e);
    /* Standard input of the program; NULL: none. */
    int (*build_input)(const struct engine_ask *a, struct buf *in, struct err *e);
    /*
     * Findings from its output, in a process that can do nothing else: paths as the program wrote
     * them below ENGINE_TREE become relative ones, classes and CWEs are mapped, confidence set.
     * 0; ERR_TOOL: the output or the exit status says that it failed (notes->why): what was handed
     * out counts, the engine is partial or failed. Never takes an end of the program at its word:
     * a status that is not in its table, or output that is cut off, is a failure.
     */
    int (*read)(const struct engine_end *end, finding_fn fn, void *arg, struct engine_notes *notes,
                struct err *e);
    /* built_in: one file's text. */
    int (*read_file)(const struct engine_file *file, const char *text, size_t n, finding_fn fn,
                     void *arg, struct err *e);
};

extern const struct engine engine_flawfinder, engine_cppcheck, engine_bandit, engine_shellcheck,
    engine_rules, engine_claude;

const struct engine *const *engine_all(void);       /* NULL-terminated; without those declared */
const struct engine *engine_find(const char *name); /* NULL: there is none */

/*
 * How the line asks engines to leave it alone ("nosec", "NOLINT"), NULL: it does not. Only what
 * stands in a comment counts, as far as that can be seen without reading the language. _above: the
 * same of the line above it, which speaks for it where it is a comment only, or where the mark is
 * made for that. Such marks are told (finding.marked), not obeyed.
 */
const char *engine_mark(const char *line, size_t n);
const char *engine_mark_above(const char *line, size_t n);
