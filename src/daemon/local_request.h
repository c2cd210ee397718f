/*
 * local_request - what `scanpod run` asks, made into a job: understood, resolved, judged and
 * stored, as a server does it at submit. Dispatch judges it all once more.
 */
#pragma once

#include "daemon/planning.h"
#include "daemon/serve.h"
#include "tool/nse.h"

struct local_request {
    const struct local_scan *ls;
    struct planning *planning; /* slots, programs, worker with its caps, scope, store */
    const struct profiles *profiles;
    const struct nse_db *nse; /* may be NULL */
};

/* Names are resolved here and now: it blocks. ERR_INVALID, ERR_SCOPE: refused. */
int local_request_submit(const struct local_request *r, struct id *job, struct err *e);
