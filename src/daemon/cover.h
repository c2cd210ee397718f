/*
 * cover - what a run really probed, as the cells that are stored with its end.
 *
 * A run that came to its end stands for all of its targets but those that the tool gave up on. One
 * that did not, stands for the hosts that it had finished, where the tool finishes hosts one by
 * one; else for nothing. An import stands for the hosts that its file names.
 */
#pragma once

#include "base/netset.h"
#include "model/job.h"
#include "tool/tool.h"

struct cover_ask {
    const struct tool *tool;
    const struct tool_plan *plan;  /* NULL: an import */
    const char *run_json;          /* the tool's own record; NULL: none */
    bool whole;                    /* it came to its end */
    const struct netset *finished; /* hosts that were handed out and not given up */
    const struct netset *gave_up;
    int64_t start_us, end_us;
};

struct cover {
    struct coverage_cell cells[5];
    size_t n;
    char *addresses; /* owned: that of all cells */
    char *ports[4];  /* owned */
};

void cover_cells(const struct cover_ask *ask, struct cover *out);
void cover_done(struct cover *c);
/* How many pairs of address and port the cells stand for; of host cells addresses. */
uint64_t cover_probes(const char *addresses, const char *ports);
