#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

#include "assess/identity.h"
#include "assess/redact.h"
#include "assess/source.h"
#include "base/mem.h"
#include "base/sort.h"
#include "model/host.h"

enum {
    QUOTE_REACH = 5,       /* lines */
    QUOTE_MIN = 4,         /* characters, without white space */
    LINE_SEARCHED = 16384, /* bytes of a line that a quote is looked for in */
    LINE_LONG = 1000,      /* longer lines are shown from before their column on */
    LINE_BEFORE = 200,
    CONTEXT = 3, /* lines before and after */
    CONTEXT_LINE = 480,
    CONTEXT_LINES = 40,
    BLANK_LINES = 40 /* how far the nearest line with text is looked for */
};

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static size_t strip(const char *p, size_t n, char *out)
{
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        if (!blank(p[i])) {
            out[len++] = p[i];
        }
    }
    return len;
}

/* ---- order ---- */

static const char *engine_rule(const struct finding *f)
{
    return f->n_engines > 0 && f->engines[0].rule ? f->engines[0].rule : "";
}

static int by_place(const struct finding *x, const struct finding *y)
{
    int d;

    if (x->at.line != y->at.line) {
        return (x->at.line > y->at.line) - (x->at.line < y->at.line);
    }
    if (x->at.column != y->at.column) {
        return (x->at.column > y->at.column) - (x->at.column < y->at.column);
    }
    d = strcmp(engine_rule(x), engine_rule(y));
    return d ? d : strcmp(x->title, y->title);
}

static int compare_places(const void *a, const void *b)
{
    return by_place(*(struct finding *const *)a, *(struct finding *const *)b);
}

/* ---- is it there? ---- */

/* The line of the quote that says most, without white space: the first that is long enough. */
static char *quote_anchor(const char *quote, size_t *n)
{
    char *best = NULL;
    size_t best_n = 0;

    for (const char *p = quote; *p;) {
        size_t len = strcspn(p, "\r\n");
        char *text = xmalloc(len + 1);
        size_t got = strip(p, len, text);

        if (got > best_n) {
            free(best);
            best = take_ptr(&text);
            best_n = got;
        }
        free(text);
        if (best_n >= QUOTE_MIN) {
            break;
        }
        p += len + strspn(p + len, "\r\n");
    }
    *n = best_n;
    return best;
}

static bool line_has(const struct source *s, int32_t line, const char *anchor, size_t n)
{
    size_t len;
    const char *p = source_line(s, line, &len);
    auto_free char *text = NULL;

    if (!p || len < n) {
        return false;
    }
    len = MIN(len, (size_t)LINE_SEARCHED);
    text = xmalloc(len + 1);
    len = strip(p, len, text);
    return memmem(text, len, anchor, n) != NULL;
}

/* 0: it stands nowhere near. */
static int32_t find_quote(const struct source *s, const struct finding *f)
{
    size_t n = 0;
    auto_free char *anchor = quote_anchor(f->quote, &n);
    int32_t line = MAX(f->at.line, 1);

    if (n == 0) {
        return f->at.line <= s->lines ? f->at.line : 0;
    }
    for (int32_t d = 0; d <= QUOTE_REACH; d++) {
        if (line <= INT32_MAX - d && line_has(s, line + d, anchor, n)) {
            return line + d;
        }
        if (line > d && line_has(s, line - d, anchor, n)) {
            return line - d;
        }
    }
    return 0;
}

static void snap(struct finding *f, int32_t line)
{
    if (line != f->at.line) {
        int64_t end = (int64_t)f->at.end_line - f->at.line + line;

        f->at.end_line = f->at.end_line ? (int32_t)MIN(end, INT32_MAX) : 0;
        f->at.line = line;
        f->at.column = f->at.end_column = 0;
    }
}

static void verify(const struct source *s, struct finding *f)
{
    f->verified = s && f->at.line <= s->lines;
    if (s && f->quote) {
        int32_t line = find_quote(s, f);

        f->verified = line > 0 || (f->at.line == 0 && !*f->quote);
        if (line > 0) {
            snap(f, line);
        }
    }
    if (!f->verified) {
        f->confidence_x100 /= 2;
    }
    if (s && f->at.end_line > s->lines) {
        f->at.end_line = s->lines >= f->at.line ? s->lines : 0;
        f->at.end_column = 0;
    }
    f->quote = NULL;
}

/* ---- what is shown ---- */

