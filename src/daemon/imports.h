/*
 * imports - files that were handed in and wait to be parsed: in DIR until their job is over.
 */
#pragma once

#include "store/store.h"

/* Makes the directory if it is missing. */
int imports_open(const char *dir, struct err *e);
/*
 * Removes files that no job which is not over wants, and that nobody has written to for so long:
 * uploads under way have no job yet. dir is blob_dir/NAME; job.import_path starts with NAME/.
 */
void imports_sweep(struct store *s, const char *dir, int64_t older_than_s);
