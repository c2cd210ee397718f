/* rules_set - how a set of rules is kept: for the files of the rules alone. */
#pragma once

#include "engine/rules.h"
#include "engine/rules_literals.h"
#include "policy/node.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum { RULES_MAX = 2000, RULES_FILE_MAX = 4 << 20, RULE_LINES_MAX = 80, RULE_REGEX_MAX = 2000 };

struct entry {
    struct rule rule;
    pcre2_code *regex, *inside, *has, *lacks, *allow; /* of the rule's texts; owned */
    uint32_t secret_group;                            /* number of the group `secret`; 0: none */
};

struct rules {
    struct entry *v; /* owned */
    size_t n, size;
    struct node *docs; /* owned: the documents that the strings are in */
    size_t n_docs;
    struct literals *literals; /* owned; NULL: not made since the last rule was added */
    pcre2_match_context *limits;
    pcre2_match_data *data;
};

/* What is embedded: one row a file of src/engine/rules, in the order of names; ends with NULL. */
struct rules_text {
    const char *name, *text;
};
extern const struct rules_text rules_texts[];

/* Appends the rules of a text; on an error some may have been added. The set keeps the document. */
int rules_read(struct rules *r, const char *text, size_t n, const char *name, struct err *e);
void rule_entry_done(struct entry *t);

/* One attempt. 1: matches, and r->data has the places; 0: no; ERR_LIMIT: gave up. */
int regex_try(struct rules *r, const pcre2_code *re, const char *text, size_t n, size_t from);