/* The part of a line that is worth showing. */
static void line_window(const struct source *s, int32_t line, int32_t column, size_t max,
                        size_t *from, size_t *to)
{
    size_t n, skip = 0;
    const char *p = source_line(s, line, &n);

    if (n > LINE_LONG && column > 1) {
        int32_t at = 1;

        for (; at < column && skip < n && skip < (size_t)LINE_SEARCHED; at++) {
            skip += text_char(p + skip, n - skip);
        }
        /* Beyond that columns are not looked for: bytes will do. */
        skip = at < column ? MIN(n, (size_t)column) : skip;
        skip = skip > LINE_BEFORE ? skip - LINE_BEFORE : 0;
        while (skip > 0 && skip < n && ((unsigned char)p[skip] & 0xC0) == 0x80) {
            skip--;
        }
    }
    *from = (size_t)(p - s->text) + skip;
    *to = *from + text_cut(p + skip, n - skip, max);
}

/* Runs of white space become one space; none at the ends. */
static void fold(const struct buf *in, struct buf *out)
{
    for (size_t i = 0; i < in->len; i++) {
        if (!blank(in->data[i])) {
            buf_addc(out, in->data[i]);
        } else if (out->len > 0 && out->data[out->len - 1] != ' ') {
            buf_addc(out, ' ');
        }
    }
    while (out->len > 0 && out->data[out->len - 1] == ' ') {
        out->len--;
    }
}

static const char *keep(const struct buf *b, size_t max, struct arena *arena)
{
    return arena_strn(arena, b->data, b->len ? text_cut(b->data, b->len, max) : 0);
}

static const char *line_text(const struct redaction *r, const struct finding *f,
                             struct arena *arena)
{
    auto_buf raw = {0}, folded = {0};
    size_t from, to;

    line_window(r->s, f->at.line, f->at.column, FINDING_LINE_MAX, &from, &to);
    redaction_add(r, f->at.line, from, to, &raw);
    fold(&raw, &folded);
    return keep(&folded, FINDING_LINE_MAX, arena);
}

static void snippet(const struct redaction *r, struct finding *f, struct arena *arena)
{
    int32_t first = MAX(f->at.line - CONTEXT, 1), last = MAX(f->at.end_line, f->at.line);
    auto_buf out = {0};

    last = MIN(last, f->at.line + CONTEXT_LINES - 2 * CONTEXT - 1);
    last = MIN(last, r->s->lines - CONTEXT) + CONTEXT;
    for (int32_t line = first; line <= last; line++) {
        size_t from, to, max = line == f->at.line ? LINE_LONG : CONTEXT_LINE;
        size_t before = out.len;

        line_window(r->s, line, line == f->at.line ? f->at.column : 0, max, &from, &to);
        redaction_add(r, line, from, to, &out);
        if (out.len - before > max) {
            out.len = before + text_cut(out.data + before, out.len - before, max);
        }
        if (out.len >= FINDING_SNIPPET_MAX) {
            out.len = line > f->at.line ? before : out.len;
            break;
        }
        buf_addc(&out, '\n');
    }
    f->snippet = keep(&out, FINDING_SNIPPET_MAX, arena);
    f->snippet_line = first;
}

/* ---- fingerprints ---- */

static void hash_text(struct sha256_ctx *h, const char *s)
{
    sha256_update(h, s ? strlen(s) + 1 : 1, (const uint8_t *)(s ? s : ""));
}

