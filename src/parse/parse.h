/*
 * parse - push parsers for tool output: bytes in, hosts out. No I/O, bounded memory, fuzzed.
 *
 * One `const struct parser` per format. Feeding may be split anywhere. What was complete before
 * the input broke off or turned to garbage has been handed out; the end then says so.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "model/host.h"

/* Members may be NULL. Everything is borrowed for the call. A non-zero return stops the parser. */
struct parse_sink {
    int (*host)(void *arg, const struct host *h, struct err *e);
    int (*progress)(void *arg, const struct progress *p, struct err *e);
    int (*run)(void *arg, const struct run_info *r, struct err *e); /* once, at the end */
    void *arg;
};

struct parser {
    const char *name;                            /* "nmap-xml" */
    void *(*new)(const struct parse_sink *sink); /* the sink outlives the parser */
    /* 0; ERR_TOOL: malformed here (line, column in the message); ERR_LIMIT: a cap was reached. */
    int (*feed)(void *p, const char *data, size_t n, struct err *e);
    /* Call once, also after feed failed: then it returns the same code. 0: a complete document.
     * ERR_TOOL: truncated or broken; complete hosts were handed out and run_info.complete is
     * false. The sink's run() is called in any case, unless the sink itself had stopped. */
    int (*finish)(void *p, struct err *e);
    void (*free)(void *p);
};

extern const struct parser parser_nmap_xml;
