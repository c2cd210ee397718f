/* source - text of files, made fit to be shown. For src/assess only. */
#pragma once

#include "assess/identity.h"
#include "base/buf.h"

/* Number of the line that holds the byte. */
int32_t source_line_at(const struct source *s, size_t at);
/* Bytes of the character at p; 1 where it is malformed. n > 0 */
size_t text_char(const char *p, size_t n);
/* As valid UTF-8; what is not, and controls but tab and line end, become U+FFFD. */
void text_clean(struct buf *out, const char *p, size_t n);
/* Bytes of UTF-8 text that fit into max, without a character cut through. */
size_t text_cut(const char *p, size_t n, size_t max);
