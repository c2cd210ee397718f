/* Loading what is compared. */
#include "store/compare.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

void known_set_done(struct known_set *set)
{
    free(set->v);
    free(set->known);
    *set = (struct known_set){0};
}

static const char *keep(struct arena *a, const char *s)
{
    return s ? arena_strn(a, s, strlen(s)) : NULL;
}

static void head_keep(struct arena *a, struct finding_head *h)
{
    h->rule = keep(a, h->rule);
    h->path = keep(a, h->path);
    h->text = keep(a, h->text);
    h->engines = keep(a, h->engines);
    h->cwes = keep(a, h->cwes);
}

static struct known known_of(const struct finding_head *h, const struct finding_identity *id,
                             void *of)
{
    return (struct known){.rule = h->rule,
                          .path = h->path,
                          .line = h->text,
                          .identity = id,
                          .at = h->line,
                          .of = of,
                          .twin = -1};
}

/* A new element of a growing array. */
static void *more(struct known_set *set, size_t size)
{
    if (set->n == set->size) {
        set->size = MAX(2 * set->size, 256);
        set->v = xrealloc(set->v, set->size * size);
    }
    return (char *)set->v + set->n++ * size;
}

/* ---- findings ---- */

static int on_found(void *arg, int64_t seq, const struct finding_head *h, const struct verdict *v)
{
    struct known_set *set = arg;
    struct found *f = more(set, sizeof *f);

    *f = (struct found){.seq = seq, .head = *h};
    if (v) {
        f->verdict = *v;
    }
    head_keep(set->arena, &f->head);
    prints_text(h->prints, &f->identity);
    return 0;
}

int found_load(struct store *s, int64_t result, struct known_set *out)
{
    int rc = result ? s->ops->findings(s, result, 0, on_found, out) : 0;
    struct found *v = out->v;

    out->known = xcalloc(out->n + 1, sizeof *out->known);
    for (size_t i = 0; i < out->n; i++) {
        out->known[i] = known_of(&v[i].head, &v[i].identity, &v[i]);
    }
    return rc;
}

/* ---- issues ---- */

struct issues_in {
    struct known_set *set;
    const struct line *line;
};

static int on_issue(void *arg, const struct issue *i)
{
    const struct issues_in *in = arg;
    struct arena *a = in->set->arena;
    struct known_issue *k;

    if (!issue_shows(in->line, i)) {
        return 0;
    }
    k = more(in->set, sizeof *k);
    *k = (struct known_issue){.is = *i};
    k->is.note.reason = keep(a, i->note.reason);
    k->is.note.by = keep(a, i->note.by);
    head_keep(a, &k->is.head);
    prints_text(i->head.prints, &k->identity);
    return 0;
}

static int by_num(const void *a, const void *b)
{
    int64_t x = ((const struct known_issue *)((const struct known *)a)->of)->is.num;
    int64_t y = ((const struct known_issue *)((const struct known *)b)->of)->is.num;

    return x < y ? -1 : x > y;
}

int issues_load(struct store *s, const struct line *l, struct known_set *out)
{
    struct issues_in in = {out, l};
    int rc = s->ops->issues_of(s, l->num, on_issue, &in);
    struct known_issue *v = out->v;

    out->known = xcalloc(out->n + 1, sizeof *out->known);
    for (size_t i = 0; i < out->n; i++) {
        out->known[i] = known_of(&v[i].is.head, &v[i].identity, &v[i]);
    }
    qsort(out->known, out->n, sizeof *out->known, by_num);
    return rc;
}

void known_match(struct known_set *before, struct known_set *now, struct seen *seen)
{
    for (size_t i = 0; i < now->n; i++) {
        now->known[i].twin = -1;
        now->known[i].rewritten = false;
    }
    for (size_t i = 0; i < before->n; i++) {
        before->known[i].twin = -1;
        before->known[i].rewritten = false;
    }
    match_known(before->known, before->n, now->known, now->n, seen_renamed, seen);
}

/* ---- what new issues take over ---- */

void inherited_done(struct inherited *in)
{
    free(in->v);
    *in = (struct inherited){0};
}

struct heirs {
    struct store *s;
    struct inherited *in;
    struct arena *arena;
    const struct line *of; /* new issues are of this one */
    int64_t now_us;
};

static bool print_known(const uint8_t print[PRINT_LEN])
{
    static const uint8_t zeros[PRINT_LEN];

    return memcmp(print, zeros, PRINT_LEN) != 0;
}

static int on_noted(void *arg, const struct issue *i)
{
    const struct heirs *h = arg;
    struct inherited *in = h->in;

    if (i->force == TRIAGE_NONE || (i->expires_us != 0 && i->expires_us <= h->now_us) ||
        !print_known(i->head.prints)) {
        return 0;
    }
    if (in->n == in->size) {
        in->size = MAX(2 * in->size, 16);
        in->v = xrealloc(in->v, in->size * sizeof *in->v);
    }
    in->v[in->n] = (struct heirloom){.note = i->note, .expires_us = i->expires_us, .nth = in->n};
    in->v[in->n].note.reason = keep(h->arena, i->note.reason);
    in->v[in->n].note.by = keep(h->arena, i->note.by);
    memcpy(in->v[in->n].print, i->head.prints, PRINT_LEN);
    in->n++;
    return 0;
}

/* Stops behind the last line of the repository. */
static int on_line(void *arg, const struct line *l)
{
    struct heirs *h = arg;

    if (strcmp(l->url, h->of->url) != 0) {
        return 1;
    }
    return l->num == h->of->num ? 0 : h->s->ops->issues_noted(h->s, l->num, on_noted, h);
}

/* The latest first; of those at the same time the one that was read first. */
static int by_print(const void *a, const void *b)
{
    const struct heirloom *x = a;
    const struct heirloom *y = b;
    int c = memcmp(x->print, y->print, PRINT_LEN);

    if (c == 0 && x->note.at_us != y->note.at_us) {
        c = x->note.at_us > y->note.at_us ? -1 : 1;
    }
    return c ? c : (x->nth > y->nth) - (x->nth < y->nth);
}

int inherited_load(struct store *s, const struct line *l, int64_t now_us, struct arena *a,
                   struct inherited *out)
{
    struct heirs h = {.s = s, .in = out, .arena = a, .of = l, .now_us = now_us};
    auto_free char *after = str_fmt("%s\n", l->url);
    int rc = s->ops->lines(s, after, on_line, &h);

    if (out->n > 0) {
        qsort(out->v, out->n, sizeof *out->v, by_print);
    }
    return MIN(rc, 0);
}

const struct heirloom *inherited_find(const struct inherited *in, const uint8_t prints[PRINTS_LEN])
{
    size_t lo = 0;
    size_t hi = in->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (memcmp(in->v[mid].print, prints, PRINT_LEN) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < in->n && memcmp(in->v[lo].print, prints, PRINT_LEN) == 0 ? &in->v[lo] : NULL;
}
