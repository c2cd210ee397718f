#include "netd/gate.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

int gate_open(struct gate *s, const char *file, uid_t owner, struct err *e)
{
    *s = (struct gate){.file = file, .owner = owner};
    if (!file) {
        s->policy = policy_builtin();
        return 0;
    }
    (void)stat(file, &s->seen); /* before reading: what changes meanwhile is read again */
    return policy_load(file, owner, &s->policy, e);
}

void gate_close(struct gate *s)
{
    policy_unref(s->policy);
    netset_done(&s->never);
    *s = (struct gate){0};
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static void reload(struct gate *s)
{
    struct policy *fresh = NULL;
    struct stat now = {0};
    struct err e = {0};

    if (!s->file) {
        return;
    }
    (void)stat(s->file, &now); /* gone: zeroes, which differ from what was */
    if (same(&now, &s->seen)) {
        return;
    }
    s->seen = now;
    if (policy_load(s->file, s->owner, &fresh, &e) != 0) {
        fprintf(stderr, "netd: %s; the policy that was read before stays in force\n", e.msg);
        return;
    }
    policy_unref(s->policy);
    s->policy = fresh;
}

/* What cannot be meant, whatever the file says: loopback never leaves a machine, the pools are
 * other boxes. */
static int check_never(const struct gate *s, const struct netset *targets, struct err *e)
{
    struct net_ip v4 = {.lo = UINT32_C(127) << 24}, v6 = {.v6 = true, .lo = 1};
    struct net_range loopback[] = {net_prefix(&v4, 8), net_prefix(&v6, 128)};
    struct net_range part;
    char text[NET_TEXT];

    for (size_t i = 0; i < ARRAY_LEN(loopback); i++) {
        if (netset_meets(targets, &loopback[i], &part)) {
            net_range_text(&part, text);
            return err_set(e, ERR_SCOPE,
                           "%s is loopback, which no box can reach over a link: such targets take "
                           "the level broker",
                           text);
        }
    }
    for (size_t i = 0; i < s->never.n; i++) {
        if (netset_meets(targets, &s->never.v[i], &part)) {
            net_range_text(&part, text);
            return err_set(e, ERR_SCOPE, "%s belongs to the networks of boxes", text);
        }
    }
    return 0;
}

int gate_check(struct gate *s, const struct netset *targets, const struct netset *own,
               struct err *e)
{
    int rc = check_never(s, targets, e);

    reload(s);
    return rc != 0 ? rc : policy_check_ranges(s->policy, targets, own, wall_us(), e);
}
