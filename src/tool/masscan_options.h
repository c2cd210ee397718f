/*
 * masscan_options - the tables of masscan.
 */
#pragma once

#include "tool/tool.h"

extern const struct tool_option masscan_options[];
extern const struct tool_refusal masscan_refusals[];
