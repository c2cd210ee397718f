/*
 * spool - the reports of one run, all of them, until they are delivered: in memory, in a file when
 * there is much of it, and in one that survives this process when it is asked for.
 *
 *   DIR/LEASE.part    what did not fit into memory, of a run that is under way
 *   DIR/LEASE.spool   the whole of a run that is complete: written, synced, renamed
 *   DIR/LEASE.raw     its raw output, compressed
 *
 * (LEASE: ID.IDX.EPOCH.TOKEN.) Reports are numbered from 1 (`seq`). Those that were acknowledged
 * stay too: the result of a run whose lease was lost is delivered anew from the first one, under
 * another lease.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "model/job.h"

struct spool;

/* Of a run that begins: empty, no file. `dir` is copied. */
struct spool *spool_new(const char *dir, const struct lease *l);
/* A .spool stays with its .raw, all else is removed. NULL is fine. */
void spool_free(struct spool *s);
/* Removes all files and frees. NULL is fine. */
void spool_remove(struct spool *s);

/* One message as put_*() wrote it, under the run's lease and with seq = spool_last() + 1. */
void spool_add(struct spool *s, const void *message, size_t n);
/* The file is moved into the directory; its pieces are the next reports. Once, before the end. */
int spool_add_raw(struct spool *s, const char *path, struct err *e);
uint64_t spool_last(const struct spool *s);
/* About how many bytes that report has. */
size_t spool_size(const struct spool *s, uint64_t seq);
/* Appends that report as a message under the lease `as`. ERR_IO: the file cannot be read. */
int spool_get(struct spool *s, uint64_t seq, const struct lease *as, struct buf *out,
              struct err *e);

size_t spool_memory(const struct spool *s);   /* bytes */
uint64_t spool_stored(const struct spool *s); /* bytes in files */
/* From memory into the file. An error leaves all where it was. */
int spool_spill(struct spool *s, struct err *e);
/* All of it is there, the end too: makes it survive this process. */
int spool_settle(struct spool *s, struct err *e);
bool spool_settled(const struct spool *s);
/* The files are of that lease from now on. */
int spool_rename(struct spool *s, const struct lease *now, struct err *e);

/* Those that an earlier process left: each is the callee's. What is not whole is removed, and
 * counted. ERR_IO: the directory cannot be read. */
int spools_load(const char *dir, void (*found)(void *arg, const struct lease *l, struct spool *s),
                void *arg, uint32_t *removed, struct err *e);
