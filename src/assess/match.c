/*
 * Three passes over what is left, each with the lists sorted by what it compares. Of several that
 * are equal, those that stand first in their files belong together.
 */
#include <stdlib.h>
#include <string.h>

#include "assess/identity.h"
#include "base/buf.h"
#include "base/mem.h"

enum {
    WORDS = 64,     /* of a line that are compared */
    NEIGHBOURS = 8, /* in each direction that a line is compared with */
    RENAMES = 16,   /* questions about one finding */
    ALIKE = 60      /* per cent */
};

/* Which text of a finding a pass sorts by. */
typedef const char *(*key_fn)(const struct known *k);

static const char *key_primary(const struct known *k)
{
    return k->identity->primary;
}

static const char *key_moved(const struct known *k)
{
    return k->identity->moved;
}

static const char *key_around(const struct known *k)
{
    return k->identity->around;
}

struct item {
    const char *key;
    struct known *k;
    size_t i;
};

struct list {
    struct item *v;
    size_t n;
};

static int by_key(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int d = strcmp(x->key, y->key);

    d = d ? d : strcmp(x->k->path, y->k->path);
    if (d) {
        return d;
    }
    if (x->k->at != y->k->at) {
        return (x->k->at > y->k->at) - (x->k->at < y->k->at);
    }
    return (x->i > y->i) - (x->i < y->i);
}

static int by_class(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int d = strcmp(x->k->rule, y->k->rule);

    d = d ? d : strcmp(x->k->path, y->k->path);
    if (d) {
        return d;
    }
    if (x->k->at != y->k->at) {
        return (x->k->at > y->k->at) - (x->k->at < y->k->at);
    }
    return (x->i > y->i) - (x->i < y->i);
}

/* Those without a twin that have such a key. */
static void collect(struct list *l, struct known *v, size_t n, key_fn key,
                    int (*order)(const void *, const void *))
{
    l->n = 0;
    for (size_t i = 0; i < n; i++) {
        const char *text = key(&v[i]);

        if (v[i].twin < 0 && *text) {
            l->v[l->n++] = (struct item){text, &v[i], i};
        }
    }
    qsort(l->v, l->n, sizeof *l->v, order);
}

static void pair(const struct item *before, const struct item *now, bool rewritten)
{
    before->k->twin = (int32_t)now->i;
    now->k->twin = (int32_t)before->i;
    before->k->rewritten = now->k->rewritten = rewritten;
}

static size_t run_end(const struct list *l, size_t from)
{
    size_t to = from;

    while (to < l->n && str_eq(l->v[to].key, l->v[from].key)) {
        to++;
    }
    return to;
}

struct way {
    bool (*renamed)(void *arg, const char *from, const char *to);
    void *arg;
};

typedef void (*group_fn)(const struct way *w, const struct item *before, size_t n_before,
                         const struct item *now, size_t n_now);

/* Calls back with those that have the same key on both sides. */
static void groups(const struct list *before, const struct list *now, const struct way *w,
                   group_fn fn)
{
    size_t b = 0, n = 0;

    while (b < before->n && n < now->n) {
        int d = strcmp(before->v[b].key, now->v[n].key);
        size_t b_end = run_end(before, b), n_end = run_end(now, n);

        if (d == 0) {
            fn(w, before->v + b, b_end - b, now->v + n, n_end - n);
        }
        b = d <= 0 ? b_end : b;
        n = d >= 0 ? n_end : n;
    }
}

/* The key says it all: the first with the first. */
static void pair_equals(const struct way *w, const struct item *before, size_t n_before,
                        const struct item *now, size_t n_now)
{
    for (size_t i = 0; i < n_before && i < n_now; i++) {
        pair(&before[i], &now[i], false);
    }
}

static void pair_around(const struct way *w, const struct item *before, size_t n_before,
                        const struct item *now, size_t n_now)
{
    for (size_t i = 0; i < n_before && i < n_now; i++) {
        pair(&before[i], &now[i], true);
    }
}

static void pair_moved(const struct way *w, const struct item *before, size_t n_before,
                       const struct item *now, size_t n_now)
{
    if (n_before == 1 && n_now == 1) {
        pair(before, now, true);
        return;
    }
    for (size_t i = 0; i < n_now && w->renamed; i++) {
        unsigned asked = 0;

        for (size_t k = 0; k < n_before && asked < RENAMES; k++) {
            if (before[k].k->twin >= 0) {
                continue;
            }
            asked++;
            if (w->renamed(w->arg, before[k].k->path, now[i].k->path)) {
                pair(&before[k], &now[i], true);
                break;
            }
        }
    }
}

/* ---- lines that were rewritten ---- */

