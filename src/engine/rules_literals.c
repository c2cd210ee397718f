#include "engine/rules_literals.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

/* Bytes are told apart by classes of 6 bits; those in no literal are class 0. Should there be more
 * kinds of bytes than classes, some share one: what is found is always compared in the end. */
enum { CLASS_BITS = 6, CLASSES = 1 << CLASS_BITS, TRIPLES = 1 << (3 * CLASS_BITS) };

struct end {
    const char *text; /* folded, owned by `struct literals` */
    uint32_t len, of;
    uint32_t next; /* of the same node; 0: none */
};

struct literals {
    uint8_t class_of[256];
    uint64_t any[TRIPLES / 64]; /* whether some literal begins with the three classes */
    uint16_t *start;            /* [TRIPLES]: its node */
    uint16_t (*next)[CLASSES];  /* of each node; 0: none */
    uint32_t *ends;             /* of each node: index in `end`, 0: none */
    uint32_t nodes;
    struct end *end; /* from 1 */
    char *texts;
};

static unsigned char fold(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

static void make_classes(struct literals *l, const char *const *v, size_t n)
{
    unsigned used = 0;

    for (size_t i = 0; i < n; i++) {
        for (const char *p = v[i]; *p; p++) {
            unsigned char c = fold((unsigned char)*p);

            if (!l->class_of[c]) {
                used = used + 1 < CLASSES ? used + 1 : 1;
                l->class_of[c] = (uint8_t)used;
            }
        }
    }
    for (unsigned c = 'A'; c <= 'Z'; c++) {
        l->class_of[c] = l->class_of[fold((unsigned char)c)];
    }
}

static uint32_t triple(const struct literals *l, const unsigned char *p)
{
    return (uint32_t)l->class_of[p[0]] << (2 * CLASS_BITS) |
           (uint32_t)l->class_of[p[1]] << CLASS_BITS | l->class_of[p[2]];
}

static void add_one(struct literals *l, uint32_t index, const char *text, size_t len, uint32_t of)
{
    uint32_t t = triple(l, (const unsigned char *)text);
    uint32_t node = l->start[t];

    if (!node) {
        node = l->nodes++;
        l->start[t] = (uint16_t)node;
        l->any[t / 64] |= UINT64_C(1) << t % 64;
    }
    for (size_t i = 3; i < len; i++) {
        uint16_t *next = &l->next[node][l->class_of[(unsigned char)text[i]]];

        if (!*next) {
            *next = (uint16_t)l->nodes++;
        }
        node = *next;
    }
    l->end[index] = (struct end){.text = text, .len = (uint32_t)len, .of = of};
    l->end[index].next = l->ends[node];
    l->ends[node] = index;
}

struct literals *literals_new(const char *const *v, const uint32_t *of, size_t n)
{
    struct literals *l = xcalloc(1, sizeof *l);
    size_t bytes = 0, most = 1;
    char *p;

    assert(n <= LITERALS_MAX);
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(v[i]);

        assert(len >= LITERAL_MIN && len <= LITERAL_MAX);
        bytes += len;
        most += len - 2;
    }
    if (most > UINT16_MAX) { /* more than nodes can be counted: cut literals are as good */
        most = UINT16_MAX;
    }
    make_classes(l, v, n);
    l->start = xcalloc(TRIPLES, sizeof *l->start);
    l->next = xcalloc(most, sizeof *l->next);
    l->ends = xcalloc(most, sizeof *l->ends);
    l->end = xcalloc(n + 1, sizeof *l->end);
    l->texts = p = xmalloc(bytes + 1);
    l->nodes = 1;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(v[i]);

        if (l->nodes + len > UINT16_MAX) {
            len = LITERAL_MIN;
        }
        for (size_t k = 0; k < len; k++) {
            p[k] = (char)fold((unsigned char)v[i][k]);
        }
        add_one(l, (uint32_t)i + 1, p, len, of[i]);
        p += len;
    }
    return l;
}

void literals_free(struct literals *l)
{
    if (l) {
        free(l->start);
        free(l->next);
        free(l->ends);
        free(l->end);
        free(l->texts);
        free(l);
    }
}

static bool same(const char *text, const char *folded, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if ((char)fold((unsigned char)text[i]) != folded[i]) {
            return false;
        }
    }
    return true;
}

static int walk(const struct literals *l, const char *text, size_t n, size_t at, uint32_t t,
                literal_fn fn, void *arg)
{
    uint32_t node = l->start[t];
    size_t i = at + 3;

    while (node) {
        for (uint32_t k = l->ends[node]; k; k = l->end[k].next) {
            const struct end *end = &l->end[k];
            int rc = same(text + at, end->text, end->len) ? fn(arg, at, end->of) : 0;

            if (rc != 0) {
                return rc;
            }
        }
        node = i < n ? l->next[node][l->class_of[(unsigned char)text[i]]] : 0;
        i++;
    }
    return 0;
}

int literals_find(const struct literals *l, const char *text, size_t n, literal_fn fn, void *arg)
{
    const unsigned char *p = (const unsigned char *)text;
    uint32_t t = 0;

    for (size_t i = 0; i < n; i++) {
        t = (t << CLASS_BITS | l->class_of[p[i]]) & (TRIPLES - 1);
        if (l->any[t / 64] >> t % 64 & 1) {
            int rc = walk(l, text, n, i - 2, t, fn, arg);

            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}
