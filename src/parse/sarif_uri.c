/*
 * Where a result is. SARIF has URIs: relative to a base that may itself be relative to another,
 * absolute ones of the machine that the tool ran on, or names of things that are no files.
 */
#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "parse/sarif.h"

enum { BASES_MAX = 8, PARTS_KEPT = 4, URI_MAX = 8192 };

/* How long its scheme is, with the colon; 0: it has none. One letter is a drive of Windows. */
static size_t scheme(const char *uri)
{
    size_t n = 0;

    if (!isalpha((unsigned char)uri[0])) {
        return 0;
    }
    while (isalnum((unsigned char)uri[n]) || uri[n] == '+' || uri[n] == '.' || uri[n] == '-') {
        n++;
    }
    return uri[n] == ':' && n > 1 ? n + 1 : 0;
}

static bool absolute(const char *uri)
{
    return scheme(uri) > 0 || uri[0] == '/' || uri[0] == '\\' ||
           (isalpha((unsigned char)uri[0]) && uri[1] == ':');
}

/* Bytes for %XX where they are text that a name may have; else as it was written. */
static char *decode(const char *s, size_t n)
{
    char *out = str_percent_decode(s, n);

    if (out && !utf8_valid(out, strlen(out))) {
        free(out);
        out = NULL;
    }
    return out ? out : xstrndup(s, n);
}

/* The path of an absolute URI, decoded: with its slash at the start, or a drive. Caller frees. */
static char *path_of(const char *uri)
{
    size_t n = scheme(uri);
    bool file = n == 5 && strncasecmp(uri, "file:", 5) == 0;
    const char *p = uri + n;
    char *path;

    if (p[0] == '/' && p[1] == '/' && n) {
        p += 2;
        if (file) { /* the machine's name */
            p += strcspn(p, "/");
        }
    }
    if (file && p[0] == '/' && isalpha((unsigned char)p[1]) && p[2] == ':') {
        p++;
    }
    path = n ? decode(p, strcspn(p, "?#")) : xstrdup(p);
    for (char *c = path; *c; c++) {
        if (*c == '\\') {
            *c = '/';
        }
    }
    return path;
}

/* What of `path` is below `dir`; NULL: it is not, or dir is "/". */
static const char *below(const char *path, const char *dir)
{
    size_t n = strlen(dir);

    while (n > 0 && dir[n - 1] == '/') {
        n--;
    }
    return n > 0 && strncmp(path, dir, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

/* Of two that both fit, what is left is longer below the outer one. */
static void try_root(const char *path, const char *uri, const char **best)
{
    auto_free char *dir = uri && absolute(uri) ? path_of(uri) : NULL;
    const char *rest = dir ? below(path, dir) : NULL;

    if (rest && (!*best || strlen(rest) > strlen(*best))) {
        *best = rest;
    }
}

/* What the run says of the tree's place: its bases, and what version control was mapped to. */
static const char *in_tree(const struct sarif_run *r, const char *path)
{
    const char *best = r->root ? below(path, r->root) : NULL;
    const char *name;
    json_t *base;
    const json_t *o;
    size_t i;

    if (best) {
        return best;
    }
    json_array_foreach(sarif_array(r->run, "versionControlProvenance"), i, o)
    {
        try_root(path, sarif_string(sarif_object(o, "mappedTo"), "uri"), &best);
    }
    if (best) {
        return best;
    }
    json_object_foreach(r->bases, name, base)
    {
        try_root(path, sarif_string(base, "uri"), &best);
    }
    if (best) {
        return best;
    }
    json_array_foreach(sarif_array(r->run, "invocations"), i, o)
    {
        try_root(path, sarif_string(sarif_object(o, "workingDirectory"), "uri"), &best);
    }
    return best;
}

/* Without ".", ".." and empty parts; `last`: only so many. NULL: nothing is left, or no path that a
 * finding may have. *inside false: it went out of the tree. */
static const char *tidy(struct arena *a, const char *path, size_t last, bool *inside)
{
    auto_buf b = {0};
    size_t parts = 0;

    while (*path) {
        size_t n = strcspn(path, "/");

        if (n == 2 && path[0] == '.' && path[1] == '.') {
            while (b.len && b.data[b.len - 1] != '/') {
                b.data[--b.len] = 0;
            }
            if (b.len) {
                b.data[--b.len] = 0;
            }
            *inside = *inside && parts > 0;
            parts -= parts > 0;
        } else if (n > 0 && !(n == 1 && path[0] == '.')) {
            if (b.len) {
                buf_addc(&b, '/');
            }
            buf_add(&b, path, n);
            parts++;
        }
        path += n + (path[n] == '/');
    }
    for (; b.len && last && parts > last; parts--) {
        buf_drop(&b, strcspn(b.data, "/") + 1);
    }
    if (!b.len) {
        return NULL;
    }
    for (char *c = b.data; *c; c++) {
        *c = (unsigned char)*c < ' ' || *c == 0x7f ? '_' : *c;
    }
    return finding_path_ok(b.data) ? arena_strn(a, b.data, b.len) : NULL;
}

/* Puts the bases before it, until one is absolute or not known. Caller frees. */
static char *resolve(const struct sarif_run *r, const char *uri, const char *base)
{
    char *full = xstrdup(uri);

    for (int i = 0; i < BASES_MAX && base && !absolute(full); i++) {
        const json_t *o = sarif_object(r->bases, base);
        const char *before = sarif_string(o, "uri");
        size_t n = before ? strlen(before) : 0;
        char *longer;

        if (n + strlen(full) > URI_MAX || !before) {
            break;
        }
        longer = str_fmt("%s%s%s", before, before[n - 1] == '/' ? "" : "/", full);
        free(full);
        full = longer;
        base = sarif_string(o, "uriBaseId");
    }
    return full;
}

const char *sarif_path(const struct sarif_run *r, const json_t *location, bool *inside)
{
    const char *uri = sarif_string(location, "uri");
    int32_t index = sarif_number(location, "index");
    auto_free char *full = NULL;
    auto_free char *path = NULL;
    const char *rest;

    *inside = true;
    if (!uri && index >= 0) {
        location = sarif_object(json_array_get(r->artifacts, (size_t)index), "location");
        uri = sarif_string(location, "uri");
    }
    if (!uri || strlen(uri) > URI_MAX) {
        return NULL;
    }
    full = resolve(r, uri, sarif_string(location, "uriBaseId"));
    if (!absolute(full)) {
        path = decode(full, strlen(full));
        for (char *c = path; *c; c++) {
            *c = *c == '\\' ? '/' : *c;
        }
        return tidy(r->arena, path, 0, inside);
    }
    path = path_of(full);
    rest = in_tree(r, path);
    *inside = rest != NULL;
    return tidy(r->arena, rest ? rest : path, rest ? 0 : PARTS_KEPT, inside);
}
