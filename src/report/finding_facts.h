/*
 * finding_facts - what all formats of findings say the same way, and the REST
 * interface with them.
 */
#pragma once

#include <jansson.h>

#include "base/json.h"
#include "report/findings.h"

/* Members of a row as the API has them (docs/findings.md). */
void finding_row_members(const struct finding_row *row, struct json *j);
/* Members of the scan: ids, place, state, risk, counts; `run`: the run's record as well. */
void finding_scan_members(const struct job *job, const struct repo_scan *scan, bool run,
                          struct json *j);
/* Label, value, label, value, ... of the scan, for people. */
void finding_scan_rows(const struct job *job, const struct repo_scan *scan, struct strvec *rows);
/* Triage that takes it out of the counts: "false positive by ann: reason, until 2027-..."; nothing
 * otherwise. */
void finding_triage_text(const struct finding_row *row, struct buf *out);
/* "src/a.c:12", "src/a.c". */
void finding_place_text(const struct finding_place *p, struct buf *out);

/* One engine as the run's record has it. Borrowed from the record. */
struct finding_engine_run {
    const char *name, *version, *status, *reason;
    int64_t findings, files, missed; /* all that it missed, also those that are not listed */
    const json_t *missed_list;       /* [{"path","why"}] */
};
void finding_engine_run(const json_t *record, struct finding_engine_run *out);
