/*
 * finding - rows of repository scans, and the rules that work on them. Inside the room; the
 * contract with others is findings.h.
 *
 * What a scan reported is a set of findings, numbered like a set of hosts (internal.h) and removed
 * like one. A finding is three rows: its head (what lists filter by and scans are compared by), its
 * body (all of it), and, when the scan has ended, a verdict: which issue it is and how it stands to
 * it. Verdicts behind the last finding are of issues that the scan did not report any more.
 *
 * An issue has a head of its own and lends the body of the finding that reported it last: the body
 * stays as long as the finding or the issue needs it.
 */
#pragma once

#include "base/buf.h"
#include "base/id.h"
#include "store/findings.h"

struct work;
struct intake;

enum {
    SCAN_FINDINGS_MAX = 100000,
    SCAN_TEXT_MAX = 64 << 20,   /* bytes of paths, lines and rules of one scan */
    LINE_ISSUES_MAX = 200000,   /* more: the oldest fixed ones go */
    PRINT_LEN = 16,             /* bytes of a print */
    PRINTS_LEN = 3 * PRINT_LEN, /* primary, moved, around; zeros: not known */
    CONFIDENCES = 101,
};

struct finding_head {
    enum severity severity;
    int32_t confidence_x100, line;
    const char *rule, *path;
    const char *text;    /* of the line; NULL: not known */
    const char *engines; /* names, each with a newline behind */
    const char *cwes;    /* numbers, each with a space behind */
    uint8_t prints[PRINTS_LEN];
};

struct verdict {
    int64_t issue; /* number; 0: none */
    enum finding_life life;
    int64_t body; /* of one that was not reported: whose body shows it; else 0 */
};

/* How many of which severity and confidence. */
struct spread {
    uint32_t n[SEVERITIES][CONFIDENCES];
};

struct figures {
    uint32_t life[LIFES];
    uint32_t by_life[SEVERITIES][LIFES]; /* of those that count */
    uint32_t triaged;
    struct spread counting; /* of those that were reported, and count */
};

enum scan_asked { ASKED_LINE, ASKED_NONE, ASKED_JOB }; /* what its findings are compared with */

struct scan {
    int64_t job_num;
    int64_t line;                         /* 0: not, or not yet, one of a line */
    char *url, *branch, *subdir, *commit; /* owned; commit NULL: not known */
    enum scan_asked asked;
    struct id baseline;
    bool diff; /* of what changed only */
    bool complete, ended;
    bool reread; /* its findings are not those that issues have heads of */
    int64_t findings;
    struct figures is;
};
void scan_done(struct scan *sc);

struct line {
    int64_t num;
    char *key;                   /* owned: url, branch, sub-directory, newlines between */
    char *url, *branch, *subdir; /* owned */
    int64_t last_num;            /* the newest job that moved its issues */
    struct id last_job;
    int64_t last_us;
    int64_t jobs;       /* that are kept */
    int64_t gone_below; /* issues with lower numbers are gone, but for those with a note */
    int64_t open;       /* issues */
    bool complete;      /* the last scan was */
    struct spread counting;
    char level[16]; /* of these */
};
void line_done(struct line *l);
int line_save(struct store *s, struct line *l); /* with its level */
char *line_key(const char *url, const char *branch, const char *subdir);

/* What issues have in common; kind.c. */
struct kind {
    int64_t num;
    const char *rule, *engines, *cwes; /* as in heads */
};

struct issue {
    int64_t num;
    int64_t line;
    int64_t kind; /* 0: of none of those that are known */
    struct id id;
    uint64_t rev;
    bool open;
    enum finding_life life;      /* to the last scan of the line */
    enum finding_life last_life; /* in the scan that reported it last */
    enum triage force;           /* in force */
    struct triage_note note;     /* the last word, in force or not */
    int64_t expires_us;          /* when `force` ends; 0: never */
    int64_t job_num;             /* that reported it last */
    struct id job, first_job;
    int64_t first_us, last_us, fixed_us;
    int32_t reopened;
    int64_t body;
    struct finding_head head;
};

/* ---- rows as backends keep them: struct store_ops has these members ---- */

typedef int (*head_fn)(void *arg, int64_t seq, const struct finding_head *h,
                       const struct verdict *v); /* v NULL: not compared */
typedef int (*verdict_fn)(void *arg, int64_t seq, const struct verdict *v);
typedef int (*issue_fn)(void *arg, const struct issue *i); /* borrowed for the call */
typedef int (*kind_fn)(void *arg, const struct kind *k);
typedef int (*line_fn)(void *arg, const struct line *l);

