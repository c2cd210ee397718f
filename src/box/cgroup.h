/*
 * cgroup - cgroup v2 groups for runs, where a subtree was delegated to us.
 *
 * cgroup_open() looks at the group this process is in. If it may be written to and has memory and
 * pids controllers, it moves the calling process into a leaf ("supervisor", as no group with
 * controllers for its children may have processes itself) and turns the controllers on. Called
 * once, before other roles are forked. No cgroup v1.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct cgroup_tree; /* the delegated group */

/* ERR_SANDBOX: none; the message says why. Groups that an earlier process left are killed and
 * removed. `owner`: to whom the subtree is handed when we are root and shall not stay it. */
int cgroup_open(uid_t owner, struct cgroup_tree **out, struct err *e);
void cgroup_close(struct cgroup_tree *t); /* NULL is fine */
/* Its directory, the only descriptor it has: kept by the runner when it closes all others. */
int cgroup_fd(const struct cgroup_tree *t);

struct cgroup_limits {
    uint64_t memory_bytes; /* memory.max, swap 0; 0: none */
    uint32_t pids;         /* 0: none */
    uint32_t cpu_percent;  /* of one processor; 0: none */
};
struct cgroup {
    int dir_fd; /* for struct box_spec; -1: none */
    char name[24];
};
/* A new group "run-N". */
int cgroup_make(struct cgroup_tree *t, uint64_t run, const struct cgroup_limits *l,
                struct cgroup *out, struct err *e);

struct cgroup_use {
    int64_t cpu_us, memory_peak_kb; /* -1: not known */
    uint32_t oom_kills, pids_refused;
};
void cgroup_use(const struct cgroup *g, struct cgroup_use *out);
void cgroup_kill(const struct cgroup *g);                    /* cgroup.kill */
void cgroup_remove(struct cgroup_tree *t, struct cgroup *g); /* kills, waits shortly, removes */
