/*
 * tool_option - a command line read against a tool's table: which rows, with which values.
 *
 * Names are compared byte by byte: no abbreviations, no underscores for dashes, no letter that
 * ends one option and begins another. What was read is written anew from the rows, so no byte of a
 * client's word reaches a tool unless the type of a value let it through.
 */
#pragma once

#include "tool/tool.h"

struct tool_use {
    const struct tool_option *row;
    char *value;         /* owned, canonical; NULL: none */
    int64_t number;      /* TOOL_COUNT, TOOL_RATE; TOOL_TIME in ms */
    const char *written; /* the value as it was given; borrowed from the tokens */
};

struct tool_uses {
    struct tool_use *v; /* owned; in the order of the request, one of each row */
    size_t n, size;
};
#define auto_uses __attribute__((cleanup(tool_uses_done))) struct tool_uses
void tool_uses_done(struct tool_uses *u);

/* Fills *out, also on error. The errors of struct tool's check(). */
int tool_uses_read(const struct tool *t, const struct tool_request *q, const struct strvec *tokens,
                   struct tool_uses *out, struct err *e);
/* NULL if it is not there. */
const struct tool_use *tool_use_find(const struct tool_uses *u, const char *name);
bool tool_use_given(const struct tool_uses *u, const char *name);
/* ERR_INVALID, which names both. */
int tool_use_contradiction(const char *a, const char *b, struct err *e);
/* Only the old list holds, with its messages. */
bool tool_old_only(const struct tool_request *q);
/* As the tool is to read it. */
void tool_use_put(const struct tool_use *u, struct strvec *tokens);
/* All but the rows that are named; `but` ends with NULL. */
void tool_uses_put(const struct tool_uses *u, const char *const *but, struct strvec *tokens);
/* Reads tokens that tool_use_put() wrote; *at is moved behind one option. */
const struct tool_option *tool_use_next(const struct tool *t, const struct strvec *tokens,
                                        size_t *at, const char **value);
/* Reads `v` as the row's type; the canonical text into *out. old: with the old service's bounds. */
bool tool_value_read(const struct tool_option *o, bool old, const char *v, struct buf *out,
                     int64_t *number);
/* The error for what tool_value_read() does not take. */
int tool_value_invalid(const struct tool_option *o, bool old, const char *v, struct err *e);
/* True if a canonical list has only numbers of IP protocols. */
bool tool_protocols_value(const char *ports);
/* "90s" in milliseconds; false: malformed or out of bounds. */
bool tool_time_value(const char *v, int64_t min, int64_t max, int64_t *ms);
