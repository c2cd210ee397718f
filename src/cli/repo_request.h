/* repo_request - the flags of `scanpod repo` as a request. */
#pragma once

#include "cli/cli.h"
#include "repo/spec.h"

extern const struct flag repo_flags[];

/* `what` is the URL, or "dir:NAME". The request's own rules are checked where it is read;
 * ERR_INVALID names the flag. *json: the request alone; *timeout_s INT64_MIN: not given. */
int repo_flags_json(const struct args *a, const char *what, struct buf *json, int64_t *timeout_s,
                    struct err *e);
