#include "engine/rules_set.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

/*
 * Steps back in one attempt, from one place in the text. Our own rules need some tens. A regex that
 * goes back over a line of 4 KiB from each of its places is stopped here after some milliseconds.
 */
enum { STEPS_MAX = 3000, HEAP_KIB_MAX = 4096 };

int regex_try(struct rules *r, const pcre2_code *re, const char *text, size_t n, size_t from)
{
    int rc = pcre2_match(re, (PCRE2_SPTR)text, n, from, 0, r->data, r->limits);

    return rc >= 0 ? 1 : rc == PCRE2_ERROR_NOMATCH ? 0 : ERR_LIMIT;
}

static int make_matcher(struct rules *r, struct err *e)
{
    r->limits = pcre2_match_context_create(NULL);
    r->data = pcre2_match_data_create(32, NULL);
    if (!r->limits || !r->data) {
        return err_set(e, ERR_INTERNAL, "no memory for regular expressions");
    }
    pcre2_set_match_limit(r->limits, STEPS_MAX);
    pcre2_set_heap_limit(r->limits, HEAP_KIB_MAX);
    return 0;
}

int rules_new(struct rules **out, struct err *e)
{
    struct rules *r = xcalloc(1, sizeof *r);
    int rc = make_matcher(r, e);

    for (const struct rules_text *t = rules_texts; rc == 0 && t->name; t++) {
        rc = rules_read(r, t->text, strlen(t->text), t->name, e);
    }
    if (rc < 0) {
        rules_free(r);
        return rc;
    }
    *out = r;
    return 0;
}

void rules_free(struct rules *r)
{
    if (!r) {
        return;
    }
    for (size_t i = 0; i < r->n; i++) {
        rule_entry_done(&r->v[i]);
    }
    for (size_t i = 0; i < r->n_docs; i++) {
        node_done(&r->docs[i]);
    }
    free(r->v);
    free(r->docs);
    literals_free(r->literals);
    pcre2_match_context_free(r->limits);
    pcre2_match_data_free(r->data);
    free(r);
}

int rules_add(struct rules *r, const char *text, size_t n, const char *name, struct err *e)
{
    size_t before = r->n, docs = r->n_docs;
    int rc = rules_read(r, text, n, name, e);

    if (rc < 0) {
        while (r->n > before) {
            rule_entry_done(&r->v[--r->n]);
        }
        while (r->n_docs > docs) {
            node_done(&r->docs[--r->n_docs]);
        }
        return rc;
    }
    literals_free(r->literals);
    r->literals = NULL;
    return 0;
}

int rules_check(const char *text, size_t n, const char *name, struct err *e)
{
    struct rules *r = NULL;
    int rc = rules_new(&r, e);

    rc = rc < 0 ? rc : rules_add(r, text, n, name, e);
    rules_free(r);
    return rc;
}

size_t rules_count(const struct rules *r)
{
    return r->n;
}

const struct rule *rules_at(const struct rules *r, size_t i)
{
    assert(i < r->n);
    return &r->v[i].rule;
}
