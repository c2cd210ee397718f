/*
 * output - what a repository scan says, as lines of JSON on standard output: findings, then the
 * run's record (parse/parse.h, parser_repo); how far it is, on standard error.
 */
#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "repo/checkout.h"
#include "repo/engine_run.h"
#include "repo/judge.h"
#include "repo/spec.h"
#include "repo/survey.h"

struct output {
    int fd;
    struct buf b;
    size_t broken; /* findings that were not written */
};

/* Everything that the record is made of. Borrowed. */
struct scan_record {
    const struct repo_spec *spec;
    const struct checkout *checkout;
    const struct survey *survey;
    const struct engine_run *runs;
    size_t n_runs;
    const struct verdict *verdict;
    size_t broken; /* struct output */
    int64_t checkout_ms, survey_ms, engines_ms, assess_ms;
};

int output_finding(struct output *o, const struct finding *f, struct err *e);
int output_run(struct output *o, const struct scan_record *r, struct err *e);
int output_end(struct output *o, struct err *e); /* writes what is left */
void output_progress(const char *task, unsigned percent);
