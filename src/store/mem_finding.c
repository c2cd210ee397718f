/* Scans, findings, verdicts and bodies in memory: lists in the order of their numbers. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/mem.h"

/* ---- lists by number: each thing begins with it ---- */

static int64_t num_at(const struct mem_list *l, size_t at)
{
    return *(const int64_t *)l->v[at];
}

size_t mem_from(struct mem *m, enum mem_kind kind, int64_t num)
{
    const struct mem_list *l = &m->lists[kind];
    size_t lo = 0;
    size_t hi = l->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (num_at(l, mid) < num) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

bool mem_find(struct mem *m, enum mem_kind kind, int64_t num, size_t *at)
{
    *at = mem_from(m, kind, num);
    return *at < m->lists[kind].n && num_at(&m->lists[kind], *at) == num;
}

void mem_put(struct mem *m, enum mem_kind kind, void *thing)
{
    size_t at;

    if (mem_find(m, kind, *(const int64_t *)thing, &at)) {
        mem_replace(m, kind, at, thing);
    } else {
        mem_insert(m, kind, at, thing);
    }
}

static void remove_num(struct mem *m, enum mem_kind kind, int64_t num)
{
    size_t at;

    if (mem_find(m, kind, num, &at)) {
        mem_remove(m, kind, at);
    }
}

/* ---- things ---- */

void mem_head_copy(struct finding_head *h)
{
    h->rule = xstrdup(h->rule);
    h->path = xstrdup(h->path);
    h->text = xstrdup(h->text);
    h->engines = xstrdup(h->engines);
    h->cwes = xstrdup(h->cwes);
}

static void free_text(const char *s)
{
    free((void *)(uintptr_t)s);
}

void mem_head_free(const struct finding_head *h)
{
    free_text(h->rule);
    free_text(h->path);
    free_text(h->text);
    free_text(h->engines);
    free_text(h->cwes);
}

void mem_finding_free(enum mem_kind kind, void *thing)
{
    if (kind == MEM_SCAN) {
        scan_done(&((struct mem_scan *)thing)->sc);
    } else if (kind == MEM_LINE) {
        line_done(&((struct mem_line *)thing)->l);
    } else if (kind == MEM_FINDING) {
        mem_head_free(&((struct mem_finding *)thing)->head);
    } else if (kind == MEM_KIND) {
        const struct kind *k = &((struct mem_kind_row *)thing)->k;

        free_text(k->rule);
        free_text(k->engines);
        free_text(k->cwes);
    } else if (kind == MEM_BODY) {
        free(((struct mem_body *)thing)->p);
    } else if (kind == MEM_ISSUE) {
        const struct issue *i = &((struct mem_issue *)thing)->is;

        free_text(i->note.reason);
        free_text(i->note.by);
        mem_head_free(&i->head);
    }
}

static struct scan scan_copy(const struct scan *from)
{
    struct scan c = *from;

    c.url = xstrdup(from->url);
    c.branch = xstrdup(from->branch);
    c.subdir = xstrdup(from->subdir);
    c.commit = xstrdup(from->commit);
    return c;
}

/* ---- scans ---- */

int mem_scan_put(struct store *s, const struct scan *sc)
{
    struct mem_scan *ms = xcalloc(1, sizeof *ms);

    ms->num = sc->job_num;
    ms->sc = scan_copy(sc);
    mem_put(mem_of(s), MEM_SCAN, ms);
    return 0;
}

int mem_scan_find(struct store *s, int64_t job_num, struct scan *out)
{
    struct mem *m = mem_of(s);
    size_t at;

    if (!mem_find(m, MEM_SCAN, job_num, &at)) {
        return store_fail(s, ERR_NOT_FOUND, "the job is no repository scan");
    }
    *out = scan_copy(&((const struct mem_scan *)m->lists[MEM_SCAN].v[at])->sc);
    return 0;
}

int mem_scan_drop(struct store *s, int64_t job_num)
{
    remove_num(mem_of(s), MEM_SCAN, job_num);
    return 0;
}

/* ---- findings ---- */

int mem_finding_put(struct store *s, int64_t id, const struct finding_head *h, const void *body,
                    size_t n)
{
    struct mem_finding *mf = xcalloc(1, sizeof *mf);
    struct mem_body *mb = xcalloc(1, sizeof *mb);

    mf->num = mb->num = id;
    mf->head = *h;
    mem_head_copy(&mf->head);
    mb->n = n;
    mb->p = xmalloc(n + 1);
    memcpy(mb->p, body, n);
    mem_put(mem_of(s), MEM_FINDING, mf);
    mem_put(mem_of(s), MEM_BODY, mb);
    return 0;
}

int mem_verdict_put(struct store *s, int64_t id, const struct verdict *v)
{
    struct mem_verdict *mv = xcalloc(1, sizeof *mv);

    *mv = (struct mem_verdict){id, *v};
    mem_put(mem_of(s), MEM_VERDICT, mv);
    return 0;
}

static const struct verdict *verdict_of(struct mem *m, int64_t id)
{
    size_t at;

    return mem_find(m, MEM_VERDICT, id, &at)
               ? &((const struct mem_verdict *)m->lists[MEM_VERDICT].v[at])->v
               : NULL;
}

int mem_findings(struct store *s, int64_t result, int64_t after, head_fn fn, void *arg)
{
    struct mem *m = mem_of(s);
    const struct mem_list *l = &m->lists[MEM_FINDING];
    int64_t base = finding_id(result, 0);
    int rc = 0;

    for (size_t at = mem_from(m, MEM_FINDING, base + MAX(after, 0) + 1); rc == 0 && at < l->n;
         at++) {
        const struct mem_finding *mf = l->v[at];

        if (mf->num >= finding_id(result + 1, 0)) {
            break;
        }
        rc = fn(arg, mf->num - base, &mf->head, verdict_of(m, mf->num));
    }
    return rc;
}

int mem_verdicts(struct store *s, int64_t result, int64_t after, verdict_fn fn, void *arg)
{
    struct mem *m = mem_of(s);
    const struct mem_list *l = &m->lists[MEM_VERDICT];
    int64_t base = finding_id(result, 0);
    int rc = 0;

    for (size_t at = mem_from(m, MEM_VERDICT, base + MAX(after, 0) + 1); rc == 0 && at < l->n;
         at++) {
        const struct mem_verdict *mv = l->v[at];

        if (mv->num >= finding_id(result + 1, 0)) {
            break;
        }
        rc = fn(arg, mv->num - base, &mv->v);
    }
    return rc;
}

int mem_body_get(struct store *s, int64_t id, struct buf *out, bool *found)
{
    struct mem *m = mem_of(s);
    size_t at;

    *found = mem_find(m, MEM_BODY, id, &at);
    if (*found) {
        const struct mem_body *mb = m->lists[MEM_BODY].v[at];

        buf_add(out, mb->p, mb->n);
    }
    return 0;
}

int mem_body_free(struct store *s, int64_t id)
{
    struct mem *m = mem_of(s);
    size_t at;

    if (!mem_find(m, MEM_FINDING, id, &at)) {
        remove_num(m, MEM_BODY, id);
    }
    return 0;
}

/* ---- removing ---- */

static bool body_lent(struct mem *m, int64_t id)
{
    const struct verdict *v = verdict_of(m, id);
    size_t at;

    return v && mem_find(m, MEM_ISSUE, v->issue, &at) &&
           ((const struct mem_issue *)m->lists[MEM_ISSUE].v[at])->is.body == id;
}

/* What is behind the last finding was not reported. */
int64_t mem_findings_rows(struct mem *m, int64_t result)
{
    size_t first = mem_from(m, MEM_FINDING, finding_id(result, 0));
    size_t end = mem_from(m, MEM_FINDING, finding_id(result + 1, 0));
    int64_t last = end > first ? num_at(&m->lists[MEM_FINDING], end - 1) : finding_id(result, 0);

    return (int64_t)(end - first + mem_from(m, MEM_VERDICT, finding_id(result + 1, 0)) -
                     mem_from(m, MEM_VERDICT, last + 1));
}

void mem_findings_remove(struct mem *m, int64_t result)
{
    int64_t lo = finding_id(result, 0);
    int64_t hi = finding_id(result + 1, 0);
    size_t at = mem_from(m, MEM_FINDING, lo);

    while (at < m->lists[MEM_FINDING].n && num_at(&m->lists[MEM_FINDING], at) < hi) {
        int64_t id = num_at(&m->lists[MEM_FINDING], at);

        if (!body_lent(m, id)) {
            remove_num(m, MEM_BODY, id);
        }
        mem_remove(m, MEM_FINDING, at);
    }
    at = mem_from(m, MEM_VERDICT, lo);
    while (at < m->lists[MEM_VERDICT].n && num_at(&m->lists[MEM_VERDICT], at) < hi) {
        mem_remove(m, MEM_VERDICT, at);
    }
}

static const struct line *line_at(struct mem *m, int64_t line, size_t *at)
{
    return mem_find(m, MEM_LINE, line, at)
               ? &((const struct mem_line *)m->lists[MEM_LINE].v[*at])->l
               : NULL;
}

int64_t mem_line_rows(struct mem *m, int64_t line)
{
    const struct mem_list *l = &m->lists[MEM_ISSUE];
    size_t at;
    const struct line *of = line_at(m, line, &at);
    int64_t n = 0;

    for (at = 0; of && at < l->n; at++) {
        const struct issue *i = &((const struct mem_issue *)l->v[at])->is;

        n += i->line == line && !issue_shows(of, i);
    }
    return n;
}

void mem_line_remove(struct mem *m, int64_t line)
{
    struct mem_list *l = &m->lists[MEM_ISSUE];
    size_t of_at;
    const struct line *of = line_at(m, line, &of_at);
    bool used = !of || of->jobs > 0;

    for (size_t at = 0; of && at < l->n;) {
        const struct issue *i = &((const struct mem_issue *)l->v[at])->is;
        size_t body;
        size_t finding;

        if (i->line == line && !issue_shows(of, i)) {
            if (!mem_find(m, MEM_FINDING, i->body, &finding) &&
                mem_find(m, MEM_BODY, i->body, &body)) {
                mem_remove(m, MEM_BODY, body);
            }
            mem_remove(m, MEM_ISSUE, at);
        } else {
            used = used || i->line == line;
            at++;
        }
    }
    if (!used) {
        mem_remove(m, MEM_LINE, of_at);
    }
}

int mem_purge_line(struct store *s, int64_t id, int64_t line)
{
    struct mem *m = mem_of(s);
    struct mem_purge *p = xcalloc(1, sizeof *p);

    *p = (struct mem_purge){.id = id, .line = line, .rows = -1};
    mem_add(m, MEM_PURGE, p);
    return 0;
}
