/*
 * node - a small YAML document as a tree that knows where everything stands.
 *
 * Text, lists and mappings only: anchors, aliases, tags and a second document are refused, so that
 * a file says what it shows and cannot grow when it is read. Keys of a mapping are not looked at
 * here; whoever walks the tree refuses what it does not know (map_read()).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum node_kind { NODE_TEXT, NODE_LIST, NODE_MAP };

struct node {
    enum node_kind kind;
    unsigned line, column; /* from 1 */
    char *text;            /* NODE_TEXT; no control characters. Owned */
    struct node *item;     /* NODE_LIST: n; NODE_MAP: n keys and values by turns. Owned */
    size_t n, size;
};

enum { NODE_DEPTH_MAX = 8 };

/* ERR_INVALID: "NAME:LINE:COLUMN: what is wrong". node_done() *out after success. */
int node_parse(const char *text, size_t n, const char *name, struct node *out, struct err *e);
void node_done(struct node *n);

/* ERR_INVALID with the place of n before the message. */
int node_wrong(const char *name, const struct node *n, struct err *e, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* One key that a mapping may have. `read` takes its value. */
struct node_field {
    const char *name;
    int (*read)(void *arg, const struct node *value, struct err *e);
    bool required;
};

/*
 * Gives each key of the mapping n to its field, in the order of the document. `what` is how
 * messages call the mapping: "an entry of scope.allow". Unknown, repeated and missing keys are
 * refused. `fields` ends with name NULL and has at most 32 rows.
 */
int node_map(const char *name, const struct node *n, const char *what,
             const struct node_field *fields, void *arg, struct err *e);
