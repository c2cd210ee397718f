#include "engine/hit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "assess/classes.h"
#include "base/mem.h"

enum { WHY_MAX = 300 };

static int by_id(const void *key, const void *row)
{
    return strcmp(key, ((const struct hit_rule *)row)->id);
}

const struct hit_rule *hit_rule(const struct hit_rule *table, size_t n, const char *id)
{
    return id ? bsearch(id, table, n, sizeof *table, by_id) : NULL;
}

void hits_init(struct hits *h, finding_fn fn, void *arg, struct engine_notes *notes)
{
    *h = (struct hits){.fn = fn, .arg = arg, .notes = notes, .arena = arena_new()};
}

void hits_done(struct hits *h)
{
    arena_free(h->arena);
    *h = (struct hits){0};
}

int hits_add(struct hits *h, const struct finding *f, struct err *e)
{
    if (h->rc == 0) {
        h->rc = h->fn(h->arg, f, e);
    }
    arena_reset(h->arena);
    return h->rc;
}

/* ---- text ---- */

static size_t clean_char(const char *s, size_t n, bool one_line, char out[4])
{
    size_t len = utf8_len(s, n);

    if (len == 0 || *s == 0) {
        memcpy(out, "\xef\xbf\xbd", 3);
        return 3;
    }
    memcpy(out, s, len);
    if (one_line && ((unsigned char)*s < ' ' || *s == 0x7f)) {
        out[0] = ' ';
    }
    return len;
}

/* Nothing of it needs to be changed, as is most often so. */
static bool is_clean(const char *s, size_t n, bool one_line)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];

        if (c == 0 || (one_line && (c < ' ' || c == 0x7f))) {
            return false;
        }
    }
    return utf8_valid(s, n);
}

const char *hit_text(struct arena *a, const char *s, size_t n, size_t max, bool one_line)
{
    auto_buf b = {0};

    if (n <= max && is_clean(s, n, one_line)) {
        return arena_strn(a, s, n);
    }
    while (n > 0) {
        char c[4];
        size_t out = clean_char(s, n, one_line, c);
        size_t used = utf8_len(s, n);

        if (b.len + out > max) {
            break;
        }
        buf_add(&b, c, out);
        used = used ? used : 1;
        s += used;
        n -= used;
    }
    return arena_strn(a, b.data ? b.data : "", b.len);
}

const char *hit_quote(struct arena *a, const char *s, size_t n)
{
    if (n == 0 || n > FINDING_SNIPPET_MAX || memchr(s, 0, n) || !utf8_valid(s, n)) {
        return NULL;
    }
    return arena_strn(a, s, n);
}

/* ---- paths ---- */

const char *hit_path(struct arena *a, const char *s, size_t n)
{
    static const char tree[] = ENGINE_TREE "/";
    const size_t n_tree = sizeof tree - 1;
    auto_buf b = {0};

    if (n > n_tree && memcmp(s, tree, n_tree) == 0) {
        s += n_tree;
        n -= n_tree;
    }
    if (n == 0 || *s == '/' || memchr(s, 0, n)) {
        return NULL;
    }
    while (n > 0) {
        const char *slash = memchr(s, '/', n);
        size_t part = slash ? (size_t)(slash - s) : n;

        if (part > 0 && !(part == 1 && *s == '.')) {
            if (b.len) {
                buf_addc(&b, '/');
            }
            buf_add(&b, s, part);
        }
        part += slash ? 1 : 0;
        s += part;
        n -= part;
    }
    return b.len && finding_path_ok(b.data) ? arena_strn(a, b.data, b.len) : NULL;
}

void hit_push_path(struct strvec *argv, const char *path)
{
    strvec_pushf(argv, "%s%s", path[0] == '-' ? "./" : "", path);
}

/* ---- what it means ---- */

void hit_cwe(struct finding *f, int32_t cwe)
{
    for (uint32_t i = 0; i < f->n_cwe; i++) {
        if (f->cwe[i] == cwe) {
            return;
        }
    }
    if (cwe > 0 && cwe <= 99999 && f->n_cwe < FINDING_CWES) {
        f->cwe[f->n_cwe++] = cwe;
    }
}

void hit_classify(struct finding *f, const struct hit_rule *r)
{
    const struct weakness *w = weakness_find(r->class_);

    f->rule = r->class_;
    f->title = r->title;
    f->severity = r->severity;
    if (r->cwe || (f->n_cwe == 0 && w)) {
        hit_cwe(f, r->cwe ? r->cwe : w->cwe);
    }
}

void hit_classify_cwe(struct finding *f, int32_t cwe)
{
    const struct weakness *w = weakness_of_cwe(cwe);

    f->rule = w->name;
    f->title = w->title;
    f->severity = w->severity;
    hit_cwe(f, cwe);
}

/* ---- failures ---- */

void hit_failed(struct engine_notes *notes, const char *path, const char *reason)
{
    strvec_pushf(&notes->failed, "%s\t%s", path, reason);
}

int hit_failure(struct engine_notes *notes, struct err *e, const char *fmt, ...)
{
    struct err own = {0};
    va_list ap;

    va_start(ap, fmt);
    err_setv(&own, ERR_TOOL, fmt, ap);
    va_end(ap);
    if (!notes->why) {
        notes->why = xstrdup(own.msg);
    }
    return err_set(e, ERR_TOOL, "%s", own.msg);
}

/* The last line that is not blank, made safe to show. */
static void last_line(const char *s, size_t n, struct buf *out)
{
    const char *start;

    while (n > 0 && (unsigned char)s[n - 1] <= ' ') {
        n--;
    }
    start = n > 0 ? memrchr(s, '\n', n) : NULL;
    if (start) {
        n -= (size_t)(start + 1 - s);
        s = start + 1;
    }
    buf_add_escaped(out, s, MIN(n, (size_t)WHY_MAX));
}

int hit_end(const struct engine_end *end, const char *name, uint32_t ok, struct engine_notes *notes,
            struct err *e)
{
    auto_buf said = {0};

    if (end->exit_signal) {
        return hit_failure(notes, e, "%s was ended by signal %d", name, end->exit_signal);
    }
    if (end->cut) {
        notes->cut = true;
        return hit_failure(notes, e, "%s wrote more than is kept", name);
    }
    if (end->exit_status < 0 || end->exit_status > 31 || !(ok >> end->exit_status & 1)) {
        if (end->n_err) {
            last_line(end->err, end->n_err, &said);
        }
        return hit_failure(notes, e, "%s failed with status %d%s%s", name, end->exit_status,
                           said.len ? ": " : "", said.len ? said.data : "");
    }
    return 0;
}

bool hit_version(const char *output, const char *intro, char *version, size_t size)
{
    const char *at = strstr(output, intro);
    size_t n;

    if (!at) {
        return false;
    }
    at += strlen(intro);
    n = strspn(at, "0123456789.abcdefghijklmnopqrstuvwxyz+-");
    if (n == 0 || n >= size || at[0] < '0' || at[0] > '9') {
        return false;
    }
    memcpy(version, at, n);
    version[n] = 0;
    return true;
}
