/* Hits as findings: in order, each once, with lines and columns. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/rules_scan.h"
#include "engine/rules_secret.h"
#include "version.h"

static int by_place(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;

    return x->from != y->from   ? (x->from < y->from ? -1 : 1)
           : x->rule != y->rule ? (x->rule < y->rule ? -1 : 1)
                                : 0;
}

/* A guess gives way to knowledge of the same characters, and to a guess before it. */
static bool gives_way(const struct scan *s, size_t i)
{
    enum { NEAR = 16 };
    const struct hit *h = &s->hits[i];
    size_t k = i > NEAR ? i - NEAR : 0, end = MIN(s->n_hits, i + NEAR);

    if (i > 0 && h[-1].rule == h->rule && h[-1].from == h->from) {
        return true; /* the same, in the window of another line */
    }
    if (!s->r->v[h->rule].rule.generic) {
        return false;
    }
    for (; k < end; k++) {
        const struct hit *o = &s->hits[k];
        const struct rule *other = &s->r->v[o->rule].rule;

        if (k != i && o->from < h->to && h->from < o->to && other->secret &&
            (!other->generic || k < i)) {
            return true;
        }
    }
    return false;
}

int32_t line_number(const struct scan *s, struct counter *c, size_t at)
{
    while (c->at < at) {
        size_t next = line_next(s, line_ends(s, c->at));

        if (next > at || next == c->at) {
            break;
        }
        c->at = next;
        c->line++;
    }
    return c->line;
}

static int32_t characters(const char *s, size_t n)
{
    int32_t k = 0;

    for (size_t i = 0; i < n; i++) {
        k += ((unsigned char)s[i] & 0xc0) != 0x80;
    }
    return k;
}

static void set_place(const struct scan *s, const struct hit *h, struct counter *c,
                      struct finding *f)
{
    size_t start, last = h->to > h->from ? h->to - 1 : h->from;
    struct counter behind;

    f->at.path = s->path;
    if (s->n == 0 || h->to == 0) { /* of the file as such */
        f->at.line = s->n ? 1 : 0;
        return;
    }
    f->at.line = line_number(s, c, h->from);
    start = c->at;
    f->at.column = characters(s->text + start, h->from - start) + 1;
    behind = *c;
    f->at.end_line = line_number(s, &behind, last);
    f->at.end_column = characters(s->text + behind.at, last + 1 - behind.at);
    f->marked = engine_mark(s->text + start, line_ends(s, start) - start);
}

static int hand_out(const struct scan *s, const struct hit *h, struct counter *c, finding_fn fn,
                    void *arg, struct err *e)
{
    const struct rule *rule = &s->r->v[h->rule].rule;
    int32_t sure = s->aside && rule->secret ? h->confidence_x100 / 2 : h->confidence_x100;
    auto_free char *shown =
        rule->secret ? secret_shown(rule->secret, s->text + h->from, h->to - h->from) : NULL;
    struct finding f = {.rule = rule->class_,
                        .title = rule->title,
                        .message = rule->message,
                        .recommendation = rule->fix,
                        .n_cwe = rule->n_cwe,
                        .severity = rule->severity,
                        .confidence_x100 = sure,
                        .secret = shown,
                        .n_engines = 1};

    memcpy(f.cwe, rule->cwe, sizeof f.cwe);
    set_place(s, h, c, &f);
    f.engines[0] = (struct finding_engine){.name = "rules",
                                           .version = SCANPOD_VERSION,
                                           .rule = rule->id,
                                           .severity = severity_name(rule->severity),
                                           .confidence_x100 = sure};
    return fn(arg, &f, e);
}

int hits_hand_out(struct scan *s, finding_fn fn, void *arg, struct err *e)
{
    struct counter c = {.line = 1};
    int rc = 0;

    if (s->n_hits > 1) {
        qsort(s->hits, s->n_hits, sizeof *s->hits, by_place);
    }
    for (size_t i = 0; i < s->n_hits && rc == 0; i++) {
        if (!gives_way(s, i)) {
            rc = hand_out(s, &s->hits[i], &c, fn, arg, e);
        }
    }
    return rc;
}
