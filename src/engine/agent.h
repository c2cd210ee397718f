/*
 * agent - the Claude Code CLI as an engine: headless, read-only tools, structured output that is
 * validated here, nothing of the repository's own settings, and no key: the proxy has it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"

/* What a request may say about it. Borrowed. */
struct agent_ask {
    const char *model;        /* [A-Za-z0-9._:-]{1,64}; NULL: the default */
    const char *effort;       /* low, medium, high; NULL */
    int32_t max_turns;        /* 0: AGENT_TURNS */
    int32_t max_budget_cents; /* 0: AGENT_BUDGET_CENTS */
    int32_t passes;           /* --confirm N: 1..5 */
    int32_t stall_s;          /* no line of output for so long ends it; 0: AGENT_STALL_S */
    const char *base_url;     /* of the proxy, inside: "http://127.0.0.1:3128/anthropic" */
    const char *paths;        /* what to look at, for the prompt; NULL: all */
};
enum { AGENT_TURNS = 40, AGENT_BUDGET_CENTS = 200, AGENT_STALL_S = 120, AGENT_PASSES_MAX = 5 };
#define AGENT_MODEL "claude-sonnet-4-5"

/*
 * The old service's `claude_cli_args`: text split like a shell would, of which --model,
 * --max-turns, --max-budget-usd and --effort are known, each with a value as "--x v" or "--x=v".
 * ERR_INVALID names the argument ("disallowed argument: '--add-dir'"). Strings live in `arena`.
 */
struct arena;
int agent_args_parse(const char *text, struct agent_ask *out, struct arena *arena, struct err *e);
