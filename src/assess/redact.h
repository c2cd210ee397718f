/*
 * redact - the secrets of one file, and its text without them. For src/assess only.
 */
#pragma once

#include "assess/identity.h"
#include "base/buf.h"

struct secret_range {
    int32_t line;
    size_t from, to; /* bytes of the text */
    bool begins;     /* its first characters stay */
};

struct redaction {
    const struct source *s;
    struct secret_range *v; /* owned; by line */
    size_t n, size;
    /* Texts that are looked for in all lines and messages. */
    struct secret_text {
        const char *p;
        size_t n;
    } texts[64];
    size_t n_texts;
};

/* Of the findings that have secrets, in the order of lines and columns. */
void redaction_init(struct redaction *r, const struct source *s, struct finding *const *v,
                    size_t n);
void redaction_done(struct redaction *r);
/* Bytes [from, to) of the text, which lie in `line`, cleaned and without secrets. */
void redaction_add(const struct redaction *r, int32_t line, size_t from, size_t to,
                   struct buf *out);
/* A message; `p` itself where it has no secret. */
const char *redaction_text(const struct redaction *r, const char *p, struct arena *arena);
