/*
 * doctor - the checks, in the order in which they are shown; each is one function in
 * doctor_checks.c. Each problem names the command that fixes it.
 */
#pragma once

#include "base/buf.h"
#include "cli/cli.h"
#include "daemon/look.h"
#include "tool/tool.h"

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
/* doctor_repo.c */
void check_repositories(struct cli *c, struct check_result *r);
void check_engines(struct cli *c, struct check_result *r);
void check_agent(struct cli *c, struct check_result *r);
/* False: it cannot be used, *e says why. */
bool doctor_find_tool(struct cli *c, const struct tool *t, char version[64], char **path,
                      struct err *e);
/* What a server started now could do; NULL: that could not be found out. */
const struct sandbox_caps *doctor_caps(struct cli *c);

extern const struct check doctor_checks[]; /* ends with name NULL */
