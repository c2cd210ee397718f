/* No tool at all: a job of it goes every way that a scan goes, but nothing is started and nothing
 * sent. What is left is the time that the queues take. */
#include "tool/tool_option.h"

static const struct tool_option options[] = {{.name = NULL}};

static int noop_check(const struct tool_request *q, const struct strvec *tokens,
                      struct tool_plan *p, struct err *e)
{
    auto_uses uses = {0};

    if (p->ports) {
        return err_set(e, ERR_INVALID, "noop probes nothing: it takes no ports");
    }
    return tool_uses_read(&tool_noop, q, tokens, &uses, e); /* there are none to be found */
}

const struct tool tool_noop = {
    .name = "noop",
    .summary = "starts nothing and completes at once: for measuring queues",
    .program = "noop",
    .options = options,
    .check = noop_check,
    .instant = true,
};
