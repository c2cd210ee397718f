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
#include "engine/rules_secret.h"
#include "engine/rules_set.h"
#include "version.h"

enum {
    LINE_MAX_BYTES = 4096, /* of longer lines only what is around the literal is looked at */
    AROUND_BEFORE = 512,
    AROUND_AFTER = 1536,
    ANCESTORS_BYTES = 64 << 10, /* how far above `inside` looks */
    FILE_BYTES = 256 << 10,     /* how much of a file `has` and `lacks` look at */
    HITS_MAX = 2000,            /* of one file */
    PER_LINE = 16,              /* secrets of one rule */
    GIVE_UPS = 8,               /* of one rule in one file; then it is left */
    FILE_MS = 5000,             /* for one file, and as much again for each 4 MiB of it */
};

struct hit {
    uint32_t rule;
    size_t at, end;  /* what matched */
    size_t from, to; /* the secret, or the same */
    int32_t confidence_x100;
};

struct state {    /* of a rule in this file */
    size_t tried; /* literals before this place have been looked at */
    bool active;
    int8_t has, lacks; /* 0: not known yet; 1: fine; -1: not */
    uint8_t give_ups;
};

struct scan {
    struct rules *r;
    const char *path, *text;
    size_t n;
    uint64_t kinds;
    bool aside, bare_cr; /* some lines end with CR alone */
    struct state *rule;  /* of each rule */
    size_t line, line_end;
    struct hit *hits;
    size_t n_hits, size;
    const struct rule *gave_up; /* the first that did, NULL: none */
    size_t gave_up_at;
    unsigned tries;
    int64_t until_ms;
    bool late, many;
};

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- lines ---- */

static bool has_bare_cr(const char *text, size_t n)
{
    const char *end = text + n;

    for (const char *p = text; (p = memchr(p, '\r', (size_t)(end - p))); p++) {
        if (p + 1 == end || p[1] != '\n') {
            return true;
        }
    }
    return false;
}

/* Behind the end of the line that `at` is in, without CR and LF. */
static size_t end_of_line(const struct scan *s, size_t at)
{
    const char *p = memchr(s->text + at, '\n', s->n - at);
    size_t end = p ? (size_t)(p - s->text) : s->n;

    if (s->bare_cr) {
        p = memchr(s->text + at, '\r', end - at);
        return p ? (size_t)(p - s->text) : end;
    }
    return end > at && s->text[end - 1] == '\r' ? end - 1 : end;
}

static size_t start_of_line(const struct scan *s, size_t at)
{
    const char *p = memrchr(s->text, '\n', at);
    size_t start = p ? (size_t)(p + 1 - s->text) : 0;

    if (s->bare_cr && start < at) {
        p = memrchr(s->text + start, '\r', at - start);
        start = p ? (size_t)(p + 1 - s->text) : start;
    }
    return start;
}

static void locate(struct scan *s, size_t at)
{
    if (at < s->line || at >= s->line_end) {
        s->line = start_of_line(s, at);
        s->line_end = end_of_line(s, at);
    }
}

/* The start of the line behind one that ends at `end`; n: there is none. */
static size_t next_line(const struct scan *s, size_t end)
{
    if (end + 1 < s->n && s->text[end] == '\r' && s->text[end + 1] == '\n') {
        end++;
    }
    return end < s->n ? end + 1 : s->n;
}

/* ---- what stands around ---- */

static void give_up(struct scan *s, uint32_t rule, size_t at)
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
            give_up(s, rule, 0);
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
    size_t start = start_of_line(s, at), end = end_of_line(s, start), lowest = at - start;
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
                    give_up(s, rule, start);
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
        start = start_of_line(s, end);
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
        from = start_of_line(s, from);
        to = end_of_line(s, to);
        from = MAX(from, h->from - MIN(h->from, (size_t)LINE_MAX_BYTES));
        to = MIN(to, h->to + LINE_MAX_BYTES);
    }
    rc = regex_try(s->r, t->allow, s->text + from, to - from, 0);
    if (rc < 0) {
        give_up(s, h->rule, h->from);
    }
    return rc == 1;
}

