/*
 * imports - files that were handed in and wait to be parsed: in DIR until nobody is to read them
 * any more. Each has the name of its job. dir is blob_dir/NAME; job.import_path starts with NAME/.
 */
#pragma once

#include "event/loop.h"
#include "store/store.h"

/* Makes the directory if it is missing. */
int imports_open(const char *dir, struct err *e);
/* Removes files that no job which is not over wants, and that nobody has written to for so long:
 * uploads under way have no job yet. */
void imports_sweep(struct store *s, const char *dir, int64_t older_than_s);

/* Keeps the directory clean: what was read goes at once, what was cancelled or deleted before its
 * turn came, or was never to become a job, in a minute or two. dir NULL: there is none. */
struct imports *imports_new(struct loop *l, struct store *s, const char *dir);
void imports_free(struct imports *m);
/* A run that read this job's file has ended, in a transaction that is not yet committed. */
void imports_ended(struct imports *m, const struct id *job);
void imports_committed(struct imports *m);
