/*
 * json_member - structs from and to JSON objects, one row a member. Private to repo/.
 *
 * Reading is strict: what has no row is an error, as is a value of another kind or out of bounds.
 * Messages begin with the place: "/agent/model: ...".
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"

enum json_member_kind {
    JSON_MEMBER_TEXT,  /* char *, owned: absent is NULL */
    JSON_MEMBER_TEXTS, /* struct strvec */
    JSON_MEMBER_BOOL,
    JSON_MEMBER_U32, /* also of int32_t; 0 is absent */
    JSON_MEMBER_U64,
};

struct json_member {
    const char *name;
    enum json_member_kind kind;
    size_t offset;
    uint64_t max; /* of a number; of a list: elements; of a text without `check`: bytes */
    /* Text as it is kept: *canonical is owned and set on failure, too, or left alone. NULL: as it
     * is. */
    int (*check)(const char *s, char **canonical, struct err *e);
};

/* Rows end with a name NULL. Zeroes, false and NULL are not written. */
void json_members_write(const struct json_member *rows, const void *from, struct json *j);
/* Into a zeroed struct; on failure what was read stays there, for its done(). `others`:
 * NULL-terminated names that somebody else reads; may be NULL. */
int json_members_read(const struct json_member *rows, const json_t *o, const char *at,
                      const char *const *others, void *to, struct err *e);
/* One object. ERR_INVALID: "line 3: ...". */
int json_document(const char *text, size_t n, json_t **out, struct err *e);

struct repo_request;
void repo_request_json(const struct repo_request *r, struct json *j);
int repo_request_from(const json_t *o, const char *at, struct repo_request *out, struct err *e);
