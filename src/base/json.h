/*
 * json - a streaming JSON writer that appends to a buf. No tree: a million rows need no more
 * memory than the buffer that the caller drains.
 *
 * `key` is NULL inside arrays and for the root. Strings are written as valid UTF-8: bytes that
 * are not become U+FFFD, controls are escaped, so a hostile banner cannot break a document.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct json {
    struct buf *b;
    uint64_t has;   /* bit d: depth d has an element already */
    uint64_t array; /* bit d: depth d is an array */
    unsigned depth; /* at most 63 */
};

struct json json_to(struct buf *b);
void json_obj(struct json *j); /* root or array element */
void json_obj_in(struct json *j, const char *key);
void json_arr(struct json *j);
void json_arr_in(struct json *j, const char *key);
void json_end(struct json *j); /* closes the innermost object or array */
void json_str(struct json *j, const char *key, const char *s); /* NULL writes null */
void json_strn(struct json *j, const char *key, const char *s, size_t n);
void json_int(struct json *j, const char *key, int64_t v);
void json_num(struct json *j, const char *key, double v, int decimals);
void json_bool(struct json *j, const char *key, bool v);
/* null; not json_null(), which would take the place of jansson's at link time */
void json_nil(struct json *j, const char *key);
/* Text that is JSON already (from this writer); NULL or "" writes null. */
void json_raw(struct json *j, const char *key, const char *text);
/* A time in microseconds as RFC 3339; 0 writes null. */
void json_time(struct json *j, const char *key, int64_t us);
/* Only the quoted, escaped string, without commas: for callers that keep their own structure. */
void buf_add_json_string(struct buf *b, const char *s, size_t n);
