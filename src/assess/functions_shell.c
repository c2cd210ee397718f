/*
 * Functions of shells: NAME() { ... } and function NAME { ... }. Quotes, comments and
 * here-documents are skipped; '{' and '}' count where they are words of their own.
 */
#include <string.h>

#include "assess/functions.h"
#include "assess/source.h"
#include "base/mem.h"

enum { HEREDOCS = 8 };

struct reader {
    const struct source *s;
    struct functions *f;
    const char *t;
    size_t n, i;
    int32_t braces;
    bool command; /* a command may begin here */
    struct {
        int32_t function, braces;
    } stack[FUNCTIONS_DEEP];
    int32_t deep;
    /* "NAME()" or "function NAME" was read, and its body follows. */
    size_t name, n_name, name_end;
    struct {
        size_t at, n;
        bool tabs;
    } heredocs[HEREDOCS];
    int32_t n_heredocs;
};

static bool space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool breaks(char c)
{
    return space(c) || c == ';' || c == '&' || c == '|' || c == '(' || c == ')' || c == '<' ||
           c == '>';
}

static void skip_single(struct reader *r)
{
    const char *p = memchr(r->t + r->i, '\'', r->n - r->i);

    r->i = p ? (size_t)(p - r->t) + 1 : r->n;
}

static void skip_double(struct reader *r)
{
    while (r->i < r->n && r->t[r->i] != '"') {
        r->i += r->t[r->i] == '\\' && r->n - r->i > 1 ? 2 : 1;
    }
    r->i = r->i < r->n ? r->i + 1 : r->n;
}

/* ${...}: quotes in it count. */
static void skip_expansion(struct reader *r)
{
    size_t deep = 0;

    while (r->i < r->n) {
        char c = r->t[r->i++];

        if (c == '{') {
            deep++;
        } else if (c == '}' && --deep == 0) {
            return;
        } else if (c == '\\' && r->i < r->n) {
            r->i++;
        } else if (c == '"') {
            skip_double(r);
        }
    }
}

/* <<NAME, <<-NAME, <<'NAME': i is behind the <<. */
static void note_heredoc(struct reader *r)
{
    bool tabs = r->i < r->n && r->t[r->i] == '-';
    size_t from;

    r->i += tabs;
    while (r->i < r->n && (r->t[r->i] == ' ' || r->t[r->i] == '\t')) {
        r->i++;
    }
    while (r->i < r->n && strchr("'\"\\", r->t[r->i]) && r->t[r->i]) {
        r->i++;
    }
    for (from = r->i; r->i < r->n && !breaks(r->t[r->i]) && r->t[r->i] != '\'' && r->t[r->i] != '"';
         r->i++) {
    }
    if (r->i > from && r->n_heredocs < HEREDOCS) {
        r->heredocs[r->n_heredocs].at = from;
        r->heredocs[r->n_heredocs].n = r->i - from;
        r->heredocs[r->n_heredocs++].tabs = tabs;
    }
    while (r->i < r->n && (r->t[r->i] == '\'' || r->t[r->i] == '"')) {
        r->i++;
    }
}

static void skip_heredocs(struct reader *r)
{
    for (int32_t k = 0; k < r->n_heredocs && r->i < r->n; k++) {
        bool found = false;

        while (r->i < r->n && !found) {
            const char *p = r->t + r->i;
            const char *end = memchr(p, '\n', r->n - r->i);
            size_t len = end ? (size_t)(end - p) : r->n - r->i;

            r->i += len + (end != NULL);
            while (r->heredocs[k].tabs && len > 0 && *p == '\t') {
                p++;
                len--;
            }
            len -= len > 0 && p[len - 1] == '\r';
            found = len == r->heredocs[k].n && memcmp(p, r->t + r->heredocs[k].at, len) == 0;
        }
    }
    r->n_heredocs = 0;
}

static void open_brace(struct reader *r)
{
    if (r->n_name > 0 && r->deep < FUNCTIONS_DEEP) {
        int32_t outer = r->deep > 0 ? r->stack[r->deep - 1].function : -1;
        size_t n = MIN(r->n_name, (size_t)FUNCTION_NAME_MAX);

        r->stack[r->deep].function =
            function_open(r->f, source_line_at(r->s, r->name), outer, r->t + r->name, n);
        r->stack[r->deep++].braces = r->braces;
    }
    r->n_name = 0;
    r->braces++;
    r->command = true;
}

