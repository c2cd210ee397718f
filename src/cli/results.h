/*
 * results - hosts and ports in every form that the command line writes, one host at a time.
 *
 * Input is the REST interface's host objects, one JSON text a host, however many there are: a
 * million need no more memory than one (and one block of the table).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/cli.h"

struct results;

/* `sink` takes text and empties the buffer (out_sink writes it to stdout). */
struct results *results_new(enum format format, const struct term *t,
                            void (*sink)(void *arg, struct buf *text), void *arg);
/* FORMAT_JSON: the job's own JSON text, whose members come first. Call before the first host. */
int results_job(struct results *r, const char *json, size_t n, struct err *e);
/* One host. ERR_INVALID: no JSON object. */
int results_host(struct results *r, const char *json, size_t n, struct err *e);
/* Bytes of NDJSON, cut anywhere. */
int results_feed(struct results *r, const char *data, size_t n, struct err *e);

struct results_totals {
    int64_t hosts, up, ports, hidden, timed_out; /* hidden: ports that the tool only counted */
};
/* Writes what is left; *t may be NULL. Frees. */
void results_end(struct results *r, struct results_totals *t);
/* On stderr, after a table: what it does not show. */
void results_remark(const struct term *t, const struct results_totals *n);
