/*
 * What differs between two commits: names and renames from `diff-tree -z`, lines from a diff
 * without context, of which only the numbers are read.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "repo/checkout_work.h"
#include "repo/tree_write.h"

enum { LINE_KEPT = 16 * 1024 };

/* ---- names ---- */

struct names {
    struct checkout_work *w;
    struct buf word;
    char status;  /* of the row at hand: 'M', 'R', ...; 0: the next word is its head */
    bool same;    /* its content is what it was */
    char *from;   /* owned: the first path of a rename */
    bool changes; /* else only renames are wanted */
};

static void add_rename(struct checkout *c, const char *from, const char *to)
{
    for (uint32_t i = 0; i < c->n_renamed; i++) {
        if (str_eq(c->renamed[i].from, from) && str_eq(c->renamed[i].to, to)) {
            return;
        }
    }
    c->renamed = xrealloc(c->renamed, (c->n_renamed + 1) * sizeof *c->renamed);
    c->renamed[c->n_renamed++] = (struct checkout_rename){xstrdup(from), xstrdup(to)};
}

static void add_change(struct checkout *c, const char *path, const char *from, bool whole)
{
    struct checkout_change *ch;

    /* Doubled each time it is a power of two. */
    if ((c->n_changed & (c->n_changed - 1)) == 0) {
        c->changed = xrealloc(c->changed, MAX(2 * c->n_changed, 1) * sizeof *c->changed);
    }
    ch = &c->changed[c->n_changed++];
    *ch = (struct checkout_change){.path = xstrdup(path), .from = xstrdup(from), .whole = whole};
}

static int take_path(struct names *n, struct err *e)
{
    struct checkout_work *w = n->w;
    const char *path = n->word.data;

    if ((n->status == 'R' || n->status == 'C') && !n->from) {
        n->from = xstrdup(path);
        return 0;
    }
    if (n->status == 'R') {
        add_rename(w->out, n->from, path);
    }
    if (n->changes && n->status != 'D' && checkout_wanted(w, path)) {
        if (w->out->n_changed == w->s->max_files) {
            return checkout_over(w, false, e);
        }
        /* Until its lines are seen. */
        add_change(w->out, path, n->status == 'R' ? n->from : NULL, !n->same);
    }
    free(n->from);
    n->from = NULL;
    n->status = '\0';
    return 0;
}

/* ":MODE MODE ID ID STATUS" */
static int take_row(struct names *n, struct err *e)
{
    char *at = n->word.data;
    const char *before, *now;

    (void)strsep(&at, " ");
    (void)strsep(&at, " ");
    before = strsep(&at, " ");
    now = strsep(&at, " ");
    if (!now || !at || !*at) {
        return err_set(e, ERR_TOOL, "git's list of what differs cannot be read");
    }
    n->same = str_eq(before, now);
    n->status = *at;
    return 0;
}

/* ":... M" NUL path NUL, ":... R087" NUL old NUL new NUL */
static int on_names(void *arg, const char *p, size_t len, struct err *e)
{
    struct names *n = arg;
    int rc = 0;

    for (size_t i = 0; i < len && rc == 0; i++) {
        if (p[i] != '\0') {
            if (n->word.len <= TREE_PATH_MAX) {
                buf_addc(&n->word, p[i]);
            }
            continue;
        }
        if (n->word.len == 0) {
            rc = err_set(e, ERR_TOOL, "git's list of what differs cannot be read");
        } else if (n->status) {
            rc = take_path(n, e);
        } else {
            rc = take_row(n, e);
        }
        buf_reset(&n->word);
    }
    return rc;
}

static int compare_names(struct checkout_work *w, const char *from, bool changes, struct err *e)
{
    const char *const args[] = {"diff-tree",
                                "-r",
                                "-z",
                                "-M",
                                "--raw",
                                "--no-ext-diff",
                                "--no-textconv",
                                changes ? "--diff-filter=ACDMRT" : "--diff-filter=R",
                                from,
                                w->head,
                                "--",
                                NULL};
    struct names n = {.w = w, .changes = changes};
    const struct git_call call = {.args = args, .in = -1, .out = on_names, .arg = &n};
    int rc = git_must(&w->git, &call, &w->out->status, e);

    buf_done(&n.word);
    free(n.from);
    return rc;
}

/* ---- lines ---- */

struct lines {
    struct checkout *out;
    struct checkout_change *change; /* the file at hand; NULL: none of ours */
    struct buf line;
    uint64_t skip;  /* lines of a hunk that are still to come */
    uint32_t total; /* ranges so far */
};

static int by_path(const void *a, const void *b)
{
    const struct checkout_change *x = a;
    const struct checkout_change *y = b;

    return strcmp(x->path, y->path);
}

/* A name as git quotes it: "\303\244\n". */
static void unquote(const char *s, struct buf *out)
{
    static const char *const letters = "abtnvfr\"\\";
    static const char *const bytes = "\a\b\t\n\v\f\r\"\\";

    for (s++; *s && *s != '"'; s++) {
        const char *at;

        if (*s != '\\' || !s[1]) {
            buf_addc(out, *s);
            continue;
        }
        s++;
        at = strchr(letters, *s);
        if (at) {
            buf_addc(out, bytes[at - letters]);
        } else if (strspn(s, "01234567") >= 3) {
            buf_addc(out, (char)((s[0] - '0') * 64 + (s[1] - '0') * 8 + (s[2] - '0')));
            s += 2;
        }
    }
}

