/*
 * Functions of languages with braces. Tokens since the last ';', '{' or '}' are the head of what a
 * '{' opens; from them alone it is told whether that is a function, a class, or something else.
 * Parentheses are heads of their own, and where the preprocessor has two ways (#if, #else), the
 * second begins where the first did.
 */
#include <stdlib.h>
#include <string.h>

#include "assess/functions_braces.h"
#include "assess/source.h"
#include "base/mem.h"

static int32_t line_of(const struct reader *r, size_t at)
{
    return source_line_at(r->s, at);
}

/* ---- scopes ---- */

static void name_put(const struct reader *r, char *out, size_t *n, struct name w)
{
    size_t len = MIN(w.n, (size_t)FUNCTION_NAME_MAX / 2);

    memcpy(out + *n, r->s->text + w.at, len);
    *n += len;
}

/* "Class.method", whatever the class is in. */
static int32_t open_function(struct reader *r, struct name name)
{
    char text[2 * FUNCTION_NAME_MAX];
    size_t n = 0;
    struct name type = r->head.function.n > 0 ? r->head.receiver : (struct name){0};
    struct scope *in = top(r);
    size_t start = r->head.start != NO_START ? r->head.start : name.at;

    if (type.n == 0 && in->kind == KIND_CLASS) {
        type = in->type;
    }
    if (type.n > 0) {
        name_put(r, text, &n, type);
        memcpy(text + n, r->language->separator, strlen(r->language->separator));
        n += strlen(r->language->separator);
    }
    name_put(r, text, &n, name);
    return function_open(r->f, line_of(r, start), in->function >= 0 ? in->function : in->outer,
                         text, n);
}

static void push(struct reader *r, enum kind kind, struct name name)
{
    struct scope *in = top(r), *x;
    int32_t outer = in->function >= 0 ? in->function : in->outer;
    int32_t function = kind == KIND_FUNCTION && name.n > 0 ? open_function(r, name) : -1;

    if (r->deep == DEEP) {
        function_close(r->f, function, line_of(r, r->before.at));
        r->over++;
        return;
    }
    x = &r->stack[r->deep++];
    *x = (struct scope){.kind = kind, .function = function, .outer = outer, .parens = r->parens};
    x->inside_function = kind == KIND_FUNCTION || (kind != KIND_CLASS && kind != KIND_OBJECT &&
                                                   kind != KIND_FILE && in->inside_function);
    x->type = kind == KIND_CLASS ? name : (struct name){0};
    x->head = r->head;
    r->parens = 0;
    r->head = no_head;
}

/* The line that holds the closing brace, or ends the text. */
static void pop(struct reader *r, size_t at)
{
    struct scope *x = top(r);
    bool go_on = x->parens > 0 || x->kind == KIND_IN_HEAD || x->kind == KIND_TEMPLATE;

    function_close(r->f, x->function, line_of(r, at));
    r->parens = x->parens;
    r->head = go_on ? x->head : no_head;
    r->deep--;
}

static void pop_to(struct reader *r, int32_t deep, size_t at)
{
    while (r->deep > deep) {
        pop(r, at);
    }
}

/* ---- what a '{' opens ---- */

static bool may_have_candidates(struct reader *r)
{
    const struct scope *in = top(r);

    return (r->x.syntax & SYN_CANDIDATES) && !in->inside_function && r->parens == 0 &&
           in->kind != KIND_IN_HEAD && in->kind != KIND_BLOCK &&
           (!(r->x.syntax & SYN_ONLY_IN_CLASSES) || in->kind != KIND_FILE);
}

static enum kind kind_of_keyword(struct reader *r, struct name *name)
{
    const struct head *h = &r->head;

    if (reader_follows_word(r, "struct") || reader_follows_word(r, "interface")) {
        return KIND_IN_HEAD; /* Go: the type of a result */
    }
    if (h->function.n > 0) {
        *name = h->function;
    } else if (h->assigned.n > 0 && r->parens == 0) {
        *name = h->assigned;
    }
    return KIND_FUNCTION;
}

static enum kind kind_of(struct reader *r, struct name *name)
{
    const struct head *h = &r->head;
    bool class = h->class && r->parens == 0 && !h->assigns;

    if (h->keyword && h->function_parens == r->parens) {
        return kind_of_keyword(r, name);
    }
    if (r->before.arrow) {
        *name = r->parens == 0 ? h->assigned : (struct name){0};
        return KIND_FUNCTION;
    }
    if (class && !((r->x.syntax & SYN_TYPES_FIRST) && h->candidate.n > 0)) {
        *name = h->type;
        return KIND_CLASS;
    }
    if (h->new && r->before.c == ')' && !h->control &&
        (h->assigns || r->parens > 0 || top(r)->inside_function)) {
        return KIND_CLASS;
    }
    if (may_have_candidates(r) && h->candidate.n > 0 && !h->control && !h->assigns) {
        if (h->colon && r->before.type == TOKEN_WORD && (r->x.syntax & SYN_RAW_CXX)) {
            return KIND_IN_HEAD; /* C++: Foo() : a{1} {} */
        }
        *name = h->candidate;
        return KIND_FUNCTION;
    }
    if ((r->x.syntax & SYN_PROPERTIES) && top(r)->kind == KIND_CLASS && r->parens == 0 &&
        r->before.type == TOKEN_WORD && !h->control && !h->assigns) {
        *name = h->assigned.n ? h->assigned : h->last;
        return KIND_FUNCTION;
    }
    if ((r->x.syntax & SYN_ONLY_IN_CLASSES) &&
        (reader_follows(r, "=(,:[?") || reader_follows_word(r, "return") ||
         reader_follows_word(r, "default"))) {
        return KIND_OBJECT;
    }
    /* extern "C" {, and what else may hold functions */
    if (!(r->x.syntax & SYN_ONLY_IN_CLASSES) && top(r)->kind == KIND_FILE && r->parens == 0 &&
        r->before.type == TOKEN_LITERAL && !h->assigns) {
        return KIND_FILE;
    }
    return KIND_BLOCK;
}

