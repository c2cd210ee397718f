/*
 * request - what `scan` and `run` have in common: the flags that describe a scan.
 */
#pragma once

#include <stdint.h>

#include "base/buf.h"
#include "cli/cli.h"

struct scan_flags {
    struct buf targets;                   /* owned; operands joined by blanks */
    struct buf limits;                    /* owned; as limits_put() writes them, "" if none */
    struct buf list;                      /* owned; the text of --targets-file, "" if none */
    const char *tool, *ports, *arguments; /* NULL: not given */
    const char *profile, *pace, *zone;
    int64_t timeout_s, priority, retries; /* INT64_MIN: not given */
    int64_t rate, shards;
    bool clip;
};

/* Checks numbers and limits only: what is a target or a port is decided in one place, behind the
 * API. */
int scan_flags_read(const struct args *a, struct scan_flags *f, struct err *e);
/* No tool, arguments or profile were given: the default profile is meant. */
bool scan_flags_default(const struct scan_flags *f);
void scan_flags_json(const struct scan_flags *f, struct buf *out);
void scan_flags_done(struct scan_flags *f);

#define SCAN_FLAGS                                                                               \
    {.name = "ports", .letter = 'p', .value = "PORTS", .help = "22,80,T:1-1000,U:53"},           \
        {.name = "profile",                                                                      \
         .value = "NAME",                                                                        \
         .help = "quick, standard, full, sweep, udp, ping or one of yours (standard, unless a "  \
                 "tool or its arguments are given)"},                                            \
        {.name = "tool",                                                                         \
         .value = "NAME",                                                                        \
         .help = "nmap, masscan or zmap; with a profile, the one that looks for ports"},         \
        {.name = "exclude", .value = "TARGET", .help = "leave these out; can be repeated"},      \
        {.name = "targets-file",                                                                 \
         .value = "FILE",                                                                        \
         .help = "more targets, by blanks and lines; # begins a comment"},                       \
        {.name = "rate", .value = "PPS", .help = "packets a second at most (the profile's)"},    \
        {.name = "pace",                                                                         \
         .value = "WORD",                                                                        \
         .help = "fast (the default), or own: the scanner's own timing"},                        \
        {.name = "shards", .value = "N", .help = "pieces of each stage (by size)"},              \
        {.name = "arguments", .value = "ARGS", .help = "options of the scanner, such as '-sV'"}, \
        {.name = "timeout", .value = "SECONDS", .help = "how long one run may take"},            \
        {.name = "limit",                                                                        \
         .value = "NAME=VALUE",                                                                  \
         .help = "a stricter limit, such as memory_mb=256; can be repeated"},                    \
    {                                                                                            \
        .name = "clip", .help = "leave out targets that are not allowed, scan the others"        \
    }
