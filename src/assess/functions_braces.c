/*
 * Functions of languages with braces. Tokens since the last ';', '{' or '}' are the head of what a
 * '{' opens; from them alone it is told whether that is a function, a class, or something else.
 * Parentheses are heads of their own, and where the preprocessor has two ways (#if, #else), the
 * second begins where the first did.
 */
#include <stdlib.h>
#include <string.h>

#include "assess/functions.h"
#include "assess/lexer.h"
#include "assess/source.h"
#include "base/mem.h"

enum kind {
    KIND_FILE,
    KIND_CLASS,
    KIND_OBJECT,
    KIND_FUNCTION,
    KIND_BLOCK,
    KIND_IN_HEAD,
    KIND_TEMPLATE
};
enum { DEEP = 1024, CONDITIONS = 64 };

struct name {
    size_t at, n;
};

struct head {
    size_t start;            /* of its first token; NO_START */
    struct name last;        /* word just before */
    struct name candidate;   /* word before the first parentheses */
    struct name assigned;    /* word before '=' or ':' */
    struct name type;        /* name of a class */
    struct name function;    /* after the keyword */
    struct name receiver;    /* Go */
    struct name generic;     /* word before '<' */
    int32_t within;          /* its angles */
    int32_t angles;          /* open ones of generics */
    int32_t function_parens; /* depth of parentheses at the keyword */
    bool control, assigns, class, new, type_done, keyword, function_done, in_receiver, colon,
        template;
};
#define NO_START ((size_t)-1)

struct scope {
    enum kind kind;
    bool inside_function; /* also of blocks in it */
    int32_t function;     /* index; -1: none of its own */
    int32_t outer;        /* the function that holds it */
    struct name type;     /* of classes */
    int32_t parens;       /* to go on with */
    struct head head;
};

struct reader {
    const struct source *s;
    struct lexer x;
    struct functions *f;
    const struct braces *language;
    struct scope stack[DEEP];
    int32_t deep, over; /* over: braces that the stack had no room for */
    int32_t parens;
    struct head head;
    struct token before; /* the last one */
    struct {
        int32_t deep, ignore;
    } conditions[CONDITIONS];
    int32_t n_conditions, conditions_over;
    int32_t ignore, ignore_at; /* closing braces that the other way has had already */
    bool after_prototype;      /* C before ANSI: int f(a) int a; { */
    struct head prototype;
};

static const struct head no_head = {.start = NO_START};

static bool is(const struct reader *r, struct name w, const char *word)
{
    return w.n == strlen(word) && memcmp(r->s->text + w.at, word, w.n) == 0;
}

static bool any(const struct reader *r, struct name w, const char *const *words)
{
    for (; *words; words++) {
        if (is(r, w, *words)) {
            return true;
        }
    }
    return false;
}

static const char *const control_words[] = {
    "if",      "for",    "while",   "switch", "catch",        "do",     "else",    "try",
    "finally", "case",   "default", "return", "synchronized", "lock",   "using",   "fixed",
    "foreach", "with",   "match",   "loop",   "unsafe",       "goto",   "throw",   "await",
    "yield",   "elseif", "when",    "guard",  "defer",        "select", "checked", "unchecked",
    "repeat",  NULL};
/* Words before parentheses that no function is called. */
static const char *const no_names[] = {
    "__attribute__",  "__attribute",   "__declspec", "alignas", "_Alignas", "noexcept", "throw",
    "decltype",       "requires",      "explicit",   "asm",     "__asm__",  "__asm",    "typeof",
    "__typeof__",     "sizeof",        "int",        "void",    "char",     "long",     "short",
    "unsigned",       "signed",        "float",      "double",  "bool",     "const",    "static",
    "_Static_assert", "static_assert", "extern",     "new",     "super",    "this",     NULL};
/* Is it among the words of a list with spaces between? */
static bool listed(const struct reader *r, struct name w, const char *list)
{
    while (*list) {
        size_t n = strcspn(list, " ");

        if (n == w.n && memcmp(list, r->s->text + w.at, n) == 0) {
            return true;
        }
        list += n + (list[n] == ' ');
    }
    return false;
}

static int32_t line_of(const struct reader *r, size_t at)
{
    return source_line_at(r->s, at);
}

