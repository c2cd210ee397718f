/* Keys and the audit log in memory. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/mem.h"

/* ---- keys ---- */

int mem_key_put(struct store *s, const struct key *k)
{
    struct mem *m = mem_of(s);
    struct key *copy = xcalloc(1, sizeof *copy);

    *copy = *k;
    for (size_t i = 0; i < m->lists[MEM_KEY].n; i++) {
        if (strcmp(((struct key *)m->lists[MEM_KEY].v[i])->id, k->id) == 0) {
            mem_replace(m, MEM_KEY, i, copy);
            return 0;
        }
    }
    mem_add(m, MEM_KEY, copy);
    return 0;
}

int mem_keys(struct store *s, key_fn fn, void *arg)
{
    struct mem *m = mem_of(s);
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < m->lists[MEM_KEY].n; i++) {
        rc = fn(arg, m->lists[MEM_KEY].v[i], &s->err);
    }
    return rc;
}

/* The rules have it in memory already, and nothing is read back. */
int mem_key_tally_put(struct store *s, const struct key_tally *t)
{
    (void)s;
    (void)t;
    return 0;
}

int mem_key_use_drop(struct store *s, int64_t hour)
{
    (void)s;
    (void)hour;
    return 0;
}

/* ---- the audit log ---- */

static void free_text(const char *s)
{
    free((char *)(uintptr_t)s);
}

void mem_audit_done(struct mem_audit *ma)
{
    free_text(ma->a.actor);
    free_text(ma->a.action);
    free_text(ma->a.object);
    free_text(ma->a.detail);
}

int mem_audit_put(struct store *s, const struct audit *a)
{
    struct mem_audit *ma = xcalloc(1, sizeof *ma);

    ma->a = *a;
    ma->a.actor = xstrdup(a->actor);
    ma->a.action = xstrdup(a->action);
    ma->a.object = xstrdup(a->object);
    ma->a.detail = xstrdup(a->detail);
    mem_add(mem_of(s), MEM_AUDIT, ma);
    return 0;
}

int mem_audits(struct store *s, int64_t after, uint32_t limit, audit_fn fn, void *arg)
{
    const struct mem_list *l = &mem_of(s)->lists[MEM_AUDIT];
    uint32_t given = 0;
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < l->n && given < limit; i++) {
        const struct mem_audit *ma = l->v[i];

        if (ma->a.seq > after) {
            rc = fn(arg, &ma->a, &s->err);
            given++;
        }
    }
    return rc;
}
