/* sarif_row - one declared engine, and the reader of files that declare them; for src/engine only
 * (engine/sarif.h). */
#pragma once

#include "engine/sarif.h"
#include "model/sandbox.h"

struct sarif_engine {
    struct engine engine; /* made of what follows */
    char *name, *summary, *program;
    char *output; /* file inside; NULL: standard output */
    struct strvec arguments, paths, env;
    uint32_t ok_exit[8]; /* bits */
    unsigned languages;
    int32_t confidence_x100; /* 0: not said */
    struct limits limits;    /* 0: not said */
    bool by_default, wants_files, wants_list;
};

struct sarif_engines {
    struct sarif_engine **v;
    size_t n;
};

struct sarif_language {
    const char *name;
    unsigned bit;
};
extern const struct sarif_language sarif_languages[]; /* ends with name NULL */

/* Fills row->engine. */
void sarif_engine_finish(struct sarif_engine *row);
