/*
 * tree_write - new files beneath a directory, whatever their names are. Private to repo/.
 *
 * Nothing is followed, nothing is replaced, nothing is left. Paths are bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { TREE_PATH_MAX = 4095, TREE_NAME_MAX = 255 };

struct tree_writer {
    int root_fd; /* borrowed: a directory */
    int dir_fd;  /* owned: that of the last file */
    char dir[TREE_PATH_MAX + 1];
    bool has_dir;
};

/* Why no file is made of this path: ".." and the like, a part that is git's own directory in some
 * file system's eyes (".git", ".GIT", "git~1", ".git. ", with invisible characters), too long.
 * NULL: it is fine. */
const char *tree_path_wrong(const char *path);
/* A file that was not there, for writing. *out_fd is -1, and *why says why, if the tree itself is
 * at fault: a file where a directory should be, two of one name. Else ERR_FULL, ERR_IO. */
int tree_create(struct tree_writer *w, const char *path, int *out_fd, const char **why,
                struct err *e);
void tree_writer_done(struct tree_writer *w);
/* Everything beneath the directory at `path`, and it; what is not there is fine. Depth is no limit.
 */
int tree_remove(const char *path, struct err *e);
/* ERR_FULL tells which limit it is. */
int write_whole(int fd, const char *p, size_t n, struct err *e);
