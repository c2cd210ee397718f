/*
 * Functions of languages that are known by how lines are indented: Python, whose syntax it is, and
 * Ruby, whose writers do. Lines inside of strings and brackets are not looked at.
 */
#include <string.h>

#include "assess/functions.h"
#include "base/mem.h"

struct block {
    int32_t indent, function; /* function -1: a class, or too many */
    int32_t outer;
    const char *type; /* of a class */
    size_t n_type;
};

struct reader {
    const struct source *s;
    struct functions *f;
    struct block stack[FUNCTIONS_DEEP];
    int32_t deep;
    int32_t line; /* at hand */
    int32_t last; /* with code in it */
    /* Python: what goes on at the line's end. */
    int32_t brackets;
    char quote;        /* of a string of many lines; 0: none */
    int32_t decorated; /* first line of decorators; 0 */
    bool goes_on;      /* by a backslash */
};

static int32_t indent_of(const char *p, size_t n, size_t *at)
{
    int32_t indent = 0;

    for (*at = 0; *at < n; ++*at) {
        if (p[*at] == ' ') {
            indent++;
        } else if (p[*at] == '\t') {
            indent = indent / 8 * 8 + 8;
        } else if (p[*at] != '\f') {
            break;
        }
    }
    return indent;
}

static bool word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

/* The word at the front, and what stands behind it and white space. */
static size_t take_word(const char **p, size_t *n)
{
    size_t len = 0, skip;

    while (len < *n && word_byte((*p)[len])) {
        len++;
    }
    for (skip = len; skip < *n && ((*p)[skip] == ' ' || (*p)[skip] == '\t'); skip++) {
    }
    *p += skip;
    *n -= skip;
    return len;
}

static bool word_is(const char *p, size_t n, const char *word)
{
    return n == strlen(word) && memcmp(p, word, n) == 0;
}

static void close_to(struct reader *r, int32_t indent)
{
    while (r->deep > 0 && r->stack[r->deep - 1].indent >= indent) {
        function_close(r->f, r->stack[--r->deep].function, r->last);
    }
}

static void open_block(struct reader *r, int32_t indent, const char *name, size_t n, bool class,
                       int32_t line)
{
    char text[2 * FUNCTION_NAME_MAX];
    struct block *in = r->deep > 0 ? &r->stack[r->deep - 1] : NULL, *b;
    int32_t outer = in ? (in->function >= 0 ? in->function : in->outer) : -1;
    size_t len = 0;

    if (r->deep == FUNCTIONS_DEEP) {
        return;
    }
    b = &r->stack[r->deep++];
    *b = (struct block){.indent = indent, .function = -1, .outer = outer};
    if (class) {
        b->type = name;
        b->n_type = MIN(n, (size_t)FUNCTION_NAME_MAX / 2);
        return;
    }
    if (in && in->type) {
        memcpy(text, in->type, in->n_type);
        text[in->n_type] = '.';
        len = in->n_type + 1;
    }
    n = MIN(n, (size_t)FUNCTION_NAME_MAX / 2);
    memcpy(text + len, name, n);
    b->function = function_open(r->f, line, outer, text, len + n);
}

/* ---- Python ---- */

static void read_statement(struct reader *r, const char *p, size_t n, int32_t indent)
{
    const char *word = p;
    size_t len = take_word(&p, &n);

    if (word_is(word, len, "async")) {
        word = p;
        len = take_word(&p, &n);
    }
    close_to(r, indent);
    if (len == 0 && n > 0 && *p == '@') {
        r->decorated = r->decorated ? r->decorated : r->line;
        return;
    }
    if (word_is(word, len, "def") || word_is(word, len, "class") || word_is(word, len, "cdef") ||
        word_is(word, len, "cpdef")) {
        const char *name = p;
        size_t n_name = take_word(&p, &n);

        if (n_name > 0) {
            open_block(r, indent, name, n_name, *word == 'c' && word[1] == 'l',
                       r->decorated ? r->decorated : r->line);
        }
    }
    r->decorated = 0;
}

/* The rest of a string; false: it goes on in the next line. */
static bool end_string(struct reader *r, const char *p, size_t n, size_t *i)
{
    for (; *i < n; ++*i) {
        if (p[*i] == '\\') {
            ++*i;
        } else if (n - *i >= 3 && p[*i] == r->quote && p[*i + 1] == r->quote &&
                   p[*i + 2] == r->quote) {
            *i += 3;
            r->quote = 0;
            return true;
        }
    }
    return false;
}

