#include "secret/leak.h"

#include <string.h>

#include "base/mem.h"
#include "secret/secret_priv.h"

/* Knuth, Morris and Pratt, for each form; bytes that begin none are passed over together. */
struct leak {
    struct {
        const char *p; /* borrowed */
        size_t n;
        uint32_t *back; /* owned; where a match of that length goes on after a mismatch */
    } form[LEAK_FORMS];
    unsigned n;
    bool begins[256];
};

static uint32_t *failures(const char *p, size_t n)
{
    uint32_t *back = xcalloc(n + 1, sizeof *back);

    for (uint32_t i = 1, k = 0; i < n; i++) {
        while (k > 0 && p[i] != p[k]) {
            k = back[k];
        }
        k += p[i] == p[k];
        back[i + 1] = k;
    }
    return back;
}

struct leak *leak_new(const struct secrets *s, const char *name)
{
    struct leak *l = xcalloc(1, sizeof *l);

    for (size_t i = 0; s && i < s->n; i++) {
        const struct secret_row *row = &s->v[i];

        for (uint32_t k = 0; strcmp(row->name, name) == 0 && k < row->n_forms && l->n < LEAK_FORMS;
             k++) {
            const struct secret_form *f = &s->forms[row->form + k];

            l->form[l->n].p = s->mem + f->at;
            l->form[l->n].n = f->n;
            l->form[l->n++].back = failures(s->mem + f->at, f->n);
            l->begins[(unsigned char)s->mem[f->at]] = true;
        }
    }
    if (l->n == 0) {
        free(l);
        return NULL;
    }
    return l;
}

void leak_free(struct leak *l)
{
    if (l) {
        for (unsigned i = 0; i < l->n; i++) {
            free(l->form[i].back);
        }
        free(l);
    }
}

/* One byte more; the longest beginning of any form that the stream ends with, or SIZE_MAX: found.
 */
static size_t step(const struct leak *l, struct leak_stream *st, char c)
{
    size_t longest = 0;

    for (unsigned i = 0; i < l->n; i++) {
        uint32_t k = st->at[i];

        while (k > 0 && l->form[i].p[k] != c) {
            k = l->form[i].back[k];
        }
        k += l->form[i].p[k] == c;
        st->at[i] = k;
        if (k == l->form[i].n) {
            return SIZE_MAX;
        }
        longest = MAX(longest, (size_t)k);
    }
    return longest;
}

bool leak_feed(const struct leak *l, struct leak_stream *st, const char *p, size_t n, size_t *held)
{
    size_t longest = 0;

    *held = 0;
    for (unsigned i = 0; l && i < l->n; i++) {
        longest = MAX(longest, (size_t)st->at[i]);
    }
    for (size_t i = 0; l && i < n; i++) {
        if (longest == 0 && !l->begins[(unsigned char)p[i]]) {
            continue;
        }
        longest = step(l, st, p[i]);
        if (longest == SIZE_MAX) {
            return true;
        }
    }
    *held = longest;
    return false;
}
