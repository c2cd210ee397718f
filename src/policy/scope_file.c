/* The `scope` part of a policy file: entries, and what contradicts itself among them. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "policy/internal.h"

enum { NOTE_MAX = 200, WITHIN_MAX = 64, DAY_LEN = 10 };

#define DAY_US INT64_C(86400000000)

/* The entry that is read. */
struct reading {
    struct load *l;
    struct entry en;
    const struct node *target, *within;
};

void entry_done(struct entry *en)
{
    free(en->name);
    free(en->within);
    free(en->note);
    free(en->authorised_by);
    free(en->label);
    *en = (struct entry){0};
}

/* Text of a message that is not ours. */
static void shown(const struct node *v, struct buf *out)
{
    size_t n = strlen(v->text);

    buf_add_escaped(out, v->text, MIN(n, (size_t)80));
    buf_adds(out, n > 80 ? "..." : "");
}

static int text_read(struct reading *r, const struct node *v, const char *what, char **out,
                     struct err *e)
{
    if (v->kind != NODE_TEXT || !*v->text || strlen(v->text) > NOTE_MAX) {
        return node_wrong(r->l->name, v, e, "'%s' must be text of 1 to %d bytes", what, NOTE_MAX);
    }
    *out = xstrdup(v->text);
    return 0;
}

static int note_read(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    return text_read(r, v, "note", &r->en.note, e);
}

static int authorised_read(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    return text_read(r, v, "authorised_by", &r->en.authorised_by, e);
}

/* A day or a time; the 31st of February is none. */
static bool time_read(const char *s, int64_t *us)
{
    auto_free char *day = xstrndup(s, DAY_LEN);
    char back[RFC3339_LEN + 1];
    int64_t day_us;

    if (!rfc3339_parse(s, us) || *us <= 0 || !rfc3339_parse(day, &day_us)) {
        return false;
    }
    rfc3339_us(day_us, back);
    return strncmp(back, s, DAY_LEN) == 0;
}

static int expires_read(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;
    int64_t us;

    if (r->l->deny) {
        return node_wrong(r->l->name, v, e,
                          "entries of scope.deny do not expire; remove the entry "
                          "when it is no longer wanted");
    }
    if (v->kind != NODE_TEXT || !time_read(v->text, &us)) {
        return node_wrong(r->l->name, v, e,
                          "'expires' must be the last day (2027-01-31) or an RFC "
                          "3339 time (2027-01-31T18:00:00Z)");
    }
    r->en.expires_us = strlen(v->text) == DAY_LEN ? us + DAY_US : us;
    return 0;
}

/* What only addresses are made of; everything else is a name. */
static bool like_address(const char *s)
{
    return strpbrk(s, ":/") || s[strspn(s, "0123456789.,-*")] == '\0';
}

int node_range(const struct load *l, const struct node *v, struct net_range *out, struct err *e)
{
    auto_buf text = {0};
    char meant[NET_TEXT];

    if (v->kind != NODE_TEXT) {
        return node_wrong(l->name, v, e, "an address, a prefix or a range is expected here");
    }
    if (net_range_parse(v->text, false, out)) {
        return 0;
    }
    shown(v, &text);
    if (net_range_parse(v->text, true, out)) {
        net_range_text(out, meant);
        return node_wrong(l->name, v, e, "'%s' has bits behind the prefix; write %s", text.data,
                          meant);
    }
    return node_wrong(l->name, v, e,
                      "'%s' is not an address, a prefix (10.0.0.0/8) or a range "
                      "(10.0.0.1-10.0.0.9)",
                      text.len ? text.data : "");
}

static int target_read(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;
    auto_buf text = {0};
    const char *why;

    r->target = v;
    if (v->kind != NODE_TEXT || !*v->text) {
        return node_wrong(r->l->name, v, e,
                          "'target' must be an address, a prefix, a range or a "
                          "host name");
    }
    if (like_address(v->text)) {
        return node_range(r->l, v, &r->en.range, e);
    }
    if (target_name(v->text, &r->en.name, &why)) {
        return 0;
    }
    shown(v, &text);
    return node_wrong(r->l->name, v, e, "'%s': %s", text.data, why);
}

static int within_read(void *arg, const struct node *v, struct err *e)
{
    struct reading *r = arg;

    r->within = v;
    if (v->kind != NODE_LIST || v->n == 0 || v->n > WITHIN_MAX) {
        return node_wrong(r->l->name, v, e, "'within' must be a list of 1 to %d prefixes or ranges",
                          WITHIN_MAX);
    }
    r->en.within = xcalloc(v->n, sizeof *r->en.within);
    for (size_t i = 0; i < v->n; i++) {
        int rc = node_range(r->l, &v->item[i], &r->en.within[i], e);

        if (rc < 0) {
            return rc;
        }
        r->en.n_within++;
    }
    return 0;
}

