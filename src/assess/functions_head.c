/* Heads: the tokens between one ';' or brace and the next '{', and what they say of it. */
#include <string.h>

#include "assess/functions_braces.h"
#include "base/mem.h"

const struct head no_head = {.start = NO_START};

bool reader_is(const struct reader *r, struct name w, const char *word)
{
    return w.n == strlen(word) && memcmp(r->s->text + w.at, word, w.n) == 0;
}

bool reader_any(const struct reader *r, struct name w, const char *const *words)
{
    for (; *words; words++) {
        if (reader_is(r, w, *words)) {
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

bool reader_follows(const struct reader *r, const char *characters)
{
    return r->before.type == TOKEN_PUNCTUATION && r->before.c && strchr(characters, r->before.c);
}

bool reader_follows_word(const struct reader *r, const char *word)
{
    return token_is(&r->x, &r->before, word);
}

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
        !(h->class && reader_is(r, w, "record"))) {
        h->class = true;
        h->type_done = false;
        h->type = (struct name){0};
    } else if (h->class && reader_is(r, w, "for")) {
        h->type_done = false; /* impl Trait for Type */
        h->control = false;
    } else if (h->class && (reader_is(r, w, "extends") || reader_is(r, w, "implements") ||
                            reader_is(r, w, "final") || reader_is(r, w, "where"))) {
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
    bool special =
        (r->x.syntax & SYN_PROPERTIES) && !(r->x.syntax & SYN_CANDIDATES) &&
        top(r)->kind == KIND_CLASS && r->parens == 0 &&
        (reader_is(r, w, "init") || reader_is(r, w, "deinit") || reader_is(r, w, "subscript"));

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

void head_take_word(struct reader *r, const struct token *k)
{
    struct head *h = &r->head;
    struct name w = {k->at, k->n};

    if (r->before.c == '@') {
        h->last = (struct name){0};
        return;
    }
    if (reader_any(r, w, control_words) && r->parens == 0 && !h->class && r->before.c != '.') {
        h->control = h->control || h->candidate.n == 0;
    }
    h->new = h->new || reader_is(r, w, "new");
    h->template = h->template || (h->last.n == 0 && reader_is(r, w, "template"));
    take_name(r, k);
    if (starts_class(r, w) || h->class) {
        take_class_word(r, w);
    }
    take_function_word(r, k, w);
    if ((r->x.syntax & SYN_RAW_CXX) && reader_is(r, w, "operator")) {
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

    if (w.n > 0 && !reader_any(r, w, no_names) &&
        (h->candidate.n == 0 || shouts(r, h->candidate))) {
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
        h->in_receiver = h->function.n == 0 && reader_follows_word(r, "func");
        h->function_done = h->function_done || !h->in_receiver;
    }
    if (k->c == '[') {
        h->in_receiver = false;
    }
    h->type_done = h->type_done || (h->class && h->type.n > 0 && !reader_any(r, h->last, no_names));
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
        (reader_is(r, h->last, "public") || reader_is(r, h->last, "private") ||
         reader_is(r, h->last, "protected")) &&
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

void head_take_punctuation(struct reader *r, const struct token *k)
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
