/*
 * api_repo - repository scans over REST: the same submit for /api/v1, the old repository scanner's
 * routes, and messages.
 */
#pragma once

#include "http/api_priv.h"
#include "repo/spec.h"
#include "store/findings.h"

/* What is asked. Borrowed, but for q. */
struct repo_submit {
    struct api *api;
    const struct key *key;
    const char *from, *by; /* for the audit log: "peer" and the address, "intake" and its name */
    struct repo_request q; /* owned: repo_submit_done() */
    int64_t timeout_s, priority, retries, queue_timeout_s; /* INT64_MIN: not given */
    const char *limits;                                    /* as limits_put() writes them; NULL */
    const char *zone;                                      /* checked; NULL */
    bool old;                                              /* by the old routes: not tried again */
    /* What else belongs to the job in its transaction; NULL: nothing. */
    int (*stored)(void *arg, const struct job *job, struct err *e);
    void *arg;
};
void repo_submit_done(struct repo_submit *s);

/*
 * Judges and stores. 0: *out is the job, which the caller job_done()s. ERR_SCOPE: *rule says by
 * what it is refused, and the audit log has it. ERR_BUSY: *retry_s as store_key_charge().
 */
int api_repo_submit(struct repo_submit *s, struct job *out, const char **rule, int32_t *retry_s,
                    struct err *e);
/* "/branch: is not ..." as a problem of that member. */
void api_repo_problem(struct problems *p, const struct err *e);
/* Members of a parsed body into s. False: *p names what is wrong. limits: what s->limits borrows.
 */
bool api_repo_read(struct repo_submit *s, json_t *body, struct buf *limits, struct problems *p);

/* A request in the words of the old repository scanner. False: f says which field is wrong and how,
 * in its framework's terms. */
struct old_repo_fault {
    const char *type, *field; /* field NULL: the body */
    const json_t *input;      /* borrowed from the body; NULL: none */
    struct err err;
};
bool old_repo_request(const struct api *a, const json_t *body, struct repo_request *q,
                      struct old_repo_fault *f);

/* The repository scan in the path; answers 404 and returns false if it is none. */
bool api_repo_job_of(struct api *a, struct http_req *r, struct job *out);

/* Answers with a new scan of the same request. */
void api_repo_retry(struct api *a, struct http_req *r, const struct job *job);

/* One finding as the API shows it, with what became of it. */
void view_finding(struct json *j, const struct finding_row *row);
/* The scan's own members: "commit", "risk", "counts", ... */
void view_repo_scan(struct json *j, const struct repo_scan *scan);
