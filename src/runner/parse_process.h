/*
 * parse_process - the short-lived process that turns a tool's output into records.
 *
 * Forked from the runner, without exec: it has the tool's stdout (or the stored output), the record
 * socket and the blob, no capabilities, no files, and a dozen system calls. A parser bug costs one
 * task.
 */
#pragma once

#include <stdint.h>

#include "parse/parse.h"

enum { PARSE_OK = 0, PARSE_FAILED = 1, PARSE_OUTPUT_CAP = 2 }; /* exit statuses */

struct parse_job {
    const struct parser *parser;
    int out_fd;             /* the tool's stdout, or a plain file; -1: a reparse */
    int input_fd;           /* a reparse: the stored output; else -1 */
    int record_fd;          /* to the daemon */
    int blob_fd;            /* -1: raw output is not kept */
    uint64_t output_max;    /* bytes */
    uint64_t *output_bytes; /* how many there were so far; shared with the runner */
    int runner_pidfd;       /* readable once the runner is dead */
};

/* In the forked child. All other descriptors are closed. */
_Noreturn void parse_process(const struct parse_job *job);