static struct scope *top(struct reader *r)
{
    return &r->stack[r->deep - 1];
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

static bool shouts(const struct reader *r, struct name w)
{
    for (size_t i = 0; i < w.n; i++) {
        char c = r->s->text[w.at + i];

        if (c >= 'a' && c <= 'z') {
            return false;
        }
    }
    return w.n > 0;
}

static bool follows(const struct reader *r, const char *characters)
{
    return r->before.type == TOKEN_PUNCTUATION && r->before.c && strchr(characters, r->before.c);
}

static bool follows_word(const struct reader *r, const char *word)
{
    return token_is(&r->x, &r->before, word);
}

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

    if (follows_word(r, "struct") || follows_word(r, "interface")) {
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
        (follows(r, "=(,:[?") || follows_word(r, "return") || follows_word(r, "default"))) {
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

/* ---- heads ---- */

static void take_name(struct reader *r, const struct token *k)
{
    struct head *h = &r->head;
    struct name w = {k->at, k->n};
    const struct token *b = &r->before;

    if (b->type == TOKEN_PUNCTUATION && b->at + b->n == k->at) {
        if (b->scope && h->last.n > 0 && h->last.at + h->last.n == b->at) {
            w.at = h->last.at; /* A::b */
        } else if (b->c == '~') {
            w.at = b->at;
            if (h->last.n > 0 && w.at >= 2 && h->last.at + h->last.n == w.at - 2 &&
                r->s->text[w.at - 1] == ':') {
                w.at = h->last.at;
            }
        }
        w.n = k->at + k->n - w.at;
    }
    h->last = w;
}

static void take_class_word(struct reader *r, struct name w)
{
    struct head *h = &r->head;

    if (r->parens > 0 || h->keyword || h->angles > 0) {
        return;
    }
    if (listed(r, w, r->language->classes) && r->before.c != '.' &&
        !(h->class && is(r, w, "record"))) {
        h->class = true;
        h->type_done = false;
        h->type = (struct name){0};
    } else if (h->class && is(r, w, "for")) {
        h->type_done = false; /* impl Trait for Type */
        h->control = false;
    } else if (h->class && (is(r, w, "extends") || is(r, w, "implements") || is(r, w, "final") ||
                            is(r, w, "where"))) {
        h->type_done = true;
    } else if (h->class && !h->type_done) {
        h->type = h->last;
    }
}

static bool starts_class(const struct reader *r, struct name w)
{
    return listed(r, w, r->language->classes) && !r->head.class;
}

static void take_function_word(struct reader *r, const struct token *k, struct name w)
{
    struct head *h = &r->head;
    bool special = (r->x.syntax & SYN_PROPERTIES) && !(r->x.syntax & SYN_CANDIDATES) &&
                   top(r)->kind == KIND_CLASS && r->parens == 0 &&
                   (is(r, w, "init") || is(r, w, "deinit") || is(r, w, "subscript"));

    if ((listed(r, w, r->language->function) || special) && r->before.c != '.' &&
        !(h->keyword && h->function.n > 0 && r->parens > h->function_parens)) {
        h->keyword = true;
        h->function = special ? w : (struct name){0};
        h->function_done = special;
        h->function_parens = r->parens;
        h->class = false;
        return;
    }
    if (h->keyword && !h->function_done && r->parens == h->function_parens &&
        !(k->at > 0 && r->before.c == '<')) {
        h->function = w;
    }
    if (h->in_receiver) {
        h->receiver = w;
    }
}

/* Names of operators are punctuation: operator==, operator(). */
static void take_operator(struct reader *r)
{
    struct lexer *x = &r->x;
    size_t from = r->head.last.at;

    if (x->i < x->n && x->t[x->i] == '(') {
        x->i += x->n - x->i > 1 && x->t[x->i + 1] == ')' ? 2 : 0;
    }
    while (x->i < x->n && x->t[x->i] && strchr("+-*/%^&|~!=<>[],", x->t[x->i])) {
        x->i++;
    }
    r->head.last.n = x->i - from;
}

static void take_word(struct reader *r, const struct token *k)
{
    struct head *h = &r->head;
    struct name w = {k->at, k->n};

    if (r->before.c == '@') {
        h->last = (struct name){0};
        return;
    }
    if (any(r, w, control_words) && r->parens == 0 && !h->class && r->before.c != '.') {
        h->control = h->control || h->candidate.n == 0;
    }
    h->new = h->new || is(r, w, "new");
    h->template = h->template || (h->last.n == 0 && is(r, w, "template"));
    take_name(r, k);
    if (starts_class(r, w) || h->class) {
        take_class_word(r, w);
    }
    take_function_word(r, k, w);
    if ((r->x.syntax & SYN_RAW_CXX) && is(r, w, "operator")) {
        take_operator(r);
    }
}

/* NAME( or NAME<T>( */
static void take_candidate(struct reader *r)
{
    struct head *h = &r->head;
    struct name w = r->before.type == TOKEN_WORD           ? h->last
                    : r->before.c == '>' && h->within == 0 ? h->generic
                                                           : (struct name){0};

    if (w.n > 0 && !any(r, w, no_names) && (h->candidate.n == 0 || shouts(r, h->candidate))) {
        h->candidate = w;
    }
}

static void open_parens(struct reader *r, const struct token *k)
{
    struct head *h = &r->head;

    if (k->c == '(' && r->parens == 0) {
        take_candidate(r);
    }
    if (k->c == '(' && h->keyword && r->parens == h->function_parens) {
        h->in_receiver = h->function.n == 0 && follows_word(r, "func");
        h->function_done = h->function_done || !h->in_receiver;
    }
    if (k->c == '[') {
        h->in_receiver = false;
    }
    h->type_done = h->type_done || (h->class && h->type.n > 0 && !any(r, h->last, no_names));
    r->parens++;
}

static void close_parens(struct reader *r)
{
    if (r->parens > 0) {
        r->parens--;
    }
    r->head.in_receiver = false;
}

/* C before ANSI has declarations between a function's head and its body. */
static void take_prototype(struct reader *r)
{
    const struct head *h = &r->head;

    if (h->candidate.n > 0 || h->assigns || r->deep > 1) {
        r->after_prototype = r->deep == 1 && h->candidate.n > 0 && !h->assigns && !h->control &&
                             r->before.type == TOKEN_WORD && (r->x.syntax & SYN_TYPES_FIRST);
        r->prototype = *h;
    }
}

static void take_colon(struct reader *r, const struct token *k)
{
    struct head *h = &r->head;

    if (r->parens > 0 || h->angles > 0) {
        return;
    }
    if ((r->x.syntax & SYN_RAW_CXX) && !k->scope &&
        (is(r, h->last, "public") || is(r, h->last, "private") || is(r, h->last, "protected")) &&
        !h->class) {
        *h = no_head;
        return;
    }
    if (!k->assign && !k->scope && h->assigned.n == 0 && h->candidate.n == 0) {
        h->assigned = h->last;
    }
    h->colon = h->colon || (!k->scope && h->candidate.n > 0);
    h->type_done = h->type_done || (h->class && h->type.n > 0 && !k->scope);
}

/* Of generics; only in the heads of classes and functions can it be nothing else. */
static void take_angle(struct reader *r, const struct token *k)
{
    struct head *h = &r->head;

    if (r->parens > 0 || k->n > 1) {
        return;
    }
    if (k->c == '<' && r->before.type == TOKEN_WORD && h->within++ == 0) {
        h->generic = h->last;
    }
    h->within -= k->c == '>' && h->within > 0;
    if (k->c == '<' && (h->angles > 0 || (h->class && h->type.n == 0))) {
        h->angles++;
    } else if (k->c == '>' && h->angles > 0) {
        h->angles--;
    } else if (k->c == '<') {
        h->type_done = h->type_done || (h->class && h->type.n > 0);
        h->function_done = h->function_done || h->function.n > 0;
    }
}

static void take_punctuation(struct reader *r, const struct token *k)
{
    struct head *h = &r->head;

    switch (k->c) {
    case '(':
    case '[':
        open_parens(r, k);
        break;
    case ')':
    case ']':
        close_parens(r);
        break;
    case ';':
        if (r->parens == 0) {
            take_prototype(r);
            *h = no_head;
        }
        break;
    case ',':
        if (r->parens == 0 && top(r)->kind == KIND_OBJECT) {
            *h = no_head;
        }
        break;
    case ':':
        take_colon(r, k);
        break;
    case '<':
    case '>':
        take_angle(r, k);
        break;
    default:
        break;
    }
    if (k->assign && r->parens == 0) {
        if (h->assigned.n == 0) {
            h->assigned = h->last;
        }
        h->assigns = h->assigns || !h->template || h->candidate.n > 0;
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
           (k->type == TOKEN_WORD || k->type == TOKEN_LITERAL) && !any(r, w, go_on) &&
           (r->before.type == TOKEN_WORD || r->before.type == TOKEN_LITERAL || follows(r, ")]}"));
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
            take_word(r, k);
        } else if (k->type == TOKEN_PUNCTUATION) {
            take_punctuation(r, k);
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
