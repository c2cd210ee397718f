/*
 * tool - what ScanPod knows about one scanner: options, argv, parser, needs, limits.
 *
 * A tool is one file and one `const struct tool`. Options are names and typed values from the
 * tool's own table, never free text handed through; no shell anywhere; targets come after `--`.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "parse/parse.h"

enum tool_value { TOOL_FLAG, TOOL_COUNT, TOOL_TIME, TOOL_RATE }; /* none, 1..n, 10ms/5s/2m/1h, n */

struct tool_option {
    const char *name; /* as the tool spells it: "--max-retries", "-sV" */
    enum tool_value value;
    int64_t min, max; /* TOOL_COUNT, TOOL_RATE; TOOL_TIME in ms */
    bool needs_raw;   /* cannot work without raw sockets */
};

/* What is to be scanned, checked and split. Borrowed. */
struct tool_scan {
    const struct strvec *targets;
    const char *ports; /* NULL: the tool's default */
    const struct strvec *arguments;
    bool ipv6;
    bool raw_sockets; /* the box can give them */
};

enum { TOOL_NEEDS_NET = 1, TOOL_WANTS_RAW = 2 };

struct tool {
    const char *name, *summary;
    const char *setting;               /* option row with its path: "tool-nmap" */
    const char *program;               /* looked up in PATH by default: "nmap" */
    const struct tool_option *options; /* ends with name NULL */
    /*
     * Checks arguments (tokens) against the table. Messages of the old service:
     * "disallowed argument: '<token>'", "argument '<flag>' requires a value",
     * "invalid value for '<flag>': '<v>'".
     */
    int (*check_arguments)(const struct strvec *tokens, struct err *e);
    int (*build_argv)(const struct tool_scan *s, const char *program, struct strvec *argv,
                      struct err *e);
    const struct parser *parser;
    unsigned needs;
    struct {
        uint32_t wall_s, mem_mb, output_mb, files, procs;
    } limits;
    /* argv that prints the version, and how to read it from the first 4 KiB of output. */
    const char *const *version_args;
    bool (*read_version)(const char *output, char *version, size_t size);
};

extern const struct tool tool_nmap;

/* What a request asks, as text; ports and arguments may be NULL. Borrowed. */
struct tool_request {
    const char *targets, *ports, *arguments;
    bool unsafe; /* arguments are split, but not checked against the table */
};

/* Splits and checks. The vectors are the caller's to free, also after an error. */
int tool_check(const struct tool *t, const struct tool_request *q, struct strvec *targets,
               struct strvec *arguments, struct err *e);

const struct tool *tool_find(const char *name); /* NULL if there is none */
const struct tool *const *tool_all(void);       /* NULL-terminated */
/* The program's full path: the configured one, else looked up in PATH. ERR_NOT_FOUND names what
 * to install. Caller frees. */
int tool_path(const struct tool *t, const char *configured, char **out, struct err *e);