/* "+++ b/PATH", with a tab behind it when it has blanks; "+++ /dev/null". */
static void take_file(struct lines *l, const char *name)
{
    struct checkout *c = l->out;
    auto_buf path = {0};

    if (name[0] == '"') {
        unquote(name, &path);
    } else {
        buf_add(&path, name, strcspn(name, "\t"));
    }
    l->change = NULL;
    if (path.len > 2 && str_starts(path.data, "b/")) {
        const struct checkout_change key = {.path = path.data + 2};

        l->change = bsearch(&key, c->changed, c->n_changed, sizeof key, by_path);
        if (l->change) {
            l->change->whole = false;
        }
    }
}

static void add_range(struct lines *l, uint64_t first, uint64_t n)
{
    struct checkout_change *ch = l->change;

    if (!ch || ch->whole || n == 0) {
        return;
    }
    if (l->total == CHECKOUT_RANGES_MAX) {
        ch->whole = true;
        return;
    }
    if ((ch->n_lines & (ch->n_lines - 1)) == 0) {
        ch->lines = xrealloc(ch->lines, MAX(2 * ch->n_lines, 1) * sizeof *ch->lines);
    }
    ch->lines[ch->n_lines++] =
        (struct checkout_range){(uint32_t)MIN(first, (uint64_t)UINT32_MAX),
                                (uint32_t)MIN(first + n - 1, (uint64_t)UINT32_MAX)};
    l->total++;
}

/* "12,3" or "12"; *at is behind it. */
static bool take_span(const char **at, uint64_t *first, uint64_t *n)
{
    char *end;

    if (**at < '0' || **at > '9') {
        return false;
    }
    *first = strtoull(*at, &end, 10);
    *n = 1;
    if (*end == ',') {
        *n = strtoull(end + 1, &end, 10);
    }
    *at = end;
    return true;
}

/* "@@ -3,0 +4,2 @@ ..." */
static int take_hunk(struct lines *l, const char *s, struct err *e)
{
    uint64_t first, removed, added;
    const char *at = s + strlen("@@ -");

    if (!take_span(&at, &first, &removed) || !str_starts(at, " +")) {
        return err_set(e, ERR_TOOL, "git's account of changed lines cannot be read");
    }
    at += 2;
    if (!take_span(&at, &first, &added)) {
        return err_set(e, ERR_TOOL, "git's account of changed lines cannot be read");
    }
    add_range(l, first, added);
    l->skip = removed + added;
    return 0;
}

static int take_line(struct lines *l, struct err *e)
{
    const char *s = l->line.data ? l->line.data : "";

    if (l->skip > 0 && (s[0] == '+' || s[0] == '-')) {
        l->skip--;
    } else if (str_starts(s, "+++ ")) {
        take_file(l, s + 4);
    } else if (str_starts(s, "@@ -")) {
        return take_hunk(l, s, e);
    }
    return 0;
}

static int on_lines(void *arg, const char *p, size_t n, struct err *e)
{
    struct lines *l = arg;
    int rc = 0;

    while (n > 0 && rc == 0) {
        const char *end = memchr(p, '\n', n);
        size_t part = end ? (size_t)(end - p) : n;

        if (l->line.len < LINE_KEPT) {
            buf_add(&l->line, p, MIN(part, LINE_KEPT - l->line.len));
        }
        if (end) {
            rc = take_line(l, e);
            buf_reset(&l->line);
        }
        p += part + (end != NULL);
        n -= part + (end != NULL);
    }
    return rc;
}

static int compare_lines(struct checkout_work *w, struct err *e)
{
    const char *const args[] = {"diff-tree",
                                "-r",
                                "-p",
                                "-U0",
                                "-M",
                                "--no-color",
                                "--no-ext-diff",
                                "--no-textconv",
                                "--src-prefix=a/",
                                "--dst-prefix=b/",
                                "--diff-filter=MR",
                                "--no-indent-heuristic",
                                w->base,
                                w->head,
                                "--",
                                NULL};
    struct lines l = {.out = w->out};
    const struct git_call call = {.args = args, .in = -1, .out = on_lines, .arg = &l};
    int rc;

    if (w->out->n_changed > 1) {
        qsort(w->out->changed, w->out->n_changed, sizeof *w->out->changed, by_path);
    }
    rc = git_must(&w->git, &call, &w->out->status, e);
    buf_done(&l.line);
    return rc;
}

int checkout_compare(struct checkout_work *w, struct err *e)
{
    int rc = 0;

    if (w->base[0]) {
        rc = compare_names(w, w->base, true, e);
        rc = rc ? rc : compare_lines(w, e);
    }
    if (rc == 0 && w->last[0]) {
        /* Nobody's findings are wrong without it. */
        if (compare_names(w, w->last, false, NULL) != 0) {
            w->out->status = CHECKOUT_OK;
        }
    }
    return rc;
}
