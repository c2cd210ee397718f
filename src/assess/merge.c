/*
 * Reports that may be the same are looked for among neighbours: the list is sorted once by family
 * of CWEs and once by class, and each report compared with a few that follow. Of all pairs the
 * closest are joined first, as long as no engine would be in a group twice.
 */
#include "assess/merge.h"

#include <stdlib.h>
#include <string.h>

#include "assess/classes.h"
#include "assess/identity.h"
#include "base/buf.h"
#include "base/mem.h"

enum {
    APART = 2,      /* lines */
    FOLLOWING = 48, /* reports that one is compared with */
};

struct report {
    struct finding *f;
    int32_t family; /* of CWEs, or the CWE; 0: none */
    bool other;     /* its class says nothing */
    uint32_t i, group;
    uint32_t next; /* in the group; itself: the last */
    uint32_t last; /* of the group, at its head */
    uint32_t size; /* of the group, at its head */
};

struct pair {
    uint32_t a, b;
    int32_t apart;
    bool overlap;
};

static int32_t end_of(const struct finding *f)
{
    return MAX(f->at.line, f->at.end_line);
}

static const char *engine_of(const struct finding *f)
{
    return f->n_engines > 0 ? f->engines[0].name : "";
}

static const char *rule_of(const struct finding *f)
{
    return f->n_engines > 0 && f->engines[0].rule ? f->engines[0].rule : "";
}

static int compare(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* Whatever order they came in, this one is the same. */
static int by_place(const struct finding *x, const struct finding *y)
{
    int d = strcmp(x->at.path, y->at.path);

    d = d ? d : compare(x->at.line, y->at.line);
    d = d ? d : compare(x->at.column, y->at.column);
    d = d ? d : strcmp(engine_of(x), engine_of(y));
    d = d ? d : strcmp(rule_of(x), rule_of(y));
    d = d ? d : strcmp(x->rule, y->rule);
    return d ? d : strcmp(x->title, y->title);
}

static int compare_places(const void *a, const void *b)
{
    return by_place(*(struct finding *const *)a, *(struct finding *const *)b);
}

static int by_family(const void *a, const void *b)
{
    const struct report *x = *(const struct report *const *)a;
    const struct report *y = *(const struct report *const *)b;
    int d = compare(x->family, y->family);

    d = d ? d : strcmp(x->f->at.path, y->f->at.path);
    return d ? d : compare(x->i, y->i);
}

static int by_class(const void *a, const void *b)
{
    const struct report *x = *(const struct report *const *)a;
    const struct report *y = *(const struct report *const *)b;
    int d = strcmp(x->f->rule, y->f->rule);

    d = d ? d : strcmp(x->f->at.path, y->f->at.path);
    return d ? d : compare(x->i, y->i);
}

static int closest_first(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    int d = compare(x->apart, y->apart);

    d = d ? d : compare(y->overlap, x->overlap);
    d = d ? d : compare(x->a, y->a);
    return d ? d : compare(x->b, y->b);
}

/* ---- what belongs together ---- */

static bool same_engine(const struct finding *a, const struct finding *b)
{
    for (uint32_t i = 0; i < a->n_engines; i++) {
        for (uint32_t k = 0; k < b->n_engines; k++) {
            if (str_eq(a->engines[i].name, b->engines[k].name)) {
                return true;
            }
        }
    }
    return false;
}

/* The same said twice. */
static bool twice(const struct finding *a, const struct finding *b)
{
    return str_eq(engine_of(a), engine_of(b)) && str_eq(rule_of(a), rule_of(b)) &&
           str_eq(a->rule, b->rule) && a->at.line == b->at.line && a->at.column == b->at.column &&
           str_eq(a->title, b->title) && a->n_engines <= 1 && b->n_engines <= 1;
}

static bool may_join(const struct report *a, const struct report *b)
{
    const struct finding *x = a->f, *y = b->f;

    if (!str_eq(x->at.path, y->at.path)) {
        return false;
    }
    if (twice(x, y)) {
        return true;
    }
    if (same_engine(x, y) || x->at.line == 0 || y->at.line == 0) {
        return false;
    }
    if (!((a->family && a->family == b->family) || (str_eq(x->rule, y->rule) && !a->other))) {
        return false;
    }
    return (x->at.line <= end_of(y) && y->at.line <= end_of(x)) ||
           (x->at.line - y->at.line <= APART && y->at.line - x->at.line <= APART);
}

static void add_pairs(struct report *const *order, size_t n,
                      bool (*same)(const struct report *, const struct report *), struct pair **v,
                      size_t *n_pairs, size_t *size)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = i + 1; k < n && k <= i + FOLLOWING && same(order[i], order[k]); k++) {
            const struct finding *x = order[i]->f, *y = order[k]->f;

            if (!may_join(order[i], order[k])) {
                continue;
            }
            if (*n_pairs == *size) {
                *size = *size ? 2 * *size : 64;
                *v = xrealloc(*v, *size * sizeof **v);
            }
            (*v)[(*n_pairs)++] =
                (struct pair){order[i]->i, order[k]->i, abs(x->at.line - y->at.line),
                              x->at.line <= end_of(y) && y->at.line <= end_of(x)};
        }
    }
}

