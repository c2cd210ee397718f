/*
 * api_old - the request of the old surface, word for word: what is accepted, and the 422 bodies.
 */
#pragma once

#include "http/api_priv.h"

/* Fills q from a parsed body. False: detail_out holds the 422 body. q borrows from body. */
bool old_request_check(const struct api *a, const json_t *body, struct scan_request *q,
                       struct buf *detail_out);
void old_request_missing(struct buf *out);
void old_request_not_json(struct buf *out, const struct json_fault *f);
/* A body of another type is one string to the old service, never an object. */
bool old_request_reads_json(const char *content_type);