static void open_brace(struct reader *r, const struct token *k)
{
    struct name name = {0};
    enum kind kind;

    if (k->template) {
        push(r, KIND_TEMPLATE, name);
        return;
    }
    if (r->after_prototype && r->deep == 1 && r->before.c == ';') {
        r->head = r->prototype;
    }
    r->after_prototype = false;
    kind = kind_of(r, &name);
    if (r->head.start == NO_START) {
        r->head.start = k->at;
    }
    push(r, kind, name);
}

static void close_brace(struct reader *r, const struct token *k)
{
    bool template;

    if (r->over > 0) {
        r->over--;
        return;
    }
    if (r->ignore > 0 && r->deep == r->ignore_at) {
        r->ignore--;
        r->head = no_head;
        return;
    }
    if (r->deep == 1) {
        r->head = no_head;
        r->parens = 0;
        return;
    }
    template = top(r)->kind == KIND_TEMPLATE;
    pop(r, k->at);
    if (template) {
        lexer_resume_template(&r->x);
    }
}

/* ---- the preprocessor ---- */

static void condition_begins(struct reader *r)
{
    if (r->n_conditions == CONDITIONS) {
        r->conditions_over++;
        return;
    }
    r->conditions[r->n_conditions].deep = r->deep;
    r->conditions[r->n_conditions++].ignore = r->ignore;
}

/* The other way begins where this one did. */
static void condition_turns(struct reader *r, size_t at)
{
    int32_t deep;

    if (r->n_conditions == 0 || r->conditions_over > 0) {
        return;
    }
    deep = r->conditions[r->n_conditions - 1].deep;
    if (r->deep > deep) {
        pop_to(r, deep, at);
        r->head = no_head;
    } else if (r->deep < deep) {
        r->ignore = deep - r->deep;
        r->ignore_at = r->deep;
    }
}

static void condition_ends(struct reader *r)
{
    if (r->conditions_over > 0) {
        r->conditions_over--;
    } else if (r->n_conditions > 0) {
        r->ignore = r->conditions[--r->n_conditions].ignore;
    }
}

static void take_directive(struct reader *r, const struct token *k)
{
    const char *p = r->s->text + k->at + 1, *end = r->s->text + k->at + k->n;
    size_t n = 0;

    while (p < end && (*p == ' ' || *p == '\t')) {
        p++;
    }
    while (p + n < end && p[n] >= 'a' && p[n] <= 'z') {
        n++;
    }
    if (n >= 2 && memcmp(p, "if", 2) == 0) {
        condition_begins(r);
    } else if (n >= 4 && memcmp(p, "el", 2) == 0) {
        condition_turns(r, k->at);
    } else if (n == 5 && memcmp(p, "endif", 5) == 0) {
        condition_ends(r);
    }
}

/* ---- */

/* Where statements end with their line: does this token begin another one? */
static bool new_statement(const struct reader *r, const struct token *k)
{
    static const char *const go_on[] = {"extends", "implements", "where", "throws", "rethrows",
                                        "async",   "in",         "as",    "is",     NULL};
    struct name w = {k->at, k->n};

    return (r->x.syntax & SYN_LINES) && k->new_line && r->parens == 0 &&
           (k->type == TOKEN_WORD || k->type == TOKEN_LITERAL) && !reader_any(r, w, go_on) &&
           (r->before.type == TOKEN_WORD || r->before.type == TOKEN_LITERAL ||
            reader_follows(r, ")]}"));
}

static void take(struct reader *r, const struct token *k)
{
    if (new_statement(r, k) && r->before.c != '@') {
        r->head = no_head;
    }
    if (k->type == TOKEN_PUNCTUATION && k->c == '{') {
        open_brace(r, k);
    } else if (k->type == TOKEN_PUNCTUATION && k->c == '}') {
        close_brace(r, k);
    } else {
        if (r->head.start == NO_START) {
            r->head.start = k->at;
        }
        if (k->type == TOKEN_WORD) {
            head_take_word(r, k);
        } else if (k->type == TOKEN_PUNCTUATION) {
            head_take_punctuation(r, k);
        }
    }
    r->before = *k;
}

void functions_read_braces(const struct source *s, const struct braces *language,
                           struct functions *f)
{
    struct reader *r = xcalloc(1, sizeof *r);
    struct token k;

    r->s = s;
    r->x = lexer_new(s->text, s->n, language->syntax);
    r->f = f;
    r->language = language;
    r->stack[0] = (struct scope){.kind = KIND_FILE, .function = -1, .outer = -1};
    r->deep = 1;
    r->head = no_head;
    while ((k = lexer_next(&r->x)).type != TOKEN_END) {
        if (k.type == TOKEN_DIRECTIVE) {
            take_directive(r, &k);
        } else {
            take(r, &k);
        }
    }
    pop_to(r, 1, s->n);
    free(r);
}