static bool judge(struct scan *s, struct hit *h)
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
                give_up(s, rule, from);
            }
            return;
        }
        at = MAX(at + 1, (size_t)pcre2_get_ovector_pointer(s->r->data)[1]);
        if (place_of(s, rule, from, &h) && judge(s, &h)) {
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
            to = end_of_line(s, next_line(s, to));
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
        if (s->rule[i].active && !rule->regex && judge(s, &h)) {
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

/* ---- out ---- */

static int by_place(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;

    return x->from != y->from   ? (x->from < y->from ? -1 : 1)
           : x->rule != y->rule ? (x->rule < y->rule ? -1 : 1)
                                : 0;
}

/* A guess gives way to knowledge of the same characters, and to a guess before it. */
static bool gives_way(const struct scan *s, size_t i)
{
    enum { NEAR = 16 };
    const struct hit *h = &s->hits[i];
    size_t k = i > NEAR ? i - NEAR : 0, end = MIN(s->n_hits, i + NEAR);

    if (i > 0 && h[-1].rule == h->rule && h[-1].from == h->from) {
        return true; /* the same, in the window of another line */
    }
    if (!s->r->v[h->rule].rule.generic) {
        return false;
    }
    for (; k < end; k++) {
        const struct hit *o = &s->hits[k];
        const struct rule *other = &s->r->v[o->rule].rule;

        if (k != i && o->from < h->to && h->from < o->to && other->secret &&
            (!other->generic || k < i)) {
            return true;
        }
    }
    return false;
}

struct counter { /* of lines, along the text */
    size_t at;
    int32_t line;
};

static int32_t line_at(const struct scan *s, struct counter *c, size_t at)
{
    while (c->at < at) {
        size_t next = next_line(s, end_of_line(s, c->at));

        if (next > at || next == c->at) {
            break;
        }
        c->at = next;
        c->line++;
    }
    return c->line;
}

static int32_t characters(const char *s, size_t n)
{
    int32_t k = 0;

    for (size_t i = 0; i < n; i++) {
        k += ((unsigned char)s[i] & 0xc0) != 0x80;
    }
    return k;
}

static void set_place(const struct scan *s, const struct hit *h, struct counter *c,
                      struct finding *f)
{
    size_t start, last = h->to > h->from ? h->to - 1 : h->from;
    struct counter behind;

    f->at.path = s->path;
    if (s->n == 0 || h->to == 0) { /* of the file as such */
        f->at.line = s->n ? 1 : 0;
        return;
    }
    f->at.line = line_at(s, c, h->from);
    start = c->at;
    f->at.column = characters(s->text + start, h->from - start) + 1;
    behind = *c;
    f->at.end_line = line_at(s, &behind, last);
    f->at.end_column = characters(s->text + behind.at, last + 1 - behind.at);
    f->marked = engine_mark(s->text + start, end_of_line(s, start) - start);
}

static int hand_out(const struct scan *s, const struct hit *h, struct counter *c, finding_fn fn,
                    void *arg, struct err *e)
{
    const struct rule *rule = &s->r->v[h->rule].rule;
    int32_t sure = s->aside && rule->secret ? h->confidence_x100 / 2 : h->confidence_x100;
    auto_free char *shown =
        rule->secret ? secret_shown(rule->secret, s->text + h->from, h->to - h->from) : NULL;
    struct finding f = {.rule = rule->class_,
                        .title = rule->title,
                        .message = rule->message,
                        .recommendation = rule->fix,
                        .n_cwe = rule->n_cwe,
                        .severity = rule->severity,
                        .confidence_x100 = sure,
                        .secret = shown,
                        .n_engines = 1};

    memcpy(f.cwe, rule->cwe, sizeof f.cwe);
    set_place(s, h, c, &f);
    f.engines[0] = (struct finding_engine){.name = "rules",
                                           .version = SCANPOD_VERSION,
                                           .rule = rule->id,
                                           .severity = severity_name(rule->severity),
                                           .confidence_x100 = sure};
    return fn(arg, &f, e);
}

static int hand_out_all(struct scan *s, finding_fn fn, void *arg, struct err *e)
{
    struct counter c = {.line = 1};
    int rc = 0;

    if (s->n_hits > 1) {
        qsort(s->hits, s->n_hits, sizeof *s->hits, by_place);
    }
    for (size_t i = 0; i < s->n_hits && rc == 0; i++) {
        if (!gives_way(s, i)) {
            rc = hand_out(s, &s->hits[i], &c, fn, arg, e);
        }
    }
    return rc;
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
                       (int)line_at(s, &c, s->gave_up_at), s->gave_up->id);
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
    rc = hand_out_all(&s, fn, arg, e);
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
