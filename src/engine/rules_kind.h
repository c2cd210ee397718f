/*
 * rules_kind - what kind of file a path is, for rules: finer than an engine's languages, and more
 * than one at a time (a workflow is YAML, too). And patterns of paths.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A bit for each name. 0: there is no such kind. "any" is all bits. */
uint64_t kind_find(const char *name);
/* Of a file: by its path, else by its first line. 0: of no kind that has a name. */
uint64_t rule_kind_of(const char *path, const char *text, size_t n);
/* Path of a file of that kind, for examples: of the lowest bit. */
const char *kind_sample(uint64_t kinds);
/* "javascript, typescript"; into a buffer of the caller's. */
struct buf;
void kind_names(uint64_t kinds, struct buf *out);

/* '*' any text but '/', '**' any text, '?' one character. A pattern without '/' is matched with the
 * last part of the path; the others with all of it. Case matters not. */
bool path_matches(const char *pattern, const char *path);

/* Whether the file is one of a test, an example, a document or somebody else's (vendor, lock files,
 * minified): what stands there is less likely to be in use. */
bool path_is_aside(const char *path);

/* What a line that is only a comment begins with, in files of these kinds; spaces are skipped. */
bool line_is_comment(uint64_t kinds, const char *line, size_t n);