static const struct node_field entry_fields[] = {
    {"target", target_read, true},
    {"note", note_read, false},
    {"authorised_by", authorised_read, false},
    {"expires", expires_read, false},
    {"within", within_read, false},
    {0},
};

static int entry_whole(const struct reading *r, struct err *e)
{
    if (r->en.name && !r->within && !r->l->deny) {
        return node_wrong(
            r->l->name, r->target, e,
            "a host name needs 'within': the prefixes that it may resolve to, such as "
            "within: [192.0.2.0/24]");
    }
    if (r->within && (!r->en.name || r->l->deny)) {
        return node_wrong(r->l->name, r->within, e, "'within' is for host names of scope.allow");
    }
    return 0;
}

static int entry_read(struct load *l, const struct node *v, struct err *e)
{
    struct reading r = {.l = l};
    int rc;

    if (v->kind == NODE_TEXT) {
        return node_wrong(l->name, v, e, "an entry is a mapping: '- target: 10.20.0.0/16'");
    }
    r.en = (struct entry){.expires_us = NEVER, .line = v->line, .column = v->column};
    rc = node_map(l->name, v, l->deny ? "an entry of scope.deny" : "an entry of scope.allow",
                  entry_fields, &r, e);
    if (rc == 0) {
        rc = entry_whole(&r, e);
    }
    if (rc < 0) {
        entry_done(&r.en);
        return rc;
    }
    if (l->into->n == l->into->size) {
        l->into->size = l->into->size ? 2 * l->into->size : 16;
        l->into->v = xrealloc(l->into->v, l->into->size * sizeof *l->into->v);
    }
    l->into->v[l->into->n++] = r.en;
    return 0;
}

static int list_read(struct load *l, const struct node *v, struct entries *into, bool deny,
                     struct err *e)
{
    int rc = 0;

    if (v->kind != NODE_LIST) {
        return node_wrong(l->name, v, e, "scope.%s must be a list of entries",
                          deny ? "deny" : "allow");
    }
    l->into = into;
    l->deny = deny;
    for (size_t i = 0; i < v->n && rc == 0; i++) {
        rc = entry_read(l, &v->item[i], e);
    }
    return rc;
}

static int allow_read(void *arg, const struct node *v, struct err *e)
{
    struct load *l = arg;

    return list_read(l, v, &l->p->allow, false, e);
}

static int deny_read(void *arg, const struct node *v, struct err *e)
{
    struct load *l = arg;

    return list_read(l, v, &l->p->deny, true, e);
}

static const struct node_field scope_fields[] = {
    {"allow", allow_read, true},
    {"deny", deny_read, false},
    {0},
};

int scope_read(void *load, const struct node *v, struct err *e)
{
    const struct load *l = load;

    return node_map(l->name, v, "scope", scope_fields, load, e);
}

/* ---- contradictions ---- */

static int entry_cmp(const void *a, const void *b)
{
    const struct entry *const *x = a, *const *y = b;
    const struct entry *p = *x, *q = *y;
    int c;

    if (!p->name != !q->name) {
        return p->name ? 1 : -1;
    }
    if (p->name) {
        return strcmp(p->name, q->name);
    }
    c = net_ip_cmp(&p->range.first, &q->range.first);
    return c ? c : net_ip_cmp(&p->range.last, &q->range.last);
}

/* Pointers to the entries, sorted by what they are for. The caller frees. */
static const struct entry **sorted(const struct entries *list)
{
    const struct entry **v = xcalloc(MAX(list->n, (size_t)1), sizeof(const struct entry *));

    for (size_t i = 0; i < list->n; i++) {
        v[i] = &list->v[i];
    }
    if (list->n) {
        qsort(v, list->n, sizeof(const struct entry *), entry_cmp);
    }
    return v;
}

int scope_check(struct load *l, struct err *e)
{
    const struct entries *allow = &l->p->allow, *deny = &l->p->deny;
    auto_free const struct entry **a = sorted(allow), **d = sorted(deny);
    size_t i = 0, k = 0;

    while (i < allow->n && k < deny->n) {
        int c = entry_cmp(&a[i], &d[k]);

        if (c == 0) {
            const struct node at = {.line = d[k]->line, .column = d[k]->column};
            char text[300];

            entry_text(a[i], text, sizeof text);
            return node_wrong(l->name, &at, e,
                              "%s is in scope.deny here and in scope.allow in line %u; remove one",
                              text, a[i]->line);
        }
        if (c < 0) {
            i++;
        } else {
            k++;
        }
    }
    return 0;
}
