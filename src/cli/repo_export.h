/* repo_export - what `scanpod repo` found in the forms of other programs. */
#pragma once

#include "cli/finding_view.h"
#include "store/store.h"

bool repo_export_format(enum format f); /* csv, sarif, markdown, html */
/* To stdout, and past the gate. */
int repo_export_local(struct cli *c, struct store *st, const struct job *j, struct finding_gate *g,
                      struct err *e);
/* An exit status; prints a failure. */
int repo_export_remote(struct cli *c, const char *id, struct finding_gate *g);
