/*
 * finding - one result model for everything that looks at source text: static analysers, rules,
 * agents, foreign SARIF. What a scan reports; how it lives on from scan to scan is the store's.
 *
 * Aligned with SARIF 2.1.0, which is an export. `rule` is the canonical class of the weakness
 * ("command-injection", assess/classes.h), the same whichever engine says it; what the engines call
 * it is in engines[]. All strings are borrowed, valid UTF-8, and hostile: they come from a
 * repository or from a program that read it. NULL: not said.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum severity {
    SEVERITY_INFO,
    SEVERITY_LOW,
    SEVERITY_MEDIUM,
    SEVERITY_HIGH,
    SEVERITY_CRITICAL,
    SEVERITIES
};
const char *severity_name(enum severity s); /* "high" */
bool severity_parse(const char *s, enum severity *out);

enum {
    FINDING_CWES = 8,
    FINDING_ENGINES = 12,
    FINDING_RELATED = 16,
    FINDING_SNIPPET_MAX = 4096, /* bytes */
    FINDING_LINE_MAX = 1024,
    FINDING_TEXT_MAX = 4096, /* title 255, message, recommendation */
    FINDING_PATH_MAX = 4096,
};

/* Lines and columns count from 1, columns in characters; 0: not said. end_* include the last. */
struct finding_place {
    const char *path; /* in the repository, '/' between, never absolute, no "..", no controls */
    int32_t line, column, end_line, end_column;
    const char *message; /* of related places */
};

/* Who said it. */
struct finding_engine {
    const char *name, *version; /* "flawfinder", "2.0.19" */
    const char *rule;           /* its own: "FF1001" */
    const char *severity;       /* its own word: "5", "HIGH" */
    int32_t confidence_x100;
};

/* What makes it the same in the next scan; assess/identity.h. Hex of SHA-256, cut to 32 digits. */
enum { PRINT_TEXT = 33 };
struct finding_identity {
    char primary[PRINT_TEXT]; /* class, path, function, line, ordinal of equals in the file */
    char moved[PRINT_TEXT];   /* the same without path and ordinal */
    char around[PRINT_TEXT];  /* class, path, lines before and after */
    char github[24];          /* primaryLocationLineHash: "39fa2ee980eb94b0:1" */
};

struct finding {
    const char *rule;  /* canonical class; never NULL */
    const char *title; /* one line; never NULL */
    const char *message, *recommendation;
    int32_t cwe[FINDING_CWES]; /* the first is the class's */
    uint32_t n_cwe;
    enum severity severity;
    int32_t confidence_x100; /* 0..100 */
    struct finding_place at; /* at.path never NULL */
    const char *function;    /* enclosing; NULL: none, or not found out */
    const char *line;        /* the line's text, spaces folded, secrets redacted */
    const char *snippet;     /* with the lines around it, secrets redacted */
    int32_t snippet_line;    /* number of its first line */
    /* The place was found in the tree; false: it does not exist there, or what the engine quoted
     * stands elsewhere. */
    bool verified;
    const char *quote;  /* what the engine says stands there; only on its way to be verified */
    const char *marked; /* the source asks to be left alone there: "nosec"; told, not obeyed */
    const char *secret; /* evidence of a secret: its kind and redacted text; NULL: none */
    struct finding_engine engines[FINDING_ENGINES];
    uint32_t n_engines;
    struct finding_place related[FINDING_RELATED];
    uint32_t n_related;
    struct finding_identity identity; /* "" until it is known */
};

/* ERR_INVALID names the member that breaks a rule above: lengths, UTF-8, path, ranges of numbers.
 * Whoever receives a finding from another process asks it. */
int finding_check(const struct finding *f, struct err *e);
/* Of a path from an engine: relative, '/' between, no "..", ".", empty parts, NUL, controls. */
bool finding_path_ok(const char *path);

/* In no order. Borrowed for the call; a non-zero return stops. */
typedef int (*finding_fn)(void *arg, const struct finding *f, struct err *e);

/* How a finding stands to the scan before it, or to a baseline. */
enum finding_life {
    LIFE_NEW,
    LIFE_UNCHANGED,
    LIFE_UPDATED,  /* the same, at a line that was rewritten, or moved to another file */
    LIFE_REOPENED, /* it had been fixed */
    LIFE_FIXED,    /* gone: its engine ran, and saw the file or the file is gone, too */
    LIFE_UNKNOWN,  /* not reported, but nobody looked */
    LIFES
};
const char *finding_life_name(enum finding_life l); /* "new" */
bool finding_life_parse(const char *s, enum finding_life *out);

/* What people decided about a finding. */
enum triage {
    TRIAGE_NONE,
    TRIAGE_ACKNOWLEDGED,   /* seen; still counts */
    TRIAGE_FALSE_POSITIVE, /* these two do not count, until they expire */
    TRIAGE_ACCEPTED_RISK,
    TRIAGES
};
const char *triage_name(enum triage t); /* "false_positive"; none: "open" */
bool triage_parse(const char *s, enum triage *out);
