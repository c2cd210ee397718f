/*
 * pack - a local directory as one stream, read by whoever may, and unpacked inside the box.
 *
 * Entries: u8 kind ('f' file, 'x' executable, 'l' link: its text, 'E' end), u16 length of path,
 * path, u64 size, bytes. Nothing is followed: links are told, never read through; sockets, devices,
 * FIFOs, other file systems' mounts below, and names that are not in the tree are left out.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct pack_limits {
    uint64_t max_bytes;
    uint32_t max_files, max_file_bytes;
};
/* Into an unlinked file, *out_fd at its start. git: of .git only what a bare repository needs
 * (objects, refs, HEAD, packed-refs, shallow), and no working tree; else no .git at all. *left_out:
 * how many were. ERR_LIMIT names the limit and how to raise it. */
int pack_directory(const char *dir, bool git, const struct pack_limits *l, int *out_fd,
                   uint64_t *left_out, struct err *e);
/* Into the empty directory dir_fd. ERR_INVALID: not a pack. */
int unpack_directory(int in_fd, int dir_fd, const struct pack_limits *l, struct err *e);
