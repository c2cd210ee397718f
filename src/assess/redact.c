#include "assess/redact.h"

#include <stdlib.h>
#include <string.h>

#include "assess/source.h"
#include "base/mem.h"
#include "model/host.h"

enum {
    SECRET_BYTES = 16 * 1024, /* of one secret */
    SEARCHED_MIN = 6,         /* shorter ones are only hidden where they stand */
    RANGES_OF_LINE = 64
};

/* Finds columns of lines; those that come in order cost no more than the line. */
struct cursor {
    const struct source *s;
    int32_t line, column;
    size_t at;
};

static size_t offset_of(struct cursor *c, int32_t line, int32_t column, size_t *end)
{
    size_t n;
    const char *p = source_line(c->s, line, &n);
    size_t start = (size_t)(p - c->s->text);

    *end = start + n;
    if (c->line != line || column < c->column) {
        *c = (struct cursor){.s = c->s, .line = line, .column = 1, .at = start};
    }
    while (c->column < column && c->at < *end) {
        c->at += text_char(c->s->text + c->at, *end - c->at);
        c->column++;
    }
    return c->at;
}

/* ---- collecting ---- */

static void note_text(struct redaction *r, const char *p, size_t n)
{
    if (n < SEARCHED_MIN || r->n_texts == ARRAY_LEN(r->texts)) {
        return;
    }
    for (size_t i = 0; i < r->n_texts; i++) {
        if (r->texts[i].n == n && memcmp(r->texts[i].p, p, n) == 0) {
            return;
        }
    }
    r->texts[r->n_texts].p = p;
    r->texts[r->n_texts++].n = n;
}

static void note_range(struct redaction *r, int32_t line, size_t from, size_t to, bool begins)
{
    const char *t = r->s->text;

    while (from < to && (t[from] == ' ' || t[from] == '\t')) {
        from++;
    }
    if (from >= to) {
        return;
    }
    if (r->n == r->size) {
        r->size = r->size ? 2 * r->size : 16;
        r->v = xrealloc(r->v, r->size * sizeof *r->v);
    }
    r->v[r->n++] = (struct secret_range){line, from, to, begins};
    note_text(r, t + from, to - from);
}

/* Strings of the line; else what stands behind '=' or ':'; else all of it. */
static void note_values(struct redaction *r, int32_t line)
{
    size_t n, from, seen = r->n;
    const char *p = source_line(r->s, line, &n);
    size_t start = (size_t)(p - r->s->text);
    const char *sign;

    n = MIN(n, (size_t)SECRET_BYTES);
    for (size_t i = 0; i < n; i++) {
        if (p[i] != '"' && p[i] != '\'' && p[i] != '`') {
            continue;
        }
        for (from = i + 1; from < n && p[from] != p[i]; from += p[from] == '\\' ? 2 : 1) {
        }
        from = MIN(from, n);
        note_range(r, line, start + i + 1, start + from, true);
        i = from;
    }
    if (r->n > seen) {
        return;
    }
    sign = memchr(p, '=', n);
    sign = sign ? sign : memchr(p, ':', n);
    note_range(r, line, sign ? start + (size_t)(sign + 1 - p) : start, start + n, true);
}

/* From its column to its last one, which may be in a later line. */
static void note_secret(struct redaction *r, struct cursor *c, const struct finding_place *at)
{
    int32_t last = MAX(at->end_line, at->line);
    size_t left = SECRET_BYTES, end, from, to;

    if (at->column < 1) {
        note_values(r, at->line);
        return;
    }
    last = MIN(last, r->s->lines);
    for (int32_t line = at->line; line <= last && left > 0; line++) {
        struct cursor stop = {.s = r->s};

        from =
            offset_of(line == at->line ? c : &stop, line, line == at->line ? at->column : 1, &end);
        to = end;
        if (line == last && at->end_column > 0) {
            stop = line == at->line ? *c : (struct cursor){.s = r->s};
            to = offset_of(&stop, line, MIN(at->end_column, INT32_MAX - 1) + 1, &end);
        } else if (line == last && line == at->line) {
            note_values(r, line);
            return;
        }
        to = MIN(to, from + left);
        note_range(r, line, from, to, line == at->line);
        left -= to > from ? to - from : 0;
    }
}

