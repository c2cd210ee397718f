/*
 * merge - one finding where several engines report the same; the risk of all together.
 */
#pragma once

#include <stddef.h>

#include "model/finding.h"
#include "model/host.h" /* struct arena */

/*
 * Joins reports of one file that name the same family of CWEs (or the same class), in the same or
 * overlapping lines, or at most 2 lines apart. *n becomes how many are left; v is put in the order
 * of lines. The first of a group keeps its place: the most severe, then the surest. Severity is the
 * greatest, confidence 1 - product(1 - c) with engines of one family counted once, engines[] has
 * all. Nothing is lost: a group has each engine once, so reports of one engine on the same line
 * with different classes stay apart, as do those that are equal in all but the column; only what an
 * engine says twice, word for word, becomes one. Class "other" joins nothing by itself. The same
 * whatever order they come in. Identities are counted anew (identify_left()).
 */
void merge_findings(struct finding **v, size_t *n, struct arena *arena);

/* What a set of findings amounts to (docs/findings.md "risk"). */
struct risk {
    int64_t counts[SEVERITIES];
    double kept[SEVERITIES]; /* private: products so far */
    enum severity level;
    bool any;
};
/*
 * Score: 100 (1 - product(1 - p confidence)), p being .60 for critical, .25 high, .06 medium, .01
 * low, 0 info; low ones count for 20 certain ones at most. Level: the highest severity, of findings
 * that are less than half sure one lower.
 */
void risk_init(struct risk *r);
void risk_add(struct risk *r, enum severity s, int32_t confidence_x100);
/* 0..100. */
double risk_score(const struct risk *r);
/* "critical" ... "info", "none"; "unknown" if there are none and the scan was not complete. */
const char *risk_level(const struct risk *r, bool complete);
