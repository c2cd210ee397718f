/*
 * gate - what netd itself lets pass: the scope file, read again whenever it changed, and what no
 * file allows here. A broken new file is told once and leaves the old one in force. Private.
 */
#pragma once

#include <sys/stat.h>

#include "base/err.h"
#include "base/netset.h"
#include "netd/netd.h"
#include "policy/policy.h"

struct gate {
    const char *file; /* borrowed; NULL: the built-in policy */
    uid_t owner;
    bool rootless; /* in a user namespace: root's files look like those of nobody that it knows */
    struct policy *policy; /* owned */
    struct stat seen;      /* of the file as it was last read or refused */
    struct netset never;   /* owned: the pools */
};

int gate_open(struct gate *s, const struct netd_config *c, struct err *e);
void gate_close(struct gate *s); /* zeroed is fine */
/* ERR_SCOPE names the first range that is not allowed, and why. */
int gate_check(struct gate *s, const struct netset *targets, const struct netset *own,
               struct err *e);