static int by_line(const void *a, const void *b)
{
    const struct secret_range *x = a, *y = b;

    if (x->line != y->line) {
        return (x->line > y->line) - (x->line < y->line);
    }
    return (x->from > y->from) - (x->from < y->from);
}

void redaction_init(struct redaction *r, const struct source *s, struct finding *const *v, size_t n)
{
    struct cursor c = {.s = s};

    *r = (struct redaction){.s = s};
    for (size_t i = 0; s && i < n; i++) {
        if (v[i]->secret && v[i]->at.line >= 1 && v[i]->at.line <= s->lines) {
            note_secret(r, &c, &v[i]->at);
        }
    }
    if (r->n > 1) {
        qsort(r->v, r->n, sizeof *r->v, by_line);
    }
}

void redaction_done(struct redaction *r)
{
    free(r->v);
    *r = (struct redaction){0};
}

/* ---- hiding ---- */

struct span {
    size_t from, to;
    bool begins;
};

struct spans {
    struct span v[RANGES_OF_LINE];
    size_t n;
};

static void span_add(struct spans *s, size_t from, size_t to, bool begins)
{
    if (s->n == RANGES_OF_LINE) {
        struct span *last = &s->v[RANGES_OF_LINE - 1];

        *last = (struct span){MIN(last->from, from), MAX(last->to, to), false};
        return;
    }
    s->v[s->n++] = (struct span){from, to, begins};
}

static int by_from(const void *a, const void *b)
{
    const struct span *x = a, *y = b;

    return (x->from > y->from) - (x->from < y->from);
}

/* In [from, to) and as far beyond, up to low and high, as a secret that is cut through reaches. */
static void find_texts(const struct redaction *r, const char *p, size_t low, size_t from, size_t to,
                       size_t high, struct spans *spans)
{
    for (size_t i = 0; i < r->n_texts; i++) {
        const struct secret_text *t = &r->texts[i];
        size_t at = from - low > t->n ? from - t->n : low;
        size_t end = high - to > t->n ? to + t->n : high;

        while (end - at >= t->n) {
            const char *hit = memmem(p + at, end - at, t->p, t->n);

            if (!hit) {
                break;
            }
            at = (size_t)(hit - p);
            span_add(spans, at, at + t->n, true);
            at += t->n;
        }
    }
}

/* How much of a secret is told. */
static size_t kept(const char *p, size_t n)
{
    size_t characters = MIN((size_t)4, n / 3), at = 0;

    for (; characters > 0 && at < n; characters--) {
        at += text_char(p + at, n - at);
    }
    return MIN(at, n);
}

static void add_hidden(const char *p, size_t from, size_t to, struct spans *spans, struct buf *out)
{
    size_t at = from;

    qsort(spans->v, spans->n, sizeof *spans->v, by_from);
    for (size_t i = 0; i < spans->n; i++) {
        const struct span *x = &spans->v[i];

        if (x->to <= at || x->from >= to) {
            continue;
        }
        if (x->from >= at) {
            text_clean(out, p + at, x->from - at);
            if (x->begins) {
                text_clean(out, p + x->from, MIN(kept(p + x->from, x->to - x->from), to - x->from));
            }
            buf_adds(out, "****");
        }
        at = MIN(x->to, to);
    }
    text_clean(out, p + at, to - at);
}

void redaction_add(const struct redaction *r, int32_t line, size_t from, size_t to, struct buf *out)
{
    struct spans spans = {.n = 0};
    size_t low = 0, high = r->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (r->v[mid].line < line) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    for (; low < r->n && r->v[low].line == line; low++) {
        if (r->v[low].to > from && r->v[low].from < to) {
            span_add(&spans, r->v[low].from, r->v[low].to, r->v[low].begins);
        }
    }
    find_texts(r, r->s->text, r->s->starts[line - 1], from, to, r->s->starts[line], &spans);
    add_hidden(r->s->text, from, to, &spans, out);
}

const char *redaction_text(const struct redaction *r, const char *p, struct arena *arena)
{
    struct spans spans = {.n = 0};
    size_t n = p ? strlen(p) : 0;
    auto_buf out = {0};

    if (n == 0 || r->n_texts == 0) {
        return p;
    }
    find_texts(r, p, 0, 0, n, n, &spans);
    if (spans.n == 0) {
        return p;
    }
    add_hidden(p, 0, n, &spans, &out);
    return arena_strn(arena, out.data, out.len);
}
