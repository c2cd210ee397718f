/*
 * work_dir - the tools' working directories: one for each run, private, empty at its start.
 *
 * A directory that a tool has not touched is as good as new and is kept for a later run: making and
 * removing one costs more than all other system calls of a short run. Private to runner/.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum { SPARE_DIRS = 8 };

struct work_dir {
    char name[24];
    struct timespec changed; /* what its inode said when it was made */
};

struct work_dirs {
    int fd;     /* of the directory that has them; -1: it cannot be used, errnum says why */
    char *path; /* absolute */
    int errnum;
    struct work_dir spare[SPARE_DIRS];
    unsigned n_spare;
    bool closed;
};

/* Makes `path` if it is not there, and removes what runs of a former runner left in it. */
void work_dirs_open(struct work_dirs *ds, const char *path);
/* False with errno. `id` names it if it has to be made. */
bool work_dir_take(struct work_dirs *ds, uint64_t id, struct work_dir *out);
/* After the last process of its run: true if it was kept or was empty and is gone. */
bool work_dir_give(struct work_dirs *ds, const struct work_dir *d);
/* Removes the spare ones; from now on none is kept. */
void work_dirs_close(struct work_dirs *ds);
