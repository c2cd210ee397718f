/*
 * engine_run - one engine in one scan: which files it is to read, in which starts, and what came of
 * it.
 *
 * Its files are cut into pieces, one a start. A piece whose start failed is done again in halves
 * until the file that does it is alone: that one is missed, the others are not. Halves wait behind
 * all else, so that an engine which fails with anything is known by that, and given up, early.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "engine/engine.h"
#include "repo/haul.h"
#include "repo/survey.h"

enum { MISSED_MAX = 1000, EXTRA_STARTS_MAX = 64, FAILED_FROM_THE_START_MAX = 8 };

enum engine_status { ENGINE_OK, ENGINE_PARTIAL, ENGINE_FAILED, ENGINE_TIMEOUT, ENGINE_SKIPPED };

struct piece {
    size_t from, n; /* of `files` */
    bool whole;
};

struct engine_run {
    const struct engine *engine;
    const struct sarif_engine *declared; /* NULL: it is one of ours */
    char *program, *version;             /* owned; program NULL: not installed */
    bool named;                          /* asked for by name */
    char *tree;                          /* owned: that it sees; NULL: the one of all */
    struct engine_file *files;           /* owned array; of the survey */
    size_t n_files;
    struct piece *todo; /* owned; the last one is next */
    size_t n_todo, todo_size;
    size_t running;
    unsigned passes, extra, failed, good; /* starts; extra: to find the file that does it */
    struct haul *hauls;                   /* owned: what counts, of each start that did */
    size_t n_hauls, hauls_size, findings;
    struct survey_left missed[MISSED_MAX];
    size_t n_missed, missed_more, missed_bytes, missed_room; /* bytes of the record */
    bool partial;        /* something is missing that no file stands for */
    bool timeout;        /* the first failure was that time was up */
    char *reason;        /* owned; the first there was */
    struct json_t *more; /* owned: members of the record that are its own; NULL: none */
    int64_t begun_ms, duration_ms;
    struct arena *arena;       /* owned */
    enum engine_status status; /* once it is over */
};

/* How a start of a piece ended. */
struct outcome {
    const char *why; /* NULL: it is whole */
    bool failed;     /* worth nothing; false with `why`: what it has counts, more is missing */
    bool late;       /* time was up */
    bool over;       /* nothing may be started any more */
    bool hopeless;   /* it would fail with any files */
    struct haul *haul;
    const struct strvec *missed; /* "PATH\\tREASON" */
    const char *more;            /* JSON members */
};

/* Files that it reads, of those that count. n_files 0 or no program: it is over at once. */
void engine_run_plan(struct engine_run *r, const struct survey *s,
                     bool (*counts)(void *arg, const struct survey_file *f), void *arg);
bool engine_run_next(struct engine_run *r, struct piece *out);
/* Takes the haul. */
void engine_run_ended(struct engine_run *r, const struct piece *p, const struct outcome *o);
/* Nothing will be started any more. */
void engine_run_give_up(struct engine_run *r, const char *why, bool late);
/* All its starts are over: status and reason. */
void engine_run_close(struct engine_run *r);
bool engine_run_complete(const struct engine_run *r); /* or rightly not run */
void engine_run_json(const struct engine_run *r, struct json *j);
void engine_run_done(struct engine_run *r);