struct words {
    uint32_t v[WORDS]; /* hashes, in order */
    uint32_t n;
};

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static bool word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static void words_of(const char *line, struct words *w)
{
    w->n = 0;
    while (line && *line && w->n < WORDS) {
        uint32_t hash = 2166136261U;

        if (!word_byte(*line)) {
            line++;
            continue;
        }
        for (; word_byte(*line); line++) {
            hash = (hash ^ (unsigned char)*line) * 16777619U;
        }
        w->v[w->n++] = hash;
    }
    qsort(w->v, w->n, sizeof *w->v, by_number);
}

static unsigned alike(const struct words *a, const struct words *b)
{
    uint32_t i = 0, k = 0, equal = 0, most = MAX(a->n, b->n);

    while (i < a->n && k < b->n) {
        if (a->v[i] == b->v[k]) {
            equal++;
            i++;
            k++;
        } else if (a->v[i] < b->v[k]) {
            i++;
        } else {
            k++;
        }
    }
    return most ? 100 * equal / most : 0;
}

struct candidate {
    const struct item *before, *now;
    unsigned alike;
    int32_t apart;
};

static int best_first(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->alike != y->alike) {
        return x->alike > y->alike ? -1 : 1;
    }
    if (x->apart != y->apart) {
        return x->apart < y->apart ? -1 : 1;
    }
    if (x->now->i != y->now->i) {
        return x->now->i < y->now->i ? -1 : 1;
    }
    return (x->before->i > y->before->i) - (x->before->i < y->before->i);
}

static int32_t apart(const struct known *a, const struct known *b)
{
    return a->at > b->at ? a->at - b->at : b->at - a->at;
}

static bool same_class(const struct known *a, const struct known *b)
{
    return str_eq(a->rule, b->rule) && str_eq(a->path, b->path);
}

/* Where `k` would stand in the list, which is in the order of by_class(). */
static size_t place_in(const struct list *l, const struct item *k)
{
    size_t low = 0, high = l->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (by_class(&l->v[mid], k) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static void add_candidates(const struct list *before, const struct words *words,
                           const struct item *now, struct candidate *v, size_t *n)
{
    struct words mine;
    size_t at = place_in(before, now);
    size_t from = at > NEIGHBOURS ? at - NEIGHBOURS : 0, to = MIN(at + NEIGHBOURS, before->n);

    words_of(now->k->line, &mine);
    for (size_t i = from; i < to; i++) {
        unsigned per_cent;

        if (!same_class(before->v[i].k, now->k)) {
            continue;
        }
        per_cent = alike(&words[i], &mine);
        if (per_cent >= ALIKE) {
            v[(*n)++] =
                (struct candidate){&before->v[i], now, per_cent, apart(before->v[i].k, now->k)};
        }
    }
}

static void match_rewritten(const struct list *before, const struct list *now)
{
    auto_free struct words *words = NULL;
    auto_free struct candidate *v = NULL;
    size_t n = 0;

    if (before->n == 0 || now->n == 0) {
        return;
    }
    words = xmalloc(before->n * sizeof *words);
    v = xmalloc(now->n * 2 * NEIGHBOURS * sizeof *v);
    for (size_t i = 0; i < before->n; i++) {
        words_of(before->v[i].k->line, &words[i]);
    }
    for (size_t i = 0; i < now->n; i++) {
        add_candidates(before, words, &now->v[i], v, &n);
    }
    qsort(v, n, sizeof *v, best_first);
    for (size_t i = 0; i < n; i++) {
        if (v[i].before->k->twin < 0 && v[i].now->k->twin < 0) {
            pair(v[i].before, v[i].now, true);
        }
    }
}

void match_known(struct known *before, size_t n_before, struct known *now, size_t n_now,
                 bool (*renamed)(void *arg, const char *from, const char *to), void *arg)
{
    static const struct {
        key_fn key;
        group_fn pair;
    } passes[] = {{key_primary, pair_equals}, {key_moved, pair_moved}, {key_around, pair_around}};
    auto_free struct item *b = xmalloc((n_before + 1) * sizeof *b);
    auto_free struct item *n = xmalloc((n_now + 1) * sizeof *n);
    struct list old = {.v = b}, new = {.v = n};
    struct way way = {renamed, arg};

    for (size_t i = 0; i < n_before; i++) {
        before[i].twin = -1;
        before[i].rewritten = false;
    }
    for (size_t i = 0; i < n_now; i++) {
        now[i].twin = -1;
        now[i].rewritten = false;
    }
    for (size_t i = 0; i < ARRAY_LEN(passes); i++) {
        collect(&old, before, n_before, passes[i].key, by_key);
        collect(&new, now, n_now, passes[i].key, by_key);
        groups(&old, &new, &way, passes[i].pair);
    }
    collect(&old, before, n_before, key_primary, by_class);
    collect(&new, now, n_now, key_primary, by_class);
    match_rewritten(&old, &new);
}
