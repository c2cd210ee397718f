/*
 * router - from method and path to a row of the route table.
 *
 * A literal segment wins over {name}; the leftmost difference decides. The table is borrowed.
 */
#pragma once

#include <stddef.h>

#include "http/http.h"
#include "http/http_parser.h"

enum { ROUTE_PARAMS_MAX = 8 };

struct router;

struct route_match {
    const struct http_route *route; /* NULL: status says why */
    unsigned index;                 /* of the route in the table */
    int status;                     /* 404 or 405 */
    char allow[64];                 /* for 405: "GET, HEAD, DELETE" */
    unsigned n;
    struct http_str name[ROUTE_PARAMS_MAX], value[ROUTE_PARAMS_MAX]; /* in pattern and path */
};

/* ERR_INVALID: a row with an unknown method or a malformed pattern; the message names it. */
int router_new(const struct http_route *routes, struct router **out, struct err *e);
void router_free(struct router *r);
unsigned router_count(const struct router *r);
void router_find(const struct router *r, enum http_method m, const char *path,
                 struct route_match *out);
