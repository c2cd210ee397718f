/*
 * intake_findings - the member `results` of a repository scan's message: what it amounts to, and as
 * many of its findings as fit, the first in the order of their places; `truncated` says whether
 * there are more (GET /api/v1/repo-scans/ID/findings has all).
 */
#pragma once

#include "base/buf.h"
#include "store/store.h"

/* One JSON object of at most `room` bytes; nothing: the job says nothing of itself. */
int intake_findings_write(struct store *s, const struct job *job, size_t room, struct buf *out,
                          struct err *e);
