/*
 * api_old - the request of the old surface, word for word: what is accepted, and the 422 bodies.
 */
#pragma once

#include "http/api_priv.h"

/* Fills q from a parsed body, and plan and f as api_plan() does. False: detail_out holds the 422
 * body. q borrows from body. */
bool old_request_check(struct api *a, const struct key *k, const json_t *body,
                       struct scan_request *q, struct tool_plan *plan, struct scan_faults *f,
                       struct buf *detail_out);
/* The 422 body for a name that has no address. */
void old_request_targets(struct buf *out, const char *targets, const char *why);
void old_request_missing(struct buf *out);
void old_request_not_json(struct buf *out, const struct json_fault *f);
/* A body of another type is one string to the old service, never an object. */
bool old_request_reads_json(const char *content_type);
