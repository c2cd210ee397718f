/*
 * init - the inside of a box: the init process and the tool's first steps. Private to box/.
 *
 * A step that can fail returns NULL, or its name (static) with errno set: that is what becomes of
 * struct box_end.
 */
#pragma once

#include "box/box.h"

/* Who the tool is: inside its user namespace, and outside too where we are root. */
enum { BOX_UID = 61001 };

/* What init tells on its socket; both sides are the same program: no wire format. Descriptors
 * travel with it, in this order. */
struct box_note {
    uint8_t told; /* BOX_WAITING, BOX_STARTED, BOX_NOT_STARTED, BOX_ENDED */
    bool netns, notify, listen;
    struct box_end end;
};

/* What init hears on it. */
struct box_word {
    enum { WORD_MAPPED, WORD_NOT_MAPPED, WORD_GO } kind;
    struct box_address address; /* WORD_GO */
};

struct box_plan {
    const struct box_spec *spec; /* argv NULL: a probe, which does all steps but the last */
    enum box_level level;
    bool view;     /* a file system of its own; else `dir` and Landlock */
    bool landlock; /* there is one */
    bool raw_sockets, net_admin;
    bool root; /* the caller is; then it maps the new user namespace */
    uid_t uid; /* the caller's */
    gid_t gid;
    int report_fd; /* SOCK_SEQPACKET */
    int caller_fd; /* pidfd of the caller: readable once it is dead */
};

/* box.c: starts what is planned; the rest of *plan is filled in. */
int box_start_plan(struct box_plan *plan, struct box *out, struct err *e);

/* The init process, called in the child with all signals blocked. */
_Noreturn void box_init(const struct box_plan *plan);

/* What the tool's first steps need. They run in memory shared with init, behind the compiler's
 * back: what they write is volatile. */
struct box_child {
    const struct box_plan *plan;
    int stdio[3];
    int landlock_fd; /* -1: none */
    pid_t init;
    const char *volatile step; /* static; NULL: none failed */
    volatile int errnum;
    volatile int notify_fd; /* BOX_CALLS_BROKER: in the table shared with init */
};
/* probe.c: what the tool of a probe with `nest` does: makes a box, and writes to standard output
 * why that did not work. NULL or a step. */
const char *box_probe_inside(void);

/* For clone(CLONE_VM | CLONE_VFORK): everything up to exec. Returns only if a step failed. */
int box_child(void *child);
