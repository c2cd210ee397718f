/* repo_export - what `scanpod repo` found in the forms of other programs. */
#pragma once

#include "cli/finding_view.h"
#include "store/store.h"

bool repo_export_format(enum format f); /* csv, sarif, markdown, html */
/* To stdout, and past the gate. */
int repo_export_local(struct cli *c, struct store *st, const struct job *j, struct finding_gate *g,
                      struct err *e);
/* Exit statuses; they print failures. */
/* A scan of the server's with its findings, in c->format; judge: and what its end and the gate of
 * c's flags say of it. */
int repo_show_remote(struct cli *c, const char *id, bool judge);
int repo_export_remote(struct cli *c, const char *id, struct finding_gate *g);
