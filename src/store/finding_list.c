/*
 * Lists of findings and issues. What a filter says is decided here, row by row, on heads; a backend
 * gives rows in order, of issues from the index that leaves the fewest. A call that is told where
 * to put the next page's cursor looks at so many rows and no more.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/internal.h"

enum {
    ROWS_MAX = 1000,
    LOOKS_MAX = 4000, /* of a call: heads, and bodies */
    LINES_MAX = 400,  /* more lines than that are not read one beside the other */
};

struct list {
    struct store *s;
    const struct finding_filter *f;
    finding_row_fn fn;
    void *arg;
    uint32_t limit, given;
    int64_t looks; /* left */
    int64_t at;    /* the last that was looked at */
    bool stopped;  /* there is more */
    struct buf body;
    /* of a job */
    const struct scan *scan;
    int64_t result;
    struct id job;
    /* of issues */
    struct line line; /* the last one that was needed */
    int64_t *lines;   /* those of the filter, in order; NULL: all */
    size_t n_lines, size_lines;
};

static void list_init(struct list *l, struct store *s, const struct finding_filter *f,
                      finding_row_fn fn, void *arg)
{
    *l = (struct list){.s = s, .f = f, .fn = fn, .arg = arg, .at = f->after};
    l->limit = f->limit == 0 || f->limit > ROWS_MAX ? ROWS_MAX : f->limit;
    l->looks = f->next ? LOOKS_MAX : INT64_MAX;
}

static int list_end(struct list *l, int rc)
{
    if (rc >= 0 && l->f->next) {
        *l->f->next = l->stopped ? l->at : 0;
    }
    buf_done(&l->body);
    line_done(&l->line);
    free(l->lines);
    return rc;
}

/* Before the next row: true if this call is over. */
static bool full(struct list *l)
{
    l->stopped = l->given >= l->limit || l->looks <= 0;
    return l->stopped;
}

/* The body, whole; *found is false if it is not there any more. */
static int read_body(struct list *l, int64_t id, struct finding *out, bool *found)
{
    int rc;

    l->looks--;
    buf_reset(&l->body);
    *found = false;
    rc = id ? l->s->ops->body_get(l->s, id, &l->body, found) : 0;
    if (rc == 0 && *found && !finding_unpack(l->body.data, l->body.len, out)) {
        rc = store_fail(l->s, ERR_IO, "the body of a finding is damaged");
    }
    return rc;
}

/* ---- rows ---- */

static void row_issue(struct finding_row *r, const struct issue *i)
{
    r->issue = i->id;
    r->rev = i->rev;
    r->open = i->open;
    r->triage = i->note;
    r->triage.state = i->force;
    r->counts = !triage_away(i->force);
    r->job = i->job;
    r->first_job = i->first_job;
    r->first_us = i->first_us;
    r->last_us = i->last_us;
    r->fixed_us = i->fixed_us;
    r->reopened = i->reopened;
}

static bool triage_passes(const struct finding_filter *f, enum triage force)
{
    return (f->triage < 0 || (int)force == f->triage) &&
           (f->counts < 0 || (f->counts != 0) == !triage_away(force));
}

static bool life_passes(const struct finding_filter *f, enum finding_life l)
{
    return f->lives == 0 || (f->lives & 1u << l) != 0;
}

static int give(struct list *l, const struct finding_row *r)
{
    l->given++;
    return l->fn(l->arg, r, &l->s->err);
}

/* ---- of a job ---- */

struct of_job {
    struct list *l;
    struct finding_row row;
    const struct verdict *v;
    bool absent;
};

/* With what is known of its issue, or without. */
static int give_finding(struct of_job *o, int64_t other_body)
{
    struct list *l = o->l;
    auto_buf engines = {0};
    auto_buf cwes = {0};
    struct finding_head h;
    struct finding f;
    bool found;
    int rc;

    if (!triage_passes(l->f, o->row.triage.state)) {
        return 0;
    }
    rc = read_body(l, o->absent ? o->v->body : finding_id(l->result, o->row.seq), &f, &found);
    if (rc == 0 && !found) {
        rc = read_body(l, other_body, &f, &found);
    }
    if (rc != 0 || !found || !text_passes(&f, l->f)) {
        return rc;
    }
    if (o->absent) {
        head_of(&f, &engines, &cwes, &h);
        if (!head_passes(&h, l->f)) {
            return 0;
        }
    }
    o->row.f = &f;
    return give(l, &o->row);
}

static int with_issue(void *arg, const struct issue *i)
{
    struct of_job *o = arg;

    row_issue(&o->row, i);
    return give_finding(o, o->absent ? i->body : 0);
}

