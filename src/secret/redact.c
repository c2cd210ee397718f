/*
 * Finding all forms of all secrets in one pass: a hash of the eight bytes in the middle of each
 * form is looked up for every eight bytes of the text. The middle, because secrets of one kind
 * begin alike ("sk-ant-", "-----BEGIN"), and who writes the text may know how.
 */
#include <string.h>

#include "base/mem.h"
#include "secret/secret_priv.h"

enum { WINDOW = 8, BITS_MIN = 8 };

static uint32_t hash(const struct secrets *s, const char *p)
{
    uint64_t v;

    memcpy(&v, p, WINDOW);
    return (uint32_t)(v * UINT64_C(0x9e3779b97f4a7c15) >> s->shift);
}

static size_t middle(const struct secret_form *f)
{
    return (f->n - WINDOW) / 2;
}

void secrets_index(struct secrets *s)
{
    unsigned bits = BITS_MIN;

    while ((size_t)1 << bits < s->n_forms * 8) {
        bits++;
    }
    s->shift = 64 - bits;
    s->head = xcalloc((size_t)1 << bits, sizeof *s->head);
    s->next = xcalloc(s->n_forms + 1, sizeof *s->next);
    for (size_t i = 0; i < s->n_forms; i++) {
        uint32_t *at = &s->head[hash(s, s->mem + s->forms[i].at + middle(&s->forms[i]))];

        s->next[i] = *at;
        *at = (uint32_t)i + 1;
    }
}

struct found {
    size_t from, to;
    uint32_t secret;
};
struct finds {
    struct found *v; /* owned */
    size_t n, size;
};

/* They are found in the order of their middles: one that touches the last becomes a part of it. */
static void found(struct finds *l, size_t from, size_t to, uint32_t secret)
{
    while (l->n > 0 && l->v[l->n - 1].to > from) {
        const struct found *last = &l->v[--l->n];

        secret = last->to - last->from >= to - from ? last->secret : secret;
        from = MIN(from, last->from);
        to = MAX(to, last->to);
    }
    if (l->n == l->size) {
        l->size = l->size ? l->size * 2 : 16;
        l->v = xrealloc(l->v, l->size * sizeof *l->v);
    }
    l->v[l->n++] = (struct found){from, to, secret};
}

static void look(const struct secrets *s, const char *text, size_t n, size_t at, struct finds *l)
{
    for (uint32_t i = s->head[hash(s, text + at)]; i; i = s->next[i - 1]) {
        const struct secret_form *f = &s->forms[i - 1];
        size_t before = middle(f);

        if (before <= at && f->n - before <= n - at &&
            memcmp(text + at, s->mem + f->at + before, WINDOW) == 0 &&
            memcmp(text + at - before, s->mem + f->at, f->n) == 0) {
            found(l, at - before, at - before + f->n, f->secret);
        }
    }
}

size_t secrets_redact(const struct secrets *s, const char *text, size_t n, struct buf *out)
{
    struct finds l = {0};
    size_t done = 0;

    for (size_t at = 0; s && s->n_forms > 0 && at + WINDOW <= n; at++) {
        look(s, text, n, at, &l);
    }
    for (size_t i = 0; i < l.n; i++) {
        buf_add(out, text + done, l.v[i].from - done);
        buf_addf(out, "[secret %s]", s->v[l.v[i].secret].name);
        done = l.v[i].to;
    }
    buf_add(out, text + done, n - done);
    free(l.v);
    return l.n;
}
