/*
 * usage - how many tokens an answer of the Messages API says that it took, read as it passes: one
 * JSON document, or events whose data is one each. Only the API's own `usage` counts, which is a
 * member of the document or of its `message`, not what a model writes. Of numbers that are told
 * several times (events repeat them as they grow) the greatest holds. Private to proxy/.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct usage {
    bool events; /* each line is a document of its own */
    bool in_string, escaped, in_number;
    bool in_message; /* inside of the document's `message` */
    uint32_t depth;  /* of objects and arrays */
    uint32_t at;     /* that of the `usage` this is inside of; 0: none */
    char word[32];   /* the last string, if it is as short */
    uint8_t n_word;
    uint8_t key; /* what the value that comes next is; 0: nothing of interest */
    uint64_t v;
    uint64_t told[4];
};

/* Zeroed, but for `events`. */
void usage_feed(struct usage *u, const char *p, size_t n);
uint64_t usage_input(const struct usage *u); /* with what went to and came from the cache */
uint64_t usage_output(const struct usage *u);
