/*
 * classes - the canonical names of weaknesses, and what each means: one table, read by engines,
 * reports and documentation (docs/findings.md is written from it).
 *
 * An engine's rule is mapped to a class by its own table, else by its CWE. Engines may be upgraded
 * and rename their rules: findings keep their identity, which is made from the class.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/finding.h"

struct weakness {
    const char *name;               /* "command-injection": [a-z0-9-] */
    const char *title;              /* "Command injection" */
    const char *description, *help; /* what it is; what to do about it (SARIF help.text) */
    int32_t cwe;                    /* 0: none */
    enum severity severity;         /* default, where an engine does not say */
    const char *category;           /* of seed 2's later version: "INJECTION", ... */
};

extern const struct weakness weaknesses[]; /* ends with name NULL; the last one is "other" */
const struct weakness *weakness_find(const char *name);
/* By CWE, through its family; "other" where none fits. Never NULL. */
const struct weakness *weakness_of_cwe(int32_t cwe);
/* Closed groups of CWEs that engines use for the same thing (120, 119, 787, ...); 0: alone. */
int32_t cwe_family(int32_t cwe);
/* Name of a CWE for people, of those that the engines use; NULL: not in the table. */
const char *cwe_name(int32_t cwe);
