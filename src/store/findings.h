/*
 * findings - what repository scans found, and how it lives on from scan to scan. Part of store.h:
 * the same transaction rules hold.
 *
 * A finding belongs to a job, an issue to a line of scans: (repository, branch, sub-directory). The
 * end of a repository job (job.repo is set) compares its findings with the line's open and fixed
 * issues (assess/identity.h, match_known()) in the transaction of that end:
 *   new, unchanged, updated, reopened   by the match
 *   fixed    an open issue that nobody reports any more: every engine that had reported it ran
 *            whole and did not miss its file, and the file was not left out of the survey (it was
 *            seen, or is gone), and the scan was of everything
 *   unknown  any other open issue that is not reported: it stays open
 * A failed, cancelled or timed-out job changes no issue; one that is partial fixes only what the
 * whole engines prove. What the scan saw is read from the outcome's run_json (docs/findings.md).
 * Only the newest scan of a line moves its issues: a job that was submitted before the last one
 * that ended is compared, and changes nothing.
 *
 * With a baseline (another job, or "none") in the request, `life` is told against that instead;
 * issues are kept as ever. Scans of a difference (base, head) never fix.
 *
 * A new issue takes over the triage in force of one with the same primary identity in another line
 * of the same repository.
 */
#pragma once

#include "model/finding.h"
#include "store/store.h"

/* Under a lease, like a host: gone if that run is tried again or abandoned. */
int store_finding_add(struct store *s, const struct lease *l, const struct finding *f,
                      struct err *e);

/* What is kept of a scan. Strings owned: repo_scan_done(). */
struct repo_scan {
    char *url, *branch, *subdir, *commit;
    bool complete, ended;
    struct id baseline;         /* the job it was compared with; zero: none */
    int64_t life[LIFES];        /* counts; FIXED and UNKNOWN of issues that it did not report */
    int64_t counts[SEVERITIES]; /* of findings that count: not triaged away */
    int64_t by_life[SEVERITIES][LIFES];
    int64_t triaged;
    char level[16]; /* assess/merge.h risk_level() */
    int32_t score_x10;
};
void repo_scan_done(struct repo_scan *r);
/* ERR_NOT_FOUND: no repository scan. While it runs counts are of what was reported so far. */
int store_repo_scan(struct store *s, int64_t job_num, struct repo_scan *out, struct err *e);

/* Decision about an issue. Strings borrowed. */
struct triage_note {
    enum triage state;
    const char *reason, *by; /* needed but for TRIAGE_NONE and ACKNOWLEDGED; <= 1024 bytes */
    int64_t at_us, until_us; /* until 0: for ever; it counts again from then on */
};

struct finding_row {
    int64_t seq;     /* in the job, from 1; in lists of issues their cursor */
    struct id issue; /* zero: not yet compared */
    uint64_t rev;    /* of the issue */
    enum finding_life life;
    bool open; /* of the issue */
    struct triage_note triage;
    bool counts;   /* not triaged away now */
    struct id job; /* that reported it last */
    struct id first_job;
    int64_t first_us, last_us, fixed_us;
    int32_t reopened; /* how often */
    const char *url, *branch, *subdir;
    const struct finding *f; /* as last reported */
};
typedef int (*finding_row_fn)(void *arg, const struct finding_row *r, struct err *e);

/* NULL, 0 and -1: all. Strings borrowed. */
struct finding_filter {
    int severity_min;                 /* enum severity */
    unsigned lives;                   /* bits 1 << LIFE_*; 0: all */
    int triage;                       /* enum triage in force; -1: all */
    int counts;                       /* 1: only those that count, 0: only others, -1: all */
    const char *engine, *rule, *path; /* path: itself, or a directory with its slash */
    int32_t cwe;
    const char *url, *branch; /* issues only */
    int open;                 /* issues only: 1, 0, -1 */
    const char *text;         /* in title, message or path, without case */
    int64_t after;            /* cursor: seq */
    uint32_t limit;           /* at most 1000; 0 is 1000 */
};
/* Those of one job, by seq (as reported: by path, line). life FIXED and UNKNOWN in the filter: also
 * the issues that it did not report any more, after all others. */
int store_findings(struct store *s, int64_t job_num, const struct finding_filter *f,
                   finding_row_fn fn, void *arg, struct err *e);
/* Issues of all repositories, newest first. */
int store_issues(struct store *s, const struct finding_filter *f, finding_row_fn fn, void *arg,
                 struct err *e);
/* fn is called once. ERR_NOT_FOUND. */
int store_issue(struct store *s, const struct id *issue, finding_row_fn fn, void *arg,
                struct err *e);
/* rev 0: whatever it is; else ERR_CONFLICT if it has changed. Appends "finding.triage" to the event
 * log; scans' counts are recomputed where the issue is of their last findings. */
int store_triage(struct store *s, const struct id *issue, uint64_t rev, const struct triage_note *n,
                 uint64_t *now, struct err *e);
/* Decisions that have expired begin to count again; at most 1000 a call. *next_us as
 * store_task_due().
 */
int store_triage_expire(struct store *s, int64_t now_us, int64_t *next_us, struct err *e);

/* Repositories that were scanned, by URL. */
struct repo_row {
    const char *url, *branch, *subdir;
    int64_t open, open_counting; /* issues */
    char level[16];
    struct id last_job;
    int64_t last_us;
};
typedef int (*repo_row_fn)(void *arg, const struct repo_row *r, struct err *e);
int store_repos(struct store *s, const char *after, uint32_t limit, repo_row_fn fn, void *arg,
                struct err *e);
