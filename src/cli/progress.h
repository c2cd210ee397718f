/*
 * progress - how a job goes on, on stderr: one line that is rewritten on a terminal, otherwise a
 * line for each change of state. Nothing with -q.
 */
#pragma once

#include "cli/term.h"
#include "cli/view.h"

struct progress_bar {
    const struct term *term;
    char state[32]; /* the last one that was told */
    bool drawn;     /* the terminal's line holds the bar */
};

void progress_show(struct progress_bar *p, const struct job_view *v);
void progress_clear(struct progress_bar *p);
/* The text of the bar, at most `width` columns; for tests too. */
void progress_text(const struct job_view *v, int64_t now_us, unsigned width, bool color,
                   struct buf *out);
