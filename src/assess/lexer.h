/*
 * lexer - tokens of languages with braces, as far as is needed to tell code from strings and
 * comments: not what they mean. Linear, never fails: what it does not understand is punctuation.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* What sets languages apart. */
enum {
    SYN_DIRECTIVES = 1 << 0,      /* lines that begin with '#' */
    SYN_HASH = 1 << 1,            /* '#' begins a comment */
    SYN_NESTED = 1 << 2,          /* comments in comments */
    SYN_TRIPLE = 1 << 3,          /* """ ... """ */
    SYN_TEMPLATE = 1 << 4,        /* `a${b}c` */
    SYN_BACKTICK = 1 << 5,        /* `raw` */
    SYN_VERBATIM = 1 << 6,        /* @"a""b" */
    SYN_RAW_CXX = 1 << 7,         /* R"x(...)x" */
    SYN_RAW_RUST = 1 << 8,        /* r#"..."#, and lifetimes: 'a */
    SYN_LONG = 1 << 9,            /* strings go on over line ends */
    SYN_REGEX = 1 << 10,          /* slash, pattern, slash */
    SYN_TAGS = 1 << 11,           /* code stands between <? and ?> */
    SYN_LINES = 1 << 12,          /* a line end may end a statement */
    SYN_CANDIDATES = 1 << 13,     /* functions have no keyword: NAME(...) {...} */
    SYN_TYPES_FIRST = 1 << 14,    /* "struct x f() {" is a function */
    SYN_PROPERTIES = 1 << 15,     /* NAME { get {...} } */
    SYN_ONLY_IN_CLASSES = 1 << 16 /* NAME(...) {...} are methods of classes or objects */
};

enum token_type { TOKEN_END, TOKEN_WORD, TOKEN_LITERAL, TOKEN_PUNCTUATION, TOKEN_DIRECTIVE };

struct token {
    enum token_type type;
    size_t at, n;
    char c;        /* of punctuation; '>' with `arrow`: "=>" */
    bool arrow;    /* "=>" */
    bool scope;    /* "::" */
    bool assign;   /* "=" alone, or ":=" */
    bool template; /* '{' of "${" in a template */
    bool new_line; /* the first one of its line */
};

struct lexer {
    const char *t;
    size_t n, i;
    unsigned syntax;
    struct token last; /* the one before, for what depends on it */
    bool line_begun;   /* something stands on this line already */
};

struct lexer lexer_new(const char *t, size_t n, unsigned syntax);
struct token lexer_next(struct lexer *x);
/* After the '}' of a "${": goes on in the template. */
void lexer_resume_template(struct lexer *x);
bool token_is(const struct lexer *x, const struct token *k, const char *word);
