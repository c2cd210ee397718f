/*
 * blob - raw tool output on disk: zstd-compressed, hashed, named by job, task and epoch.
 *
 * DIR/<2 hex>/<job id>.<epoch>.zst of a job's first task, DIR/<2 hex>/<job id>.<idx>.<epoch>.zst of
 * the others (epochs begin with 1: the name with 0 is free for a file that was handed in): the name
 * tells who owns it, so that recovery removes what a crash left behind without reading a directory.
 * The writer works on a descriptor that may have been opened by another process.
 */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "model/job.h"

/* Relative path for the run that `l` stands for. Caller frees. */
char *blob_path(const struct lease *l);
/* Creates (mode 0600, O_EXCL) below dir, making the folder if needed. */
int blob_create(const char *dir, const char *path, int *out_fd, struct err *e);
void blob_remove(const char *dir, const char *path); /* missing is fine */

struct blob_writer;
struct blob_writer *blob_writer_new(int fd); /* takes fd */
int blob_write(struct blob_writer *w, const void *p, size_t n, struct err *e);
/* Flushes, fsyncs. size: before compression. Frees the writer whatever happens. */
int blob_writer_end(struct blob_writer *w, char sha256[65], uint64_t *size, uint64_t *stored,
                    struct err *e);
void blob_writer_free(struct blob_writer *w); /* gives up */

struct blob_reader;
int blob_reader_open(const char *dir, const char *path, struct blob_reader **out, struct err *e);
struct blob_reader *blob_reader_new(int fd); /* takes fd: a file that somebody else opened */
/* Uncompressed bytes; 0 at the end. */
int blob_read(struct blob_reader *r, void *p, size_t size, size_t *n, struct err *e);
void blob_reader_free(struct blob_reader *r);
