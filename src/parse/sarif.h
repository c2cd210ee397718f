/*
 * sarif - reads one SARIF 2.1.0 document that is whole in memory: for parser_sarif (parse.h) and
 * for engines that write it.
 *
 *   sarif.c           the parser, the document, its runs, the run's record
 *   sarif_run.c       what results of a run refer to: rules, levels, taxonomies
 *   sarif_result.c    a result becomes a finding
 *   sarif_uri.c       where it is, as a path in the tree
 *   sarif_text.c      messages: ids, arguments, links; cutting
 *   sarif_class.c     CWEs, class, severity, confidence
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/finding.h"
#include "model/host.h" /* struct arena */

enum { SARIF_BYTES_MAX = 256 << 20, SARIF_RESULTS_MAX = 100000 };
/* Stands for the path of what is in no file. */
#define SARIF_NO_PATH "no-location"

/* What a document says. sarif_log_done(). Strings are borrowed from tree and arena. */
struct sarif_log {
    struct finding *v; /* owned */
    size_t n, size;
    struct buf engines;            /* JSON: members of the run's record, from the runs */
    struct strvec notes;           /* what is to be told */
    char *why;                     /* owned: why it is not complete; NULL: it is */
    size_t runs, failed, partial;  /* how many of the runs */
    const char *scanner, *version; /* of the first run */
    const char *repository, *commit, *branch;
    int64_t start_s;
    json_t *tree;        /* owned */
    struct arena *arena; /* owned */
};
/*
 * `root`: where the tool saw the tree, absolute; NULL: not known. 0: all of it was read, and all
 * runs succeeded; ERR_TOOL: it is not SARIF 2.1.0, malformed, or a tool says that it failed;
 * ERR_LIMIT. What could be read is in *out in any case; identities are not.
 */
int sarif_log_read(const char *text, size_t n, const char *root, struct sarif_log *out,
                   struct err *e);
void sarif_log_done(struct sarif_log *log);

/* ---- for src/parse only ---- */

/* A run, and what its results refer to. */
struct sarif_run {
    const json_t *run, *driver, *extensions, *artifacts, *taxonomies;
    json_t *bases;          /* originalUriBaseIds; NULL: none */
    json_t *rules, *levels; /* owned: by id */
    const char *root;
    const char *name, *version; /* of the tool */
    struct arena *arena;
};
void sarif_run_init(struct sarif_run *r, const json_t *run, const char *root, struct arena *arena);
void sarif_run_done(struct sarif_run *r);
/* NULL: it has none. */
const json_t *sarif_rule(const struct sarif_run *r, const json_t *result);
const char *sarif_rule_id(const json_t *result, const json_t *rule); /* NULL: it has none */
/* "error", "warning", "note", "none". */
const char *sarif_level(const struct sarif_run *r, const json_t *result, const json_t *rule);

/* False: it is none that counts (passed, gone since the baseline). */
bool sarif_finding(const struct sarif_run *r, const json_t *result, struct finding *out);

/* Where an artifactLocation is. *inside false: not in the tree. NULL: in no file. */
const char *sarif_path(const struct sarif_run *r, const json_t *location, bool *inside);

/* Text of a message object: found by its id, arguments put in, links made plain. NULL: none. */
const char *sarif_message(const struct sarif_run *r, const json_t *message, const json_t *rule,
                          size_t max);
/* At most max bytes, cut between characters; controls become spaces where it is one line. */
const char *sarif_cut(struct arena *a, const char *s, size_t max, bool one_line);
/* One line, white space folded. */
const char *sarif_fold(struct arena *a, const char *s, size_t n, size_t max);

void sarif_cwes(const struct sarif_run *r, const json_t *result, const json_t *rule,
                struct finding *f);
/* Class, severity, confidence; cwe[], message and title are there. */
void sarif_classify(const struct sarif_run *r, const json_t *result, const json_t *rule,
                    struct finding *f);

/* o[name], of the right type; NULL: it is not there, or something else. */
const json_t *sarif_object(const json_t *o, const char *name);
const json_t *sarif_array(const json_t *o, const char *name);
const char *sarif_string(const json_t *o, const char *name); /* "" is NULL */
/* o[name].text */
const char *sarif_text(const json_t *o, const char *name);
/* -1: not there, or no number that fits. */
int32_t sarif_number(const json_t *o, const char *name);