static bool same_family(const struct report *a, const struct report *b)
{
    return a->family == b->family && str_eq(a->f->at.path, b->f->at.path);
}

static bool same_class(const struct report *a, const struct report *b)
{
    return str_eq(a->f->rule, b->f->rule) && str_eq(a->f->at.path, b->f->at.path);
}

/* No engine twice, but what it says twice. */
static bool groups_agree(const struct report *v, uint32_t a, uint32_t b)
{
    if (v[a].size + v[b].size > FINDING_ENGINES) {
        return false;
    }
    for (uint32_t i = a;; i = v[i].next) {
        for (uint32_t k = b;; k = v[k].next) {
            if (same_engine(v[i].f, v[k].f) && !twice(v[i].f, v[k].f)) {
                return false;
            }
            if (v[k].next == k) {
                break;
            }
        }
        if (v[i].next == i) {
            break;
        }
    }
    return true;
}

static uint32_t head_of(struct report *v, uint32_t i)
{
    while (v[i].group != i) {
        v[i].group = v[v[i].group].group;
        i = v[i].group;
    }
    return i;
}

static void join_groups(struct report *v, const struct pair *p)
{
    uint32_t a = head_of(v, p->a), b = head_of(v, p->b);

    if (a == b || !groups_agree(v, a, b)) {
        return;
    }
    v[b].group = a;
    v[v[a].last].next = b;
    v[a].last = v[b].last;
    v[a].size += v[b].size;
}

/* ---- one of many ---- */

/* Engines that look at the same thing in the same way: names of functions. */
static const char *family_of(const struct finding_engine *e)
{
    return str_eq(e->name, "flawfinder") || (e->rule && strstr(e->rule, "insecureAPI")) ? "names"
                                                                                        : e->name;
}

static bool better(const struct finding *a, const struct finding *b)
{
    int d = compare(b->severity, a->severity);

    d = d ? d : compare(b->verified, a->verified);
    d = d ? d : compare(b->confidence_x100, a->confidence_x100);
    return (d ? d : by_place(a, b)) < 0;
}

struct sure {
    struct {
        const char *family;
        int32_t confidence_x100;
    } v[FINDING_ENGINES];
    uint32_t n;
};

static void sure_add(struct sure *s, const char *family, int32_t confidence_x100)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (str_eq(s->v[i].family, family)) {
            s->v[i].confidence_x100 = MAX(s->v[i].confidence_x100, confidence_x100);
            return;
        }
    }
    if (s->n < FINDING_ENGINES) {
        s->v[s->n].family = family;
        s->v[s->n++].confidence_x100 = confidence_x100;
    }
}

static void sure_of(struct sure *s, const struct finding *f)
{
    if (f->n_engines <= 1) {
        sure_add(s, f->n_engines ? family_of(&f->engines[0]) : "", f->confidence_x100);
        return;
    }
    for (uint32_t i = 0; i < f->n_engines; i++) {
        sure_add(s, family_of(&f->engines[i]), f->engines[i].confidence_x100);
    }
}

static int32_t sure_sum(const struct sure *s, int32_t least)
{
    double doubt = 1;
    int32_t sum;

    for (uint32_t i = 0; i < s->n; i++) {
        doubt *= 1 - s->v[i].confidence_x100 / 100.0;
    }
    sum = (int32_t)(100 * (1 - doubt) + 0.5);
    return MAX(MIN(sum, 100), least);
}

static void add_engine(struct finding *to, const struct finding_engine *e)
{
    for (uint32_t i = 0; i < to->n_engines; i++) {
        if (str_eq(to->engines[i].name, e->name) && str_eq(to->engines[i].rule, e->rule)) {
            return;
        }
    }
    if (to->n_engines < FINDING_ENGINES) {
        to->engines[to->n_engines++] = *e;
    }
}