/* Issues that follow each other by number, newest first. */
struct issue_range {
    enum { ISSUES_ALL, ISSUES_OF_LINE, ISSUES_OF_STATE, ISSUES_OF_KIND, ISSUES_OF_TRIAGE } by;
    int64_t line;           /* OF_LINE */
    bool open;              /* OF_LINE, OF_STATE */
    enum severity severity; /* OF_LINE, OF_STATE */
    int64_t kind;
    enum triage force;
};

/* A finding's or a body's number. */
static inline int64_t finding_id(int64_t result, int64_t seq)
{
    return (int64_t)((uint64_t)result << 32) + seq;
}

/* Packed: figures and spreads (finding_pack.c). */
void figures_pack(const struct figures *f, struct buf *out);
void figures_unpack(const void *p, size_t n, struct figures *f); /* zeroes what makes no sense */
void spread_pack(const struct spread *sp, struct buf *out);
void spread_unpack(const void *p, size_t n, struct spread *sp);
/* The whole of a finding. Unpacked strings point into the bytes. */
void finding_pack(const struct finding *f, struct buf *out);
bool finding_unpack(const char *p, size_t n, struct finding *f);

/* ---- rules ---- */

/* Text for `engines` and `cwes` is made in the buffers. */
void head_of(const struct finding *f, struct buf *engines, struct buf *cwes,
             struct finding_head *out);
void prints_of(const struct finding_identity *id, uint8_t out[PRINTS_LEN]);
void prints_text(const uint8_t prints[PRINTS_LEN], struct finding_identity *out);
/* `list` has the word; all of its words end with `end`. */
bool list_has(const char *list, char end, const char *word);
int64_t issue_num(const struct id *id);
bool triage_away(enum triage force); /* what it is about does not count */
bool head_passes(const struct finding_head *h, const struct finding_filter *f);
bool text_passes(const struct finding *f, const struct finding_filter *filter);

void figures_report(struct figures *f, const struct finding_head *h, enum finding_life l,
                    bool away);
void figures_absent(struct figures *f, enum severity sev, enum finding_life l, bool away);
/* Of a finding of the scan: it counts from now on, or not any more. */
void figures_recount(struct figures *f, const struct finding_head *h, enum finding_life l,
                     bool away);
void spread_add(struct spread *sp, const struct finding_head *h);
void spread_take(struct spread *sp, const struct finding_head *h);
int64_t spread_sum(const struct spread *sp, int64_t by[SEVERITIES]);
void spread_level(const struct spread *sp, bool complete, char level[16], int32_t *score_x10);

/* The kind of such an issue, made if need be. */
int kind_of(struct store *s, const struct finding_head *h, int64_t *num);
/* Those that a filter's rule, engine and CWE leave; 0 last. */
int kinds_match(struct store *s, const struct finding_filter *f,
                void (*fn)(void *arg, int64_t kind), void *arg);
void kinds_forget(struct store *s); /* they are read again when they are needed */

/* A job with job.repo is added: ERR_INVALID, the request makes no sense. */
int scan_check(struct store *s, const struct job *j);
int scan_add(struct store *s, const struct job *j);
bool scan_may(const struct job *j); /* it may be one: nothing is looked up for others */
/* The run is over, or its findings are forgotten. */
int scan_end(struct store *s, struct work *w, enum job_state state);
int scan_discard(struct store *s, const struct job *j);
int scan_gone(struct store *s, const struct job *j); /* before its row goes */
int scan_flush(struct store *s, struct intake *it);  /* what came since the last commit */
/* The job's set of findings is a new one, in place of set `old`. */
int scan_reparsed(struct store *s, const struct work *w, int64_t old, const char *run_json,
                  int64_t *findings);
int scan_recount(struct store *s, struct scan *sc); /* of all its findings, as they are now */
bool issue_shows(const struct line *l, const struct issue *i);

/* What a scan saw, from its run record; NULL or nonsense: nothing. */
struct seen;
struct seen *seen_new(const char *run_json, bool everything);
void seen_free(struct seen *s);
const char *seen_text(const struct seen *s, const char *name); /* a member; NULL */
bool seen_complete(const struct seen *s);
bool seen_aside(const struct seen *s); /* of a commit that is not what the branch has now */
/* The engine ran whole, over this file too (or there is no such file). */
bool seen_by(const struct seen *s, const char *engine, size_t n, const char *path);
/* All of the engines (as in struct finding_head) did, and the scan was of everything. */
bool seen_whole(const struct seen *s, const char *engines, const char *path);
bool seen_renamed(void *seen, const char *from, const char *to); /* for match_known() */
