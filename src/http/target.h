/*
 * target - the path and query of a request, decoded in place.
 *
 * The path keeps "%2F" as those three bytes, so that an encoded slash never separates. "." and
 * ".." as segments are refused: what they mean would be up to each proxy on the way.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TARGET_QUERY_MAX = 64 };

struct target_pair { /* offsets into the buffer, both NUL-terminated */
    uint16_t name, value;
};

struct target {
    uint16_t path;
    uint16_t path_len;
    uint16_t n;
    struct target_pair q[TARGET_QUERY_MAX];
};

/*
 * Splits base[at, at + n) and decodes it, writing NULs; the byte after the target (a space) is
 * overwritten as well. NULL, or what is wrong (a literal): the answer is 400.
 */
const char *target_decode(char *base, size_t at, size_t n, struct target *t);
