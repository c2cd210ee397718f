/* What stands around a match: its lines, those above, the file, and what a secret looks like. */
#include <string.h>

#include "base/mem.h"
#include "engine/rules_kind.h"
#include "engine/rules_scan.h"
#include "engine/rules_secret.h"

/* ---- lines ---- */

bool has_bare_cr(const char *text, size_t n)
{
    const char *end = text + n;

    for (const char *p = text; (p = memchr(p, '\r', (size_t)(end - p))); p++) {
        if (p + 1 == end || p[1] != '\n') {
            return true;
        }
    }
    return false;
}

size_t line_ends(const struct scan *s, size_t at)
{
    const char *p = memchr(s->text + at, '\n', s->n - at);
    size_t end = p ? (size_t)(p - s->text) : s->n;

    if (s->bare_cr) {
        p = memchr(s->text + at, '\r', end - at);
        return p ? (size_t)(p - s->text) : end;
    }
    return end > at && s->text[end - 1] == '\r' ? end - 1 : end;
}

size_t line_starts(const struct scan *s, size_t at)
{
    const char *p = memrchr(s->text, '\n', at);
    size_t start = p ? (size_t)(p + 1 - s->text) : 0;

    if (s->bare_cr && start < at) {
        p = memrchr(s->text + start, '\r', at - start);
        start = p ? (size_t)(p + 1 - s->text) : start;
    }
    return start;
}

size_t line_next(const struct scan *s, size_t end)
{
    if (end + 1 < s->n && s->text[end] == '\r' && s->text[end + 1] == '\n') {
        end++;
    }
    return end < s->n ? end + 1 : s->n;
}

/* ---- what stands around ---- */

void rule_give_up(struct scan *s, uint32_t rule, size_t at)
{
    struct state *st = &s->rule[rule];

    if (!s->gave_up) {
        s->gave_up = &s->r->v[rule].rule;
        s->gave_up_at = at;
    }
    st->give_ups++;
    st->active = st->give_ups < GIVE_UPS;
}

static bool in_file(struct scan *s, uint32_t rule, const pcre2_code *re, int8_t *known)
{
    if (re && !*known) {
        int rc = regex_try(s->r, re, s->text, MIN(s->n, (size_t)FILE_BYTES), 0);

        if (rc < 0) {
            rule_give_up(s, rule, 0);
        }
        *known = rc == 1 ? 1 : -1;
    }
    return *known > 0;
}

static size_t indent_of(const char *line, size_t n)
{
    size_t i = 0;

    while (i < n && (line[i] == ' ' || line[i] == '\t')) {
        i++;
    }
    return i;
}

/* The line itself, then upwards each line that is indented less than all before it. */
static bool is_inside(struct scan *s, uint32_t rule, size_t at)
{
    const pcre2_code *re = s->r->v[rule].inside;
    size_t start = line_starts(s, at), end = line_ends(s, start), lowest = at - start;
    bool first = true;

    while (at - start <= ANCESTORS_BYTES) {
        size_t n = MIN(end - start, (size_t)LINE_MAX_BYTES);
        size_t indent = indent_of(s->text + start, n);

        if (first || (indent < lowest && indent < n)) {
            int rc = line_is_comment(s->kinds, s->text + start, n)
                         ? 0
                         : regex_try(s->r, re, s->text + start, n, 0);

            if (rc != 0) {
                if (rc < 0) {
                    rule_give_up(s, rule, start);
                }
                return rc == 1;
            }
            lowest = indent;
            first = false;
        }
        if (start == 0 || lowest == 0) {
            return false;
        }
        end = start - 1;
        end -= end > 0 && s->text[end] == '\n' && s->text[end - 1] == '\r';
        start = line_starts(s, end);
    }
    return false;
}

/* Whether a secret may be one, and how sure that is. */
static bool secret_ok(const struct scan *s, const struct rule *rule, struct hit *h)
{
    const char *p = s->text + h->from;
    size_t n = h->to - h->from;

    if (n < (size_t)rule->least || secret_is_placeholder(p, n, rule->formed) ||
        (rule->random && secret_randomness(p, n) < rule->random)) {
        return false;
    }
    if (rule->checksum) {
        h->confidence_x100 =
            secret_sum_right(p, n) ? MAX(h->confidence_x100, 98) : h->confidence_x100 / 3;
    }
    return true;
}

/* Of the secret; else of the lines in which the match is. */
static bool is_allowed(struct scan *s, const struct entry *t, const struct hit *h)
{
    size_t from = h->from, to = h->to;
    int rc;

    if (!t->secret_group) {
        from = line_starts(s, from);
        to = line_ends(s, to);
        from = MAX(from, h->from - MIN(h->from, (size_t)LINE_MAX_BYTES));
        to = MIN(to, h->to + LINE_MAX_BYTES);
    }
    rc = regex_try(s->r, t->allow, s->text + from, to - from, 0);
    if (rc < 0) {
        rule_give_up(s, h->rule, h->from);
    }
    return rc == 1;
}

bool hit_stands(struct scan *s, struct hit *h)
{
    struct entry *t = &s->r->v[h->rule];
    struct state *st = &s->rule[h->rule];

    if (t->rule.secret && !secret_ok(s, &t->rule, h)) {
        return false;
    }
    if (t->allow && is_allowed(s, t, h)) {
        return false;
    }
    return (!t->inside || is_inside(s, h->rule, h->at)) &&
           (!t->has || in_file(s, h->rule, t->has, &st->has)) &&
           (!t->lacks || !in_file(s, h->rule, t->lacks, &st->lacks));
}
