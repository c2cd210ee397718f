#include "repo/agreement.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

struct group {
    uint64_t passes;             /* bit i: pass i has it */
    const struct finding *first; /* what the others are compared with */
    const struct finding *best;
};

static bool is_same(const struct finding *a, const struct finding *b)
{
    if (strcmp(a->rule, b->rule) != 0 || strcmp(a->at.path, b->at.path) != 0) {
        return false;
    }
    return abs(a->at.line - b->at.line) <= AGREE_LINES || (a->quote && str_eq(a->quote, b->quote));
}

/* Within a pass nothing is joined: two reports are two findings. */
static struct group *find(struct group *v, size_t n, const struct finding *f, size_t pass)
{
    struct group *best = NULL;

    for (size_t i = 0; i < n; i++) {
        if ((v[i].passes >> pass & 1) || !is_same(v[i].first, f)) {
            continue;
        }
        if (!best ||
            abs(v[i].first->at.line - f->at.line) < abs(best->first->at.line - f->at.line)) {
            best = &v[i];
        }
    }
    return best;
}

static void add_engines(struct finding *f, int32_t confidence_x100)
{
    f->confidence_x100 = confidence_x100;
    for (uint32_t i = 0; i < f->n_engines; i++) {
        f->engines[i].confidence_x100 = confidence_x100;
    }
}

void agreement_make(struct haul *passes, size_t n, struct haul *out)
{
    struct group *v;
    size_t all = 0, groups = 0;

    n = MIN(n, (size_t)64);
    for (size_t i = 0; i < n; i++) {
        all += passes[i].n;
    }
    v = xcalloc(all ? all : 1, sizeof *v);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < passes[i].n; k++) {
            const struct finding *f = &passes[i].v[k];
            struct group *g = find(v, groups, f, i);

            if (!g) {
                g = &v[groups++];
                g->first = g->best = f;
            } else if (f->confidence_x100 > g->best->confidence_x100) {
                g->best = f;
            }
            g->passes |= UINT64_C(1) << i;
        }
    }
    for (size_t i = 0; i < groups; i++) {
        int share = __builtin_popcountll(v[i].passes);
        struct finding f = *v[i].best;

        add_engines(&f, (int32_t)((int64_t)f.confidence_x100 * share / (int64_t)n));
        haul_add(out, &f);
    }
    free(v);
    for (size_t i = 0; i < n; i++) {
        haul_done(&passes[i]);
    }
}
