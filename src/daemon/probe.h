/* probe - asks a tool for its version, before anything is scanned with it. */
#pragma once

#include <stddef.h>
#include <sys/stat.h>

#include "base/err.h"
#include "tool/tool.h"

/* Runs the program (at most 2 s, no input, empty environment). ERR_NOT_FOUND: not installed;
 * ERR_TOOL: it does not say. */
int tool_probe(const struct tool *t, const char *configured, char *version, size_t size,
               struct err *e);

/* What was found out about a tool's program, and of which file. All zero: nothing. */
struct tool_seen {
    char version[64];
    struct err wrong;
    struct stat file;
};

/* Looks for the program and remembers which file it is; its version comes by tool_answered(). */
int tool_see(const struct tool *t, const char *configured, struct tool_seen *seen, struct err *e);
/* What the program printed when it was asked for its version. ERR_TOOL: it does not say. */
int tool_answered(const struct tool *t, struct tool_seen *seen, const char *text, struct err *e);
/* Looks whether the program is there now, starting nothing: NULL, or why it cannot be used. It may
 * have come, gone or changed since it was asked; then *version is NULL. */
const char *tool_look(const struct tool *t, const char *configured, struct tool_seen *seen,
                      const char **version);