static void close_brace(struct reader *r, size_t at)
{
    if (r->braces > 0) {
        r->braces--;
    }
    if (r->deep > 0 && r->stack[r->deep - 1].braces == r->braces) {
        function_close(r->f, r->stack[--r->deep].function, source_line_at(r->s, at));
    }
    r->command = false;
}

/* Is "()" next? Then what stood before it is a function's name. */
static bool skip_empty_parens(struct reader *r)
{
    size_t i = r->i;

    while (i < r->n && (r->t[i] == ' ' || r->t[i] == '\t')) {
        i++;
    }
    if (i < r->n && r->t[i] == '(') {
        for (i++; i < r->n && (r->t[i] == ' ' || r->t[i] == '\t'); i++) {
        }
        if (i < r->n && r->t[i] == ')') {
            r->i = i + 1;
            return true;
        }
    }
    return false;
}

static bool word_is(const struct reader *r, size_t at, const char *word)
{
    return r->i - at == strlen(word) && memcmp(r->t + at, word, r->i - at) == 0;
}

static void skip_word(struct reader *r)
{
    while (r->i < r->n && !breaks(r->t[r->i])) {
        char c = r->t[r->i];

        if (c == '\'') {
            r->i++;
            skip_single(r);
        } else if (c == '"') {
            r->i++;
            skip_double(r);
        } else if (c == '$' && r->n - r->i > 1 && r->t[r->i + 1] == '{') {
            r->i++;
            skip_expansion(r);
        } else {
            r->i += c == '\\' && r->n - r->i > 1 ? 2 : 1;
        }
    }
}

static void read_word(struct reader *r)
{
    static const char *const before_commands[] = {"then",  "do",    "else", "elif", "if",
                                                  "while", "until", "!",    "time"};
    size_t at = r->i;
    bool command = r->command;

    skip_word(r);
    r->command = false;
    if (command && word_is(r, at, "{")) {
        open_brace(r);
    } else if (command && word_is(r, at, "}")) {
        close_brace(r, at);
    } else if (command && word_is(r, at, "function")) {
        while (r->i < r->n && (r->t[r->i] == ' ' || r->t[r->i] == '\t')) {
            r->i++;
        }
        r->name = r->i;
        skip_word(r);
        r->n_name = r->i - r->name;
        skip_empty_parens(r);
        r->command = true;
    } else if (command && skip_empty_parens(r)) {
        r->name = at;
        for (r->n_name = 0; at + r->n_name < r->n && !breaks(r->t[at + r->n_name]); r->n_name++) {
        }
        r->command = true;
    } else {
        r->n_name = 0;
        for (size_t k = 0; k < ARRAY_LEN(before_commands) && command; k++) {
            r->command = r->command || word_is(r, at, before_commands[k]);
        }
    }
}

static void read_break(struct reader *r)
{
    char c = r->t[r->i++];

    if (c == '<' && r->i < r->n && r->t[r->i] == '<') {
        r->i++;
        if (r->i < r->n && r->t[r->i] == '<') {
            r->i++;
        } else {
            note_heredoc(r);
        }
    } else if (c == '\n') {
        r->command = true;
        skip_heredocs(r);
    } else if (c == ';' || c == '&' || c == '|' || c == '(' || c == ')') {
        r->command = true;
        r->n_name = c == '(' ? r->n_name : 0;
    }
}

void functions_read_shell(const struct source *s, struct functions *f)
{
    struct reader *r = xcalloc(1, sizeof *r);

    r->s = s;
    r->f = f;
    r->t = s->text;
    r->n = s->n;
    r->command = true;
    while (r->i < r->n) {
        char c = r->t[r->i];

        if (c == '#' && (r->i == 0 || breaks(r->t[r->i - 1]))) {
            const char *end = memchr(r->t + r->i, '\n', r->n - r->i);

            r->i = end ? (size_t)(end - r->t) : r->n;
        } else if (breaks(c)) {
            read_break(r);
        } else {
            read_word(r);
        }
    }
    while (r->deep > 0) {
        function_close(f, r->stack[--r->deep].function, s->lines);
    }
    free(r);
}
