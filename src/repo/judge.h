/*
 * judge - from what the engines said to what the scan says: each place is looked up in the tree,
 * findings get their identity, and those of several engines that mean the same become one. One file
 * at a time, in the order of paths; findings of a file in the order of lines.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "model/finding.h"
#include "repo/engine_run.h"
#include "repo/survey.h"

struct judge_ask {
    const char *tree;
    const char *subdir; /* findings elsewhere are nobody's business; NULL: everywhere */
    /* Whether this line of this file counts (a range of commits); NULL: all do. */
    bool (*counts)(void *arg, const struct survey_file *f, int32_t line);
    finding_fn fn; /* takes them */
    void *arg;     /* of both */
};

struct verdict {
    size_t reported, outside, written, unverified;
    size_t dropped; /* more than HAUL_MAX */
};

int judge_run(const struct engine_run *runs, size_t n, const struct survey *s,
              const struct judge_ask *ask, struct verdict *out, struct err *e);
