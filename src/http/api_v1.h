/*
 * api_v1 - what the files of /api/v1 share: reading its requests.
 */
#pragma once

#include "http/api_priv.h"

struct v1_request {
    struct scan_request scan; /* borrows from the body and from these: */
    struct buf targets, arguments, limits;
    char *alone; /* owned: the arguments without the options, where there are options */
    struct tool_plan plan;
    struct err refused; /* well formed, but not allowed: code is set */
    const char *rule;
};

/* Fills a zeroed q. False: *p says what is wrong. v1_request_done() in both cases. */
bool v1_request_check(struct api *a, const struct key *k, json_t *body, struct v1_request *q,
                      struct problems *p);
void v1_request_done(struct v1_request *q);
/* One problem for each member of the object `body` that is not in the list, which ends with NULL.
 */
void v1_refuse_unknown(struct problems *p, json_t *body, const char *const *members);
/* One problem for each member that api_plan() found wrong. */
void v1_faults(struct problems *p, const struct scan_faults *f);
/* 422 for a name of the targets that has no address. */
void v1_unresolved(struct http_req *r, const char *targets, const char *why);
/* The parsed body; NULL: answered already. */
json_t *v1_body(struct http_req *r);
/* *key is NULL if there is none. False: answered already. */
bool v1_idempotency_key(struct http_req *r, const char **key);