static int job_row(struct list *l, int64_t seq, const struct verdict *v, bool absent)
{
    struct of_job o = {.l = l, .v = v, .absent = absent};
    int rc = ERR_NOT_FOUND;

    o.row = (struct finding_row){.seq = seq,
                                 .life = v ? v->life : LIFE_NEW,
                                 .counts = true,
                                 .job = l->job,
                                 .first_job = l->job,
                                 .url = l->scan->url,
                                 .branch = l->scan->branch,
                                 .subdir = l->scan->subdir};
    if (v && v->issue) {
        rc = l->s->ops->issue_find(l->s, v->issue, with_issue, &o);
    }
    return rc == ERR_NOT_FOUND ? give_finding(&o, 0) : rc;
}

static int on_head(void *arg, int64_t seq, const struct finding_head *h, const struct verdict *v)
{
    struct list *l = arg;

    if (full(l)) {
        return 1;
    }
    l->at = seq;
    l->looks--;
    if (!head_passes(h, l->f) || !life_passes(l->f, v ? v->life : LIFE_NEW)) {
        return 0;
    }
    return job_row(l, seq, v, false);
}

static int on_absent(void *arg, int64_t seq, const struct verdict *v)
{
    struct list *l = arg;

    if (full(l)) {
        return 1;
    }
    l->at = seq;
    l->looks--;
    return life_passes(l->f, v->life) ? job_row(l, seq, v, true) : 0;
}

static int list_job(struct list *l)
{
    const unsigned gone = 1u << LIFE_FIXED | 1u << LIFE_UNKNOWN;
    int64_t n = l->scan->findings;
    int rc = 0;

    if (l->f->after < n) {
        rc = l->s->ops->findings(l->s, l->result, l->f->after, on_head, l);
    }
    if (rc == 0 && (l->f->lives & gone)) {
        rc = l->s->ops->verdicts(l->s, l->result, MAX(l->f->after, n), on_absent, l);
    }
    return l->stopped ? 0 : rc;
}

int store_findings(struct store *s, int64_t job_num, const struct finding_filter *f,
                   finding_row_fn fn, void *arg, struct err *e)
{
    const struct intake *it = intake_of(s, job_num, 0);
    struct job job = {0};
    struct task_row row;
    struct scan sc = {0};
    struct list l;
    int rc = s->ops->scan_find(s, job_num, &sc);

    list_init(&l, s, f, fn, arg);
    if (rc == 0) {
        rc = s->ops->task_find(s, job_num, 0, &row);
    }
    if (rc == 0) {
        rc = s->ops->job_find(s, NULL, job_num, &job);
    }
    if (rc == 0) {
        if (it && it->scan && !it->reparse) {
            sc.findings = it->scan->findings;
        }
        l.job = job.id;
        l.scan = &sc;
        l.result = row.result;
        rc = row.result ? list_job(&l) : 0;
    }
    scan_done(&sc);
    job_done(&job);
    return store_read_end(s, list_end(&l, rc), e);
}

/* ---- issues ---- */