static void skip_short_string(const char *p, size_t n, size_t *i)
{
    char quote = p[(*i)++];

    while (*i < n && p[*i] != quote) {
        *i += p[*i] == '\\' ? 2 : 1;
    }
    *i = *i < n ? *i + 1 : n;
}

/* Follows brackets and strings through a line. */
static void follow(struct reader *r, const char *p, size_t n)
{
    size_t i = 0;

    r->goes_on = false;
    if (r->quote && !end_string(r, p, n, &i)) {
        return;
    }
    while (i < n) {
        char c = p[i];

        if (c == '#') {
            return;
        }
        if ((c == '"' || c == '\'') && n - i >= 3 && p[i + 1] == c && p[i + 2] == c) {
            r->quote = c;
            i += 3;
            if (!end_string(r, p, n, &i)) {
                return;
            }
        } else if (c == '"' || c == '\'') {
            skip_short_string(p, n, &i);
        } else {
            r->brackets += c == '(' || c == '[' || c == '{';
            r->brackets -= (c == ')' || c == ']' || c == '}') && r->brackets > 0;
            r->goes_on = c == '\\' && i + 1 == n;
            i++;
        }
    }
}

void functions_read_python(const struct source *s, struct functions *f)
{
    struct reader *r = xcalloc(1, sizeof *r);

    r->s = s;
    r->f = f;
    for (r->line = 1; r->line <= s->lines; r->line++) {
        size_t n, at;
        const char *p = source_line(s, r->line, &n);
        int32_t indent = indent_of(p, n, &at);
        bool code = at < n && p[at] != '#';

        if (code && !r->quote && r->brackets == 0 && !r->goes_on) {
            read_statement(r, p + at, n - at, indent);
        }
        if (code || r->quote || r->brackets) {
            r->last = r->line;
        }
        follow(r, p, n);
    }
    close_to(r, -1);
    free(r);
}

/* ---- Ruby ---- */

/* "def x; end" and "def x = y" have no end of their own. */
static bool one_line(const char *p, size_t n)
{
    size_t parens = 0;

    for (size_t i = 0; i < n; i++) {
        parens += p[i] == '(';
        parens -= p[i] == ')' && parens > 0;
        if (p[i] == '=' && parens == 0 && i > 0 && p[i - 1] == ' ' && i + 1 < n &&
            p[i + 1] == ' ') {
            return true;
        }
        if (n - i >= 4 && memcmp(p + i, "end", 3) == 0 && (p[i + 3] == ' ' || p[i + 3] == ';') &&
            i > 0 && !word_byte(p[i - 1])) {
            return true;
        }
    }
    return n > 4 && memcmp(p + n - 4, " end", 4) == 0;
}

static void read_ruby_line(struct reader *r, const char *p, size_t n, int32_t indent)
{
    const char *word = p, *name;
    size_t len = take_word(&p, &n), n_name;
    bool class = word_is(word, len, "class") || word_is(word, len, "module");

    if (word_is(word, len, "end") && r->deep > 0 && r->stack[r->deep - 1].indent >= indent) {
        r->last = r->line;
        close_to(r, indent);
        return;
    }
    if (!class && !word_is(word, len, "def")) {
        return;
    }
    name = p;
    n_name = take_word(&p, &n);
    if (n_name == 4 && memcmp(name, "self", 4) == 0 && n > 0 && *p == '.') {
        p++;
        n--;
        name = p;
        n_name = take_word(&p, &n);
    }
    if (n_name == 0 && n > 0 && !class) {
        n_name = MIN(n, (size_t)2); /* operators: def ==(other) */
    }
    if (n_name == 0) {
        return;
    }
    close_to(r, indent);
    open_block(r, indent, name, n_name, class, r->line);
    if (!class && one_line(p, n)) {
        r->last = r->line;
        close_to(r, indent);
    }
}

void functions_read_ruby(const struct source *s, struct functions *f)
{
    struct reader *r = xcalloc(1, sizeof *r);
    bool comment = false;

    r->s = s;
    r->f = f;
    for (r->line = 1; r->line <= s->lines; r->line++) {
        size_t n, at;
        const char *p = source_line(s, r->line, &n);
        int32_t indent = indent_of(p, n, &at);

        if (n >= 6 && memcmp(p, "=begin", 6) == 0) {
            comment = true;
        } else if (n >= 4 && memcmp(p, "=end", 4) == 0) {
            comment = false;
        } else if (!comment && at < n && p[at] != '#') {
            read_ruby_line(r, p + at, n - at, indent);
            r->last = r->line;
        }
    }
    close_to(r, -1);
    free(r);
}
