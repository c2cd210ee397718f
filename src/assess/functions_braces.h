/*
 * functions_braces - the reader of languages with braces, in two files: heads, and what they open.
 * For functions_braces.c and functions_head.c only.
 */
#pragma once

#include "assess/functions.h"
#include "assess/lexer.h"

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

static inline struct scope *top(struct reader *r)
{
    return &r->stack[r->deep - 1];
}

bool reader_is(const struct reader *r, struct name w, const char *word);
bool reader_any(const struct reader *r, struct name w, const char *const *words);
/* The token before is punctuation of these, or that word. */
bool reader_follows(const struct reader *r, const char *characters);
bool reader_follows_word(const struct reader *r, const char *word);
/* Of the head at hand: what a word or punctuation (other than braces) makes of it. */
void head_take_word(struct reader *r, const struct token *k);
void head_take_punctuation(struct reader *r, const struct token *k);
extern const struct head no_head;
