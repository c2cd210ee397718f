/*
 * api_v1 - what the files of /api/v1 share: reading its requests.
 */
#pragma once

#include "http/api_priv.h"

struct v1_request {
    struct scan_request scan; /* borrows from the body and from these: */
    struct buf targets, arguments;
};

/* Fills a zeroed q. False: *p says what is wrong. v1_request_done() in both cases. */
bool v1_request_check(const struct api *a, json_t *body, struct v1_request *q, struct problems *p);
void v1_request_done(struct v1_request *q);
/* The parsed body; NULL: answered already. */
json_t *v1_body(struct http_req *r);
/* *key is NULL if there is none. False: answered already. */
bool v1_idempotency_key(struct http_req *r, const char **key);
