/*
 * doctor - the checks, in the order in which they are shown; each is one function in
 * doctor_checks.c. Each problem names the command that fixes it.
 */
#pragma once

#include "base/buf.h"
#include "cli/cli.h"

enum doctor_finding { FINDING_OK, FINDING_WARN, FINDING_FAIL };

struct check_result {
    enum doctor_finding finding;
    struct buf detail, fix; /* fix is empty when all is well */
};

struct check {
    const char *name;
    void (*fn)(struct cli *c, struct check_result *r);
};

/* What was found, and the fix or NULL. */
void doctor_result(struct check_result *r, enum doctor_finding f, const char *fix, const char *fmt,
                   ...) __attribute__((format(printf, 4, 5)));
void check_transport(struct cli *c, struct check_result *r); /* doctor_transport.c */

extern const struct check doctor_checks[]; /* ends with name NULL */
