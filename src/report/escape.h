/*
 * escape - text from scanners, made inert in the ways of the formats. For src/report only.
 *
 * All take any bytes. What a format cannot hold, or a reader could not see (control bytes, bytes
 * that are not UTF-8, characters that turn the order of text around), becomes \xHH or \u{HHHH};
 * XML holds most of them as character references, so that they come back as they were.
 */
#pragma once

#include <stddef.h>

#include "base/buf.h"

/* Characters and attribute values. */
void xml_add(struct buf *b, const char *s, size_t n);
/* ` name="value"`; NULL writes nothing. */
void xml_attr(struct buf *b, const char *name, const char *value);

/* Text of one line, also for attribute values. NULL writes nothing. */
void html_add(struct buf *b, const char *s);
/* Text of several lines, for <pre>: line ends stay. */
void html_add_lines(struct buf *b, const char *s, size_t n);

/* One field, in quotes where it needs them; never the beginning of a formula. */
void csv_add(struct buf *b, const char *s, size_t n);

/* A code span, in which nothing of Markdown is active, also inside a table. */
void markdown_add(struct buf *b, const char *s);
/* An indented code block of several lines. */
void markdown_add_lines(struct buf *b, const char *s, size_t n);

/* A part of a grepable field: none of the characters that divide fields and ports. */
void grepable_add(struct buf *b, const char *s);
