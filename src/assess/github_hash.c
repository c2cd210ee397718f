/*
 * The hash that GitHub's code scanning has for a line: h = 37 h + c over a window of the 100 UTF-16
 * units from the line's start on, spaces and tabs left out and all line ends as one; 0xFFFF stands
 * at the text's end and zeros behind it. Then the ordinal among equal hashes of the file.
 */
#include <stdlib.h>
#include <string.h>

#include "assess/source.h"
#include "base/mem.h"

enum { WINDOW = 100 };

struct hashes {
    int32_t n;
    struct line_hash {
        uint64_t hash;
        uint32_t ordinal;
        int32_t line;
    } v[];
};

struct roll {
    uint16_t window[WINDOW];
    int32_t lines[WINDOW]; /* 0: no line begins with this unit */
    uint32_t at;
    uint64_t hash, first; /* 37^100 */
    int32_t line;
    bool line_begins, after_cr;
    struct hashes *out;
};

static void hand_out(struct roll *r)
{
    int32_t line = r->lines[r->at];

    if (line > 0 && line <= r->out->n) {
        r->out->v[line - 1] = (struct line_hash){.hash = r->hash, .line = line};
    }
    r->lines[r->at] = 0;
}

static void push(struct roll *r, uint16_t unit)
{
    r->hash = 37 * r->hash + unit - r->first * r->window[r->at];
    r->window[r->at] = unit;
    r->at = (r->at + 1) % WINDOW;
}

static void take(struct roll *r, uint16_t unit)
{
    if (unit == ' ' || unit == '\t' || (unit == '\n' && r->after_cr)) {
        r->after_cr = false;
        return;
    }
    r->after_cr = unit == '\r';
    unit = unit == '\r' ? '\n' : unit;
    hand_out(r);
    if (r->line_begins) {
        r->lines[r->at] = ++r->line;
    }
    r->line_begins = unit == '\n';
    push(r, unit);
}

static void take_text(struct roll *r, const char *p, size_t n)
{
    while (n > 0) {
        size_t len = utf8_len(p, n);
        uint32_t c = len ? utf8_code(p, len) : 0xFFFD;

        if (c >= 0x10000) {
            take(r, (uint16_t)(0xD800 + ((c - 0x10000) >> 10)));
            take(r, (uint16_t)(0xDC00 + ((c - 0x10000) & 0x3FF)));
        } else {
            take(r, (uint16_t)c);
        }
        len = len ? len : 1;
        p += len;
        n -= len;
    }
}

static int by_hash(const void *a, const void *b)
{
    const struct line_hash *x = a, *y = b;

    if (x->hash != y->hash) {
        return x->hash < y->hash ? -1 : 1;
    }
    return (x->line > y->line) - (x->line < y->line);
}

static int by_line(const void *a, const void *b)
{
    const struct line_hash *x = a, *y = b;

    return (x->line > y->line) - (x->line < y->line);
}

static struct hashes *hashes_of(const struct source *s)
{
    /* The empty line behind the last line end counts here. */
    size_t n = (size_t)s->lines + 1;
    struct hashes *out = xcalloc(1, sizeof *out + n * sizeof *out->v);
    struct roll r = {.first = 1, .line_begins = true, .out = out};

    out->n = (int32_t)n;
    for (int i = 0; i < WINDOW; i++) {
        r.first *= 37;
    }
    take_text(&r, s->text, s->n);
    take(&r, 0xFFFF);
    for (int i = 0; i < WINDOW; i++) {
        hand_out(&r);
        push(&r, 0);
    }
    out->n = MIN(r.line, out->n);
    qsort(out->v, (size_t)out->n, sizeof *out->v, by_hash);
    for (int32_t i = 0; i < out->n; i++) {
        bool equal = i > 0 && out->v[i].hash == out->v[i - 1].hash;

        out->v[i].ordinal = equal ? out->v[i - 1].ordinal + 1 : 1;
    }
    qsort(out->v, (size_t)out->n, sizeof *out->v, by_line);
    return out;
}

bool source_github_hash(struct source *s, int32_t line, char out[24])
{
    const struct hashes *h;
    struct line_hash key = {.line = line}, *found;
    auto_buf b = {0};

    if (!s->hashes) {
        s->hashes = hashes_of(s);
    }
    h = s->hashes;
    found = bsearch(&key, h->v, (size_t)h->n, sizeof *h->v, by_line);
    if (!found) {
        return false;
    }
    buf_addf(&b, "%llx:%u", (unsigned long long)found->hash, found->ordinal);
    if (b.len >= 24) {
        return false; /* more than 9,999,999 equal lines */
    }
    memcpy(out, b.data, b.len + 1);
    return true;
}
