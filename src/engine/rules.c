/*
 * The engine: one pass for literals, a regex on the lines that have one, and then what stands
 * around. Places are collected and put in order before they are handed out, so that a rule that
 * knows what it sees (a token of a vendor) comes before one that guesses (something assigned to
 * "secret").
 */
#include "engine/rules.h"

#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "engine/rules_kind.h"
#include "engine/rules_scan.h"

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void locate(struct scan *s, size_t at)
{
    if (at < s->line || at >= s->line_end) {
        s->line = line_starts(s, at);
        s->line_end = line_ends(s, at);
    }
}

/* ---- hits ---- */

static void add_hit(struct scan *s, struct hit h)
{
    if (s->n_hits == HITS_MAX) {
        s->many = true;
        return;
    }
    if (s->n_hits == s->size) {
        s->size = s->size ? 2 * s->size : 16;
        s->hits = xrealloc(s->hits, s->size * sizeof *s->hits);
    }
    s->hits[s->n_hits++] = h;
}

/* Where the last attempt matched, in the window that begins at `from`. False: no place. */
static bool place_of(const struct scan *s, uint32_t rule, size_t from, struct hit *h)
{
    const struct entry *t = &s->r->v[rule];
    const PCRE2_SIZE *v = pcre2_get_ovector_pointer(s->r->data);
    uint32_t g = t->secret_group;

    if (v[0] > v[1] || (g && v[2 * g] == PCRE2_UNSET)) {
        return false;
    }
    *h = (struct hit){.rule = rule,
                      .at = from + v[0],
                      .end = from + v[1],
                      .confidence_x100 = t->rule.confidence_x100};
    h->from = g ? from + v[2 * g] : h->at;
    h->to = g ? from + v[2 * g + 1] : h->end;
    while (!g && h->from < h->to && strchr(" \t\r\n", s->text[h->from])) {
        h->from++;
    }
    return h->from < h->to;
}

static void try_window(struct scan *s, uint32_t rule, size_t from, size_t to)
{
    const struct entry *t = &s->r->v[rule];
    size_t at = 0;

    for (int k = 0; k < PER_LINE && from + at < to; k++) {
        int rc = regex_try(s->r, t->regex, s->text + from, to - from, at);
        struct hit h;

        if (rc <= 0) {
            if (rc < 0) {
                rule_give_up(s, rule, from);
            }
            return;
        }
        at = MAX(at + 1, (size_t)pcre2_get_ovector_pointer(s->r->data)[1]);
        if (place_of(s, rule, from, &h) && hit_stands(s, &h)) {
            add_hit(s, h);
            if (t->rule.once) {
                s->rule[rule].active = false;
            }
            if (!t->rule.secret || t->rule.once) {
                return;
            }
        }
    }
}

static bool out_of_time(struct scan *s)
{
    if (++s->tries % 64 == 0 && now_ms() > s->until_ms) {
        s->late = true;
    }
    return s->late;
}

static int on_literal(void *arg, size_t at, uint32_t of)
{
    struct scan *s = arg;
    struct state *st = &s->rule[of];
    const struct rule *rule = &s->r->v[of].rule;
    size_t from, to;

    if (!st->active || at < st->tried) {
        return 0;
    }
    if (out_of_time(s)) {
        return 1;
    }
    locate(s, at);
    if (s->line_end - s->line > LINE_MAX_BYTES) {
        from = MAX(s->line, at - MIN(at, (size_t)AROUND_BEFORE));
        to = MIN(s->line_end, at + AROUND_AFTER);
        st->tried = MIN(s->line_end, at + AROUND_AFTER / 2);
    } else {
        from = s->line;
        to = s->line_end;
        st->tried = s->line_end;
        for (int32_t i = 1; i < rule->lines && to < s->n && to - from < LINE_MAX_BYTES; i++) {
            to = line_ends(s, line_next(s, to));
        }
        to = MIN(to, from + LINE_MAX_BYTES);
    }
    if (rule->comments || rule->secret ||
        !line_is_comment(s->kinds, s->text + s->line, s->line_end - s->line)) {
        try_window(s, of, from, to);
    }
    return 0;
}

