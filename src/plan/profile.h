/* profile - how profiles are kept: inside this room only. */
#pragma once

#include "plan/plan.h"

struct profiles {
    struct profile *v; /* owned; built-in ones first, whose strings are static */
    size_t n;
};

extern const struct profile profiles_builtin[];
extern const size_t profiles_builtin_n;

/* Adds those of a file's text; `name` is how messages call it. */
int profiles_parse(const char *text, size_t n, const char *name, struct profiles *out,
                   struct err *e);
void profile_done(struct profile *p); /* not of built-in ones */
