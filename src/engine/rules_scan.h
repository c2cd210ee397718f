/* rules_scan - one file while it is searched: for the files of the rules alone. */
#pragma once

#include "engine/rules_set.h"

enum {
    LINE_MAX_BYTES = 4096, /* of longer lines only what is around the literal is looked at */
    AROUND_BEFORE = 512,
    AROUND_AFTER = 1536,
    ANCESTORS_BYTES = 64 << 10, /* how far above `inside` looks */
    FILE_BYTES = 256 << 10,     /* how much of a file `has` and `lacks` look at */
    HITS_MAX = 2000,            /* of one file */
    PER_LINE = 16,              /* secrets of one rule */
    GIVE_UPS = 8,               /* of one rule in one file; then it is left */
    FILE_MS = 5000,             /* for one file, and as much again for each 4 MiB of it */
};

struct hit {
    uint32_t rule;
    size_t at, end;  /* what matched */
    size_t from, to; /* the secret, or the same */
    int32_t confidence_x100;
};

struct state {    /* of a rule in this file */
    size_t tried; /* literals before this place have been looked at */
    bool active;
    int8_t has, lacks; /* 0: not known yet; 1: fine; -1: not */
    uint8_t give_ups;
};

struct scan {
    struct rules *r;
    const char *path, *text;
    size_t n;
    uint64_t kinds;
    bool aside, bare_cr; /* some lines end with CR alone */
    struct state *rule;  /* of each rule */
    size_t line, line_end;
    struct hit *hits;
    size_t n_hits, size;
    const struct rule *gave_up; /* the first that did, NULL: none */
    size_t gave_up_at;
    unsigned tries;
    int64_t until_ms;
    bool late, many;
};

/* ---- lines (rules_around.c) ---- */

/* Whether some lines end with CR alone. */
bool has_bare_cr(const char *text, size_t n);
size_t line_starts(const struct scan *s, size_t at);
/* Behind the end of the line that `at` is in, without CR and LF. */
size_t line_ends(const struct scan *s, size_t at);
/* The start of the line behind one that ends at `end`; n: there is none. */
size_t line_next(const struct scan *s, size_t end);

/* ---- what stands around (rules_around.c) ---- */

/* The rule could not be tried at `at`: that is told, and it is not tried for ever. */
void rule_give_up(struct scan *s, uint32_t rule, size_t at);
/* Whether what matched is to be told; sets how sure that is. */
bool hit_stands(struct scan *s, struct hit *h);

/* ---- out (rules_findings.c) ---- */

struct counter { /* of lines, along the text */
    size_t at;
    int32_t line;
};
/* Of `at`, which is not before the one asked for last. */
int32_t line_number(const struct scan *s, struct counter *c, size_t at);
/* All hits as findings, in the order of their places. */
int hits_hand_out(struct scan *s, finding_fn fn, void *arg, struct err *e);
