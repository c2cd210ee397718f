/*
 * text - what a file's bytes are, and text of other encodings as UTF-8. No I/O.
 *
 * Engines stop at bytes that are not UTF-8, some of them without a word; findings are UTF-8. So
 * such a file is rewritten before they see it, with its lines where they were.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { TEXT_HEAD = 8192 }; /* what is looked at to tell text from the rest */

/* NULL: text. Else what it is, for people: "zip archive, not unpacked", "binary (NUL byte)". */
const char *text_not(const char *head, size_t n);
/* False: it is UTF-8 already, `out` is not touched. True: `out` has it as UTF-8. UTF-16 is known by
 * its byte order mark; of anything else each byte that is not part of a character is taken for
 * Latin-1. */
bool text_to_utf8(const char *text, size_t n, struct buf *out);
