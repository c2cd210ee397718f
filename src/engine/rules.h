/*
 * rules - ScanPod's own engine: secrets, dangerous configuration, and patterns of code that the
 * other engines do not read. What it knows is data (src/engine/rules, docs/rules.md), embedded in
 * the program; an operator adds files of the same form (setting `rules-file`).
 *
 * A rule is tried only on lines that have one of its literals, so most of a text costs one pass
 * over it (rules_literals.h). Regular expressions are PCRE2's, not compiled to machine code, and
 * bounded in steps: a line that is made to keep one busy is given up on, and that is told.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "engine/engine.h"

/* What there is to know about a rule. Strings are borrowed from the set. */
struct rule {
    const char *id;     /* "aws-access-key": [a-z0-9-] */
    const char *class_; /* assess/classes.h */
    const char *title, *message, *fix;
    int32_t cwe[FINDING_CWES];
    uint32_t n_cwe;
    enum severity severity;
    int32_t confidence_x100;
    uint64_t kinds; /* of files: rules_kind.h */
    struct strvec paths, not_paths, literals;
    const char *regex;       /* NULL: that the file is there is all */
    const char *inside;      /* a line above that is indented less, and so on, or the line itself */
    const char *has, *lacks; /* elsewhere in the file */
    const char *allow;       /* the secret, else the lines of the match, are fine */
    int32_t lines;           /* how many the regex may look at */
    bool comments;           /* also where the whole line is a comment */
    bool once;               /* the first place in the file stands for all */
    const char *secret;      /* what kind of secret its group `secret` is; NULL: none */
    bool formed;             /* the secret has a form of its own: short words in it are chance */
    bool generic;            /* gives way to a rule that knows the secret's form */
    bool checksum;           /* secret_sum_right() says how sure it is */
    int32_t least, random;   /* bytes of a secret, secret_randomness() */
    struct strvec match, no_match; /* examples: lines, with LF between */
    const char *sample;            /* path of the examples */
};

struct rules;

/* The built-in ones. */
int rules_new(struct rules **out, struct err *e);
void rules_free(struct rules *r); /* NULL is fine */
/* Adds those of a file's text, `name` is how messages call it. ERR_INVALID: "NAME:LINE:COLUMN: what
 * is wrong"; the set is as it was. */
int rules_add(struct rules *r, const char *text, size_t n, const char *name, struct err *e);
size_t rules_count(const struct rules *r);
const struct rule *rules_at(const struct rules *r, size_t i);

/*
 * Findings in one file's text, in the order of their places. ERR_LIMIT: the file was not searched
 * wholly, the message says for which reason; what was found has been handed out.
 */
int rules_scan(struct rules *r, const struct engine_file *file, const char *text, size_t n,
               finding_fn fn, void *arg, struct err *e);

/* The same for what engine_rules uses in this process: call it before the first file is read. */
int rules_use(const char *text, size_t n, const char *name, struct err *e);
/* Only whether a text would do as such a file: for whoever hands it on. */
int rules_check(const char *text, size_t n, const char *name, struct err *e);
