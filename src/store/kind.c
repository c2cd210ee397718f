/*
 * Kinds of issues: what rule, which engines, which CWEs. There are few, however many issues there
 * are, so that all are kept in memory, and a filter by any of the three becomes a list of kinds,
 * by which issues are in order. Whoever makes up new ones (a document that names an engine for each
 * finding) gets the kind 0, which can be anything and is looked through.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/internal.h"

enum { KINDS_MAX = 4096, SLOTS = 2 * KINDS_MAX };

struct kinds {
    struct kind v[KINDS_MAX]; /* texts are owned; [i] has number i + 1 */
    size_t n;
    uint16_t slots[SLOTS]; /* hash table: index + 1 */
};

static uint32_t hash_text(uint32_t h, const char *s)
{
    for (; *s; s++) {
        h = (h ^ (unsigned char)*s) * 16777619u;
    }
    return (h ^ 0xff) * 16777619u;
}

static uint16_t *slot_of(struct kinds *ks, const struct finding_head *h)
{
    uint32_t at = hash_text(hash_text(hash_text(2166136261u, h->rule), h->engines), h->cwes);

    for (at %= SLOTS; ks->slots[at]; at = (at + 1) % SLOTS) {
        const struct kind *k = &ks->v[ks->slots[at] - 1];

        if (strcmp(k->rule, h->rule) == 0 && strcmp(k->engines, h->engines) == 0 &&
            strcmp(k->cwes, h->cwes) == 0) {
            break;
        }
    }
    return &ks->slots[at];
}

static int note_kind(void *arg, const struct kind *k)
{
    struct kinds *ks = arg;
    const struct finding_head h = {.rule = k->rule, .engines = k->engines, .cwes = k->cwes};

    if (ks->n < KINDS_MAX) {
        ks->v[ks->n] =
            (struct kind){k->num, xstrdup(k->rule), xstrdup(k->engines), xstrdup(k->cwes)};
        *slot_of(ks, &h) = (uint16_t)++ks->n;
    }
    return 0;
}

static int load(struct store *s)
{
    int rc;

    if (s->kinds) {
        return 0;
    }
    s->kinds = xcalloc(1, sizeof *s->kinds);
    rc = s->ops->kinds(s, note_kind, s->kinds);
    if (rc != 0) {
        kinds_forget(s);
    }
    return rc;
}

void kinds_forget(struct store *s)
{
    for (size_t i = 0; s->kinds && i < s->kinds->n; i++) {
        free((void *)(uintptr_t)s->kinds->v[i].rule);
        free((void *)(uintptr_t)s->kinds->v[i].engines);
        free((void *)(uintptr_t)s->kinds->v[i].cwes);
    }
    free(s->kinds);
    s->kinds = NULL;
}

int kind_of(struct store *s, const struct finding_head *h, int64_t *num)
{
    struct kind k = {0, h->rule, h->engines, h->cwes};
    uint16_t at;
    int rc = load(s);

    if (rc != 0) {
        return rc;
    }
    at = *slot_of(s->kinds, h);
    *num = at ? s->kinds->v[at - 1].num : 0;
    if (at || s->kinds->n == KINDS_MAX) {
        return 0;
    }
    k.num = (int64_t)s->kinds->n + 1;
    rc = s->ops->kind_add(s, &k);
    if (rc == 0) {
        note_kind(s->kinds, &k);
        *num = k.num;
    }
    return rc;
}

int kinds_match(struct store *s, const struct finding_filter *f,
                void (*fn)(void *arg, int64_t kind), void *arg)
{
    struct finding_filter of = {.rule = f->rule, .engine = f->engine, .cwe = f->cwe};
    int rc = load(s);

    for (size_t i = 0; rc == 0 && i < s->kinds->n; i++) {
        const struct kind *k = &s->kinds->v[i];
        const struct finding_head h = {
            .rule = k->rule, .engines = k->engines, .cwes = k->cwes, .path = ""};

        if (head_passes(&h, &of)) {
            fn(arg, k->num);
        }
    }
    if (rc == 0) {
        fn(arg, 0);
    }
    return rc;
}
