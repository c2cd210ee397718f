/* init - the inside of a box: the init process and the tool's first steps. Private to box/. */
#pragma once

#include "box/box.h"

/* What init writes to the report pipe: one note when the tool was started or could not be, one
 * when all is over. Both sides are the same program: no wire format. */
struct box_note {
    uint8_t told; /* BOX_STARTED, BOX_NOT_STARTED, BOX_ENDED */
    struct box_end end;
};

struct box_plan {
    const struct box_spec *spec; /* argv NULL: a probe, which only does the steps and exits */
    enum box_level level;
    bool raw_sockets;
    uid_t uid; /* the caller's, to be mapped to itself */
    gid_t gid;
    int report_fd;
    int caller_fd; /* pidfd of the caller: readable once it is dead */
};

/* The init process, called in the child with all signals blocked. */
_Noreturn void box_init(const struct box_plan *plan);

/* Written by the child of a vfork into its parent's memory, behind the compiler's back: volatile.
 */
struct box_failure {
    const char *volatile step; /* static; NULL: none */
    volatile int errnum;
};

/* In the child of a vfork: everything up to exec. If a step fails, leaves word and exits. */
_Noreturn void box_child(const struct box_plan *plan, const int stdio[3],
                         struct box_failure *failed);
