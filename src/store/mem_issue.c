/* Issues and lines of scans in memory. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/mem.h"

/* ---- issues ---- */

static const struct issue *issue_at(struct mem *m, size_t at)
{
    return &((const struct mem_issue *)m->lists[MEM_ISSUE].v[at])->is;
}

int mem_issue_add(struct store *s, const struct issue *i)
{
    struct mem_issue *mi = xcalloc(1, sizeof *mi);

    *mi = (struct mem_issue){i->num, *i};
    mi->is.note.reason = xstrdup(i->note.reason);
    mi->is.note.by = xstrdup(i->note.by);
    mem_head_copy(&mi->is.head);
    mem_put(mem_of(s), MEM_ISSUE, mi);
    return 0;
}

int mem_issue_put(struct store *s, const struct issue *i)
{
    return mem_issue_add(s, i);
}

int mem_issue_touch(struct store *s, const struct issue *i)
{
    struct mem *m = mem_of(s);
    struct issue now = *i;
    const struct issue *was;
    size_t at;

    if (!mem_find(m, MEM_ISSUE, i->num, &at)) {
        return store_fail(s, ERR_INTERNAL, "an issue is not there");
    }
    was = issue_at(m, at);
    now.kind = was->kind;
    now.open = was->open;
    now.head.severity = was->head.severity;
    now.head.rule = was->head.rule;
    now.force = was->force;
    now.note = was->note;
    now.expires_us = was->expires_us;
    return mem_issue_add(s, &now);
}

int mem_issue_drop(struct store *s, int64_t num)
{
    struct mem *m = mem_of(s);
    size_t at;

    if (mem_find(m, MEM_ISSUE, num, &at)) {
        mem_remove(m, MEM_ISSUE, at);
    }
    return 0;
}

int mem_issue_find(struct store *s, int64_t num, issue_fn fn, void *arg)
{
    struct mem *m = mem_of(s);
    size_t at;

    if (!mem_find(m, MEM_ISSUE, num, &at)) {
        return store_fail(s, ERR_NOT_FOUND, "no such issue");
    }
    return fn(arg, issue_at(m, at));
}

static bool in_range(const struct issue *i, const struct issue_range *r)
{
    switch (r->by) {
    case ISSUES_ALL:
        return true;
    case ISSUES_OF_LINE:
        return i->line == r->line && i->open == r->open && i->head.severity == r->severity;
    case ISSUES_OF_STATE:
        return i->open == r->open && i->head.severity == r->severity;
    case ISSUES_OF_KIND:
        return i->kind == r->kind;
    case ISSUES_OF_TRIAGE:
        return i->force == r->force;
    }
    return false;
}

int mem_issue_before(struct store *s, const struct issue_range *r, int64_t below, int64_t *num)
{
    struct mem *m = mem_of(s);

    *num = 0;
    for (size_t at = mem_from(m, MEM_ISSUE, below); at > 0 && *num == 0; at--) {
        *num = in_range(issue_at(m, at - 1), r) ? issue_at(m, at - 1)->num : 0;
    }
    return 0;
}

int mem_issues_of(struct store *s, int64_t line, issue_fn fn, void *arg)
{
    struct mem *m = mem_of(s);
    int rc = 0;

    for (size_t at = 0; rc == 0 && at < m->lists[MEM_ISSUE].n; at++) {
        rc = issue_at(m, at)->line == line ? fn(arg, issue_at(m, at)) : 0;
    }
    return rc;
}

int mem_issues_noted(struct store *s, int64_t line, issue_fn fn, void *arg)
{
    struct mem *m = mem_of(s);
    int rc = 0;

    for (size_t at = 0; rc == 0 && at < m->lists[MEM_ISSUE].n; at++) {
        const struct issue *i = issue_at(m, at);

        rc = i->line == line && i->note.state != TRIAGE_NONE ? fn(arg, i) : 0;
    }
    return rc;
}

/* The first behind (after_us, after) in the order of time, then number. */
static const struct issue *due_after(struct mem *m, int64_t after_us, int64_t after)
{
    const struct issue *best = NULL;

    for (size_t at = 0; at < m->lists[MEM_ISSUE].n; at++) {
        const struct issue *i = issue_at(m, at);
        int64_t us = i->expires_us;

        if (us != 0 && (us > after_us || (us == after_us && i->num > after)) &&
            (!best || us < best->expires_us)) {
            best = i;
        }
    }
    return best;
}

int mem_issue_due(struct store *s, int64_t now_us, uint32_t limit, int64_t *nums, uint32_t *n)
{
    struct mem *m = mem_of(s);
    const struct issue *i = due_after(m, 0, 0);

    *n = 0;
    while (i && *n < limit && i->expires_us <= now_us) {
        nums[(*n)++] = i->num;
        i = due_after(m, i->expires_us, i->num);
    }
    return 0;
}

int mem_issue_due_next(struct store *s, int64_t *next_us)
{
    const struct issue *i = due_after(mem_of(s), 0, 0);

    *next_us = i ? i->expires_us : 0;
    return 0;
}

/* ---- kinds ---- */

int mem_kind_add(struct store *s, const struct kind *k)
{
    struct mem_kind_row *mk = xcalloc(1, sizeof *mk);

    mk->num = k->num;
    mk->k = (struct kind){k->num, xstrdup(k->rule), xstrdup(k->engines), xstrdup(k->cwes)};
    mem_put(mem_of(s), MEM_KIND, mk);
    return 0;
}

int mem_kinds(struct store *s, kind_fn fn, void *arg)
{
    struct mem *m = mem_of(s);
    int rc = 0;

    for (size_t at = 0; rc == 0 && at < m->lists[MEM_KIND].n; at++) {
        rc = fn(arg, &((const struct mem_kind_row *)m->lists[MEM_KIND].v[at])->k);
    }
    return rc;
}

/* ---- lines ---- */

static struct line line_copy(const struct line *from)
{
    struct line c = *from;

    c.key = xstrdup(from->key);
    c.url = xstrdup(from->url);
    c.branch = xstrdup(from->branch);
    c.subdir = xstrdup(from->subdir);
    return c;
}

static const struct line *line_at(struct mem *m, size_t at)
{
    return &((const struct mem_line *)m->lists[MEM_LINE].v[at])->l;
}

int mem_line_put(struct store *s, const struct line *l)
{
    struct mem_line *ml = xcalloc(1, sizeof *ml);

    *ml = (struct mem_line){l->num, line_copy(l)};
    mem_put(mem_of(s), MEM_LINE, ml);
    return 0;
}

int mem_line_find(struct store *s, const char *key, int64_t num, struct line *out)
{
    struct mem *m = mem_of(s);

    for (size_t at = 0; at < m->lists[MEM_LINE].n; at++) {
        const struct line *l = line_at(m, at);

        if (key ? strcmp(l->key, key) == 0 : l->num == num) {
            *out = line_copy(l);
            return 0;
        }
    }
    return store_fail(s, ERR_NOT_FOUND, "no such line of scans");
}

int mem_lines(struct store *s, const char *after, line_fn fn, void *arg)
{
    struct mem *m = mem_of(s);
    const struct line *last = NULL;
    int rc = 0;

    while (rc == 0) {
        const struct line *next = NULL;

        for (size_t at = 0; at < m->lists[MEM_LINE].n; at++) {
            const struct line *l = line_at(m, at);

            if (strcmp(l->key, last ? last->key : after) > 0 &&
                (!next || strcmp(l->key, next->key) < 0)) {
                next = l;
            }
        }
        if (!next) {
            break;
        }
        rc = fn(arg, next);
        last = next;
    }
    return rc;
}
