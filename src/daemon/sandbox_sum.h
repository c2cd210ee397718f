/*
 * sandbox_sum - how the runs of a planned job were confined, in one: words that differ are listed,
 * counters are added up, peaks are the largest. Kept in the job's summary as "sandbox", and beside
 * it "confinement" and "versions" (tool: version).
 */
#pragma once

#include "base/buf.h"
#include "model/job.h"

/*
 * `summary` with those members: what `before` (the summary so far; NULL: none) has of them, and
 * what the outcome of one more run says (NULL: none). Appends to out.
 */
void sandbox_sum(const char *before, const struct outcome *o, const char *tool,
                 const struct buf *summary, struct buf *out);
/* The members as texts; NULL: not there. The caller frees them. */
void sandbox_sum_get(const char *summary, char **sandbox, char **confinement, char **version);
