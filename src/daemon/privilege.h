/*
 * privilege - from root to the service user, and what must be fetched before.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct service_user {
    bool change; /* we are root and shall not stay it */
    uid_t uid;
    gid_t gid;
    char name[64];
};

/* `configured` may be NULL: scanpod if there is such a user, else nobody. Not root: no change. */
int service_user_find(const char *configured, struct service_user *out, struct err *e);
/* For ever: groups, gid, uid, no capabilities, no new privileges. */
int privilege_drop(const struct service_user *u, struct err *e);

/* Makes dir (0700) with its missing parents (0755), owned by the user. Refuses one that others may
 * write to, and one that is neither empty nor the user's. */
int data_dir_prepare(const char *dir, const struct service_user *u, struct err *e);
/* The same for a directory of raw output that is elsewhere; NULL: there is none. */
int blob_dir_prepare(const char *dir, const struct service_user *u, struct err *e);
/* store_lock() before the drop: the lock file is the user's too. The caller closes *out_fd. */
int data_dir_lock(const char *dir, const struct service_user *u, int *out_fd, struct err *e);
/* After the drop: can the directory be used? The message says what is in the way. */
int data_dir_check(const char *dir, const struct service_user *u, struct err *e);

/* Reads a file that only root may read into memory and gives a path that stays readable after
 * the drop. *out_fd holds it. Caller frees *path and closes *out_fd. */
int file_keep(const char *file, char **path, int *out_fd, struct err *e);
