/*
 * local - what works without a server: the store of this machine, opened under its lock.
 *
 * The server is only asked for another machine's things when it was named; a local store is only
 * opened when nothing listens where the local server would.
 */
#pragma once

#include <stdbool.h>

#include "cli/cli.h"
#include "store/store.h"

/* By --server or SCANPOD_SERVER. */
bool local_server_was_named(const struct cli *c);
/* Makes a call; prints a failure. *local: nothing listens, and the store may be opened instead. */
int local_or_server(struct cli *c, const struct call *call, struct answer *a, bool *local);
/* As the server does it: the lock first, then the user that the server works as, so that it can
 * read what is written. An exit status; prints a failure. */
int local_open(struct cli *c, struct store **out);
