#include "daemon/scope.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { OWN_MS = 1000 };

struct scope {
    char *path; /* owned; NULL: built-in */
    uid_t owner;
    struct policy *policy;
    struct netset own;
    int64_t own_ms; /* when it was read */
};

static int load(const struct scope *s, struct policy **out, struct err *e)
{
    if (s->path) {
        return policy_load(s->path, s->owner, out, e);
    }
    *out = policy_builtin();
    return 0;
}

int scope_open(const char *path, uid_t owner, struct scope **out, struct err *e)
{
    struct scope *s = xcalloc(1, sizeof *s);
    int rc;

    s->path = xstrdup(path);
    s->owner = owner;
    s->own_ms = INT64_MIN / 2;
    rc = load(s, &s->policy, e);
    if (rc != 0) {
        scope_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

int scope_reload(struct scope *s, struct err *e)
{
    struct policy *fresh;
    int rc = load(s, &fresh, e);

    if (rc != 0) {
        log_error("policy_not_reloaded", KV("error", e->msg));
        return rc;
    }
    policy_unref(s->policy);
    s->policy = fresh;
    log_info("policy_reloaded", KV("from", policy_source(fresh)));
    return 0;
}

void scope_close(struct scope *s)
{
    if (!s) {
        return;
    }
    policy_unref(s->policy);
    netset_done(&s->own);
    free(s->path);
    free(s);
}

struct policy *scope_policy(const struct scope *s)
{
    return s->policy;
}

const struct netset *scope_own(struct scope *s)
{
    struct netset fresh = {0};
    struct err e = {0};
    int64_t now = boot_ms();

    if (now - s->own_ms < OWN_MS) {
        return &s->own;
    }
    if (own_addresses(&fresh, &e) != 0) {
        log_warn("own_addresses_not_read", KV("error", e.msg));
        return &s->own;
    }
    netset_done(&s->own);
    s->own = fresh;
    s->own_ms = now;
    return &s->own;
}
