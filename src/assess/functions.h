/*
 * functions - which function a line belongs to. For src/assess only.
 *
 * Readers of languages hand in ranges of lines as they open, each after the one that holds it; all
 * are linear in the text and bounded in what they keep, whatever the text is.
 */
#pragma once

#include "assess/identity.h"
#include "base/buf.h"

enum { FUNCTIONS_MAX = 200000, FUNCTION_NAME_MAX = 160, FUNCTIONS_DEEP = 256 };

struct function {
    int32_t first, last; /* lines */
    int32_t outer;       /* index; -1: none */
    uint32_t name;       /* offset in names */
};

struct functions {
    struct function *v;
    int32_t n, size;
    struct buf names;
};

/* -1: too many; closing that does nothing. outer must be open. */
int32_t function_open(struct functions *f, int32_t line, int32_t outer, const char *name, size_t n);
void function_close(struct functions *f, int32_t i, int32_t line);
void functions_free(struct functions *f); /* NULL is fine */

struct braces {
    unsigned syntax;       /* lexer.h */
    const char *function;  /* the word before a function's name; "": there is none */
    const char *classes;   /* words before a class's, with spaces between */
    const char *separator; /* between class and method */
};
void functions_read_braces(const struct source *s, const struct braces *language,
                           struct functions *f);
void functions_read_python(const struct source *s, struct functions *f);
void functions_read_ruby(const struct source *s, struct functions *f);
void functions_read_shell(const struct source *s, struct functions *f);
