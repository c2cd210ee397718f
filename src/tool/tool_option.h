/*
 * tool_option - a command line read against a tool's table: which rows, with which values.
 *
 * Names are compared byte by byte: no abbreviations, no underscores for dashes, no letter that
 * ends one option and begins another. What was read is written anew from the rows, so no byte of a
 * client's word reaches a tool unless the type of a value let it through.
 */
#pragma once

#include "tool/tool.h"

struct option_use {
    const struct tool_option *row;
    char *value;    /* owned, canonical; NULL: none */
    int64_t number; /* TOOL_COUNT, TOOL_RATE; TOOL_TIME in ms */
};

struct option_uses {
    struct option_use *v; /* owned; in the order of the request, one of each row */
    size_t n, size;
};
#define auto_uses __attribute__((cleanup(option_uses_done))) struct option_uses
void option_uses_done(struct option_uses *u);

/* Fills *out, also on error. The errors of struct tool's check(). */
int option_uses_read(const struct tool *t, const struct tool_request *q,
                     const struct strvec *tokens, struct option_uses *out, struct err *e);
/* NULL if it is not there. */
const struct option_use *option_find(const struct option_uses *u, const char *name);
/* Only the old list holds, with its messages. */
bool option_old_list(const struct tool_request *q);
/* As the tool is to read it. */
void option_put(const struct option_use *u, struct strvec *tokens);
/* Reads tokens that option_put() wrote; *at is moved behind one option. */
const struct tool_option *option_next(const struct tool *t, const struct strvec *tokens, size_t *at,
                                      const char **value);
/* True if a canonical list has only numbers of IP protocols. */
bool option_protocols(const char *ports);
/* "90s" in milliseconds; false: malformed or out of bounds. */
bool option_time(const char *v, int64_t min, int64_t max, int64_t *ms);
