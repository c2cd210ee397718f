/*
 * request - what `scan` and `run` have in common: the flags that describe a scan.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "cli/cli.h"

struct scan_flags {
    struct buf targets;                   /* owned; operands joined by blanks */
    const char *tool, *ports, *arguments; /* NULL: not given */
    int64_t timeout_s, priority, retries; /* INT64_MIN: not given */
};

/* Checks numbers only: what is a target or a port is decided in one place, behind the API. */
int scan_flags_read(const struct args *a, struct scan_flags *f, struct err *e);
void scan_flags_json(const struct scan_flags *f, struct buf *out);
void scan_flags_done(struct scan_flags *f);

#define SCAN_FLAGS                                                                               \
    {.name = "ports", .letter = 'p', .value = "PORTS", .help = "22,80,T:1-1000,U:53"},           \
        {.name = "tool", .value = "NAME", .help = "scanner to use (nmap)"},                      \
        {.name = "arguments", .value = "ARGS", .help = "options of the scanner, such as '-sV'"}, \
    {                                                                                            \
        .name = "timeout", .value = "SECONDS", .help = "how long one run may take"               \
    }
