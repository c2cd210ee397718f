#include "assess/functions.h"

#include <stdlib.h>
#include <string.h>

#include "assess/lexer.h"
#include "assess/source.h"
#include "base/mem.h"

#define SYN_C      (SYN_DIRECTIVES | SYN_CANDIDATES | SYN_TYPES_FIRST)
#define SYN_CXX    (SYN_C | SYN_RAW_CXX)
#define SYN_JAVA   (SYN_CANDIDATES | SYN_TRIPLE)
#define SYN_CSHARP (SYN_DIRECTIVES | SYN_CANDIDATES | SYN_TRIPLE | SYN_VERBATIM | SYN_PROPERTIES)
#define SYN_SCRIPT (SYN_TEMPLATE | SYN_REGEX | SYN_LINES | SYN_CANDIDATES | SYN_ONLY_IN_CLASSES)
#define SYN_PHP    (SYN_HASH | SYN_TAGS | SYN_LONG)
#define SYN_RUST   (SYN_NESTED | SYN_LONG | SYN_RAW_RUST)
#define SYN_GO     (SYN_BACKTICK | SYN_LINES)
#define SYN_SWIFT  (SYN_DIRECTIVES | SYN_NESTED | SYN_TRIPLE | SYN_LINES | SYN_PROPERTIES)
#define SYN_KOTLIN (SYN_NESTED | SYN_TRIPLE | SYN_LINES)

static const struct braces c = {SYN_C, "", "struct union enum", "::"};
static const struct braces cxx = {SYN_CXX, "", "class struct union enum namespace", "::"};
static const struct braces java = {SYN_JAVA, "", "class interface enum record", "."};
static const struct braces csharp = {SYN_CSHARP, "", "class struct interface enum record namespace",
                                     "."};
static const struct braces go = {SYN_GO, "func", "struct interface", "."};
static const struct braces rust = {SYN_RUST, "fn", "struct enum union trait impl mod", "::"};
static const struct braces script = {SYN_SCRIPT, "function", "class interface enum namespace", "."};
static const struct braces php = {SYN_PHP, "function", "class interface trait enum namespace",
                                  "::"};
static const struct braces swift = {SYN_SWIFT, "func", "class struct enum protocol extension actor",
                                    "."};
static const struct braces kotlin = {SYN_KOTLIN, "fun", "class interface object enum", "."};

static const struct language {
    const char *suffixes; /* with spaces between */
    void (*read)(const struct source *s, struct functions *f);
    const struct braces *braces;
} languages[] = {
    {"c", NULL, &c},
    {"h cc cpp cxx c++ hh hpp hxx inl ipp cu", NULL, &cxx},
    {"java", NULL, &java},
    {"cs", NULL, &csharp},
    {"go", NULL, &go},
    {"rs", NULL, &rust},
    {"js mjs cjs jsx ts tsx mts cts", NULL, &script},
    {"php phtml inc", NULL, &php},
    {"swift", NULL, &swift},
    {"kt kts", NULL, &kotlin},
    {"py pyi pyw pyx bzl", functions_read_python, NULL},
    {"rb rake gemspec", functions_read_ruby, NULL},
    {"sh bash ksh dash zsh bats", functions_read_shell, NULL},
};

static const struct language *by_suffix(const char *suffix)
{
    size_t n = strlen(suffix);

    for (size_t i = 0; i < ARRAY_LEN(languages) && n > 0; i++) {
        for (const char *p = languages[i].suffixes; *p; p += strspn(p, " ")) {
            size_t len = strcspn(p, " ");

            if (len == n && strncasecmp(suffix, p, n) == 0) {
                return &languages[i];
            }
            p += len;
        }
    }
    return NULL;
}

/* "#!/usr/bin/env python3 -u" */
static const struct language *by_first_line(const struct source *s)
{
    static const struct {
        const char *program, *suffix;
    } programs[] = {{"python", "py"}, {"bash", "sh"}, {"dash", "sh"}, {"ksh", "sh"}, {"/sh", "sh"},
                    {" sh", "sh"},    {"ruby", "rb"}, {"node", "js"}, {"php", "php"}};
    size_t n;
    const char *line = source_line(s, 1, &n);

    if (!line || n < 3 || line[0] != '#' || line[1] != '!') {
        return NULL;
    }
    n = MIN(n, (size_t)256);
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        if (memmem(line, n, programs[i].program, strlen(programs[i].program))) {
            return by_suffix(programs[i].suffix);
        }
    }
    return NULL;
}

static const struct language *language_of_source(const struct source *s)
{
    const char *name = strrchr(s->path, '/');
    const char *dot;
    const struct language *l;

    name = name ? name + 1 : s->path;
    dot = strrchr(name, '.');
    l = dot ? by_suffix(dot + 1) : NULL;
    return l ? l : by_first_line(s);
}

/* ---- the table ---- */

int32_t function_open(struct functions *f, int32_t line, int32_t outer, const char *name, size_t n)
{
    struct function *x;

    if (f->n >= FUNCTIONS_MAX) {
        return -1;
    }
    if (f->n == f->size) {
        f->size = f->size ? 2 * f->size : 64;
        f->v = xrealloc(f->v, (size_t)f->size * sizeof *f->v);
    }
    x = &f->v[f->n];
    /* The order of first lines is what function_at() searches by. */
    x->first = f->n > 0 && f->v[f->n - 1].first > line ? f->v[f->n - 1].first : line;
    x->last = INT32_MAX;
    x->outer = outer;
    x->name = (uint32_t)f->names.len;
    text_clean(&f->names, name, n);
    buf_addc(&f->names, '\0');
    return f->n++;
}

void function_close(struct functions *f, int32_t i, int32_t line)
{
    if (i >= 0) {
        f->v[i].last = line < f->v[i].first ? f->v[i].first : line;
    }
}

static const char *function_at(const struct functions *f, int32_t line)
{
    int32_t low = 0, high = f->n, i;

    while (low < high) {
        int32_t mid = low + (high - low) / 2;

        if (f->v[mid].first <= line) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    for (i = low - 1; i >= 0 && f->v[i].last < line; i = f->v[i].outer) {
    }
    return i >= 0 ? f->names.data + f->v[i].name : NULL;
}

static struct functions *functions_of(const struct source *s)
{
    struct functions *f = xcalloc(1, sizeof *f);
    const struct language *l = language_of_source(s);

    if (!l) {
        return f;
    }
    if (l->braces) {
        functions_read_braces(s, l->braces, f);
    } else {
        l->read(s, f);
    }
    return f;
}

const char *source_function(struct source *s, int32_t line)
{
    const char *name;

    if (line < 1 || line > s->lines) {
        return NULL;
    }
    if (!s->functions) {
        s->functions = functions_of(s);
    }
    name = function_at(s->functions, line);
    return name && *name ? name : NULL;
}

void functions_free(struct functions *f)
{
    if (f) {
        free(f->v);
        buf_done(&f->names);
        free(f);
    }
}
