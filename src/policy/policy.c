/* Loading a policy, counting who holds it, and which rules a key has. */
#include "policy/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "policy/internal.h"

static const char builtin_text[] = "version: 1\n"
                                   "scope:\n"
                                   "  allow:\n"
                                   "    - {target: 127.0.0.0/8, note: loopback}\n"
                                   "    - {target: '::1', note: loopback}\n"
                                   "    - {target: 10.0.0.0/8, note: private}\n"
                                   "    - {target: 172.16.0.0/12, note: private}\n"
                                   "    - {target: 192.168.0.0/16, note: private}\n"
                                   "    - {target: 100.64.0.0/10, note: carrier-grade NAT}\n"
                                   "    - {target: 'fc00::/7', note: private}\n";

/* ---- life ---- */

struct policy *policy_ref(struct policy *p)
{
    p->refs++;
    return p;
}

static void entries_done(struct entries *list)
{
    for (size_t i = 0; i < list->n; i++) {
        entry_done(&list->v[i]);
    }
    free(list->v);
}

void policy_unref(struct policy *p)
{
    if (!p || --p->refs) {
        return;
    }
    entries_done(&p->allow);
    entries_done(&p->deny);
    for (size_t i = 0; i < p->n_rules; i++) {
        rules_done(&p->rules[i]);
    }
    for (size_t i = 0; i < p->n_keys; i++) {
        free(p->keys[i].key);
        free(p->keys[i].policy);
    }
    for (size_t i = 0; i < p->n_repositories; i++) {
        repository_done(&p->repositories[i]);
    }
    free(p->repositories);
    netset_done(&p->denied);
    free(p->rules);
    free(p->keys);
    free(p->pieces);
    free(p->names);
    free(p->source);
    free(p);
}

const char *policy_source(const struct policy *p)
{
    return p->source;
}

/* ---- reading ---- */

static int version_read(void *load, const struct node *v, struct err *e)
{
    const struct load *l = load;

    if (v->kind != NODE_TEXT || strcmp(v->text, "1") != 0) {
        return node_wrong(l->name, v, e, "'version' must be 1");
    }
    return 0;
}

static const struct node_field file_fields[] = {
    {"version", version_read, true},
    {"scope", scope_read, true},
    {"policies", policies_read, false},
    {"keys", keys_read, false},
    {"repositories", repositories_read, false},
    {0},
};

/* Rules of that name, or the ones that hold where nothing was written: always the last. */
static void add_default(struct load *l)
{
    struct policy *p = l->p;

    p->rules = xrealloc(p->rules, (p->n_rules + 1) * sizeof *p->rules);
    rules_default(&p->rules[p->n_rules++], "default");
}

int policy_parse(const char *text, size_t n, const char *name, struct policy **out, struct err *e)
{
    struct policy *p = xcalloc(1, sizeof *p);
    struct load l = {.name = name, .p = p};
    struct node root = {0};
    int rc;

    p->refs = 1;
    p->source = xstrdup(name);
    rc = n > FILE_MAX ? err_set(e, ERR_INVALID, "%s: larger than 1 MiB", name)
                      : node_parse(text, n, name, &root, e);
    if (rc == 0) {
        rc = node_map(name, &root, "the file", file_fields, &l, e);
        node_done(&root);
    }
    if (rc == 0) {
        rc = keys_check(&l, e);
    }
    if (rc == 0) {
        rc = scope_check(&l, e);
    }
    if (rc < 0) {
        policy_unref(p);
        return rc;
    }
    add_default(&l);
    scope_build(p);
    *out = p;
    return 0;
}

struct policy *policy_builtin(void)
{
    struct policy *p = NULL;
    struct err e;

    if (policy_parse(builtin_text, sizeof builtin_text - 1, "built-in", &p, &e) < 0) {
        abort(); /* our own text */
    }
    p->builtin = true;
    return p;
}

static int file_trusted(const char *path, const struct stat *st, uid_t owner, struct err *e)
{
    if (!S_ISREG(st->st_mode)) {
        return err_set(e, ERR_INVALID, "%s: not a file", path);
    }
    if (st->st_uid != 0 && st->st_uid != owner) {
        return err_set(e, ERR_INVALID,
                       "%s: belongs to user %u; the scope file must belong to root or user %u: "
                       "chown root %s",
                       path, (unsigned)st->st_uid, (unsigned)owner, path);
    }
    if (st->st_mode & (S_IWGRP | S_IWOTH)) {
        return err_set(e, ERR_INVALID, "%s: others than its owner may write it: chmod go-w %s",
                       path, path);
    }
    if (st->st_size > FILE_MAX) {
        return err_set(e, ERR_INVALID, "%s: larger than 1 MiB", path);
    }
    return 0;
}

static int read_all(int fd, const char *path, struct buf *out, struct err *e)
{
    for (;;) {
        char *room = buf_space(out, 16384);
        ssize_t n;

        if (!room) {
            return err_set(e, ERR_INVALID, "%s: larger than 1 MiB", path);
        }
        n = read(fd, room, 16384);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_errno(e, "read scope file '%s'", path);
        }
        if (n == 0) {
            return 0;
        }
        out->len += (size_t)n;
    }
}

int policy_load(const char *path, uid_t owner, struct policy **out, struct err *e)
{
    /* Not to wait for the writer of a FIFO. */
    auto_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    auto_buf text = {.cap = FILE_MAX + 65536};
    struct stat st;
    int rc;

    if (fd < 0 && errno == EACCES) {
        return err_set(
            e, ERR_INVALID,
            "open scope file '%s': Permission denied for user %u, which reads it; open it "
            "with: chmod a+r '%s' (and a+x for its directories)",
            path, (unsigned)geteuid(), path);
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        return err_errno(e, "open scope file '%s'", path);
    }
    rc = file_trusted(path, &st, owner, e);
    if (rc == 0) {
        rc = read_all(fd, path, &text, e);
    }
    return rc < 0 ? rc : policy_parse(text.len ? text.data : "", text.len, path, out, e);
}

/* ---- rules ---- */

static const struct key_row *key_named(const struct policy *p, const char *name)
{
    size_t low = 0, high = p->n_keys;

    while (name && low < high) {
        size_t mid = low + (high - low) / 2;
        int c = strcmp(p->keys[mid].key, name);

        if (c == 0) {
            return &p->keys[mid];
        }
        if (c < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

const struct policy_rules *policy_rules(const struct policy *p, const char *key_id,
                                        const char *key_name)
{
    const struct key_row *k = key_named(p, key_id);

    if (!k) {
        k = key_named(p, key_name);
    }
    if (k) {
        return &p->rules[k->rules].pub;
    }
    for (size_t i = 0; i < p->n_rules; i++) {
        if (strcmp(p->rules[i].name, "default") == 0) {
            return &p->rules[i].pub; /* the file's own comes first */
        }
    }
    return &p->rules[p->n_rules - 1].pub;
}
