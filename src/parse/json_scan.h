/*
 * json_scan - reads one JSON object of a tool, in memory, by calls for its members; for src/parse
 * only. No tree, nothing kept. Strings of scanners are bytes: \u00XX is one byte.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { JSON_SCAN_DEPTH = 64 };

struct json_scan {
    const char *p, *end;
    unsigned depth;
    const char *why; /* what is wrong; NULL: nothing yet */
    char key[64];    /* of the member at hand; longer ones are cut and match none of ours */
};

/* Each takes one value; false: it is malformed, or of another kind. */
bool json_scan_string(struct json_scan *j, struct buf *out); /* out may be NULL; it is emptied */
/* A number, or a string of digits, or true (1) and false (0). Anything else, null too: *out stays,
 * and the value is skipped. */
bool json_scan_number(struct json_scan *j, int64_t *out);
bool json_scan_skip(struct json_scan *j);
/* Calls member() for each; it takes the value, whose name is in j->key. False: malformed. */
bool json_scan_object(struct json_scan *j, bool (*member)(struct json_scan *j, void *arg),
                      void *arg);
bool json_scan_array(struct json_scan *j, bool (*element)(struct json_scan *j, void *arg),
                     void *arg);
/* The next byte that is no white space; 0 at the end. */
char json_scan_peek(struct json_scan *j);

/* Finds the end of an object without looking at what is in it; can be cut anywhere. */
struct json_edge {
    unsigned depth;
    bool in_string, escaped;
    bool broken; /* a line ends in a string: what follows is not worth reading */
};

/* How many bytes of s belong to the object, whose `{` may lie before; *whole: it ends there. */
size_t json_edge_find(struct json_edge *e, const char *s, size_t n, bool *whole);
