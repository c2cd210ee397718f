/* head - the head of a CONNECT request, and the answers to it. Private to proxy/. */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "proxy/allow.h"

enum { HEAD_MAX = 8192 /* bytes, with the empty line */ };

/*
 * Reads what came so far. 0: more is needed; 200: *out (place_done()) and *len, how long the head
 * is; else the status to refuse it with, and *why.
 */
int head_parse(const char *p, size_t n, struct proxy_place *out, size_t *len, const char **why);
/* An answer that ends the connection. `why` is shown as it is, with a line end. */
void head_refusal(struct buf *out, int status, const char *why);