/* ---- which rules ---- */

static bool any_path(const struct strvec *patterns, const char *path)
{
    for (size_t i = 0; i < patterns->n; i++) {
        if (path_matches(patterns->v[i], path)) {
            return true;
        }
    }
    return false;
}

static void choose_rules(struct scan *s)
{
    for (uint32_t i = 0; i < s->r->n; i++) {
        const struct rule *rule = &s->r->v[i].rule;
        struct hit h = {.rule = i, .confidence_x100 = rule->confidence_x100};

        s->rule[i].active = (rule->kinds == UINT64_MAX || (rule->kinds & s->kinds)) &&
                            (rule->paths.n == 0 || any_path(&rule->paths, s->path)) &&
                            !any_path(&rule->not_paths, s->path);
        if (s->rule[i].active && !rule->regex && hit_stands(s, &h)) {
            add_hit(s, h);
        }
    }
}

static void make_literals(struct rules *r)
{
    size_t n = 0;
    const char **v;
    uint32_t *of;

    for (size_t i = 0; i < r->n; i++) {
        n += r->v[i].rule.literals.n;
    }
    v = xcalloc(n + 1, sizeof *v);
    of = xcalloc(n + 1, sizeof *of);
    n = 0;
    for (size_t i = 0; i < r->n; i++) {
        for (size_t k = 0; k < r->v[i].rule.literals.n; k++) {
            v[n] = r->v[i].rule.literals.v[k];
            of[n++] = (uint32_t)i;
        }
    }
    r->literals = literals_new(v, of, n);
    free(v);
    free(of);
}

static int complaint(struct scan *s, struct err *e)
{
    struct counter c = {.line = 1};

    if (s->late) {
        return err_set(e, ERR_LIMIT, "took too long: not searched to its end");
    }
    if (s->many) {
        return err_set(e, ERR_LIMIT, "has more than %d places to tell of", HITS_MAX);
    }
    if (s->gave_up) {
        return err_set(e, ERR_LIMIT, "line %d is made too hard for the rule %s",
                       (int)line_number(s, &c, s->gave_up_at), s->gave_up->id);
    }
    return 0;
}

int rules_scan(struct rules *r, const struct engine_file *file, const char *text, size_t n,
               finding_fn fn, void *arg, struct err *e)
{
    auto_free struct state *states = xcalloc(r->n + 1, sizeof *states);
    struct scan s = {.r = r, .path = file->path, .text = text, .n = n, .rule = states};
    int rc;

    if (!r->literals) {
        make_literals(r);
    }
    s.kinds = rule_kind_of(s.path, text, n);
    s.aside = path_is_aside(s.path);
    s.bare_cr = has_bare_cr(text, n);
    s.until_ms = now_ms() + FILE_MS + (int64_t)(n >> 22) * FILE_MS;
    choose_rules(&s);
    literals_find(r->literals, text, n, on_literal, &s);
    rc = hits_hand_out(&s, fn, arg, e);
    rc = rc != 0 ? rc : complaint(&s, e);
    free(s.hits);
    return rc;
}

/* ---- the engine ---- */

/* An engine of our own has no argument to keep its rules in: they are the process's. */
static struct rules *in_use;

static int make_in_use(struct err *e)
{
    return in_use ? 0 : rules_new(&in_use, e);
}

int rules_use(const char *text, size_t n, const char *name, struct err *e)
{
    int rc = make_in_use(e);

    return rc < 0 ? rc : rules_add(in_use, text, n, name, e);
}

static int read_file(const struct engine_file *file, const char *text, size_t n, finding_fn fn,
                     void *arg, struct err *e)
{
    int rc = make_in_use(e);

    return rc < 0 ? rc : rules_scan(in_use, file, text, n, fn, arg, e);
}

const struct engine engine_rules = {
    .tool = {.name = "rules",
             .summary = "secrets, dangerous configuration and patterns of code (built in)",
             .limits = {.wall_s = 600, .memory_mb = 512, .output_mb = 64}},
    .languages = LANG_ANY,
    .family = "rules",
    .built_in = true,
    .read_file = read_file,
};
