/*
 * nmap_options - the tables of nmap, and the check that reads a request against them.
 */
#pragma once

#include "tool/tool.h"

extern const struct tool_option nmap_options[];
extern const struct tool_refusal nmap_refusals[];

/* tool.h, check() */
int nmap_check(const struct tool_request *q, const struct strvec *tokens, struct tool_plan *p,
               struct err *e);
/* tool.h, covers() */
void nmap_covers(const struct tool_plan *p, const char *run_json, struct tool_cover *out);
