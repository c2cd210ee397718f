/*
 * api_v1 - what the files of /api/v1 share: reading its requests.
 */
#pragma once

#include "http/api_priv.h"

enum { V1_LIST_MAX = 4096, V1_RATE_MAX = 100000000 };

struct v1_request {
    struct scan_request scan; /* borrows from the body and from these: */
    struct buf targets, all, listed, arguments, limits;
    char *profile;          /* owned: "standard@1" */
    const char *given;      /* `arguments` alone */
    char *alone;            /* owned: the arguments without the options, where there are options */
    const char *targets_at; /* pointer to the member that the targets come from */
    const char *task_id;    /* borrowed from the body; NULL: none */
    bool type_refused;      /* what `scan_type` stands for is not known, nor which ports it needs */
    struct tool_plan plan;
    struct err refused; /* well formed, but not allowed: code is set */
    const char *rule;
};

/* Fills a zeroed q. False: *p says what is wrong. v1_request_done() in both cases. */
bool v1_request_check(struct api *a, const struct key *k, json_t *body, struct v1_request *q,
                      struct problems *p);
void v1_request_done(struct v1_request *q);
/* One problem for each member that api_plan() found wrong. */
void v1_faults(struct problems *p, const struct scan_faults *f);
/* 422 for a name of the targets that has no address. */
void v1_unresolved(struct http_req *r, const char *targets, const char *why);

/* Answers what a submit would do. */
void v1_dry_run(struct api *a, struct http_req *r, struct v1_request *q);

/* 200 or 202 with the job and where it is. */
void v1_job_reply(struct http_req *r, int status, const struct job *job);

/* ---- members (api_v1_member.c): of a wrong type is told in p, and as if it were absent ---- */

/* One problem for each member of the object `body` that is not in the list, which ends with NULL.
 */
void v1_refuse_unknown(struct problems *p, json_t *body, const char *const *members);
const json_t *member_given(const json_t *body, const char *name); /* NULL also when it is null */
const char *member_text(struct problems *p, const json_t *body, const char *name);
/* INT64_MIN: absent. */
int64_t member_int(struct problems *p, const json_t *body, const char *name, int64_t min,
                   int64_t max);
bool member_bool(struct problems *p, const json_t *body, const char *name);
/* A string, or an array of strings that is joined into `joined`, each as one token. */
const char *member_list(struct problems *p, const json_t *body, const char *name,
                        struct buf *joined);
/* The parsed body; NULL: answered already (415, 400). */
json_t *v1_body(struct http_req *r);
bool v1_idempotency_valid(const char *key);
/* *key is NULL if there is none. False: answered already. */
bool v1_idempotency_key(struct http_req *r, const char **key);

/* ---- options (api_v1_options.c) ---- */

/* arguments, options and scan_type; q->scan.tool and profile are known. */
void v1_arguments(struct problems *p, json_t *body, struct v1_request *q);
/* Which of the three members is to blame when together they are wrong. */
const char *v1_arguments_at(struct api *a, const struct key *k, json_t *body,
                            const struct v1_request *q);
/* limits, as limits_put() writes them; rate: one more of them, 0: none. */
void v1_limits(struct problems *p, json_t *body, uint32_t rate, struct buf *out);
