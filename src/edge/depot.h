/*
 * depot - the process that keeps raw output in S3-compatible object storage.
 *
 * Forked early, without any capability, filtered; libcurl is loaded in it and nowhere else in a
 * server. Files are written locally first, always; the depot sends them when it can, so that an
 * outage of the storage fails nothing: what is not there yet waits on disk. SigV4 by libcurl, one
 * PUT up to 16 MiB, multipart above, streamed from the file; the content's sha256 is sent with it,
 * kept as metadata, and checked against what the storage says (size, sha256) before the daemon
 * hears that it is there. Errors are tried again (1 s, doubling to 5 min, jitter); 403 and 404 of
 * the bucket too, and they are told.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "event/loop.h"

/*
 * s3://BUCKET[/PREFIX][?endpoint=URL&region=R&style=path|host], or the JSON of the third system's
 * OUTPUT_STORAGE_CONFIG: {"type":"s3","bucket","prefix","endpoint","region","path_style",
 * "access_key","secret_key"} or {"type":"local","path"}. Credentials else from AWS_ACCESS_KEY_ID,
 * AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN. Owned strings.
 */
struct depot_config {
    bool local; /* nothing to do: the data directory, or `path` */
    char *path;
    char *bucket, *prefix, *endpoint, *region;
    bool path_style;
    char *access_key, *secret_key, *session_token;
};
int depot_config_parse(const char *text, struct depot_config *out, struct err *e);
void depot_config_done(struct depot_config *c);
/* "s3://bucket/prefix/NAME" */
char *depot_uri(const struct depot_config *c, const char *name);

struct depot_start {
    const struct depot_config *config;
    const char *dir; /* the blob directory */
    bool change_user;
    uid_t uid;
    gid_t gid;
    uint32_t retry_max_ms; /* for tests: caps the waiting in between; 0: 5 min */
};
int depot_spawn(const struct depot_start *c, int *out_fd, int *out_pidfd, struct err *e);

struct depot_events {
    /* rc 0: the object is there, whole. ERR_NOT_FOUND: the file is gone, nothing more will come.
     * Else why not yet; it is being tried again. */
    void (*stored)(void *arg, uint64_t id, int rc, const char *why);
    /* rc 0: fd is an unlinked file with the object's content, from its start; the receiver's.
     * ERR_NOT_FOUND: the storage does not have it. Else it did not succeed within 25 s, or was
     * refused. Told once. */
    void (*fetched)(void *arg, uint64_t id, int rc, int fd, const char *why);
    void (*removed)(void *arg, uint64_t id, int rc, const char *why);
    void (*gone)(void *arg);
    void *arg;
};

struct depot;
int depot_connect(struct loop *l, int fd, const struct depot_events *ev, struct depot **out,
                  struct err *e); /* takes fd */
void depot_free(struct depot *d);
/* name: relative to the blob directory, and the object's below the prefix. */
int depot_store(struct depot *d, uint64_t id, const char *name, struct err *e);
int depot_fetch(struct depot *d, uint64_t id, const char *name, struct err *e);
int depot_remove(struct depot *d, uint64_t id, const char *name, struct err *e);
