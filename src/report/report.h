/*
 * report - results in the formats that people and other programs read. Writers of streams: a
 * million hosts need no more memory than one. Text from scanners is hostile: each format makes it
 * inert in its own way (escapes for terminals, entities in XML and HTML, no formulas in CSV, no
 * active Markdown); what a format cannot hold is written as \xHH.
 *
 * nmap-xml is valid under nmap's DTD and read by ndiff, libnmap and python-nmap; csv quotes by RFC
 * 4180 with a header line; html is one file without scripts or outside references.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "model/host.h"
#include "model/job.h"

struct report_format {
    const char *name;       /* "nmap-xml", "grepable", "csv", "ndjson", "markdown", "html" */
    const char *media_type; /* with its charset */
    const char *suffix;     /* ".xml" */
    const char *help;
    void *(*new)(const struct job *j, struct buf *out); /* out: appended to by every call; j and
                                                            out live until done() */
    int (*begin)(void *w, struct err *e);
    struct host_sink sink; /* arg is what new() gave; set by the caller */
    int (*end)(void *w, struct err *e);
    void (*done)(void *w);
};
extern const struct report_format *const report_formats[]; /* ends with NULL */
const struct report_format *report_find(const char *name); /* NULL: none */
