/*
 * scan_type - the request vocabulary of the older scan runtime, as options of each tool.
 *
 * SYN_SCAN, CONNECT_SCAN, UDP_SCAN, PING_SWEEP, SERVICE_DETECTION, OS_DETECTION; basic, service,
 * os, script, full. Reference: seed-interfaces.md 4.3. Words are taken in either case.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "tool/tool.h"

/*
 * Appends the tokens that mean `type` to `tokens`, for tool_request.tokens; *ports (may be changed
 * from NULL to a static text) is the default that the tool needs for it. ERR_INVALID: "masscan
 * cannot do CONNECT_SCAN: it sends raw packets only; use nmap", or the list of types when there is
 * no such type.
 */
int scan_type_tokens(const struct tool *t, const char *type, struct strvec *tokens,
                     const char **ports, struct err *e);
/* All types, NULL-terminated, with what each tool makes of them: for the documentation. */
extern const char *const scan_types[];
