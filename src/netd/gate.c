#include "netd/gate.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

enum { OVERFLOW_UID = 65534 };

/* The number that stands for every user whom this namespace does not know, root among them. */
static uid_t overflow_uid(void)
{
    FILE *f = fopen("/proc/sys/kernel/overflowuid", "re");
    uint64_t uid = OVERFLOW_UID;
    char line[16];

    if (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = '\0';
        (void)str_to_u64(line, 0, UINT32_MAX, &uid); /* which leaves it alone where it fails */
    }
    if (f) {
        fclose(f);
    }
    return (uid_t)uid;
}

/*
 * Rootless, this process has no say over anything that the user who started it has not: whose file
 * it is was checked by the daemon, outside. Here only those who may write to it are looked at.
 */
static int load(const struct gate *s, struct policy **out, struct err *e)
{
    uid_t owner = s->owner;

    if (s->rootless && s->seen.st_uid == overflow_uid()) {
        owner = s->seen.st_uid;
    }
    return policy_load(s->file, owner, out, e);
}

int gate_open(struct gate *s, const struct netd_config *c, struct err *e)
{
    *s = (struct gate){.file = c->scope_file, .owner = c->scope_owner, .rootless = c->rootless};
    if (!s->file) {
        s->policy = policy_builtin();
        return 0;
    }
    (void)stat(s->file, &s->seen); /* before reading: what changes meanwhile is read again */
    return load(s, &s->policy, e);
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
    if (load(s, &fresh, &e) != 0) {
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
