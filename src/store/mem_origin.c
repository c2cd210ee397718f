/* Origins, cursors, dead letters, memos and orphans in memory. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/mem.h"

/* ---- origins ---- */

static struct mem_origin *origin_at(struct mem *m, size_t i)
{
    return m->lists[MEM_ORIGIN].v[i];
}

static struct origin origin_copy(const struct origin *o)
{
    return (struct origin){xstrdup(o->intake), xstrdup(o->task_id), xstrdup(o->reply_to),
                           xstrdup(o->correlation), o->form};
}

static bool origin_where(struct mem *m, const struct id *job, int64_t job_num, size_t *at)
{
    for (size_t i = 0; i < m->lists[MEM_ORIGIN].n; i++) {
        const struct mem_origin *mo = origin_at(m, i);

        if (job ? id_cmp(&mo->job, job) == 0 : mo->job_num == job_num) {
            *at = i;
            return true;
        }
    }
    return false;
}

static void origin_set(struct mem *m, const struct mem_origin *mo)
{
    struct mem_origin *copy = xcalloc(1, sizeof *copy);
    size_t at;

    *copy = *mo;
    copy->origin = origin_copy(&mo->origin);
    if (origin_where(m, NULL, mo->job_num, &at)) {
        mem_replace(m, MEM_ORIGIN, at, copy);
    } else {
        mem_add(m, MEM_ORIGIN, copy);
    }
}

int mem_origin_put(struct store *s, int64_t job_num, const struct id *job, const struct origin *o)
{
    origin_set(mem_of(s), &(struct mem_origin){job_num, *job, 0, *o});
    return 0;
}

int mem_origin_find(struct store *s, const struct id *job, int64_t job_num, struct origin *out,
                    bool *found)
{
    struct mem *m = mem_of(s);
    size_t at;

    *found = origin_where(m, job, job_num, &at);
    if (*found) {
        *out = origin_copy(&origin_at(m, at)->origin);
    }
    return 0;
}

int mem_origin_gone(struct store *s, int64_t job_num, int64_t seq)
{
    struct mem *m = mem_of(s);
    size_t at;

    if (origin_where(m, NULL, job_num, &at)) {
        struct mem_origin mo = *origin_at(m, at);

        mo.gone = seq;
        origin_set(m, &mo);
    }
    return 0;
}

int mem_origin_drop(struct store *s, int64_t last)
{
    struct mem *m = mem_of(s);

    for (size_t i = m->lists[MEM_ORIGIN].n; i > 0; i--) {
        int64_t gone = origin_at(m, i - 1)->gone;

        if (gone != 0 && gone <= last) {
            mem_remove(m, MEM_ORIGIN, i - 1);
        }
    }
    return 0;
}

/* ---- cursors and memos: values by name ---- */

static struct mem_named *named(struct mem *m, enum mem_kind kind, const char *name, size_t *at)
{
    for (size_t i = 0; i < m->lists[kind].n; i++) {
        struct mem_named *is = m->lists[kind].v[i];

        if (strcmp(is->name, name) == 0) {
            *at = i;
            return is;
        }
    }
    return NULL;
}

static void named_set(struct mem *m, enum mem_kind kind, const struct mem_named *to)
{
    struct mem_named *copy = xcalloc(1, sizeof *copy);
    size_t at;

    *copy = *to;
    copy->name = xstrdup(to->name);
    copy->value = xstrdup(to->value);
    if (named(m, kind, to->name, &at)) {
        mem_replace(m, kind, at, copy);
    } else {
        mem_add(m, kind, copy);
    }
}

int mem_cursor_get(struct store *s, const char *name, int64_t *seq)
{
    size_t at;
    const struct mem_named *is = named(mem_of(s), MEM_CURSOR, name, &at);

    *seq = is ? is->seq : 0;
    return 0;
}

int mem_cursor_put(struct store *s, const char *name, int64_t seq, int64_t now_us)
{
    named_set(mem_of(s), MEM_CURSOR,
              &(struct mem_named){(char *)(uintptr_t)name, NULL, seq, now_us});
    return 0;
}

int mem_cursor_least(struct store *s, int64_t since_us, int64_t *seq)
{
    struct mem *m = mem_of(s);

    for (size_t i = 0; i < m->lists[MEM_CURSOR].n; i++) {
        const struct mem_named *is = m->lists[MEM_CURSOR].v[i];

        if (is->at_us >= since_us) {
            *seq = MIN(*seq, is->seq);
        }
    }
    return 0;
}

