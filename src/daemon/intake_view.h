/*
 * intake_view - a job's result as the third system's message: one object of at most
 * EDGE_RESULT_MAX bytes. The first host stands for itself, all of them in `hosts`; when that is too
 * much they go without their ports, as many as fit, and `truncated` says so. `results` of a
 * repository scan are intake_findings.h's.
 */
#pragma once

#include "base/buf.h"
#include "http/api.h"
#include "store/store.h"

struct intake_result {
    const char *event_id, *task_id;
    struct id job;
    enum job_state state; /* terminal, as the event said */
};

/* Of a job that is gone: what is known without it. *error: owned; NULL: it completed. */
int intake_result_write(struct store *s, const struct api_depot *depot,
                        const struct intake_result *r, struct buf *out, char **error,
                        struct err *e);
/* The result of what never became a job. */
void intake_refusal_write(const char *event_id, const char *task_id, const char *why,
                          struct buf *out);
