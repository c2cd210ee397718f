#include "repo/haul.h"

#include <string.h>

#include "base/mem.h"

static const char *keep(struct arena *a, const char *s)
{
    return s ? arena_strn(a, s, strlen(s)) : NULL;
}

static void keep_place(struct arena *a, struct finding_place *p)
{
    p->path = keep(a, p->path);
    p->message = keep(a, p->message);
}

static void keep_texts(struct arena *a, struct finding *f)
{
    const char **const texts[] = {&f->rule,   &f->title,   &f->message, &f->recommendation,
                                  &f->line,   &f->snippet, &f->quote,   &f->function,
                                  &f->secret, &f->marked};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        *texts[i] = keep(a, *texts[i]);
    }
    keep_place(a, &f->at);
    for (uint32_t i = 0; i < f->n_related; i++) {
        keep_place(a, &f->related[i]);
    }
    for (uint32_t i = 0; i < f->n_engines; i++) {
        struct finding_engine *en = &f->engines[i];

        en->name = keep(a, en->name);
        en->version = keep(a, en->version);
        en->rule = keep(a, en->rule);
        en->severity = keep(a, en->severity);
    }
}

void haul_add(struct haul *h, const struct finding *f)
{
    if (h->n == HAUL_MAX) {
        h->lost++;
        return;
    }
    if (!h->arena) {
        h->arena = arena_new();
    }
    if (h->n == h->size) {
        h->size = h->size ? 2 * h->size : 64;
        h->v = xrealloc(h->v, h->size * sizeof *h->v);
    }
    h->v[h->n] = *f;
    keep_texts(h->arena, &h->v[h->n++]);
}

void haul_done(struct haul *h)
{
    free(h->v);
    arena_free(h->arena);
    *h = (struct haul){0};
}
