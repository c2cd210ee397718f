/*
 * look - what a server started now would be able to do, and what each of its roles would hold:
 * found out by starting them. For doctor.
 */
#pragma once

#include "base/err.h"
#include "base/option.h"
#include "model/sandbox.h"

/* What the kernel says about a role's process. */
struct role_seen {
    const char *name; /* "runner" */
    unsigned uid;
    uint64_t capabilities; /* effective and permitted */
    bool no_new_privs, filter;
};

enum { ROLES_SEEN = 4 };

struct look {
    struct sandbox_caps caps;
    struct role_seen roles[ROLES_SEEN];
    unsigned n;
};

/* Some tens of milliseconds; 5 s at most. Nothing is left over. */
int sandbox_look(const struct option_set *settings, struct look *out, struct err *e);
