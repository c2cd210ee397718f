/* probe - asks a tool for its version, before anything is scanned with it. */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "tool/tool.h"

/* Runs the program (at most 2 s, no input, empty environment). ERR_NOT_FOUND: not installed;
 * ERR_TOOL: it does not say. */
int tool_probe(const struct tool *t, const char *configured, char *version, size_t size,
               struct err *e);
