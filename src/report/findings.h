/*
 * findings - findings of one repository scan in the formats that people and other programs read:
 * "sarif", "json", "ndjson", "csv", "markdown", "html". Streams, as report/report.h: 25,000
 * findings need no more memory than one. Text is hostile, and made inert in each format's own way.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "model/job.h"
#include "store/findings.h"

struct findings_format {
    const char *name, *media_type, *suffix, *help;
    /* out: appended to by every call; job and scan live until done(). What is known of engines and
     * files is in job->run_json. */
    void *(*new)(const struct job *job, const struct repo_scan *scan, struct buf *out);
    int (*begin)(void *w, struct err *e);
    int (*row)(void *w, const struct finding_row *row, struct err *e);
    int (*end)(void *w, struct err *e);
    void (*done)(void *w);
};
extern const struct findings_format *const findings_formats[];        /* ends with NULL */
const struct findings_format *findings_format_find(const char *name); /* NULL: none */
