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
 * all. Nothing is lost: reports of one engine on the same line with different classes stay apart,
 * as do those that are equal in all but the column.
 */
void merge_findings(struct finding **v, size_t *n, struct arena *arena);

/* What a set of findings amounts to (docs/findings.md "risk"). */
struct risk {
    int64_t counts[SEVERITIES];
    double kept[SEVERITIES]; /* private: the product so far */
    int32_t lows;
    enum severity level;
    bool any;
};
void risk_init(struct risk *r);
void risk_add(struct risk *r, enum severity s, int32_t confidence_x100);
/* 0..100. */
double risk_score(const struct risk *r);
/* "critical" ... "info", "none"; "unknown" if there are none and the scan was not complete. */
const char *risk_level(const struct risk *r, bool complete);
