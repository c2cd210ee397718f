/*
 * pack - a local directory as one stream, read by whoever may, and unpacked inside the box.
 *
 * Entries: u8 kind ('f' file, 'x' executable, 'l' link: its text, 'o' left out: why, 'E' end), u16
 * length of path, path, u64 size, bytes; numbers in network order. Nothing is followed: links are
 * told, never read through; sockets, devices, FIFOs, other file systems' mounts below, names that
 * cannot be in a tree, what is too large or cannot be read are left out, and told. What version
 * control would ignore is in it (.gitignore is the repository's word, not the scan's); git's own
 * directories are not.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct pack_limits {
    uint64_t max_bytes;
    uint32_t max_files;      /* entries, those that are left out too */
    uint32_t max_file_bytes; /* larger ones are left out; 0: none are (always so with `git`) */
    const char *subdir;      /* only below it; NULL: all. Not with `git`. */
};
/*
 * Into an unlinked file, *out_fd at its start. git: of the repository in DIR/.git, or of a bare one
 * in DIR, only what is needed of it (objects, refs, HEAD, packed-refs, shallow, the kind of its
 * hash), and no working tree; else no .git at all. *left_out: how many were, but links. ERR_LIMIT
 * names the limit and how to raise it. ERR_INVALID: a repository that cannot be packed, with what
 * would do instead. ERR_NOT_FOUND: there is no such directory, or with `git` no repository in it.
 */
int pack_directory(const char *dir, bool git, const struct pack_limits *l, int *out_fd,
                   uint64_t *left_out, struct err *e);

struct unpacked {
    uint64_t bytes;
    uint32_t files;
    void (*left)(void *arg, const char *path, const char *why); /* given; NULL: nobody asks */
    void *arg;
};
/* Into the empty directory dir_fd. The limits count here, too. ERR_INVALID: not a pack, or not all
 * of one. */
int unpack_directory(int in_fd, int dir_fd, const struct pack_limits *l, struct unpacked *told,
                     struct err *e);
