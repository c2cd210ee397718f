/*
 * finding_view - findings of the REST interface as people read them, and the gate that scripts ask.
 */
#pragma once

#include <jansson.h>

#include "cli/cli.h"
#include "cli/table.h"
#include "model/finding.h"

struct finding_gate {
    bool on;
    enum severity at; /* that and above fails */
    bool all;         /* known ones, too */
    int64_t n;        /* so many did */
    int64_t known;    /* and so many would, if known ones did */
    struct buf first; /* owned: "src/a.c:12, src/b.c:3" */
};
void finding_gate_take(struct finding_gate *g, const json_t *finding);

/* Writes findings one by one in c->format (table, ndjson, csv, and the items of json). */
struct finding_writer {
    struct cli *c;
    struct finding_gate gate;
    struct table table;
    struct buf out;
    int64_t n, by[SEVERITIES];
    bool begun;
};
void finding_writer_init(struct finding_writer *w, struct cli *c);
void finding_writer_take(struct finding_writer *w, const json_t *finding);
/* Ends the table or the list; frees. */
void finding_writer_end(struct finding_writer *w);
/* "12 findings: 3 high, 9 low; risk high (48.6)" and what was not seen, on standard error. */
void repo_scan_remark(const json_t *scan, const struct term *t);
/* All that is known of one, for a person. */
void finding_facts(const json_t *finding, bool color, struct buf *out);