static void hash_end(struct sha256_ctx *h, char out[PRINT_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t d[SHA256_DIGEST_SIZE];

    sha256_digest(h, sizeof d, d);
    for (int i = 0; i < (PRINT_TEXT - 1) / 2; i++) {
        out[2 * i] = digits[d[i] >> 4];
        out[2 * i + 1] = digits[d[i] & 15];
    }
    out[PRINT_TEXT - 1] = '\0';
}

/* Without white space, and without braces at its ends; at least p's length + 1 at `out`. */
static void bare(const char *p, size_t n, char *out)
{
    size_t len = strip(p, n, out), from = 0;

    while (from < len && (out[from] == '}' || out[from] == '{')) {
        from++;
    }
    while (len > from && (out[len - 1] == '{' || out[len - 1] == '}')) {
        len--;
    }
    memmove(out, out + from, len - from);
    out[len - from] = '\0';
}

/* The nearest line with text in the direction; its bare text. */
static void neighbour(const struct redaction *r, int32_t line, int32_t step, char *out)
{
    *out = '\0';
    for (int32_t i = 0; i < BLANK_LINES && !*out; i++) {
        size_t from, to;
        auto_buf text = {0};

        line += step;
        if (line < 1 || line > r->s->lines) {
            return;
        }
        line_window(r->s, line, 0, FINDING_LINE_MAX / 4, &from, &to);
        redaction_add(r, line, from, to, &text);
        if (text.len > 0) {
            bare(text.data, MIN(text.len, (size_t)FINDING_LINE_MAX), out);
        }
    }
}

static void print_around(const struct redaction *r, struct finding *f)
{
    struct sha256_ctx h;
    char text[FINDING_LINE_MAX + 1];

    sha256_init(&h);
    hash_text(&h, "around/1");
    hash_text(&h, f->rule);
    hash_text(&h, f->at.path);
    neighbour(r, f->at.line, -1, text);
    hash_text(&h, text);
    neighbour(r, f->at.line, 1, text);
    hash_text(&h, text);
    hash_end(&h, f->identity.around);
}

/* Class, function and line; what is not in the tree is told apart by its title. */
static void hash_what(struct sha256_ctx *h, const struct finding *f)
{
    const char *line = f->line ? f->line : "";
    char text[FINDING_LINE_MAX + 1];

    bare(line, MIN(strlen(line), (size_t)FINDING_LINE_MAX), text);
    hash_text(h, f->rule);
    hash_text(h, f->function);
    hash_text(h, text);
    hash_text(h, f->line ? NULL : f->title);
}

static void print_moved(struct finding *f)
{
    struct sha256_ctx h;

    sha256_init(&h);
    hash_text(&h, "moved/1");
    hash_what(&h, f);
    hash_end(&h, f->identity.moved);
}

static void print_primary(struct finding *f, int32_t ordinal)
{
    struct sha256_ctx h;
    auto_free char *number = str_fmt("%d", ordinal);

    sha256_init(&h);
    hash_text(&h, "primary/1");
    hash_text(&h, f->at.path);
    hash_what(&h, f);
    hash_text(&h, number);
    hash_end(&h, f->identity.primary);
}

static int compare_equals(const void *a, const void *b)
{
    const struct finding *x = *(struct finding *const *)a, *y = *(struct finding *const *)b;
    int d = strcmp(x->identity.moved, y->identity.moved);

    d = d ? d : strcmp(x->at.path, y->at.path);
    return d ? d : by_place(x, y);
}

void identify_left(struct finding *const *v, size_t n)
{
    auto_free struct finding **order = n ? xmalloc(n * sizeof(struct finding *)) : NULL;
    int32_t ordinal = 0;

    if (n == 0) {
        return;
    }
    memcpy(order, v, n * sizeof(struct finding *));
    sort_pointers(order, n, compare_equals);
    for (size_t i = 0; i < n; i++) {
        bool equal = i > 0 && str_eq(order[i]->identity.moved, order[i - 1]->identity.moved) &&
                     str_eq(order[i]->at.path, order[i - 1]->at.path);

        ordinal = equal ? ordinal + 1 : 0;
        print_primary(order[i], ordinal);
    }
}

void identify_told(struct finding *const *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        print_moved(v[i]);
    }
    identify_left(v, n);
}

/* ---- */

static void redact_texts(const struct redaction *r, struct finding *f, struct arena *arena)
{
    f->title = redaction_text(r, f->title, arena);
    f->message = redaction_text(r, f->message, arena);
    f->recommendation = redaction_text(r, f->recommendation, arena);
    for (uint32_t i = 0; i < f->n_related; i++) {
        f->related[i].message = redaction_text(r, f->related[i].message, arena);
    }
}

static void look_around(struct source *s, const struct redaction *r, struct finding *f,
                        struct arena *arena)
{
    f->function = NULL;
    f->line = f->snippet = NULL;
    f->snippet_line = 0;
    if (f->at.line >= 1 && f->at.line <= s->lines) {
        f->function = source_function(s, f->at.line);
        f->line = line_text(r, f, arena);
        snippet(r, f, arena);
        print_around(r, f);
    }
    source_github_hash(s, f->at.line ? f->at.line : 1, f->identity.github);
    redact_texts(r, f, arena);
}

void identify(struct source *s, struct finding *const *v, size_t n, struct arena *arena)
{
    auto_free struct finding **order = n ? xmalloc(n * sizeof(struct finding *)) : NULL;
    struct redaction r;

    if (n == 0) {
        return;
    }
    memcpy(order, v, n * sizeof(struct finding *));
    for (size_t i = 0; i < n; i++) {
        order[i]->identity = (struct finding_identity){0};
        verify(s, order[i]);
    }
    sort_pointers(order, n, compare_places);
    redaction_init(&r, s, order, n);
    for (size_t i = 0; i < n; i++) {
        if (s) {
            look_around(s, &r, order[i], arena);
        } else {
            order[i]->line = order[i]->snippet = NULL;
            order[i]->snippet_line = 0;
        }
        print_moved(order[i]);
    }
    redaction_done(&r);
    identify_left(order, n);
}
