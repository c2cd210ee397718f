/* dry_run - what a scan would do: asked of the server, shown, nothing done. */
#pragma once

#include "base/buf.h"
#include "cli/cli.h"

/* The request of a scan as the API takes it. Prints; returns an exit status. */
int dry_run(struct cli *c, const struct buf *request);
