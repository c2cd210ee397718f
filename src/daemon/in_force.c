#include "daemon/in_force.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { OWN_MS = 1000 };

struct in_force {
    char *path; /* owned; NULL: built-in */
    uid_t owner;
    struct policy *policy;
    struct netset own;
    int64_t own_ms; /* when it was read */
    struct key_name {
        char id[17], name[65];
    } * names; /* owned; those that were asked for: a key's name never changes */
    size_t n_names;
};

static int load(const struct in_force *s, struct policy **out, struct err *e)
{
    if (s->path) {
        return policy_load(s->path, s->owner, out, e);
    }
    *out = policy_builtin();
    return 0;
}

int in_force_open(const char *path, uid_t owner, struct in_force **out, struct err *e)
{
    struct in_force *s = xcalloc(1, sizeof *s);
    int rc;

    s->path = xstrdup(path);
    s->owner = owner;
    s->own_ms = INT64_MIN / 2;
    rc = load(s, &s->policy, e);
    if (rc != 0) {
        in_force_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

int in_force_reload(struct in_force *s, struct err *e)
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

void in_force_close(struct in_force *s)
{
    if (!s) {
        return;
    }
    policy_unref(s->policy);
    netset_done(&s->own);
    free(s->names);
    free(s->path);
    free(s);
}

struct policy *in_force_policy(const struct in_force *s)
{
    return s->policy;
}

static int find_key(void *arg, const struct key *k, struct err *e)
{
    struct key_name *f = arg;

    (void)e;
    if (strcmp(k->id, f->id) == 0) {
        memcpy(f->name, k->name, sizeof f->name);
    }
    return 0;
}

const char *in_force_key_name(struct in_force *s, struct store *st, const char *key_id)
{
    struct key_name found = {.id = ""};

    if (!key_id || !*key_id || strlen(key_id) >= sizeof found.id) {
        return NULL;
    }
    for (size_t i = 0; i < s->n_names; i++) {
        if (strcmp(s->names[i].id, key_id) == 0) {
            return s->names[i].name;
        }
    }
    memcpy(found.id, key_id, strlen(key_id) + 1);
    if (store_keys(st, find_key, &found, NULL) != 0 || !found.name[0]) {
        return NULL;
    }
    s->names = xrealloc(s->names, (s->n_names + 1) * sizeof found);
    s->names[s->n_names] = found;
    return s->names[s->n_names++].name;
}

const struct policy_rules *in_force_rules(struct in_force *s, struct store *st, const char *key_id)
{
    return policy_rules(s->policy, key_id, in_force_key_name(s, st, key_id));
}

const struct netset *in_force_own(struct in_force *s)
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
