/* A scan whose job is removed, and one whose findings were read anew. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/compare.h"

bool issue_shows(const struct line *l, const struct issue *i)
{
    return i->num >= l->gone_below || i->note.state != TRIAGE_NONE;
}

int line_save(struct store *s, struct line *l)
{
    spread_level(&l->counting, l->complete, l->level, NULL);
    return s->ops->line_put(s, l);
}

static int count_noted(void *arg, const struct issue *i)
{
    struct line *l = arg;

    l->open += i->open;
    if (i->open && !triage_away(i->force)) {
        spread_add(&l->counting, &i->head);
    }
    return 0;
}

/* The last job of a line goes: what people wrote of issues stays with them, the others go. */
static int line_gone(struct store *s, struct line *l)
{
    l->gone_below = s->now.next_issue;
    l->open = 0;
    memset(&l->counting, 0, sizeof l->counting);
    return s->ops->issues_noted(s, l->num, count_noted, l);
}

static int leave_line(struct store *s, int64_t num)
{
    struct line l;
    int rc = s->ops->line_find(s, NULL, num, &l);

    if (rc != 0) {
        return rc;
    }
    l.jobs--;
    if (l.jobs == 0) {
        rc = line_gone(s, &l);
    }
    if (rc == 0) {
        rc = line_save(s, &l);
    }
    if (rc == 0 && l.jobs == 0) {
        rc = s->ops->purge_line(s, s->now.next_purge++, l.num);
    }
    line_done(&l);
    return rc;
}

int scan_gone(struct store *s, const struct job *j)
{
    struct scan sc;
    int rc = scan_may(j) ? s->ops->scan_find(s, j->num, &sc) : ERR_NOT_FOUND;

    if (rc != 0) {
        return rc == ERR_NOT_FOUND ? 0 : rc;
    }
    if (sc.line) {
        rc = leave_line(s, sc.line);
    }
    scan_done(&sc);
    return rc == 0 ? s->ops->scan_drop(s, j->num) : rc;
}

/* ---- counted anew ---- */

struct recount {
    struct store *s;
    struct figures *is;
};

struct force_and_severity {
    enum triage force;
    enum severity severity;
};

static int note_issue(void *arg, const struct issue *i)
{
    *(struct force_and_severity *)arg = (struct force_and_severity){i->force, i->head.severity};
    return 0;
}

static int look(struct store *s, int64_t issue, struct force_and_severity *out)
{
    int rc;

    *out = (struct force_and_severity){TRIAGE_NONE, SEVERITY_INFO};
    rc = issue ? s->ops->issue_find(s, issue, note_issue, out) : 0;
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int count_reported(void *arg, int64_t seq, const struct finding_head *h,
                          const struct verdict *v)
{
    const struct recount *r = arg;
    struct force_and_severity is;
    int rc = look(r->s, v ? v->issue : 0, &is);

    (void)seq;
    figures_report(r->is, h, v ? v->life : LIFE_NEW, triage_away(is.force));
    return rc;
}

static int count_absent(void *arg, int64_t seq, const struct verdict *v)
{
    const struct recount *r = arg;
    struct force_and_severity is;
    int rc = look(r->s, v->issue, &is);

    (void)seq;
    figures_absent(r->is, is.severity, v->life, triage_away(is.force));
    return rc;
}

int scan_recount(struct store *s, struct scan *sc)
{
    struct recount r = {s, &sc->is};
    struct task_row row;
    int rc = s->ops->task_find(s, sc->job_num, 0, &row);

    memset(&sc->is, 0, sizeof sc->is);
    if (rc == 0) {
        rc = s->ops->findings(s, row.result, 0, count_reported, &r);
    }
    return rc == 0 ? s->ops->verdicts(s, row.result, sc->findings, count_absent, &r) : rc;
}

/* ---- read anew ---- */

struct anew {
    struct store *s;
    struct scan sc;
    struct arena *arena;
    struct known_set old, now;
    struct seen *seen;
    int64_t result, absent;
};

static int still_absent(void *arg, int64_t seq, const struct verdict *v)
{
    struct anew *a = arg;

    (void)seq;
    return a->s->ops->verdict_put(a->s, finding_id(a->result, a->sc.findings + ++a->absent), v);
}

/* What is found again stands to its issue as it did. */
static int read_anew(struct anew *a, int64_t old)
{
    int rc = found_load(a->s, old, &a->old);

    if (rc == 0) {
        rc = found_load(a->s, a->result, &a->now);
    }
    if (rc == 0) {
        known_match(&a->old, &a->now, a->seen);
    }
    a->sc.findings = (int64_t)a->now.n;
    for (size_t at = 0; rc == 0 && at < a->now.n; at++) {
        const struct known *k = &a->now.known[at];
        struct verdict v = {0, LIFE_NEW, 0};

        if (k->twin >= 0) {
            v = found_at(&a->old, (size_t)k->twin)->verdict;
        }
        rc = a->s->ops->verdict_put(a->s, finding_id(a->result, found_at(&a->now, at)->seq), &v);
    }
    if (rc == 0 && old) {
        rc = a->s->ops->verdicts(a->s, old, (int64_t)a->old.n, still_absent, a);
    }
    return rc;
}

int scan_reparsed(struct store *s, const struct work *w, int64_t old, const char *run_json,
                  int64_t *findings)
{
    struct anew a = {.s = s, .result = w->row.result};
    int rc = scan_may(&w->job) ? s->ops->scan_find(s, w->job.num, &a.sc) : ERR_NOT_FOUND;

    if (rc != 0) {
        return rc == ERR_NOT_FOUND ? 0 : rc;
    }
    a.seen = seen_new(run_json, false);
    a.arena = a.old.arena = a.now.arena = arena_new();
    a.sc.reread = true;
    rc = read_anew(&a, old);
    if (rc == 0) {
        rc = scan_recount(s, &a.sc);
    }
    if (rc == 0) {
        rc = s->ops->scan_put(s, &a.sc);
    }
    *findings = a.sc.findings;
    scan_done(&a.sc);
    seen_free(a.seen);
    known_set_done(&a.old);
    known_set_done(&a.now);
    arena_free(a.arena);
    return rc;
}
