/*
 * doctor - the checks, in the order in which they are shown; each is one function in
 * doctor_checks.c. Each problem names the command that fixes it.
 */
#pragma once

#include "base/buf.h"
#include "cli/cli.h"

enum finding { FINDING_OK, FINDING_WARN, FINDING_FAIL };

struct check_result {
    enum finding finding;
    struct buf detail, fix; /* fix is empty when all is well */
};

struct check {
    const char *name;
    void (*fn)(struct cli *c, struct check_result *r);
};

extern const struct check doctor_checks[]; /* ends with name NULL */