static int of_line(struct list *l, int64_t num)
{
    if (l->line.num == num) {
        return 0;
    }
    line_done(&l->line);
    return l->s->ops->line_find(l->s, NULL, num, &l->line);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

static bool issue_passes(const struct list *l, const struct issue *i)
{
    const struct finding_filter *f = l->f;

    return head_passes(&i->head, f) && life_passes(f, i->life) && triage_passes(f, i->force) &&
           (f->open < 0 || (f->open != 0) == i->open) &&
           (!l->lines ||
            bsearch(&i->line, l->lines, l->n_lines, sizeof *l->lines, by_value) != NULL);
}

static int give_issue(struct list *l, const struct issue *i)
{
    struct finding_row r = {.seq = i->num, .life = i->life};
    struct finding f;
    bool found;
    int rc = of_line(l, i->line);

    if (rc != 0 || !issue_shows(&l->line, i)) {
        return rc;
    }
    rc = read_body(l, i->body, &f, &found);
    if (rc == 0 && !found) {
        return store_fail(l->s, ERR_IO, "an issue has lost its finding");
    }
    if (rc != 0 || !text_passes(&f, l->f)) {
        return rc;
    }
    row_issue(&r, i);
    r.url = l->line.url;
    r.branch = l->line.branch;
    r.subdir = l->line.subdir;
    r.f = &f;
    return give(l, &r);
}

static int on_issue(void *arg, const struct issue *i)
{
    struct list *l = arg;

    return issue_passes(l, i) ? give_issue(l, i) : 0;
}

/* Ranges, and of each the newest that was not yet looked at. */
struct ranges {
    struct issue_range *v; /* owned */
    int64_t *heads;        /* owned */
    size_t n, size;
};

static void range_add(struct ranges *rs, const struct issue_range *r)
{
    if (rs->n == rs->size) {
        rs->size = MAX(2 * rs->size, 16);
        rs->v = xrealloc(rs->v, rs->size * sizeof *rs->v);
        rs->heads = xrealloc(rs->heads, rs->size * sizeof *rs->heads);
    }
    rs->v[rs->n++] = *r;
}

static void ranges_of_states(struct ranges *rs, const struct finding_filter *f,
                             struct issue_range r)
{
    for (int open = 0; open < 2; open++) {
        for (int sev = MAX(f->severity_min, 0); sev < SEVERITIES; sev++) {
            r.open = open;
            r.severity = (enum severity)sev;
            if (f->open < 0 || (f->open != 0) == r.open) {
                range_add(rs, &r);
            }
        }
    }
}

static void range_of_kind(void *arg, int64_t kind)
{
    range_add(arg, &(struct issue_range){.by = ISSUES_OF_KIND, .kind = kind});
}

static int ranges_of(const struct list *l, struct ranges *rs)
{
    const struct finding_filter *f = l->f;

    if (f->triage > 0 || f->counts == 0) {
        for (int t = TRIAGE_ACKNOWLEDGED; t < TRIAGES; t++) {
            if (triage_passes(f, (enum triage)t)) {
                range_add(rs,
                          &(struct issue_range){.by = ISSUES_OF_TRIAGE, .force = (enum triage)t});
            }
        }
    } else if (l->lines && l->n_lines <= LINES_MAX) {
        for (size_t i = 0; i < l->n_lines; i++) {
            ranges_of_states(rs, f,
                             (struct issue_range){.by = ISSUES_OF_LINE, .line = l->lines[i]});
        }
    } else if (f->rule || f->engine || f->cwe) {
        return kinds_match(l->s, f, range_of_kind, rs);
    } else if (f->severity_min > 0 || f->open >= 0) {
        ranges_of_states(rs, f, (struct issue_range){.by = ISSUES_OF_STATE});
    } else {
        range_add(rs, &(struct issue_range){.by = ISSUES_ALL});
    }
    return 0;
}

/* The newest of all that were not yet looked at; false: there is none. */
static bool newest(const struct ranges *rs, size_t *at)
{
    *at = 0;
    for (size_t i = 1; i < rs->n; i++) {
        *at = rs->heads[i] > rs->heads[*at] ? i : *at;
    }
    return rs->n > 0 && rs->heads[*at] != 0;
}

static int list_issues(struct list *l)
{
    int64_t below = l->f->after > 0 ? l->f->after : INT64_MAX;
    struct ranges rs = {0};
    size_t at;
    int rc = ranges_of(l, &rs);

    for (size_t i = 0; rc == 0 && i < rs.n; i++) {
        rc = l->s->ops->issue_before(l->s, &rs.v[i], below, &rs.heads[i]);
    }
    while (rc == 0 && newest(&rs, &at) && !full(l)) {
        l->at = rs.heads[at];
        l->looks--;
        rc = l->s->ops->issue_find(l->s, l->at, on_issue, l);
        if (rc == 0) {
            rc = l->s->ops->issue_before(l->s, &rs.v[at], l->at, &rs.heads[at]);
        }
    }
    free(rs.v);
    free(rs.heads);
    return rc;
}

static int on_line(void *arg, const struct line *line)
{
    struct list *l = arg;

    if (l->f->url && strcmp(line->url, l->f->url) != 0) {
        return 1;
    }
    if (l->f->branch && strcmp(line->branch, l->f->branch) != 0) {
        return 0;
    }
    if (l->n_lines == l->size_lines) {
        l->size_lines = MAX(2 * l->size_lines, 16);
        l->lines = xrealloc(l->lines, l->size_lines * sizeof *l->lines);
    }
    l->lines[l->n_lines++] = line->num;
    return 0;
}

static int find_lines(struct list *l)
{
    auto_free char *after = l->f->url ? str_fmt("%s\n", l->f->url) : NULL;
    int rc;

    if (!l->f->url && !l->f->branch) {
        return 0;
    }
    l->lines = xcalloc(l->size_lines = 16, sizeof *l->lines);
    rc = l->s->ops->lines(l->s, after ? after : "", on_line, l);
    qsort(l->lines, l->n_lines, sizeof *l->lines, by_value);
    return MIN(rc, 0);
}

int store_issues(struct store *s, const struct finding_filter *f, finding_row_fn fn, void *arg,
                 struct err *e)
{
    struct list l;
    int rc;

    list_init(&l, s, f, fn, arg);
    rc = find_lines(&l);
    if (rc == 0) {
        rc = list_issues(&l);
    }
    return store_read_end(s, list_end(&l, rc), e);
}

struct one {
    struct list *l;
    const struct id *id;
};

static int on_one(void *arg, const struct issue *i)
{
    const struct one *o = arg;

    return id_cmp(&i->id, o->id) == 0 ? give_issue(o->l, i) : 0;
}

int store_issue(struct store *s, const struct id *issue, finding_row_fn fn, void *arg,
                struct err *e)
{
    const struct finding_filter all = {.triage = -1, .counts = -1, .open = -1};
    struct list l;
    struct one o = {&l, issue};
    int rc;

    list_init(&l, s, &all, fn, arg);
    rc = s->ops->issue_find(s, issue_num(issue), on_one, &o);
    if (rc == ERR_NOT_FOUND || (rc == 0 && l.given == 0)) {
        rc = store_fail(s, ERR_NOT_FOUND, "no such issue");
    }
    return store_read_end(s, list_end(&l, rc), e);
}
