/*
 * repo_run - what is particular to the run of a repository scan: how its box ends, what its record
 * says of it, and that no secret of ours is in what it tells.
 */
#pragma once

#include "daemon/run.h"

/* Of a box that ended by itself: state, reason, retryable, partial; appends to m. */
void repo_run_ended(const struct tool_run *r, const struct runner_end *end, struct outcome *o,
                    struct buf *m);
/* Text with known secrets replaced; `text` itself where there is none. Owned by r. */
const char *repo_run_clean(struct tool_run *r, const char *text);
/* The same for all texts of a finding; borrowed from f and r until the next one. */
void repo_run_clean_finding(struct tool_run *r, struct finding *f);