int mem_memo_put(struct store *s, const char *name, const char *value)
{
    struct mem *m = mem_of(s);
    size_t at;

    if (value) {
        named_set(m, MEM_MEMO,
                  &(struct mem_named){(char *)(uintptr_t)name, (char *)(uintptr_t)value, 0, 0});
    } else if (named(m, MEM_MEMO, name, &at)) {
        mem_remove(m, MEM_MEMO, at);
    }
    return 0;
}

int mem_memo_get(struct store *s, const char *name, char **value)
{
    size_t at;
    const struct mem_named *is = named(mem_of(s), MEM_MEMO, name, &at);

    *value = is ? xstrdup(is->value) : NULL;
    return 0;
}

/* ---- messages that were no requests ---- */

static const struct dead_letter *dead_at(struct mem *m, size_t i)
{
    return m->lists[MEM_DEAD].v[i];
}

int mem_dead_put(struct store *s, const struct dead_letter *d)
{
    struct dead_letter *copy = xcalloc(1, sizeof *copy);

    *copy = *d;
    copy->source = xstrdup(d->source);
    copy->task_id = xstrdup(d->task_id);
    copy->reason = xstrdup(d->reason);
    copy->body = xstrdup(d->body);
    mem_add(mem_of(s), MEM_DEAD, copy);
    return 0;
}

int mem_dead_bounds(struct store *s, int64_t *first, int64_t *last)
{
    struct mem *m = mem_of(s);
    size_t n = m->lists[MEM_DEAD].n;

    *first = n ? dead_at(m, 0)->seq : 0;
    *last = n ? dead_at(m, n - 1)->seq : 0;
    return 0;
}

int mem_dead_drop(struct store *s, int64_t last)
{
    struct mem *m = mem_of(s);

    while (m->lists[MEM_DEAD].n && dead_at(m, 0)->seq <= last) {
        mem_remove(m, MEM_DEAD, 0);
    }
    return 0;
}

int mem_deads(struct store *s, int64_t before, uint32_t limit, dead_fn fn, void *arg)
{
    struct mem *m = mem_of(s);
    uint32_t given = 0;
    int rc = 0;

    for (size_t i = m->lists[MEM_DEAD].n; rc == 0 && i > 0 && given < limit; i--) {
        if (dead_at(m, i - 1)->seq < before) {
            rc = fn(arg, dead_at(m, i - 1), &s->err);
            given++;
        }
    }
    return rc;
}

/* ---- what is in object storage of jobs that are gone ---- */

int mem_orphan_add(struct store *s, int64_t id, const char *uri)
{
    struct mem_named *mn = xcalloc(1, sizeof *mn);

    *mn = (struct mem_named){.value = xstrdup(uri), .seq = id};
    mem_add(mem_of(s), MEM_ORPHAN, mn);
    return 0;
}

int mem_orphans(struct store *s, uint32_t limit, orphan_fn fn, void *arg)
{
    const struct mem_list *l = &mem_of(s)->lists[MEM_ORPHAN];
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < l->n && i < limit; i++) {
        const struct mem_named *mn = l->v[i];

        rc = fn(arg, mn->seq, mn->value, &s->err);
    }
    return rc;
}

int mem_orphan_drop(struct store *s, int64_t id)
{
    struct mem *m = mem_of(s);

    for (size_t i = 0; i < m->lists[MEM_ORPHAN].n; i++) {
        if (((struct mem_named *)m->lists[MEM_ORPHAN].v[i])->seq == id) {
            mem_remove(m, MEM_ORPHAN, i);
            break;
        }
    }
    return 0;
}

/* ---- the ends of them ---- */

void mem_origin_free(struct mem_origin *mo)
{
    origin_done(&mo->origin);
}

void mem_named_free(struct mem_named *mn)
{
    free(mn->name);
    free(mn->value);
}

void mem_dead_free(struct dead_letter *d)
{
    free((void *)(uintptr_t)d->source);
    free((void *)(uintptr_t)d->task_id);
    free((void *)(uintptr_t)d->reason);
    free((void *)(uintptr_t)d->body);
}
