/*
 * zmap_options - the tables of zmap.
 */
#pragma once

#include "tool/tool.h"

extern const struct tool_option zmap_options[];
extern const struct tool_refusal zmap_refusals[];