static void add_cwe(struct finding *to, int32_t cwe)
{
    for (uint32_t i = 0; i < to->n_cwe; i++) {
        if (to->cwe[i] == cwe) {
            return;
        }
    }
    if (to->n_cwe < FINDING_CWES) {
        to->cwe[to->n_cwe++] = cwe;
    }
}

static void add_related(struct finding *to, const struct finding_place *p)
{
    for (uint32_t i = 0; i < to->n_related; i++) {
        if (str_eq(to->related[i].path, p->path) && to->related[i].line == p->line) {
            return;
        }
    }
    if (to->n_related < FINDING_RELATED &&
        !(str_eq(to->at.path, p->path) && to->at.line == p->line)) {
        to->related[to->n_related++] = *p;
    }
}

/* What the other one says more; its place, if it is another line, becomes a related one. */
static void take_over(struct finding *to, const struct finding *from)
{
    struct finding_place place = from->at;

    for (uint32_t i = 0; i < from->n_engines; i++) {
        add_engine(to, &from->engines[i]);
    }
    for (uint32_t i = 0; i < from->n_cwe; i++) {
        add_cwe(to, from->cwe[i]);
    }
    if (from->at.line != to->at.line) {
        place.message = from->title;
        add_related(to, &place);
    }
    for (uint32_t i = 0; i < from->n_related; i++) {
        add_related(to, &from->related[i]);
    }
    to->message = to->message ? to->message : from->message;
    to->recommendation = to->recommendation ? to->recommendation : from->recommendation;
    to->marked = to->marked ? to->marked : from->marked;
    to->secret = to->secret ? to->secret : from->secret;
    to->verified = to->verified || from->verified;
}

static int by_engine(const void *a, const void *b)
{
    const struct finding_engine *x = a, *y = b;
    int d = strcmp(x->name, y->name);

    return d ? d : strcmp(x->rule ? x->rule : "", y->rule ? y->rule : "");
}

/* Of the group of `head`; the one that stays. */
static struct finding *unite(struct report *v, uint32_t head)
{
    struct finding *best = v[head].f;
    struct sure sure = {.n = 0};
    int32_t least = 0;

    if (v[head].next == head) {
        return best;
    }
    for (uint32_t i = head;; i = v[i].next) {
        best = better(v[i].f, best) ? v[i].f : best;
        sure_of(&sure, v[i].f);
        least = MAX(least, v[i].f->confidence_x100);
        if (v[i].next == i) {
            break;
        }
    }
    for (uint32_t i = head;; i = v[i].next) {
        if (v[i].f != best) {
            take_over(best, v[i].f);
        }
        if (v[i].next == i) {
            break;
        }
    }
    if (best->n_engines > 1) {
        qsort(best->engines, best->n_engines, sizeof best->engines[0], by_engine);
    }
    best->confidence_x100 = sure_sum(&sure, least);
    return best;
}

static void report_init(struct report *r, struct finding *f, uint32_t i)
{
    const struct weakness *w = weakness_find(f->rule);
    int32_t cwe = f->n_cwe ? f->cwe[0] : (w ? w->cwe : 0);
    int32_t family = cwe_family(cwe);

    *r = (struct report){.f = f, .i = i, .group = i, .next = i, .last = i, .size = 1};
    r->family = family ? family : cwe;
    r->other = str_eq(f->rule, "other");
}

void merge_findings(struct finding **v, size_t *n, struct arena *arena)
{
    auto_free struct report *reports = xmalloc((*n + 1) * sizeof *reports);
    auto_free struct report **order = xmalloc((*n + 1) * sizeof(struct report *));
    auto_free struct pair *pairs = NULL;
    size_t n_pairs = 0, size = 0, left = 0;

    qsort(v, *n, sizeof(struct finding *), compare_places);
    for (size_t i = 0; i < *n; i++) {
        report_init(&reports[i], v[i], (uint32_t)i);
        order[i] = &reports[i];
    }
    qsort(order, *n, sizeof(struct report *), by_family);
    add_pairs(order, *n, same_family, &pairs, &n_pairs, &size);
    qsort(order, *n, sizeof(struct report *), by_class);
    add_pairs(order, *n, same_class, &pairs, &n_pairs, &size);
    if (n_pairs > 1) {
        qsort(pairs, n_pairs, sizeof *pairs, closest_first);
    }
    for (size_t i = 0; i < n_pairs; i++) {
        join_groups(reports, &pairs[i]);
    }
    for (size_t i = 0; i < *n; i++) {
        if (reports[i].group == i) {
            v[left++] = unite(reports, (uint32_t)i);
        }
    }
    qsort(v, left, sizeof(struct finding *), compare_places);
    *n = left;
    identify_left(v, left);
}
