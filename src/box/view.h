/*
 * view - the file system of a box. Private to box/.
 *
 * In init, in a mount namespace of its own: view_hold() takes hold of what shall be seen, as the
 * user who asked; then view_make(), as the tool's user; then, when nothing has to be set in /proc
 * any more, view_seal().
 */
#pragma once

#include "box/init.h"

struct view_tree {
    const char *path; /* the same inside and outside */
    int fd;           /* a detached clone of the mount */
    bool dir, write, device;
};

struct view {
    struct view_tree *trees;
    size_t n;
};

/* The system's own part, for views and for Landlock: NULL-terminated. Missing ones are left out. */
extern const char *const view_system[];
extern const char *const view_devices[];

/* Whether this file can be run: nothing else is shown for its own sake. */
bool view_is_program(const char *path);
const char *view_hold(struct view *v, const struct box_spec *spec);
const char *view_make(struct view *v, const struct box_plan *plan);
const char *view_seal(const struct box_spec *spec);
/* Without a view of its own: the files of /tmp, in the working directory. */
const char *view_write_in_dir(const struct box_spec *spec);
