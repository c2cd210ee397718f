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
 * A failed, cancelled or timed-out job changes no issue, and is not compared if it reported
 * nothing; one that is partial fixes only what the whole engines prove. What the scan saw is read
 * from the outcome's run_json (docs/findings.md). Only the newest scan of a line moves its issues:
 * a job that was submitted before the last one that ended is compared, and changes nothing. Nor
 * does one whose record says "aside": true, of a commit that is not what the branch has now.
 *
 * With a baseline (another job, or "none") in the request, `life` is told against that instead;
 * issues are kept as ever. Scans of a difference (base, head) never fix.
 *
 * A new issue takes over the triage in force of one with the same primary identity in another line
 * of the same repository; of several the latest decision.
 *
 * The line of a scan is known at its end: URL and sub-directory of the request, and the branch that
 * the run record names (else the request's). Only a completed scan makes a line.
 *
 * Deleting a job removes its findings in store_purge_step()s. The issues of a line stay as long as
 * any job of it is kept; with the last one go, at once, those that nobody decided on. Issues with a
 * decision, in force or expired, stay until it is taken back (TRIAGE_NONE), so that the next scan
 * of the line, and other lines, find it again. A line has at most 200,000 issues: beyond that the
 * oldest go that are fixed and have no decision.
 */
#pragma once

#include "model/finding.h"
#include "store/store.h"

/* Under a lease, like a host: gone if that run is tried again or abandoned. ERR_INVALID:
 * finding_check(); ERR_CONFLICT: the job is no repository scan; ERR_LIMIT: a scan has at most
 * 100,000 findings, whose paths and lines have at most 64 MiB: what came before is kept. Told as
 * "job.findings" {"findings":n} once per commit. */
int store_finding_add(struct store *s, const struct lease *l, const struct finding *f,
                      struct err *e);

/* What is kept of a scan. Strings owned: repo_scan_done(); "": not said, commit NULL: not known.
 * Its end is told as "repo.findings" {"new":n, ...,"triaged":n,"level","complete"}, before the
 * job's terminal "job.state". */
struct repo_scan {
    char *url, *branch, *subdir, *commit;
    bool complete, ended;
    struct id baseline;         /* the job it was compared with; zero: none, or it is gone */
    int64_t life[LIFES];        /* counts; FIXED and UNKNOWN of issues that it did not report */
    int64_t counts[SEVERITIES]; /* of findings that count: not triaged away */
    int64_t by_life[SEVERITIES][LIFES]; /* the same, and of issues not reported that count */
    int64_t triaged;                    /* reported, but triaged away */
    char level[16];                     /* assess/merge.h risk_level() */
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
    struct id issue; /* zero: not yet compared, or new in a scan that moved no issue */
    uint64_t rev;    /* of the issue */
    enum finding_life life;
    bool open;                 /* of the issue */
    struct triage_note triage; /* state: in force; the rest: the last decision's, also expired */
    bool counts;               /* not triaged away now */
    struct id job;             /* that reported it last */
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
    /* Where the next page goes on (its `after`), 0: that was all. With it a call looks at a bounded
     * number of rows, and a page of a rare filter may be short or empty although more follow. NULL:
     * it goes on until `limit` or the end, however long that takes. */
    int64_t *next;
};
/* Those of one job, by seq (as reported: by path, line). Bits FIXED and UNKNOWN in `lives`: also
 * the issues that it did not report any more, after all others; with lives 0 there are none.
 * ERR_NOT_FOUND: no repository scan. Before the end life is NEW. */
int store_findings(struct store *s, int64_t job_num, const struct finding_filter *f,
                   finding_row_fn fn, void *arg, struct err *e);
/* Issues of all repositories, newest first. */
int store_issues(struct store *s, const struct finding_filter *f, finding_row_fn fn, void *arg,
                 struct err *e);
/* fn is called once. ERR_NOT_FOUND. */
int store_issue(struct store *s, const struct id *issue, finding_row_fn fn, void *arg,
                struct err *e);
/* rev 0: whatever it is; else ERR_CONFLICT if it has changed (a scan that reports it changes it).
 * ERR_INVALID names the member. Appends "finding.triage" {"issue","triage","issue_rev","expired"?}
 * of the job that reported it last to the event log, without a rev of the job; counts of that scan
 * and of the line are moved. */
int store_triage(struct store *s, const struct id *issue, uint64_t rev, const struct triage_note *n,
                 uint64_t *now, struct err *e);
/* Decisions that have expired begin to count again; at most 1000 a call. *next_us as
 * store_task_due().
 */
int store_triage_expire(struct store *s, int64_t now_us, int64_t *next_us, struct err *e);

/* Repositories that were scanned, by URL, branch, sub-directory: one row for each line of which a
 * job is kept or an issue open. `level` is that of the open issues. */
struct repo_row {
    const char *url, *branch, *subdir;
    const char *cursor;          /* the next page's `after` */
    int64_t open, open_counting; /* issues */
    char level[16];
    struct id last_job; /* the newest that moved its issues; it may have been deleted */
    int64_t last_us;
};
typedef int (*repo_row_fn)(void *arg, const struct repo_row *r, struct err *e);
int store_repos(struct store *s, const char *after, uint32_t limit, repo_row_fn fn, void *arg,
                struct err *e);
