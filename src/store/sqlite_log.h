/*
 * sqlite_log - a VFS that gathers what SQLite appends to its write-ahead log.
 *
 * SQLite writes a log frame by frame, a short head and a page each. Writes that follow each other
 * are kept and reach the file as one, before it is synced, read, measured, truncated or closed: the
 * same bytes in the same order, with a fraction of the system calls. Other files are left alone.
 * A failure to write is told by the call that made the kept bytes leave, at the latest by the sync
 * of the commit that they belong to; they stay kept, until the rollback.
 */
#pragma once

#include <stdbool.h>

struct sqlite3;

/* Registers it, once per process; not as the default. Returns its name, NULL: use the default. */
const char *sqlite_log_vfs(void);
/*
 * The end of a transaction. After a commit writes what is kept: nothing, unless the connection does
 * not sync commits. After a rollback forgets it. Returns an SQLITE_ code.
 */
int sqlite_log_end(struct sqlite3 *db, bool committed);
